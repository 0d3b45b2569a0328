import Explanations
import Failures
import Networks
import Preparations
import Tensors
import Volumes

/// What the channels of one layer do on one scan, each on the layer's own grid in the world.
public struct FeatureMaps: Sendable {
    /// Which channels are kept.
    public enum Choice: Sendable, Hashable {
        case all
        case listed([Int])
        /// So many with the largest root mean square over all places, the strongest first.
        case strongest(Int)
    }

    public struct Channel: Sendable {
        public let index: Int
        public let volume: Volume
    }

    /// One number a channel.
    public struct Summary: Sendable {
        public let minimum: Float
        public let maximum: Float
        public let mean: Double
        public let rootMeanSquare: Double
        /// Share of places that are exactly zero.
        public let zeros: Double
    }

    /// The layer's name as asked for, and its tensor.
    public let layer: String
    public let tensor: String
    /// Of every channel of the layer.
    public let summaries: [Summary]
    public let channels: [Channel]
    /// Input voxels from one place to the next, and where the first lies, along the tensor's spatial axes.
    public let jump: [Double]
    public let centre: [Double]

    /// Runs the network on every input (one, or the slices of a scan for a 2D network) and keeps the chosen channels.
    ///
    /// Slices are stacked to volumes; the summaries run over all of them. With more than one input the network runs twice
    /// where the choice needs all of them first, so that no more is kept than was chosen.
    ///
    /// - Throws: a ``Failure`` for a layer without spatial extent, a channel that does not exist, or as the network does.
    public static func read(
        _ explainer: Explainer, _ inputs: [PreparedInput], layers: [String], choice: Choice,
        interrupted: Interruption? = nil
    ) throws -> [FeatureMaps] {
        precondition(!inputs.isEmpty)
        let network = explainer.network
        let shapes = explainer.allInputs(inputs[0]).mapValues(\.shape)
        let tensors = try layers.map { try network.tap($0, inputShapes: shapes).tensor }
        let layouts = try explainer.layouts(of: tensors, inputShapes: shapes)
        var accumulators = tensors.map { [Accumulator](repeating: Accumulator(), count: layouts[$0]!.channels) }
        var kept: [[[Volume]]] = tensors.map { _ in [] }

        func maps(of input: PreparedInput) throws -> [Tensor<Float>] {
            let values = try network.run(
                inputs: explainer.allInputs(input), wanting: Array(Set(tensors)).sorted(), interrupted: interrupted)
            return try tensors.map { tensor in
                guard case .float(let value)? = values[tensor] else {
                    throw Failure(
                        .network, "layer '\(tensor)'", expected: "floats", found: values[tensor]?.summary ?? "nothing")
                }
                return layouts[tensor]!.featureMap(value)
            }
        }
        func keep(_ maps: [Tensor<Float>], of input: PreparedInput, _ chosen: [[Int]]) throws {
            for (number, map) in maps.enumerated() {
                let layout = layouts[tensors[number]]!
                let size = layout.spatial.elementCount
                let volumes = try chosen[number].map { channel in
                    try input.volume(
                        fromTensorSpatial: map.withUnsafeBuffer {
                            Array($0[channel * size..<(channel + 1) * size])
                        }, shape: layout.spatial, jump: layout.jump, centre: layout.centre)
                }
                kept[number].append(volumes)
            }
        }
        func chosen() throws -> [[Int]] {
            try zip(layers, accumulators).map { layer, sums in
                try Self.channels(choice, sums.map(\.rootMeanSquare), layer: layer)
            }
        }

        var first: [Tensor<Float>] = []
        for input in inputs {
            let maps = try maps(of: input)
            for (number, map) in maps.enumerated() {
                let size = map.count / accumulators[number].count
                map.withUnsafeBuffer { values in
                    for channel in accumulators[number].indices {
                        accumulators[number][channel].add(values[channel * size..<(channel + 1) * size])
                    }
                }
            }
            if inputs.count == 1 { first = maps }
        }
        let choices = try chosen()
        if inputs.count == 1 {
            try keep(first, of: inputs[0], choices)
        } else {
            for input in inputs { try keep(try maps(of: input), of: input, choices) }
        }
        return try layers.indices.map { number in
            let layout = layouts[tensors[number]]!
            let channels = try choices[number].enumerated().map { position, channel in
                let slices = kept[number].map { $0[position] }
                return Channel(index: channel, volume: slices.count == 1 ? slices[0] : try SliceStack.stack(slices))
            }
            return FeatureMaps(
                layer: layers[number], tensor: tensors[number], summaries: accumulators[number].map(\.summary),
                channels: channels, jump: layout.jump, centre: layout.centre)
        }
    }

    private static func channels(_ choice: Choice, _ strength: [Double], layer: String) throws -> [Int] {
        switch choice {
        case .all: return Array(strength.indices)
        case .listed(let list):
            if let wrong = list.first(where: { !strength.indices.contains($0) }) {
                throw Failure(
                    .usage, "layer '\(layer)'", expected: "channels from 0 to \(strength.count - 1)",
                    found: "\(wrong)")
            }
            return list
        case .strongest(let count):
            return Array(
                strength.indices.sorted { strength[$0] == strength[$1] ? $0 < $1 : strength[$0] > strength[$1] }
                    .prefix(count))
        }
    }
}

private struct Accumulator {
    var count = 0
    var zeros = 0
    var minimum = Float.infinity
    var maximum = -Float.infinity
    var sum = 0.0
    var squares = 0.0

    mutating func add(_ values: Slice<UnsafeBufferPointer<Float>>) {
        for value in values {
            minimum = min(minimum, value)
            maximum = max(maximum, value)
            if value == 0 { zeros += 1 }
            sum += Double(value)
            squares += Double(value) * Double(value)
        }
        count += values.count
    }

    var rootMeanSquare: Double { count > 0 ? (squares / Double(count)).squareRoot() : 0 }

    var summary: FeatureMaps.Summary {
        FeatureMaps.Summary(
            minimum: minimum, maximum: maximum, mean: count > 0 ? sum / Double(count) : 0,
            rootMeanSquare: rootMeanSquare, zeros: count > 0 ? Double(zeros) / Double(count) : 0)
    }
}
