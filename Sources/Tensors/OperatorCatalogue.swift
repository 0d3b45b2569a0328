/// Every operator that TomoLens runs, by ONNX type. A new operator is one line here and one file beside the others.
public enum OperatorCatalogue {
    /// The types in the order of their files; two may not claim the same name.
    public static let all: [any Operator.Type] = [
    ]

    private static let byType: [String: any Operator.Type] = {
        var table: [String: any Operator.Type] = [:]
        for type in all {
            for name in type.types {
                precondition(table[name] == nil, "two operators claim \(name)")
                table[name] = type
            }
        }
        return table
    }()

    /// The names of all ONNX operator types that can be run, sorted.
    public static var supportedTypes: [String] { byType.keys.sorted() }

    /// The operator for a node, or nil where TomoLens has none of that type.
    public static func make(_ node: NodeDescription) throws -> (any Operator)? {
        try byType[node.type]?.init(node)
    }
}
