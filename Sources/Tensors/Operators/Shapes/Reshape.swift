import Failures

/// An operator that gives the elements another shape and moves nothing.
protocol Reshaping: Operator {
    var node: NodeDescription { get }
    /// The new shape, with as many elements as `shape`.
    func shape(_ shape: [Int], _ inputs: [Value?]) throws -> [Int]
}

extension Reshaping {
    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        return [value.reshaped(try shape(value.shape, inputs))]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        call.results { $0 == 0 ? call.gradient.reshaped(call.shape(0)) : nil }
    }
}

/// To a given shape: 0 keeps an extent (unless `allowzero`), one −1 is worked out from the rest.
struct Reshape: Reshaping {
    static let types = ["Reshape"]
    let node: NodeDescription
    private let allowsZero: Bool

    init(_ node: NodeDescription) throws {
        self.node = node
        allowsZero = try node.flag("allowzero", default: false)
    }

    func shape(_ shape: [Int], _ inputs: [Value?]) throws -> [Int] {
        let asked = try node.list(node.input(inputs, 1, "the shape"), "the shape")
        var result = asked
        var unknown: Int?
        for (axis, extent) in asked.enumerated() {
            if extent == 0, !allowsZero {
                guard axis < shape.count else { throw misfit(shape, asked) }
                result[axis] = shape[axis]
            } else if extent == -1 {
                guard unknown == nil else { throw misfit(shape, asked) }
                unknown = axis
                result[axis] = 1
            } else if extent < 0 {
                throw misfit(shape, asked)
            }
        }
        let count = shape.elementCount
        let known = try node.possible(result).elementCount
        if let unknown {
            guard known > 0, count % known == 0 else { throw misfit(shape, asked) }
            result[unknown] = count / known
        }
        guard result.elementCount == count else { throw misfit(shape, asked) }
        return result
    }

    private func misfit(_ shape: [Int], _ asked: [Int]) -> Failure {
        node.failure(expected: "a shape for the \(shape.elementCount) elements of \(shape)", found: "\(asked)")
    }
}

/// To two axes: everything before `axis`, and everything from it on.
struct Flatten: Reshaping {
    static let types = ["Flatten"]
    let node: NodeDescription
    private let axis: Int

    init(_ node: NodeDescription) throws {
        self.node = node
        axis = try node.int("axis", default: 1)
    }

    func shape(_ shape: [Int], _ inputs: [Value?]) throws -> [Int] {
        let split = axis == shape.count ? axis : try node.axis(axis, rank: shape.count)
        return [shape.elementCount(..<split), shape.elementCount(split...)]
    }
}

/// Without the given axes of extent 1, or without all of them.
struct Squeeze: Reshaping {
    static let types = ["Squeeze"]
    let node: NodeDescription
    private let axes: [Int]?

    init(_ node: NodeDescription) throws {
        self.node = node
        axes = try node.ints("axes")
    }

    func shape(_ shape: [Int], _ inputs: [Value?]) throws -> [Int] {
        guard let asked = try node.optional(inputs, 1).map({ try node.list($0, "the axes") }) ?? axes else {
            return shape.filter { $0 != 1 }
        }
        let dropped = try node.axes(asked, rank: shape.count)
        guard dropped.allSatisfy({ shape[$0] == 1 }) else {
            throw node.failure(expected: "extents of 1 on the axes \(asked)", found: "\(shape)")
        }
        return shape.indices.filter { !dropped.contains($0) }.map { shape[$0] }
    }
}

/// With axes of extent 1 at the given places of the result.
struct Unsqueeze: Reshaping {
    static let types = ["Unsqueeze"]
    let node: NodeDescription
    private let axes: [Int]?

    init(_ node: NodeDescription) throws {
        self.node = node
        axes = try node.ints("axes")
    }

    func shape(_ shape: [Int], _ inputs: [Value?]) throws -> [Int] {
        guard let asked = try node.optional(inputs, 1).map({ try node.list($0, "the axes") }) ?? axes else {
            throw node.failure(expected: "axes", found: "none")
        }
        let added = try node.axes(asked, rank: shape.count + asked.count)
        var result = shape
        for axis in added { result.insert(1, at: axis) }
        return result
    }
}
