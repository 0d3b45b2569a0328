import Foundation

/// Writes small ONNX files for tests, byte by byte after onnx.proto: protobuf fields are `number << 3 | wire type`, a length
/// in front of everything that is not a varint.
struct TinyNetwork {
    private struct Message {
        var bytes: [UInt8] = []

        mutating func varint(_ value: UInt64) {
            var rest = value
            while rest >= 0x80 {
                bytes.append(UInt8(rest & 0x7F) | 0x80)
                rest >>= 7
            }
            bytes.append(UInt8(rest))
        }

        mutating func int(_ field: Int, _ value: Int) {
            varint(UInt64(field) << 3)
            varint(UInt64(bitPattern: Int64(value)))
        }

        mutating func data(_ field: Int, _ value: [UInt8]) {
            varint(UInt64(field) << 3 | 2)
            varint(UInt64(value.count))
            bytes += value
        }

        mutating func text(_ field: Int, _ value: String) { data(field, Array(value.utf8)) }
        mutating func message(_ field: Int, _ value: Message) { data(field, value.bytes) }
    }

    enum Attribute {
        case int(Int)
        case ints([Int])
        case float(Float)
    }

    /// `nil` in a shape is an open extent.
    private var graph = Message()
    private var metadata: [(String, String)] = []
    private var inputs = Message()
    private var count = 0
    var opset = 17

    mutating func input(_ name: String, _ shape: [Int?]) { graph.message(11, Self.port(name, shape)) }
    mutating func output(_ name: String, _ shape: [Int?]) { graph.message(12, Self.port(name, shape)) }
    mutating func metadata(_ key: String, _ value: String) { metadata.append((key, value)) }

    mutating func weights(_ name: String, _ shape: [Int], _ values: [Float]) {
        var tensor = Message()
        for extent in shape { tensor.int(1, extent) }
        tensor.int(2, 1)
        tensor.text(8, name)
        tensor.data(9, values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } })
        graph.message(5, tensor)
    }

    mutating func node(
        _ type: String, _ inputs: [String], _ outputs: [String], _ attributes: [(String, Attribute)] = []
    ) {
        var node = Message()
        for name in inputs { node.text(1, name) }
        for name in outputs { node.text(2, name) }
        node.text(3, "\(type.lowercased())_\(count)")
        count += 1
        node.text(4, type)
        for (name, value) in attributes {
            var attribute = Message()
            attribute.text(1, name)
            switch value {
            case .int(let value):
                attribute.int(3, value)
                attribute.int(20, 2)
            case .ints(let values):
                for value in values { attribute.int(8, value) }
                attribute.int(20, 7)
            case .float(let value):
                attribute.varint(2 << 3 | 5)
                attribute.bytes += withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
                attribute.int(20, 1)
            }
            node.message(5, attribute)
        }
        graph.message(1, node)
    }

    func data() -> Data {
        var model = Message()
        model.int(1, 8)
        model.text(2, "tests")
        var graph = graph
        graph.text(2, "tiny")
        model.message(7, graph)
        var set = Message()
        set.int(2, opset)
        model.message(8, set)
        for (key, value) in metadata {
            var entry = Message()
            entry.text(1, key)
            entry.text(2, value)
            model.message(14, entry)
        }
        return Data(model.bytes)
    }

    private static func port(_ name: String, _ shape: [Int?]) -> Message {
        var dimensions = Message()
        for (axis, extent) in shape.enumerated() {
            var dimension = Message()
            if let extent { dimension.int(1, extent) } else { dimension.text(2, "\(name)_\(axis)") }
            dimensions.message(1, dimension)
        }
        var tensor = Message()
        tensor.int(1, 1)
        tensor.message(2, dimensions)
        var type = Message()
        type.message(1, tensor)
        var port = Message()
        port.text(1, name)
        port.message(2, type)
        return port
    }
}

extension TinyNetwork {
    /// Bright blobs answer "bright" (class 1): convolutions that smooth and threshold, then global average and linear.
    ///
    /// - Parameters:
    ///   - rank: 2 or 3 spatial axes.
    ///   - size: fixed extents, or nil for open ones.
    static func brightness(
        rank: Int = 3, channels: Int = 1, size: [Int]? = nil, flatten: Bool = false, firstBias: [Float] = [-0.3, 0.8]
    ) -> TinyNetwork {
        var network = TinyNetwork()
        let open = [Int?](repeating: nil, count: rank)
        network.input("ct", [flatten ? 1 : nil, channels] + (size.map { $0.map { Optional($0) } } ?? open))
        let kernel = [Int](repeating: 3, count: rank)
        let volume = Float(kernel.reduce(1, *))
        let taps = kernel.reduce(1, *)
        // Two features: what is bright, and what is not.
        network.weights(
            "w1", [2, channels] + kernel,
            (0..<2 * channels * taps).map { $0 < channels * taps ? 1 / volume : -1 / volume })
        network.weights("b1", [2], firstBias)
        network.node(
            "Conv", ["ct", "w1", "b1"], ["conv1"],
            [("kernel_shape", .ints(kernel)), ("pads", .ints([Int](repeating: 1, count: 2 * rank)))])
        network.node("Relu", ["conv1"], ["features1"])
        network.node(
            "MaxPool", ["features1"], ["pooled"],
            [
                ("kernel_shape", .ints([Int](repeating: 2, count: rank))),
                ("strides", .ints([Int](repeating: 2, count: rank))),
            ])
        network.weights(
            "w2", [2, 2] + kernel, (0..<4 * taps).map { $0 / taps == 0 || $0 / taps == 3 ? 1 / volume : 0 })
        network.node(
            "Conv", ["pooled", "w2"], ["conv2"],
            [("kernel_shape", .ints(kernel)), ("pads", .ints([Int](repeating: 1, count: 2 * rank)))])
        network.node("Relu", ["conv2"], ["features2"])
        if flatten {
            network.node("Flatten", ["features2"], ["vector"], [("axis", .int(1))])
            let places = (size ?? []).reduce(1) { $0 * ($1 / 2) }
            network.weights("w3", [2, 2 * places], (0..<4 * places).map { Float($0 % 7) * 0.1 - 0.2 })
        } else {
            network.node("GlobalAveragePool", ["features2"], ["average"])
            network.node("Flatten", ["average"], ["vector"], [("axis", .int(1))])
            network.weights("w3", [2, 2], [-4, 1, 6, -1])
        }
        network.weights("b3", [2], [0.5, -0.5])
        network.node("Gemm", ["vector", "w3", "b3"], ["scores"], [("transB", .int(1))])
        network.output("scores", [flatten ? 1 : nil, 2])
        return network
    }

    /// Answers for every voxel: class 1 where it is bright.
    static func segmentation() -> TinyNetwork {
        var network = TinyNetwork()
        network.input("ct", [nil, 1, nil, nil, nil])
        network.weights("w1", [3, 1, 3, 3, 3], (0..<81).map { $0 < 27 ? -1 / 27 : ($0 < 54 ? 1 / 27 : 0) })
        network.weights("b1", [3], [0.5, -0.2, 0])
        network.node(
            "Conv", ["ct", "w1", "b1"], ["conv1"],
            [("kernel_shape", .ints([3, 3, 3])), ("pads", .ints([1, 1, 1, 1, 1, 1]))])
        network.node("Relu", ["conv1"], ["features"])
        network.weights("w2", [2, 3, 1, 1, 1], [1, -1, 0.1, -1, 2, 0.1])
        network.node("Conv", ["features", "w2"], ["scores"], [("kernel_shape", .ints([1, 1, 1]))])
        network.node("Softmax", ["scores"], ["probabilities"], [("axis", .int(1))])
        network.output("probabilities", [nil, 2, nil, nil, nil])
        return network
    }
}
