import Failures
import Synchronization
import Tensors

/// How much memory a network's run may take.
///
/// A run that would take more goes through the network tile by tile where the network allows it: from the input to the next small
/// tensor, a few places at a time with the margin that windows reach into, and on from there. What comes out is the same to
/// rounding.
public enum MemoryLimit {
    private struct State {
        var bytes: Int?
        var observe: (@Sendable (String) -> Void)?
        var told: Set<String> = []
    }

    private static let state = Mutex(State())

    /// Bytes that the process is to stay within; nil for no bound. Set once, early, for the whole process.
    public static var bytes: Int? {
        get { state.withLock { $0.bytes } }
        set { state.withLock { $0.bytes = newValue } }
    }

    /// Is told, before a run starts and once for each different one, what it will take and how it will go.
    public static var observe: (@Sendable (String) -> Void)? {
        get { state.withLock { $0.observe } }
        set { state.withLock { $0.observe = newValue } }
    }

    /// What tensors may take before a run goes slab by slab although no bound is set: about what a processor's last cache holds of a
    /// layer's output until the next layer reads it. On a VGG at 96³ such slabs took the time of the whole and two thirds of its memory.
    static let comfortable = 48 << 20

    /// Whether a run without a bound may be cut: where rounding decides nothing (it differs a little between a slab and the
    /// whole), and where the tensors can be large at all: 16 channels of the input's size.
    static func isWorthCutting(_ inputBytes: Int) -> Bool {
        !ConvolutionEngine.isKeptToDefinition && 16 * inputBytes > comfortable
    }

    static func tell(_ text: String) {
        let observe: (@Sendable (String) -> Void)? = state.withLock { state in
            state.told.insert(text).inserted ? state.observe : nil
        }
        observe?(text)
    }

    /// Bytes that whoever runs a network holds meanwhile beside its input: the scan as it was read. nil: as much as the input.
    @TaskLocal public static var heldBytes: Int?

    /// What the program, a network's weights in all their layouts, its input and what the caller holds take beside the network's
    /// tensors.
    static func besides(_ network: Network, inputBytes: Int) -> Int {
        (128 << 20) + 16 * network.parameterCount + inputBytes + (heldBytes ?? inputBytes)
    }

    static func refusal(_ network: Network, _ limit: Int, found: Int, _ why: String) -> Failure {
        Failure(
            .resources, "graph '\(network.name)'", expected: "\(text(limit)) for its tensors to suffice",
            found: "\(text(found)) at least\(why)",
            remedy: "Raise --max-memory, resample to larger voxels, or crop the scan")
    }

    /// "1.5 GB"
    static func text(_ bytes: Int) -> String {
        let megabytes = Double(bytes) / 0x1p20
        return megabytes < 1000 ? "\(Int(megabytes.rounded())) MB" : "\((megabytes / 102.4).rounded() / 10) GB"
    }
}
