import Tensors

/// One operation of a network, in its place in the graph.
public struct Node: Sendable {
    /// Place in the order of execution: ``Network/nodes``.
    public let index: Int
    public let description: NodeDescription
    public let operation: any Operator
    /// The PyTorch module that the node was exported from ("layer4.1.conv2"), where the file tells.
    public let modulePath: String?

    /// Unique in the network. A node that the file leaves unnamed is called by its type and number ("Conv_3").
    public var name: String { description.name }
    public var type: String { description.type }
    /// Tensor names; an omitted optional input is the empty string.
    public var inputs: [String] { description.inputs }
    public var outputs: [String] { description.outputs }

    /// Numbers of the input tensors in the network's table; nil for an omitted input.
    let inputIDs: [Int?]
    /// Numbers of the output tensors; nil for an output that the file leaves unnamed.
    let outputIDs: [Int?]
}
