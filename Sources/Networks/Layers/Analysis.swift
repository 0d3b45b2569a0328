import Failures
import Synchronization
import Tensors

extension Network {
    /// Shapes of all inputs: the given ones, those that the file fixes, and for the rest the first of some usual extents
    /// under which the network's layers fit together.
    ///
    /// For looking at a network whose file leaves extents open; to run it, the data's own shape counts.
    /// - Throws: a ``Failure`` when none of them fits.
    public func usualShapes(completing given: [String: [Int]] = [:]) throws -> [String: [Int]] {
        for name in given.keys.sorted() where !inputs.contains(where: { $0.name == name }) { throw unknownInput(name) }
        let open = inputs.filter { given[$0.name] == nil && $0.fixedShape == nil }
        var shapes = given
        for input in inputs where given[input.name] == nil { shapes[input.name] = input.fixedShape }
        if open.isEmpty { return shapes }
        var problem: (any Error)?
        for extent in [64, 96, 32, 128, 224, 48, 16, 256, 240] {
            for rank in [5, 4, 2] where rank == 5 || open.contains(where: { $0.dims == nil }) {
                for channels in [1, 3, 2, 4] {
                    for input in open {
                        let dims = input.dims ?? (0..<rank).map { .symbolic("\(input.name)_\($0)") }
                        shapes[input.name] = dims.enumerated().map { axis, dimension in
                            if case .fixed(let extent) = dimension { return extent }
                            return axis == 0 ? 1 : axis == 1 ? channels : extent
                        }
                    }
                    do {
                        _ = try interpret(shapes)
                        return shapes
                    } catch {
                        problem = problem ?? error
                    }
                    if !open.contains(where: { $0.dims.map { $0.count > 1 && $0[1].isSymbolic } ?? true }) { break }
                }
            }
        }
        throw problem ?? Failure(.network, "inputs", expected: "shapes that can be guessed", found: "none")
    }

    /// What is known of all tensors under these shapes; computed once for the usual ones, and once for the given ones that
    /// were asked for last: a scan asks many times for its own.
    func analysis(_ inputShapes: [String: [Int]]?) throws -> Analysis {
        guard let inputShapes else {
            if let analysis = analyses.usual.withLock({ $0 }) { return analysis }
            let analysis = try Analysis(self, shapes: usualShapes())
            analyses.usual.withLock { $0 = analysis }
            return analysis
        }
        if let latest = analyses.latest.withLock({ $0 }), latest.asked == inputShapes { return latest.analysis }
        let analysis = try Analysis(self, shapes: usualShapes(completing: inputShapes))
        analyses.latest.withLock { $0 = (inputShapes, analysis) }
        return analysis
    }
}

extension Extent {
    var isSymbolic: Bool { if case .symbolic = self { true } else { false } }
}

/// Holds the analyses of one network that somebody has asked for.
final class AnalysisBox: Sendable {
    let usual = Mutex<Analysis?>(nil)
    let latest = Mutex<(asked: [String: [Int]], analysis: Analysis)?>(nil)
}

/// A network's tensors under given shapes of its inputs: what they hold, where they lie, what passes through them.
struct Analysis: Sendable {
    let shapes: [String: [Int]]
    /// By tensor number.
    let values: [Value?]
    /// Places in the first input of floats.
    let positions: Positions
    private let data: [Bool]
    private let producers: [Int?]
    private let nodeInputs: [[Int?]]

    init(_ network: Network, shapes: [String: [Int]]) throws {
        self.shapes = shapes
        values = try network.interpret(shapes)
        guard let input = network.inputs.first(where: { $0.elementType.kind == .float }) else {
            throw Failure(.network, "graph '\(network.name)'", expected: "an input of floats", found: "none")
        }
        positions = Positions(network, input: input.name, values: values)
        data = network.carriesData
        producers = network.producers
        nodeInputs = network.nodes.map(\.inputIDs)
    }

    func carriesData(_ id: Int) -> Bool { data[id] }

    /// Inputs of a node that carry data.
    func dataInputs(_ node: Int) -> [Int] { nodeInputs[node].compactMap { $0 }.filter(carriesData) }

    /// By node: how many nodes lie on the longest way from the input to it.
    func depths() -> [Int] {
        var depths = [Int](repeating: 0, count: nodeInputs.count)
        for node in nodeInputs.indices {
            depths[node] = 1 + (dataInputs(node).compactMap { producers[$0].map { depths[$0] } }.max() ?? 0)
        }
        return depths
    }

    /// Tensors, from `target` back to the input, through each of which everything passes that `target` knows of the input.
    func cuts(from target: Int) -> [Int] {
        var open: Set<Int> = [target]
        var cuts = [target]
        while let latest = open.compactMap({ producers[$0] }).max() {
            open = open.filter { producers[$0] != latest }
            open.formUnion(dataInputs(latest))
            if open.count == 1 { cuts.append(open.first!) }
        }
        return cuts
    }
}
