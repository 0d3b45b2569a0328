/// An operator that reads blocks of a tensor at places that an index tensor names.
protocol Gathering: Operator {
    var node: NodeDescription { get }
    func places(_ indices: Tensor<Int64>, _ shape: [Int]) throws -> Places
}

extension Gathering {
    private func places(_ inputs: [Value?]) throws -> Places {
        let indices = try node.integer(node.input(inputs, 1, "the indices"), "the indices")
        return try places(indices, node.input(inputs, 0, "the tensor").shape)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        return [value.moved(by: try places(inputs))]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let places = try places(call.inputs)
        return call.results { $0 == 0 ? places.adjoint(call.gradient, of: call.shape(0)) : nil }
    }
}

/// One element for each index, which names its place along one axis.
struct GatherElements: Gathering {
    static let types = ["GatherElements"]
    let node: NodeDescription
    private let axis: Int

    init(_ node: NodeDescription) throws {
        self.node = node
        axis = try node.int("axis", default: 0)
    }

    func places(_ indices: Tensor<Int64>, _ shape: [Int]) throws -> Places {
        try Places(elements: indices, axis: node.axis(axis, rank: shape.count), of: shape, node)
    }
}

/// One slice for each index tuple.
struct GatherND: Gathering {
    static let types = ["GatherND"]
    let node: NodeDescription
    private let batch: Int

    init(_ node: NodeDescription) throws {
        self.node = node
        batch = try node.int("batch_dims", default: 0)
    }

    func places(_ indices: Tensor<Int64>, _ shape: [Int]) throws -> Places {
        try Places(tuples: indices, batch: batch, of: shape, node)
    }
}

/// An operator that writes blocks into a copy of a tensor at places that an index tensor names.
protocol Scattering: Operator {
    var node: NodeDescription { get }
    var reduction: ScatterReduction { get }
    func places(_ indices: Tensor<Int64>, _ shape: [Int]) throws -> Places
}

/// How an update meets what stands at its place.
enum ScatterReduction: String, CaseIterable, Sendable {
    /// It replaces it; of several at one place the last wins.
    case none
    case add, mul, max, min
}

extension Scattering {
    private func places(_ inputs: [Value?], _ updates: [Int]) throws -> Places {
        let indices = try node.integer(node.input(inputs, 1, "the indices"), "the indices")
        let places = try places(indices, node.input(inputs, 0, "the tensor").shape)
        guard updates == places.shape else {
            throw node.failure(expected: "updates of shape \(places.shape)", found: "\(updates)")
        }
        return places
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = [try node.input(inputs, 0, "the tensor"), try node.input(inputs, 2, "the updates")]
        let places = try places(inputs, values[1].shape)
        switch (values[0], values[1]) {
        case (.float(let x), .float(let updates)):
            switch reduction {
            case .none: return [.float(places.scattered(updates, into: x) { $1 })]
            case .add: return [.float(places.scattered(updates, into: x) { $0 + $1 })]
            case .mul: return [.float(places.scattered(updates, into: x) { $0 * $1 })]
            case .max: return [.float(places.scattered(updates, into: x) { $0 > $1 || $0.isNaN ? $0 : $1 })]
            case .min: return [.float(places.scattered(updates, into: x) { $0 < $1 || $0.isNaN ? $0 : $1 })]
            }
        case (.integer(let x), .integer(let updates)):
            switch reduction {
            case .none: return [.integer(places.scattered(updates, into: x) { $1 })]
            case .add: return [.integer(places.scattered(updates, into: x) { $0 &+ $1 })]
            case .mul: return [.integer(places.scattered(updates, into: x) { $0 &* $1 })]
            case .max: return [.integer(places.scattered(updates, into: x) { Swift.max($0, $1) })]
            case .min: return [.integer(places.scattered(updates, into: x) { Swift.min($0, $1) })]
            }
        case (.boolean(let x), .boolean(let updates)):
            guard reduction == .none else { throw node.mismatch("numbers to combine", values) }
            return [.boolean(places.scattered(updates, into: x) { $1 })]
        case (.pending, .pending), (.float, .pending), (.pending, .float): return [.pending(values[0].shape)]
        default: throw node.mismatch("a tensor and updates of one kind", values)
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let places = try places(call.inputs, call.shape(2))
        let gradient = call.gradient
        switch reduction {
        case .none:
            return call.results { index in
                if index == 0 {
                    return places.scattered(Tensor(shape: places.shape, repeating: 0), into: gradient) { $1 }
                }
                return winners(places, gradient)
            }
        case .add: return call.results { $0 == 0 ? gradient : places(gradient) }
        case .mul, .max, .min:
            throw node.failure(
                expected: "a scatter whose gradient is known (reduction none or add)",
                found: "reduction \(reduction.rawValue)", remedy: "Choose a tap above this node")
        }
    }

    /// The gradient of updates that replace: only the last one written to a place is seen in the output.
    private func winners(_ places: Places, _ gradient: Tensor<Float>) -> Tensor<Float> {
        var last: [Int: Int] = [:]
        for (block, start) in places.starts.enumerated() { last[start] = block }
        var result = places(gradient)
        if last.count < places.starts.count {
            result.withUnsafeMutableBuffer { result in
                for (block, start) in places.starts.enumerated() where last[start] != block {
                    for i in 0..<places.length { result[block * places.length + i] = 0 }
                }
            }
        }
        return result
    }
}

/// Each update to the place that its index names along one axis.
struct ScatterElements: Scattering {
    static let types = ["ScatterElements", "Scatter"]
    let node: NodeDescription
    let reduction: ScatterReduction
    private let axis: Int

    init(_ node: NodeDescription) throws {
        self.node = node
        axis = try node.int("axis", default: 0)
        reduction = try node.choice("reduction", default: .none)
    }

    func places(_ indices: Tensor<Int64>, _ shape: [Int]) throws -> Places {
        try Places(elements: indices, axis: node.axis(axis, rank: shape.count), of: shape, node)
    }
}

/// Each slice of updates to the place that its index tuple names.
struct ScatterND: Scattering {
    static let types = ["ScatterND"]
    let node: NodeDescription
    let reduction: ScatterReduction

    init(_ node: NodeDescription) throws {
        self.node = node
        reduction = try node.choice("reduction", default: .none)
    }

    func places(_ indices: Tensor<Int64>, _ shape: [Int]) throws -> Places {
        try Places(tuples: indices, batch: 0, of: shape, node)
    }
}
