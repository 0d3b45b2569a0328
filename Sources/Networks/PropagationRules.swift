import Tensors

/// Replacements for the pullbacks of chosen operators: guided ReLU, deconvnet, LRP, DeepLIFT are all the network's own
/// gradient with another rule at some nodes.
public struct PropagationRules: Sendable {
    /// What the pullback of `node` is to give instead of `node.operation.pullback(call)`; see ``Tensors/Operator/pullback(_:)``.
    public typealias Rule = @Sendable (_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?]

    private var byType: [String: Rule] = [:]
    private var byNode: [String: Rule] = [:]
    /// The rule for every node that no other rule is for; nil is the gradient.
    public var everywhere: Rule?

    public init() {}

    /// Every operator's own pullback: the gradient.
    public static let standard = PropagationRules()

    /// The rule for all nodes of an ONNX type; nil is the gradient.
    public subscript(type type: String) -> Rule? {
        get { byType[type] }
        set { byType[type] = newValue }
    }

    /// The rule for one node, by name, before that for its type.
    public subscript(node name: String) -> Rule? {
        get { byNode[name] }
        set { byNode[name] = newValue }
    }

    func rule(for node: Node) -> Rule? { byNode[node.name] ?? byType[node.type] ?? everywhere }
}
