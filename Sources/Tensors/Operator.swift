import Failures

/// One operation of a network: a value with a forward and, beside it, the pullback of that forward.
///
/// Spatial rank is data: the same operator serves 1D, 2D and 3D. An operator is made once from its node and then shared
/// by threads; it holds attributes only, never the tensors of a run.
///
/// To add one: write a type in `Sources/Tensors/Operators/`, one file, and name it in ``OperatorCatalogue``.
public protocol Operator: Sendable {
    /// ONNX operator types (default domain) that this type implements.
    static var types: [String] { get }

    /// Reads the node's attributes under the semantics of the model's opset.
    ///
    /// - Throws: a ``Failure`` of kind `.network` when an attribute has no meaning here.
    init(_ node: NodeDescription) throws

    /// The outputs for `inputs`; an omitted optional input is nil.
    ///
    /// When an input that matters for the numbers is ``Value/pending(_:)``, the outputs are pending with their right
    /// shapes: shape inference is the same call. Integer and boolean values (shapes, indices, masks) are always real.
    func forward(_ inputs: [Value?]) throws -> [Value]

    /// The gradient of a scalar with respect to each input, from its gradient with respect to each output.
    ///
    /// - Returns: one entry an input; nil where `call.wanted` is false or no gradient flows (integers, masks).
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?]
}

/// What an operator knows of its node when it is made.
public struct NodeDescription: Sendable {
    public var name: String
    public var type: String
    /// Version of the default operator set that the model imports.
    public var opset: Int
    public var attributes: Attributes
    /// Names as in the file; an omitted optional input is the empty string.
    public var inputs: [String]
    public var outputs: [String]

    public init(
        name: String, type: String, opset: Int, attributes: Attributes = Attributes(), inputs: [String] = [],
        outputs: [String] = []
    ) {
        self.name = name
        self.type = type
        self.opset = opset
        self.attributes = attributes
        self.inputs = inputs
        self.outputs = outputs
    }

    /// A failure that names this node, its type and the opset.
    public func failure(expected: String, found: String, remedy: String = "") -> Failure {
        Failure(
            .network, "node '\(name)' (\(type), opset \(opset))", expected: expected, found: found, remedy: remedy)
    }
}

/// One step of the way back.
public struct PullbackCall: Sendable {
    /// The scalar's gradient for each output; nil where none arrived (at least one is not nil).
    public var gradients: [Tensor<Float>?]
    public var inputs: [Value?]
    public var outputs: [Value]
    /// For which inputs a gradient is asked.
    public var wanted: [Bool]

    public init(gradients: [Tensor<Float>?], inputs: [Value?], outputs: [Value], wanted: [Bool]) {
        self.gradients = gradients
        self.inputs = inputs
        self.outputs = outputs
        self.wanted = wanted
    }
}

/// The attributes of a node, as typed values.
public struct Attributes: Sendable {
    public enum Attribute: Sendable {
        case int(Int)
        case float(Float)
        case string(String)
        case ints([Int])
        case floats([Float])
        case strings([String])
        case tensor(Value)
    }

    private var storage: [String: Attribute]

    public init(_ storage: [String: Attribute] = [:]) { self.storage = storage }

    public subscript(name: String) -> Attribute? {
        get { storage[name] }
        set { storage[name] = newValue }
    }

    public var names: [String] { storage.keys.sorted() }

    public func int(_ name: String) -> Int? { if case .int(let value)? = storage[name] { value } else { nil } }
    public func float(_ name: String) -> Float? { if case .float(let value)? = storage[name] { value } else { nil } }
    public func string(_ name: String) -> String? { if case .string(let value)? = storage[name] { value } else { nil } }
    public func ints(_ name: String) -> [Int]? { if case .ints(let value)? = storage[name] { value } else { nil } }
    public func floats(_ name: String) -> [Float]? {
        if case .floats(let value)? = storage[name] { value } else { nil }
    }
    public func strings(_ name: String) -> [String]? {
        if case .strings(let value)? = storage[name] { value } else { nil }
    }
    public func tensor(_ name: String) -> Value? { if case .tensor(let value)? = storage[name] { value } else { nil } }
}
