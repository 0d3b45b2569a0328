import Foundation
import TestSupport
import Volumes

/// What nibabel reads from one file, as Tests/Reference/volumes.py wrote it down.
struct Expectation: Decodable {
    var shape: [Int]
    var affine: [[Double]]
    /// Voxels of each volume, i fastest; null stands for nothing, text for values that JSON has no number for.
    var volumes: [[Number]]
    /// The header fields about which an issue must be reported, and no others.
    var issues: [String]
    /// Code and text of each header extension.
    var extensions: [Extension]?

    struct Number: Decodable {
        var value: Float

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            value =
                if let text = try? container.decode(String.self) { Float(text)! } else {
                    try container.decode(Float.self)
                }
        }
    }

    struct Extension: Decodable {
        var code: Int
        var text: String

        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            code = try container.decode(Int.self)
            text = try container.decode(String.self)
        }
    }

    static let all: [String: Expectation] = {
        let data = try! Data(contentsOf: Fixtures.reference("volumes/expected.json"))
        return try! JSONDecoder().decode([String: Expectation].self, from: data)
    }()
}

extension Affine {
    /// The largest difference of any element, in mm.
    func distance(to rows: [[Double]]) -> Double {
        zip(self.rows.joined(), rows.joined()).map { abs($0 - $1) }.max()!
    }
}
