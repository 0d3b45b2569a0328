import Failures
import Tensors

/// Asked between nodes; true ends the run with a ``Failure`` of kind `.interrupted`.
public typealias Interruption = @Sendable () -> Bool

extension Network {
    /// Computes tensors, and only what they need.
    ///
    /// - Parameters:
    ///   - inputs: a value for every input that the wanted tensors depend on.
    ///   - wanting: names of tensors, or of taps where no tensor has the name (see ``tap(_:inputShapes:)``).
    /// - Returns: the wanted values under the names by which they were asked for.
    /// - Throws: a ``Failure`` when an input is missing, unknown or of the wrong shape, when an operator cannot compute,
    ///   when a wanted value holds NaN, or when `interrupted` says so.
    public func run(
        inputs: [String: Value], wanting: [String], interrupted: Interruption? = nil
    ) throws -> [String: Value] {
        try run(inputs: inputs, wanting: wanting, interrupted: interrupted, checkingNumbers: true)
    }

    func run(
        inputs: [String: Value], wanting: [String], interrupted: Interruption? = nil, checkingNumbers: Bool
    ) throws -> [String: Value] {
        let wanted = try wanting.map { try tensorID($0) }
        var execution = Execution(self, interrupted: interrupted)
        try execution.supply(inputs)
        try execution.compute(wanted, keeping: Set(wanted))
        var results: [String: Value] = [:]
        for (name, id) in zip(wanting, wanted) {
            guard let value = execution.value(id) else {
                throw Failure(
                    .network, "tensor '\(name)'", expected: "a value",
                    found: "none: its node computes fewer outputs than the file names")
            }
            if checkingNumbers { try checkNumbers(value, id, inputs: inputs) }
            results[name] = value
        }
        return results
    }

    /// The shapes of all tensors for given shapes of the inputs. Nothing is computed but what shapes depend on.
    ///
    /// Inputs whose shape the file fixes may be left out.
    public func shapes(for inputShapes: [String: [Int]] = [:]) throws -> [String: [Int]] {
        var shapes: [String: [Int]] = [:]
        for (id, value) in try interpret(inputShapes).enumerated() {
            if let value { shapes[tensorNames[id]] = value.shape }
        }
        return shapes
    }

    /// All tensors as far as shapes determine them: right where they depend on shapes and constants alone (see
    /// ``carriesData``), else of the right shape.
    func interpret(_ inputShapes: [String: [Int]]) throws -> [Value?] {
        var values: [String: Value] = [:]
        for input in inputs {
            guard let shape = inputShapes[input.name] ?? input.fixedShape else {
                throw Failure(
                    .network, "input '\(input.name)'", expected: "a shape for \(input.shapeText)", found: "none")
            }
            guard shape.allSatisfy({ $0 >= 0 }), shape.reduce(1.0, { $0 * Double($1) }) < 0x1p48 else {
                throw Failure(
                    .network, "input '\(input.name)'", expected: "extents that fit in memory", found: "\(shape)")
            }
            switch input.elementType.kind! {
            case .float: values[input.name] = .pending(shape)
            // What integers and flags hold is not known; zeros have the right shape.
            case .integer: values[input.name] = .integer(Tensor(shape: shape, repeating: 0))
            case .boolean: values[input.name] = .boolean(Tensor(shape: shape, repeating: false))
            }
        }
        for name in inputShapes.keys.sorted() where values[name] == nil { throw unknownInput(name) }
        var execution = Execution(self, interrupted: nil)
        try execution.supply(values)
        let all = Array(tensorNames.indices.filter { producers[$0] != nil })
        try execution.compute(all, keeping: Set(tensorNames.indices))
        return tensorNames.indices.map { execution.values[$0] ?? constantValues[$0] }
    }

    func tensorID(_ name: String) throws -> Int {
        if let id = tensorIDs[name] { return id }
        return tensorIDs[try tap(name).tensor]!
    }

    func unknownInput(_ name: String) -> Failure {
        Failure(
            .network, "input '\(name)'", expected: "one of the network's inputs", found: "a name that it does not have",
            remedy: Nearest.suggestion(name, in: inputs.map(\.name)))
    }

    /// Throws when a float value holds NaN, and says where it first arises.
    func checkNumbers(_ value: Value, _ id: Int, inputs: [String: Value]) throws {
        guard case .float(let tensor) = value, tensor.holdsNaN else { return }
        for (name, input) in inputs.sorted(by: { $0.key < $1.key }) {
            if case .float(let tensor) = input, tensor.holdsNaN {
                throw Failure(
                    .network, "tensor '\(tensorNames[id])'", expected: "numbers",
                    found: "NaN, because input '\(name)' holds NaN",
                    remedy: "Replace or crop away what is no number first")
            }
        }
        var execution = Execution(self, interrupted: nil)
        try execution.supply(inputs)
        let first = try execution.firstNaN(towards: id)
        throw Failure(
            .network, "tensor '\(tensorNames[id])'", expected: "numbers",
            found: first.map { "NaN, first computed by node '\($0.name)' (\($0.type))" } ?? "NaN",
            remedy: "Check that the input is scaled as in training and that the weights are finite")
    }
}

extension Tensor where Scalar == Float {
    /// Whether any element is NaN.
    var holdsNaN: Bool {
        withUnsafeBuffer { buffer in
            // A plain loop over blocks, so that it is vectorized and still ends early.
            var start = 0
            while start < buffer.count {
                let end = min(start + 4096, buffer.count)
                var found: UInt32 = 0
                for index in start..<end { found |= buffer[index] == buffer[index] ? 0 : 1 }
                if found != 0 { return true }
                start = end
            }
            return false
        }
    }
}

/// One pass through the graph, forward.
struct Execution {
    let network: Network
    let interrupted: Interruption?
    /// The way that gradients will go back afterwards, for what they take.
    var returning: Path?
    /// By tensor number; constants stay in the network.
    private(set) var values: [Value?]

    init(_ network: Network, interrupted: Interruption?) {
        self.network = network
        self.interrupted = interrupted
        values = [Value?](repeating: nil, count: network.tensorNames.count)
    }

    /// A pass that goes on from tensors that are known already.
    init(_ network: Network, known: [Int: Value], interrupted: Interruption?) {
        self.init(network, interrupted: interrupted)
        for (id, value) in known { values[id] = value }
    }

    /// Sets the network's inputs, each checked against what the file declares.
    mutating func supply(_ inputs: [String: Value]) throws {
        var symbols: [String: Int] = [:]
        for (name, _) in inputs.sorted(by: { $0.key < $1.key })
        where !network.inputs.contains(where: { $0.name == name }) {
            throw network.unknownInput(name)
        }
        for input in network.inputs {
            guard let value = inputs[input.name] else { continue }
            guard value.kind == input.elementType.kind else {
                throw Failure(
                    .network, "input '\(input.name)'", expected: "\(input.elementType.kind!.rawValue) elements",
                    found: value.summary)
            }
            try input.check(value.shape, symbols: &symbols)
            values[network.tensorIDs[input.name]!] = value
        }
    }

    func value(_ id: Int) -> Value? { values[id] ?? network.constantValues[id] }

    /// The nodes that must run to have `wanted`, in order.
    func needed(for wanted: [Int]) throws -> [Int] {
        var open = [Bool](repeating: false, count: values.count)
        for id in wanted where value(id) == nil { open[id] = true }
        var schedule: [Int] = []
        for node in network.nodes.reversed() where node.outputIDs.contains(where: { $0.map { open[$0] } ?? false }) {
            schedule.append(node.index)
            for id in node.inputIDs {
                guard let id, value(id) == nil else { continue }
                if network.producers[id] == nil {
                    throw Failure(
                        .network, "input '\(network.tensorNames[id])'", expected: "a value", found: "none",
                        remedy: "The network needs it to compute '\(node.name)' (\(node.type))")
                }
                open[id] = true
            }
        }
        for id in wanted where value(id) == nil && network.producers[id] == nil {
            throw Failure(.network, "input '\(network.tensorNames[id])'", expected: "a value", found: "none")
        }
        return schedule.reversed()
    }

    /// Computes `wanted`; afterwards ``values`` holds `keeping` and what it held before, as far as computed.
    ///
    /// - Parameter joining: whether convolutions may take what follows them into their pass, where nobody looks between.
    mutating func compute(_ wanted: [Int], keeping kept: Set<Int>, joining: Bool = true) throws {
        let schedule = try needed(for: wanted)
        var uses = uses(schedule)
        let given = Set(values.indices.filter { values[$0] != nil })
        let stages = joining ? network.stages(of: schedule, uses: uses, kept: kept) : schedule.map { .node($0) }
        for piece in try pieces(of: stages, given: given, kept: kept) {
            try checkInterruption()
            let done: [Int]
            switch piece.piece {
            case .whole(let stage):
                try perform(stage)
                done = stage.nodes
            case .tiles(let segment):
                values[segment.result] = try segment.run(
                    network, shapes: piece.shapes, source: { value($0) }, interruption: { try checkInterruption() })
                done = segment.stages.flatMap(\.nodes)
            }
            for index in done {
                let node = network.nodes[index]
                for id in node.inputIDs {
                    guard let id else { continue }
                    uses[id] -= 1
                    if uses[id] == 0, !kept.contains(id), !given.contains(id) { values[id] = nil }
                }
                for id in node.outputIDs { if let id, uses[id] == 0, !kept.contains(id) { values[id] = nil } }
            }
        }
    }

    /// What has to run for `wanted`, joined where nobody looks between, in order.
    func stages(for wanted: [Int]) throws -> [Stage] {
        let schedule = try needed(for: wanted)
        return network.stages(of: schedule, uses: uses(schedule), kept: Set(wanted))
    }

    private func uses(_ schedule: [Int]) -> [Int] {
        var uses = [Int](repeating: 0, count: values.count)
        for index in schedule {
            for id in network.nodes[index].inputIDs { if let id { uses[id] += 1 } }
        }
        return uses
    }

    /// One stage from the values that are there; ``values`` has its results.
    mutating func perform(_ stage: Stage) throws {
        switch stage {
        case .node(let index): try step(network.nodes[index])
        case .chain(let chain): try run(chain)
        }
    }

    /// The stages one by one, or where a bound on memory asks for it, or the processor's caches, some of them tile by tile.
    func pieces(
        of stages: [Stage], given: Set<Int>, kept: Set<Int>
    ) throws -> [(piece: MemoryPlan.Piece, shapes: [[Int]?])] {
        let whole = stages.map { (MemoryPlan.Piece.whole($0), [[Int]?]()) }
        var inputShapes: [String: [Int]] = [:]
        var inputBytes = 0
        for input in network.inputs {
            // Without the input itself (replayed from a layer on, or only shapes asked for) there is nothing large to bound.
            guard case .float(let value)? = values[network.tensorIDs[input.name]!] else { return whole }
            inputShapes[input.name] = value.shape
            inputBytes += 4 * value.shape.elementCount
        }
        let bound = MemoryLimit.bytes
        if bound == nil, !MemoryLimit.isWorthCutting(inputBytes) { return whole }
        let shapes = try network.interpret(inputShapes).map { $0?.shape }
        func plan(_ limit: Int?, _ search: MemoryPlan.Search) throws -> MemoryPlan {
            try MemoryPlan(
                network, stages: stages, shapes: shapes, given: given, kept: kept, limit: limit, search: search)
        }
        if let bound {
            let besides = MemoryLimit.besides(network, inputBytes: inputBytes)
            let limit = max(1, bound - besides)
            let plan = try plan(limit, .everything)
            let back = returning?.bytes(shapes, in: network) ?? 0
            guard back <= limit else {
                throw MemoryLimit.refusal(
                    network, limit, found: back, "; gradients of the layers above the tap are among it")
            }
            MemoryLimit.tell(
                "The network's tensors take \(MemoryLimit.text(max(plan.peak, back))) at most, beside \(MemoryLimit.text(besides)) for the rest"
                    + (plan.isWhole ? "." : ": \(plan.summary)."))
            return plan.pieces.map { ($0, shapes) }
        }
        let peak = try plan(nil, .slabs).peak
        // Half of the memory has to be gained.
        for limit in sequence(first: MemoryLimit.comfortable, next: { 2 * $0 }).prefix(while: { 2 * $0 < peak }) {
            // One stage by itself gains nothing from tiles, and margins must not cost what the caches give.
            guard let plan = try? plan(limit, .slabs), plan.tilesJoinStages, try plan.repetition() < 1.1 else {
                continue
            }
            return plan.pieces.map { ($0, shapes) }
        }
        return whole
    }

    /// A chain's result in one pass, or its nodes one by one where they don't fit together.
    private mutating func run(_ chain: PlacedChain) throws {
        let head = network.nodes[chain.nodes[0]]
        let result = try head.description.locating {
            try chain.chain.forward(
                head.inputIDs.map { $0.flatMap { value($0) } }, addend: chain.addend.flatMap { value($0) })
        }
        if let result {
            values[network.nodes[chain.nodes.last!].outputIDs[0]!] = result
        } else {
            for index in chain.nodes { try step(network.nodes[index]) }
        }
    }

    /// The first node on the way to `target` whose output holds NaN.
    mutating func firstNaN(towards target: Int) throws -> Node? {
        for index in try needed(for: [target]) {
            let node = network.nodes[index]
            try step(node)
            for id in node.outputIDs {
                if let id, case .float(let tensor)? = values[id], tensor.holdsNaN { return node }
            }
        }
        return nil
    }

    private mutating func step(_ node: Node) throws {
        let outputs = try node.description.locating {
            try node.operation.forward(node.inputIDs.map { $0.flatMap { value($0) } })
        }
        guard outputs.count >= node.outputIDs.lastIndex(where: { $0 != nil }).map({ $0 + 1 }) ?? 0 else {
            throw node.description.failure(
                expected: "at most \(outputs.count) outputs in use", found: "\(node.outputIDs.count)")
        }
        for (id, output) in zip(node.outputIDs, outputs) { if let id { values[id] = output } }
    }

    func checkInterruption() throws {
        if let interrupted, interrupted() { throw Failure.interruption }
    }
}

extension Failure {
    static let interruption = Failure(
        .interrupted, "the network's run", expected: "to go on", found: "a request to stop")
}

extension Value {
    var kind: ElementType.Kind {
        switch self {
        case .float, .pending: .float
        case .integer: .integer
        case .boolean: .boolean
        }
    }
}
