import Failures

/// A layer of a network, by the tensor that comes out of it.
public struct Tap: Sendable, Hashable {
    /// The name by which it was asked for.
    public let name: String
    public let tensor: String
    /// The node that computes it; nil for an input of the network.
    public let node: String?
}

extension Network {
    /// The tap of this name: a node, a tensor or an input.
    ///
    /// - Throws: a ``Failure`` of kind `.network`, with the likeliest name that was meant.
    public func tap(_ name: String) throws -> Tap {
        if let node = nodes.first(where: { $0.name == name }), let tensor = node.outputs.first(where: { !$0.isEmpty }) {
            return Tap(name: name, tensor: tensor, node: node.name)
        }
        if let id = tensorIDs[name] { return Tap(name: name, tensor: name, node: producers[id].map { nodes[$0].name }) }
        throw Failure(
            .network, "tap '\(name)'", expected: "a node or tensor of the network",
            found: "a name that it does not have",
            remedy: Nearest.suggestion(name, in: nodes.map(\.name)))
    }
}
