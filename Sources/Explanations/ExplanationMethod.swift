import Failures
import Tensors

/// A way to ask a network where it looked: forward, choose a scalar, pull back to a tap; only the last lines differ.
///
/// To add one: write a type in `Sources/Explanations/Methods/`, one file, and name it in ``MethodCatalogue``.
public protocol ExplanationMethod: Sendable {
    static var descriptor: MethodDescriptor { get }

    init(_ options: MethodOptions) throws

    /// The map of the question's target at `tap`: signed, unnormalised, on the tap's own spatial grid.
    ///
    /// - Parameter tap: the name of a tensor; for methods that map the input, the name of the network's input.
    func explain(_ question: Question, at tap: String) throws -> AttributionMap
}

/// What a method found: one number for every place of a tap.
public struct AttributionMap: Sendable {
    /// Row-major, in the tap's spatial axes: `[depth, height, width]` or `[height, width]`; signed, unnormalised.
    public var values: Tensor<Float>
    /// What the reader must know about this map.
    public var notes: [String]
    /// Numbers by which the map can be judged: a completeness residual, a standard error, evaluations made.
    public var figures: [String: Double]

    public init(_ values: Tensor<Float>, notes: [String] = [], figures: [String: Double] = [:]) {
        self.values = values
        self.notes = notes
        self.figures = figures
    }
}

/// One use of a method: which, and with which options.
public struct MethodChoice: Sendable, Hashable {
    public var name: String
    public var options: [String: OptionValue]

    public init(_ name: String, options: [String: OptionValue] = [:]) {
        self.name = name
        self.options = options
    }
}
