import Explanations
import Failures
import Networks
import Tensors

/// One number of a network's inside as a function of its input: the mean of a channel over its places, one unit, a logit, or how far a
/// logit is above all others.
public struct ActivationObjective: Sendable {
    public let explainer: Explainer
    public let layer: String
    public let tensor: String
    public let channel: Int
    /// The unit's place along the layer's spatial axes; nil for the whole channel.
    public let unit: [Int]?
    /// Whether the largest of the other channels is taken away: what one class alone has, and not what all rise with.
    public let isMargin: Bool
    /// Weights of the sum that is the objective, in the tensor's shape.
    public let seed: Tensor<Float>
    public let inputShapes: [String: [Int]]
    /// How the scan's tensor becomes channels and places.
    public let inputLayout: FeatureLayout
    /// Where the unit lies in the input, as indices along the input's spatial axes; nil for a channel or a vector.
    public let unitCentre: [Double]?

    /// - Parameter input: a tensor in the network's own layout: its shape counts.
    /// - Throws: a ``Failure`` for a layer, channel or unit that does not exist.
    public init(
        _ explainer: Explainer, layer: String, channel: Int, unit: [Int]? = nil, isMargin: Bool = false,
        input: Tensor<Float>
    ) throws {
        let network = explainer.network
        var shapes = explainer.otherInputs.mapValues(\.shape)
        shapes[explainer.inputName] = input.shape
        self.explainer = explainer
        self.layer = layer
        self.channel = channel
        self.unit = unit
        self.isMargin = isMargin
        inputShapes = shapes
        tensor = try network.tap(layer, inputShapes: shapes).tensor
        inputLayout = try explainer.layouts(of: [explainer.inputName], inputShapes: shapes)[explainer.inputName]!
        let shape = try network.shapes(for: shapes)[tensor] ?? []
        func check(_ channels: Int) throws {
            guard channel >= 0, channel < channels else {
                throw Failure(
                    .usage, "channel \(channel)", expected: "a channel of '\(layer)' from 0 to \(channels - 1)",
                    found: "\(channel)")
            }
        }
        guard let layout = try? explainer.layouts(of: [tensor], inputShapes: shapes)[tensor] else {
            // A vector: one value a channel.
            guard let channels = shape.last, shape.elementCount == channels, channels > 0 else {
                throw Failure(
                    .network, "layer '\(layer)'", expected: "a feature map or one vector", found: "\(shape)",
                    remedy: "Choose another layer; 'tomolens inspect MODEL' lists them")
            }
            try check(channels)
            guard unit == nil else {
                throw Failure(
                    .usage, "option '--unit'", expected: "a layer with places", found: "'\(layer)' of shape \(shape)",
                    remedy: "Leave --unit out: the channel is the unit.")
            }
            guard !isMargin || channels > 1 else {
                throw Failure(
                    .usage, "option '--margin'", expected: "another class to be above", found: "one value",
                    remedy: "Leave --margin out.")
            }
            var seed = Tensor<Float>(shape: shape, repeating: 0)
            seed.withUnsafeMutableBuffer { $0[channel] = 1 }
            self.seed = seed
            unitCentre = nil
            return
        }
        try check(layout.channels)
        guard !isMargin else {
            throw Failure(
                .usage, "option '--margin'", expected: "a vector, such as the logits",
                found: "'\(layer)', which has places", remedy: "Leave --margin out, or --layer.")
        }
        var map = Tensor<Float>(shape: [1, layout.channels] + layout.spatial, repeating: 0)
        let places = layout.spatial.elementCount
        if let unit {
            guard unit.count == layout.spatial.count, zip(unit, layout.spatial).allSatisfy({ $0 >= 0 && $0 < $1 })
            else {
                throw Failure(
                    .usage, "option '--unit'",
                    expected:
                        "a place in \(layout.spatial.map(String.init).joined(separator: "×")), slowest axis first",
                    found: unit.map(String.init).joined(separator: ","))
            }
            let place = zip(unit, layout.spatial.rowMajorStrides).reduce(0) { $0 + $1.0 * $1.1 }
            map.withUnsafeMutableBuffer { $0[channel * places + place] = 1 }
            unitCentre = unit.indices.map { layout.centre[$0] + Double(unit[$0]) * layout.jump[$0] }
        } else {
            map.withUnsafeMutableBuffer { values in
                for place in 0..<places { values[channel * places + place] = 1 / Float(places) }
            }
            unitCentre = nil
        }
        seed = layout.replacing(Tensor(shape: shape, repeating: 0), by: map)
    }

    private func inputs(_ input: Tensor<Float>) -> [String: Value] {
        var inputs = explainer.otherInputs
        inputs[explainer.inputName] = .float(input)
        return inputs
    }

    /// The seed for values that have been computed: with a margin it depends on which other channel is the largest.
    private func seed(for values: Tensor<Float>) -> Tensor<Float> {
        guard isMargin else { return seed }
        let others = values.values.enumerated().filter { $0.offset != channel }
        var highest = others[0]
        for other in others where other.element > highest.element { highest = other }
        var result = seed
        result.withUnsafeMutableBuffer { $0[highest.offset] = -1 }
        return result
    }

    private func scalar(_ value: Value?) throws -> Double {
        guard case .float(let values)? = value, values.count == seed.count else {
            throw Failure(
                .network, "layer '\(layer)'", expected: "floats of shape \(seed.shape)",
                found: value?.summary ?? "nothing")
        }
        var sum = 0.0
        let seed = seed(for: values)
        values.withUnsafeBuffer { values in
            seed.withUnsafeBuffer { seed in
                for index in seed.indices where seed[index] != 0 { sum += Double(seed[index]) * Double(values[index]) }
            }
        }
        return sum
    }

    /// The objective for one input: one forward pass, as far as the layer.
    public func value(of input: Tensor<Float>, interrupted: Interruption? = nil) throws -> Double {
        try scalar(
            explainer.network.run(inputs: inputs(input), wanting: [tensor], interrupted: interrupted)[tensor])
    }

    /// The objective and its gradient with respect to the input.
    public func valueAndGradient(
        of input: Tensor<Float>, interrupted: Interruption? = nil
    ) throws -> (value: Double, gradient: Tensor<Float>) {
        let recording = try explainer.network.record(
            inputs: inputs(input), targets: [tensor], taps: [explainer.inputName], interrupted: interrupted)
        let value = try scalar(recording.value(tensor))
        let seed = seed(for: try recording.tensor(tensor))
        let gradients = try recording.pullback(seeds: [tensor: seed], to: [explainer.inputName])
        return (value, gradients[explainer.inputName]!)
    }
}
