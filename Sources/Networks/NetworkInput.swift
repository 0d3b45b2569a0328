import Failures
import Tensors

/// One extent of a declared shape.
public enum Extent: Sendable, Hashable, CustomStringConvertible {
    case fixed(Int)
    /// An extent that the caller chooses; equal symbols mean equal extents. Unnamed ones get a name of their own.
    case symbolic(String)

    public var description: String {
        switch self {
        case .fixed(let extent): "\(extent)"
        case .symbolic(let name): name
        }
    }
}

/// What the file declares of an input or output.
public struct NetworkPort: Sendable, Hashable {
    public let name: String
    public let elementType: ElementType
    /// nil when the file declares no shape at all.
    public let dims: [Extent]?

    /// The shape when every extent is fixed.
    public var fixedShape: [Int]? {
        guard let dims else { return nil }
        var shape: [Int] = []
        for dimension in dims {
            guard case .fixed(let extent) = dimension else { return nil }
            shape.append(extent)
        }
        return shape
    }

    /// "[N, 1, 96, 96, 96]".
    public var shapeText: String { dims.map { "[\($0.map(\.description).joined(separator: ", "))]" } ?? "of any shape" }
}

public typealias NetworkInput = NetworkPort
public typealias NetworkOutput = NetworkPort

extension NetworkPort {
    /// Whether `shape` can be this port's, given what other ports made of the symbols.
    func check(_ shape: [Int], symbols: inout [String: Int]) throws {
        guard let dims else { return }
        func mismatch(_ found: String, _ remedy: String = "") -> Failure {
            Failure(.network, "input '\(name)'", expected: "a shape of \(shapeText)", found: found, remedy: remedy)
        }
        guard shape.count == dims.count else { throw mismatch("\(shape.count) axes: \(shape)") }
        for (extent, dimension) in zip(shape, dims) {
            switch dimension {
            case .fixed(let wanted):
                if wanted != extent {
                    throw mismatch(
                        "\(shape)",
                        "Crop, pad or resize to the declared extents, or export with dynamic axes (dynamic_axes or dynamic_shapes)"
                    )
                }
            case .symbolic(let symbol):
                if let known = symbols[symbol], known != extent {
                    throw mismatch("\(shape), but '\(symbol)' is \(known) elsewhere")
                }
                symbols[symbol] = extent
            }
        }
    }
}
