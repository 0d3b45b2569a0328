import Foundation
import Tensors

/// Reads a `.safetensors` file: the form in which reference tensors are kept. Float32, int64 and uint8/bool entries only.
public struct SafeTensors: Sendable {
    public let metadata: [String: String]
    private let entries: [String: (dtype: String, shape: [Int], range: Range<Int>)]
    private let payload: Data

    public var names: [String] { entries.keys.sorted() }

    public init(contentsOf url: URL) throws {
        let data = try Data(contentsOf: url)
        let length = data.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
        let header = try JSONSerialization.jsonObject(with: data.subdata(in: 8..<8 + length)) as! [String: Any]
        var metadata: [String: String] = [:]
        var entries: [String: (String, [Int], Range<Int>)] = [:]
        for (name, value) in header {
            let fields = value as! [String: Any]
            if name == "__metadata__" {
                for (key, text) in fields { metadata[key] = text as? String }
                continue
            }
            let offsets = (fields["data_offsets"] as! [NSNumber]).map(\.intValue)
            entries[name] = (
                fields["dtype"] as! String, (fields["shape"] as! [NSNumber]).map(\.intValue), offsets[0]..<offsets[1]
            )
        }
        self.metadata = metadata
        self.entries = entries
        payload = data.subdata(in: 8 + length..<data.count)
    }

    public func shape(_ name: String) -> [Int]? { entries[name]?.shape }

    /// A float32 entry (float64 narrowed).
    public func float(_ name: String) -> Tensor<Float>? {
        guard let (dtype, shape, range) = entries[name] else { return nil }
        switch dtype {
        case "F32": return Tensor(shape: shape, values: read(range, as: Float.self))
        case "F64": return Tensor(shape: shape, values: read(range, as: Double.self).map(Float.init))
        default: return nil
        }
    }

    /// An integer entry, widened.
    public func integer(_ name: String) -> Tensor<Int64>? {
        guard let (dtype, shape, range) = entries[name] else { return nil }
        switch dtype {
        case "I64": return Tensor(shape: shape, values: read(range, as: Int64.self))
        case "I32": return Tensor(shape: shape, values: read(range, as: Int32.self).map(Int64.init))
        case "U8", "BOOL": return Tensor(shape: shape, values: payload[range].map(Int64.init))
        default: return nil
        }
    }

    private func read<T>(_ range: Range<Int>, as type: T.Type) -> [T] {
        let count = range.count / MemoryLayout<T>.size
        return [T](unsafeUninitializedCapacity: count) { buffer, initialized in
            payload.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
            }
            initialized = count
        }
    }
}
