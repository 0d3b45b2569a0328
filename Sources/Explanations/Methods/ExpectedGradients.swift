import Failures
import Tensors

/// Expected gradients: integrated gradients from many references at once, one random point of a random path a sample.
///
/// Erion et al., Nature Machine Intelligence 2021: the mean of `(x − x′) ⊙ ∂y/∂x (x′ + t(x − x′))` over references x′ and uniform t.
/// References are other scans, as in the paper; or they are made from the scan itself: inputs of one grey value drawn from those of
/// the scan, the scan blurred until only a few patches are left, or zeros.
public struct ExpectedGradients: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "expected-gradients", title: "Expected gradients", family: .gradient,
        summary: "Integrated gradients averaged over references, so that no single grey value stands for nothing.",
        source: "Erion et al., arXiv 1906.10670", needs: "a differentiable network",
        cost: "samples × (2 forward, 1 full pullback)",
        trust:
            "Complete on average: the residual against the mean change of the target is printed with its standard error. Noisy with few samples.",
        sanity: .passes, mapsInput: true,
        options: [
            MethodOption("samples", .integer(2...100_000), standard: .number(100), "random points of random paths"),
            MethodOption(
                "references", .choice(["grey", "blurred", "zero", "scans"]), standard: .word("grey"),
                "where paths begin: one grey value of the scan everywhere, the scan blurred, zeros, or the scans of --references"
            ),
            MethodOption("seed", .integer(0...Int(Int32.max)), standard: .number(0), "seed of references and points"),
        ])

    private let samples: Int
    private let references: String
    private let seed: Int

    public init(_ options: MethodOptions) {
        samples = options.integer("samples")
        references = options.word("references")
        seed = options.integer("seed")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let input = question.input
        let values = input.values
        var random = RandomSource(seed: UInt64(seed))
        let scans = references == "scans" ? try self.scans(question) : []
        var mean = [Double](repeating: 0, count: input.count)
        var spread = Moments()
        var before: [String: Double] = [:]
        for sample in 1...samples {
            let (reference, key) = self.reference(question, &random, values, scans)
            let place = random.uniform()
            let between = reference.combined(with: input) { $0 + Float(place) * ($1 - $0) }
            let gradient = try question.scoreAndGradient(of: between).gradient
            if before[key] == nil { before[key] = try question.score(of: reference) }
            let change = question.target.score - before[key]!
            let share = gradient.combined(with: input.combined(with: reference) { $0 - $1 }) { $0 * $1 }
            spread.add(share.total - change)
            share.withUnsafeBuffer { share in
                for index in mean.indices { mean[index] += (Double(share[index]) - mean[index]) / Double(sample) }
            }
        }
        let map = question.inputLayout.featureMap(Tensor(shape: input.shape, values: mean.map { Float($0) }))
        return AttributionMap(
            ChannelReduction.sum(of: map),
            figures: [
                "completeness residual": spread.mean, "standard error of the residual": spread.standardError,
                "evaluations": Double(samples + before.count),
            ])
    }

    private func scans(_ question: Question) throws -> [Tensor<Float>] {
        let title = Self.descriptor.title
        guard let given = try question.regions.references?(), !given.isEmpty else {
            throw Failure(
                .usage, "method '\(title)', option 'references'", expected: "scans to compare with", found: "none",
                remedy:
                    "Name their folder with --references or the pipeline's input.references, or use references=grey.")
        }
        let shape = question.input.shape
        if let odd = given.first(where: { $0.shape != shape }) {
            throw Failure(
                .usage, "method '\(title)', option 'references'",
                expected: "scans that are prepared to the shape \(shape), as the explained one is",
                found: "one of shape \(odd.shape)",
                remedy: "Give all scans one size in the preparation, such as --size or a crop.")
        }
        return given
    }

    /// A reference, and a name that equal references share.
    private func reference(
        _ question: Question, _ random: inout RandomSource, _ values: [Float], _ scans: [Tensor<Float>]
    ) -> (Tensor<Float>, String) {
        let shape = question.input.shape
        switch references {
        case "grey":
            let value = values[Int(random.next() % UInt64(values.count))]
            return (Tensor(shape: shape, repeating: value), "\(value)")
        case "scans":
            let number = Int(random.next() % UInt64(scans.count))
            return (scans[number], "\(number)")
        case "blurred":
            let cells = 2 + Int(random.next() % 3)
            return (question.coarse(cells: cells), "\(cells)")
        default: return (Tensor(shape: shape, repeating: 0), "zero")
        }
    }
}

/// Running mean and variance by Welford's recurrence.
struct Moments: Sendable {
    private(set) var count = 0
    private(set) var mean = 0.0
    private var squares = 0.0

    mutating func add(_ value: Double) {
        count += 1
        let delta = value - mean
        mean += delta / Double(count)
        squares += delta * (value - mean)
    }

    var variance: Double { count > 1 ? squares / Double(count - 1) : 0 }
    var standardError: Double { count > 0 ? (variance / Double(count)).squareRoot() : 0 }
}
