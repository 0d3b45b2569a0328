import Failures
import Networks
import Tensors

/// A way to ask a network where it looked: forward, choose a scalar, pull back to a tap; only the last lines differ.
///
/// To add one: write a type in `Sources/Explanations/Methods/`, one file, and name it in ``MethodCatalogue``.
public protocol ExplanationMethod: Sendable {
    static var descriptor: MethodDescriptor { get }

    init(_ options: MethodOptions) throws

    /// The layers of which maps are made, and what else must be kept of the forward pass. Unless a method says otherwise, the
    /// input for methods that map the input, else the taps that were asked for.
    ///
    /// - Throws: a ``Failure`` when the network has nothing that the method could explain, with what to use instead.
    func layers(_ scope: NetworkScope) throws -> MethodLayers

    /// The map of the question's target at `tap`: signed, unnormalised, on the tap's own spatial grid.
    ///
    /// - Parameter tap: the name of a tensor; for methods that map the input, the name of the network's input.
    func explain(_ question: Question, at tap: String) throws -> AttributionMap
}

extension ExplanationMethod {
    public func layers(_ scope: NetworkScope) throws -> MethodLayers {
        MethodLayers(maps: Self.descriptor.mapsInput ? [scope.inputName] : scope.taps)
    }
}

/// What a method may look at before the network runs.
public struct NetworkScope: Sendable {
    public let network: Network
    public let inputName: String
    public let outputName: String
    public let inputShapes: [String: [Int]]
    /// How the scores are made from the last feature map.
    public let head: Head
    /// Tensors of the taps that were asked for, or of the default one.
    public let taps: [String]
}

/// Which tensors a method is about.
public struct MethodLayers: Sendable {
    /// Tensors of each of which a map is made: taps, or the input.
    public var maps: [String]
    /// Further tensors that the forward pass must keep.
    public var kept: [String]

    public init(maps: [String], kept: [String] = []) {
        self.maps = maps
        self.kept = kept
    }
}

/// What a method found: one number for every place of a tap.
public struct AttributionMap: Sendable {
    /// Row-major, in the tap's spatial axes: `[depth, height, width]` or `[height, width]`; signed, unnormalised.
    public var values: Tensor<Float>
    /// What the reader must know about this map.
    public var notes: [String]
    /// Numbers by which the map can be judged: a completeness residual, a standard error, evaluations made.
    public var figures: [String: Double]
    /// Whether the method was stopped before it had done all it wanted: the best so far.
    public var isPartial: Bool
    /// What does not lie on a grid of places: attention from token to token.
    public var matrices: [NamedMatrix]

    public init(
        _ values: Tensor<Float>, notes: [String] = [], figures: [String: Double] = [:], isPartial: Bool = false,
        matrices: [NamedMatrix] = []
    ) {
        self.values = values
        self.notes = notes
        self.figures = figures
        self.isPartial = isPartial
        self.matrices = matrices
    }
}

/// Numbers in rows and columns that explain a map.
public struct NamedMatrix: Sendable {
    /// Short and safe for file names: `layer3_head1`.
    public let name: String
    /// `[rows, columns]`.
    public let values: Tensor<Float>
    /// What each column holds, for a table; empty for a matrix whose rows and columns are of one kind.
    public let columns: [String]

    public init(_ name: String, _ values: Tensor<Float>, columns: [String] = []) {
        self.name = name
        self.values = values
        self.columns = columns
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
