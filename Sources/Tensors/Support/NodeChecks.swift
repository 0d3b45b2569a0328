import Failures
import Foundation

// How operators read their nodes and inputs: every question that a malformed network can answer wrongly is asked here once.

// MARK: - Attributes

extension NodeDescription {
    /// What an operator expects that behaves otherwise while training.
    public static let inferenceMode = "a network in inference mode"

    /// The attribute, or nil where the node has none; a failure where it is of another type.
    func int(_ name: String) throws -> Int? {
        try attribute(name, "an integer") { if case .int(let value) = $0 { value } else { nil } }
    }

    func float(_ name: String) throws -> Float? {
        try attribute(name, "a float") { if case .float(let value) = $0 { value } else { nil } }
    }

    func string(_ name: String) throws -> String? {
        try attribute(name, "a string") { if case .string(let value) = $0 { value } else { nil } }
    }

    func ints(_ name: String) throws -> [Int]? {
        try attribute(name, "integers") { if case .ints(let value) = $0 { value } else { nil } }
    }

    func floats(_ name: String) throws -> [Float]? {
        try attribute(name, "floats") { if case .floats(let value) = $0 { value } else { nil } }
    }

    func tensor(_ name: String) throws -> Value? {
        try attribute(name, "a tensor") { if case .tensor(let value) = $0 { value } else { nil } }
    }

    func int(_ name: String, default value: Int) throws -> Int { try int(name) ?? value }
    func float(_ name: String, default value: Float) throws -> Float { try float(name) ?? value }

    /// An integer attribute that means yes (not 0) or no (0).
    func flag(_ name: String, default value: Bool) throws -> Bool { try int(name).map { $0 != 0 } ?? value }

    /// A string attribute that names one of the cases of `Choice`.
    func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: String, default value: Choice
    ) throws -> Choice {
        guard let text = try string(name) else { return value }
        if let choice = Choice(rawValue: text) { return choice }
        throw failure(
            expected: "attribute '\(name)' as one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))",
            found: "'\(text)'")
    }

    private func attribute<T>(
        _ name: String, _ kind: String, _ extract: (Attributes.Attribute) -> T?
    ) throws -> T? {
        guard let attribute = attributes[name] else { return nil }
        guard let value = extract(attribute) else {
            throw failure(expected: "attribute '\(name)' as \(kind)", found: attribute.kind)
        }
        return value
    }
}

extension Attributes.Attribute {
    /// "integers", for messages.
    var kind: String {
        switch self {
        case .int: "an integer"
        case .float: "a float"
        case .string: "a string"
        case .ints: "integers"
        case .floats: "floats"
        case .strings: "strings"
        case .tensor: "a tensor"
        }
    }
}

// MARK: - Inputs

extension NodeDescription {
    /// The input at `index`, without which the operator cannot be.
    func input(_ inputs: [Value?], _ index: Int, _ role: String) throws -> Value {
        guard index < inputs.count, let value = inputs[index] else {
            throw failure(expected: "input \(index) (\(role))", found: "none")
        }
        return value
    }

    /// The input at `index`, or nil where it is omitted.
    func optional(_ inputs: [Value?], _ index: Int) -> Value? { index < inputs.count ? inputs[index] : nil }

    /// All inputs of an operator that takes any number of them, at least one.
    func all(_ inputs: [Value?], _ role: String) throws -> [Value] {
        if inputs.isEmpty { throw failure(expected: "at least one input (\(role))", found: "none") }
        return try inputs.indices.map { try input(inputs, $0, role) }
    }

    /// The numbers of a float value; nil where only its shape is known.
    func float(_ value: Value, _ role: String) throws -> Tensor<Float>? {
        switch value {
        case .float(let tensor): return tensor
        case .pending: return nil
        case .integer, .boolean: throw failure(expected: "\(role) as floats", found: value.summary)
        }
    }

    /// The numbers of several float values; nil where of any of them only the shape is known.
    func floats(_ values: [Value], _ role: String) throws -> [Tensor<Float>]? {
        var tensors: [Tensor<Float>] = []
        for value in values {
            if let tensor = try float(value, role) { tensors.append(tensor) }
        }
        return tensors.count == values.count ? tensors : nil
    }

    func integer(_ value: Value, _ role: String) throws -> Tensor<Int64> {
        guard case .integer(let tensor) = value else {
            throw failure(expected: "\(role) as integers", found: value.summary)
        }
        return tensor
    }

    func boolean(_ value: Value, _ role: String) throws -> Tensor<Bool> {
        guard case .boolean(let tensor) = value else {
            throw failure(expected: "\(role) as booleans", found: value.summary)
        }
        return tensor
    }

    /// A list of integers: a tensor of rank 1, or a single one.
    func list(_ value: Value, _ role: String) throws -> [Int] {
        let tensor = try integer(value, role)
        guard tensor.rank <= 1 else {
            throw failure(expected: "\(role) as a list of integers", found: value.summary)
        }
        return tensor.values.map(Int.init)
    }

    /// One integer: a scalar or a tensor with one element.
    func single(_ value: Value, _ role: String) throws -> Int {
        let tensor = try integer(value, role)
        guard tensor.count == 1 else { throw failure(expected: "\(role) as one integer", found: value.summary) }
        return Int(tensor[flat: 0])
    }
}

// MARK: - Axes and shapes

extension NodeDescription {
    /// The axis counted from the front, from one that may be counted from the back.
    func axis(_ axis: Int, rank: Int) throws -> Int {
        guard axis >= -rank, axis < rank else {
            throw failure(expected: "an axis of a tensor of rank \(rank)", found: "\(axis)")
        }
        return axis < 0 ? axis + rank : axis
    }

    /// Distinct axes counted from the front, ascending.
    func axes(_ axes: [Int], rank: Int) throws -> [Int] {
        let sorted = try axes.map { try axis($0, rank: rank) }.sorted()
        for (a, b) in zip(sorted, sorted.dropFirst()) where a == b {
            throw failure(expected: "distinct axes", found: "\(axes)")
        }
        return sorted
    }

    /// `shape`, if a tensor of that shape can exist here.
    ///
    /// - Throws: a failure where an extent is negative, the count of elements overflows or passes 2^40, or the bytes pass
    ///   the memory of the machine.
    func possible(_ shape: [Int]) throws -> [Int] {
        var count = 1
        for extent in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: max(extent, 1))
            guard extent >= 0, !overflow, product <= 1 << 40 else {
                throw failure(expected: "a shape of at most 2^40 elements", found: "\(shape)")
            }
            count = product
        }
        if UInt64(count) * 4 > ProcessInfo.processInfo.physicalMemory, shape.elementCount > 0 {
            var failure = failure(
                expected: "tensors that fit the machine's memory",
                found: "shape \(shape), \(count >> 28) GiB as floats",
                remedy: "Use a smaller input, or a machine with more memory")
            failure.kind = .resources
            throw failure
        }
        return shape
    }

    /// A failure for inputs whose shapes do not fit each other.
    func mismatch(_ expected: String, _ values: [Value]) -> Failure {
        failure(expected: expected, found: values.map(\.summary).joined(separator: " and "))
    }
}

extension [Int] {
    /// The product of the extents of `range`.
    func elementCount(_ range: some RangeExpression<Int>) -> Int { Array(self[range]).elementCount }
}

// MARK: - The way back

extension PullbackCall {
    /// The gradient of the only output, or of the first one.
    var gradient: Tensor<Float> {
        guard let gradient = gradients.first ?? nil else {
            preconditionFailure("a pullback without a gradient of the first output")
        }
        return gradient
    }

    /// The numbers of a float input that the forward pass has already seen.
    func float(_ index: Int) -> Tensor<Float> {
        guard case .float(let tensor)? = inputs[index] else { preconditionFailure("input \(index) is no float tensor") }
        return tensor
    }

    func floatOutput(_ index: Int) -> Tensor<Float> {
        guard case .float(let tensor) = outputs[index] else {
            preconditionFailure("output \(index) is no float tensor")
        }
        return tensor
    }

    func shape(_ index: Int) -> [Int] { inputs[index]!.shape }

    /// Whether a gradient is asked for an input that can have one.
    func wants(_ index: Int) -> Bool {
        guard index < inputs.count, wanted[index], case .float? = inputs[index] else { return false }
        return true
    }

    /// One entry an input, made by `gradient` where it is wanted.
    func results(_ gradient: (Int) throws -> Tensor<Float>?) rethrows -> [Tensor<Float>?] {
        try inputs.indices.map { wants($0) ? try gradient($0) : nil }
    }
}
