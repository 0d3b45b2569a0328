import Explanations
import Failures
import Foundation
import Networks
import Preparations
import Tensors

/// Turns inputs into vectors at a layer: channels averaged over places, or the vector itself.
public struct Embedder: Sendable {
    public let explainer: Explainer
    public let layer: String

    public init(_ explainer: Explainer, layer: String = "penultimate") {
        self.explainer = explainer
        self.layer = layer
    }

    private func vector(_ tensor: Tensor<Float>, _ layout: FeatureLayout?) throws -> [Double] {
        guard let layout else {
            guard tensor.count > 0, tensor.count <= 1 << 20 else {
                throw Failure(
                    .network, "layer '\(layer)'", expected: "a vector or a feature map", found: "\(tensor.shape)")
            }
            return tensor.values.map(Double.init)
        }
        let map = layout.featureMap(tensor)
        let places = layout.spatial.elementCount
        return map.withUnsafeBuffer { values in
            (0..<layout.channels).map { channel in
                var sum = 0.0
                for place in 0..<places { sum += Double(values[channel * places + place]) }
                return sum / Double(places)
            }
        }
    }

    /// The vector of one input.
    ///
    /// - Throws: a ``Failure`` when the layer holds no floats.
    public func vector(of input: PreparedInput, interrupted: Interruption? = nil) throws -> [Double] {
        let inputs = explainer.allInputs(input)
        let shapes = inputs.mapValues(\.shape)
        let tensor = try explainer.network.tap(layer, inputShapes: shapes).tensor
        let found = try explainer.network.run(inputs: inputs, wanting: [tensor], interrupted: interrupted)
        guard case .float(let values)? = found[tensor] else {
            throw Failure(.network, "layer '\(layer)'", expected: "floats", found: found[tensor]?.summary ?? "nothing")
        }
        return try vector(values, try? explainer.layouts(of: [tensor], inputShapes: shapes)[tensor])
    }

    /// Of a scan that a 2D network sees slice by slice: the mean over its slices.
    public func vector(of inputs: [PreparedInput], interrupted: Interruption? = nil) throws -> [Double] {
        let vectors = try inputs.map { try vector(of: $0, interrupted: interrupted) }
        return vectors[0].indices.map { index in VectorMath.mean(vectors.map { $0[index] }) }
    }

    /// The input shifted by up to 3 voxels, turned by up to 8°, scaled by up to 5 %, its values changed by up to a tenth and
    /// noise of a hundredth of their range added: what a contrastive network takes for the same thing.
    public static func augmented(
        _ input: PreparedInput, _ explainer: Explainer, using random: inout RandomSource
    ) throws -> PreparedInput {
        let shapes = explainer.allInputs(input).mapValues(\.shape)
        let layout = try explainer.layouts(of: [explainer.inputName], inputShapes: shapes)[explainer.inputName]!
        let map = layout.featureMap(input.tensor).values
        let places = layout.spatial.elementCount
        let motion = SmallMotion(layout.spatial, jitter: 3, scale: 0.05, rotation: 8, using: &random)
        let (low, high) = (map.min() ?? 0, map.max() ?? 1)
        let gain = Float(1 + 0.1 * (2 * random.uniform() - 1))
        var values: [Float] = []
        values.reserveCapacity(map.count)
        for channel in 0..<layout.channels {
            values += motion.forward(Array(map[channel * places..<(channel + 1) * places]))
        }
        for index in values.indices {
            let noise = Float(random.normal()) * (high - low) * 0.01
            values[index] = max(low, min(high, low + (values[index] - low) * gain + noise))
        }
        let tensor = layout.replacing(
            input.tensor, by: Tensor(shape: [1, layout.channels] + layout.spatial, values: values))
        return PreparedInput(tensor: tensor, grid: input.grid, layout: input.layout, slice: input.slice)
    }
}

/// Why two inputs are alike to a network: the cosine of their vectors, explained by a map on each.
public struct PairMaps: Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        /// The gradient of the cosine times the activation: what would make the pair more alike, or less. Sums to 0 over a
        /// layer that is only averaged, since a vector's length does not change a cosine.
        case gradient
        /// The same with both lengths held: each place's share in the cosine. Sums to the cosine over a layer that is only
        /// averaged (Stylianou, Souvenir & Pless, WACV 2019).
        case share
    }

    public let cosine: Double
    /// One for each of the two, on the layer's own grid in the tensor's order: `[spatial…]`, or `[slice, spatial…]` for a stack.
    public let maps: [TapMap]

    /// - Parameters:
    ///   - first: the input, or the slices whose mean vector stands for the scan.
    ///   - tap: the layer of the maps; nil: the network's default.
    /// - Throws: a ``Failure`` when the vectors do not depend on the tap, or one of them is zero.
    public init(
        _ embedder: Embedder, _ first: [PreparedInput], _ second: [PreparedInput], tap: String? = nil,
        kind: Kind = .share, interrupted: Interruption? = nil
    ) throws {
        let explainer = embedder.explainer
        let vectors = try [first, second].map { try embedder.vector(of: $0, interrupted: interrupted) }
        let lengths = vectors.map(VectorMath.length)
        guard lengths.allSatisfy({ $0 > 0 }) else {
            throw Failure(
                .network, "layer '\(embedder.layer)'", expected: "vectors with a direction", found: "one of zeros",
                remedy: "Choose another --layer")
        }
        let cosine = VectorMath.dot(vectors[0], vectors[1]) / (lengths[0] * lengths[1])
        self.cosine = cosine
        maps = try [first, second].enumerated().map { number, slices -> TapMap in
            let own = vectors[number]
            let other = vectors[1 - number]
            // ∂cos/∂e = (o/|o| − cos · e/|e|) / |e|; with lengths held, o / (|e| |o|).
            let slope = own.indices.map { index -> Double in
                let toward = other[index] / lengths[1 - number]
                let along = kind == .gradient ? cosine * own[index] / lengths[number] : 0
                // The vector is the mean over slices: each has its part in it.
                return (toward - along) / lengths[number] / Double(slices.count)
            }
            return try TapMap.stacked(
                slices.map {
                    try Self.map(embedder, explainer, $0, slope: slope, tap: tap, interrupted: interrupted)
                })
        }
    }

    /// `Σ_c (slope pulled back to the tap) · activation` on one input.
    private static func map(
        _ embedder: Embedder, _ explainer: Explainer, _ input: PreparedInput, slope: [Double], tap: String?,
        interrupted: Interruption?
    ) throws -> TapMap {
        let inputs = explainer.allInputs(input)
        let shapes = inputs.mapValues(\.shape)
        let layer = try explainer.network.tap(embedder.layer, inputShapes: shapes).tensor
        let place = try explainer.taps(tap.map { [$0] } ?? [], inputShapes: shapes)[0]
        let recording = try explainer.network.record(
            inputs: inputs, targets: [layer], taps: [place], interrupted: interrupted)
        let tensor = try recording.tensor(layer)
        let seed: Tensor<Float>
        if let layout = try? explainer.layouts(of: [layer], inputShapes: shapes)[layer] {
            let places = layout.spatial.elementCount
            let each = (0..<layout.channels * places).map { Float(slope[$0 / places] / Double(places)) }
            let map = Tensor(shape: [1, layout.channels] + layout.spatial, values: each)
            seed = layout.replacing(Tensor(shape: tensor.shape, repeating: 0), by: map)
        } else {
            seed = Tensor(shape: tensor.shape, values: slope.map { Float($0) })
        }
        let gradient = try recording.pullback(seeds: [layer: seed], to: [place])[place]!
        let layout = try explainer.layouts(of: [place], inputShapes: shapes)[place]!
        let activation = layout.featureMap(try recording.tensor(place))
        let slopes = layout.featureMap(gradient)
        let places = layout.spatial.elementCount
        let values = [Float](unsafeUninitializedCapacity: places) { target, initialized in
            activation.withUnsafeBuffer { a in
                slopes.withUnsafeBuffer { g in
                    for index in 0..<places {
                        var sum = 0.0
                        for channel in 0..<layout.channels {
                            let at = channel * places + index
                            sum += Double(a[at]) * Double(g[at])
                        }
                        target[index] = Float(sum)
                    }
                }
            }
            initialized = places
        }
        return TapMap(
            tap: place, values: Tensor(shape: layout.spatial, values: values),
            volume: try input.volume(
                fromTensorSpatial: values, shape: layout.spatial, jump: layout.jump, centre: layout.centre),
            jump: layout.jump, centre: layout.centre)
    }
}
