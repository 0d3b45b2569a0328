/// What the program calls itself in help, provenance and ledgers.
public enum Product {
    public static let name = "tomolens"
    public static let version = "0.1.0"
    public static let summary = "shows, in a CT scan, what a neural network looked at."
    /// As provenance names it.
    public static let signature = "\(name) \(version)"
}
