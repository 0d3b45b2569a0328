import Foundation
import TestSupport
import Volumes

/// Small volumes, what nibabel, SciPy and MONAI make of them, and where these lie (Tests/Reference/volumes.py).
enum GridReference {
    static let file = try! SafeTensors(contentsOf: Fixtures.reference("volumes/grids.safetensors"))

    static func note<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) -> Value {
        try! JSONDecoder().decode(Value.self, from: Data(file.metadata[name]!.utf8))
    }

    /// The extents along i, j, k of a stored array.
    static func shape(_ name: String) -> Index3 {
        let shape = file.shape(name)!
        return Index3(shape[2], shape[1], shape[0])
    }

    static let volume = Volume(
        grid: Grid(shape: shape("volume"), affine: Affine(rows: note("affine"))), voxels: file.float("volume")!.values)

    static func mask(_ name: String) -> Mask {
        Mask(
            grid: Grid(shape: shape(name), affine: .identity), isSet: file.integer(name)!.values.map { $0 != 0 })
    }

    /// A pair or triple of JSON values of different types.
    struct Named: Decodable {
        var name: String
        var shape: [Int]
        var affine: [Double]

        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            name = try container.decode(String.self)
            shape = container.count == 3 ? try container.decode([Int].self) : []
            affine = try container.decode([Double].self)
        }
    }

    struct Codes: Decodable {
        var affine: [Double]
        var code: String

        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            affine = try container.decode([Double].self)
            code = try container.decode(String.self)
        }
    }
}
