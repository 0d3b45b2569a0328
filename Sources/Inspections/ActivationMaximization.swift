import Explanations
import Failures
import Foundation
import Networks
import Tensors
import Volumes

/// Looks for an input that a channel, a unit or a class answers to most: gradient ascent with Adam on the input.
///
/// Erhan et al. 2009; the means against meaningless high frequencies are those of Mahendran & Vedaldi 2015 (jitter, total
/// variation), Yosinski et al. 2015 (blur, L2) and Olah, Mordvintsev & Schubert, Distill 2017 (random scale and rotation, a
/// Fourier basis whose coefficients are divided by their frequency).
public struct ActivationMaximization: Sendable {
    /// What is varied.
    public enum Parameters: Sendable, Hashable {
        /// The voxels themselves.
        case voxels
        /// Coefficients of ``FrequencyBasis``, each divided by its frequency to the power `decay`; 0 changes nothing but the
        /// basis, 1 makes all scales of an image alike.
        case fourier(decay: Double)
    }

    public struct Settings: Sendable {
        public var steps = 256
        public var learningRate = 0.05
        public var parameters = Parameters.fourier(decay: 1)
        /// Whole voxels by which the input is shifted at every step, to either side.
        public var jitter = 4
        /// Largest share by which it is scaled.
        public var scale = 0.05
        /// Largest turn in degrees.
        public var rotation = 5.0
        /// Weight of the total variation (mean over voxels, of values relative to the range).
        public var totalVariation = 0.1
        /// Weight of the mean squared distance from the middle of the range.
        public var l2 = 0.01
        /// With voxels as parameters: every so many steps the input is smoothed; 0 never.
        public var blurEvery = 0
        /// Of that smoothing, in voxels.
        public var blurSigma = 1.0
        /// What each channel's values may be; nil leaves them free.
        public var range: [ClosedRange<Float>]?
        /// Deviation of the noise to start from, as a share of the range (or plainly, where there is none).
        public var noise = 0.1
        public var seed = 0

        public init() {}
    }

    /// One step's numbers.
    public struct Step: Sendable {
        public let step: Int
        /// The objective of the moved input at this step, before its change.
        public let activation: Double
        public let totalVariation: Double
        public let l2: Double
        /// What is descended: −activation + weighted penalties.
        public let loss: Double
    }

    public struct Outcome: Sendable {
        /// In the network's own layout.
        public let input: Tensor<Float>
        /// Of the input as it is, without moving.
        public let activation: Double
        /// Of what it started from.
        public let startActivation: Double
        public let curve: [Step]
    }

    public let objective: ActivationObjective
    public let settings: Settings

    public init(_ objective: ActivationObjective, _ settings: Settings = Settings()) {
        precondition(
            settings.range == nil || settings.range!.count == objective.inputLayout.channels, "a range a channel")
        self.objective = objective
        self.settings = settings
    }

    private var channels: Int { objective.inputLayout.channels }
    private var spatial: [Int] { objective.inputLayout.spatial }
    private var places: Int { spatial.elementCount }

    private func low(_ channel: Int) -> Float { settings.range?[channel].lowerBound ?? -0.5 }
    private func span(_ channel: Int) -> Float {
        settings.range.map { $0[channel].upperBound - $0[channel].lowerBound } ?? 1
    }

    /// - Parameters:
    ///   - start: an input to begin with, in the network's own layout; nil begins with noise around the middle of the range.
    ///   - observe: called after every step.
    /// - Throws: a ``Failure`` when the objective's gradient is zero everywhere, when values overflow, or to stop.
    public func run(
        from start: Tensor<Float>? = nil, shape: [Int], interrupted: Interruption? = nil,
        observe: (Step) -> Void = { _ in }
    ) throws -> Outcome {
        var random = RandomSource(seed: UInt64(settings.seed))
        let layout = objective.inputLayout
        let count = channels * places
        let basis: FrequencyBasis?
        var weights: [Float] = []
        if case .fourier(let decay) = settings.parameters {
            let found = FrequencyBasis(shape: spatial)
            basis = found
            weights = Self.weights(found, decay: decay)
        } else {
            basis = nil
        }

        // Parameters of the start.
        var parameters: [Float]
        if let start {
            let values = layout.featureMap(start).values
            parameters = (0..<count).map { index in relative(values[index], index / places) }
            if let basis {
                let latent = parameters.map { settings.range == nil ? $0 : Self.logit($0) }
                parameters = Self.eachChannel(latent, channels) { channel in
                    zip(basis(channel), weights).map { $0 / $1 }
                }
            }
        } else {
            let noise = (0..<count).map { _ in Float(random.normal() * settings.noise) }
            parameters =
                basis == nil
                ? noise.map { settings.range == nil ? $0 : $0 + 0.5 }
                // Four times: the slope of the logistic curve in the middle is a quarter.
                : noise.map { settings.range == nil ? $0 : 4 * $0 }
        }

        let empty = Tensor<Float>(shape: shape, repeating: 0)
        func tensor(_ values: [Float]) -> Tensor<Float> {
            layout.replacing(empty, by: Tensor(shape: [1, channels] + spatial, values: values))
        }

        var first = [Float](repeating: 0, count: count)
        var second = first
        var curve: [Step] = []
        let startActivation = try objective.value(
            of: tensor(values(parameters, basis, weights).values), interrupted: interrupted)
        for step in 1...max(1, settings.steps) {
            let (values, slopes) = values(parameters, basis, weights)
            let motion = SmallMotion(
                spatial, jitter: settings.jitter, scale: settings.scale, rotation: settings.rotation, using: &random)
            let moved = Self.eachChannel(values, channels, motion.forward)
            let (activation, gradient) = try objective.valueAndGradient(of: tensor(moved), interrupted: interrupted)
            guard activation.isFinite else {
                throw Failure(
                    .network, "layer '\(objective.layer)'", expected: "finite activations",
                    found: "\(activation) at step \(step)", remedy: "Lower --learning-rate, or hold values with --range"
                )
            }
            var ascent = Self.eachChannel(layout.featureMap(gradient).values, channels, motion.adjoint)
            if step == 1, !ascent.contains(where: { $0 != 0 }) {
                throw Failure(
                    .network, "layer '\(objective.layer)', channel \(objective.channel)",
                    expected: "a gradient with respect to the input", found: "zero everywhere",
                    remedy:
                        "The unit is silent for this start: take another --seed, a larger --noise, --start SCAN, or the layer before its rectifier"
                )
            }
            // From here on the gradient of the loss with respect to the values.
            for index in ascent.indices { ascent[index] = -ascent[index] }
            let variation = totalVariation(values, addingTo: &ascent)
            let distance = squares(values, addingTo: &ascent)
            for index in ascent.indices { ascent[index] *= slopes[index] }
            if let basis {
                ascent = Self.eachChannel(ascent, channels) { channel in zip(basis(channel), weights).map { $0 * $1 } }
            }
            Self.adam(&parameters, ascent, &first, &second, step: step, rate: Float(settings.learningRate))
            if basis == nil { holdAndSmooth(&parameters, step: step) }
            let record = Step(
                step: step, activation: activation, totalVariation: variation, l2: distance,
                loss: -activation + settings.totalVariation * variation + settings.l2 * distance)
            curve.append(record)
            observe(record)
        }
        let result = tensor(values(parameters, basis, weights).values)
        return Outcome(
            input: result, activation: try objective.value(of: result, interrupted: interrupted),
            startActivation: startActivation, curve: curve)
    }

    /// The input's values and their slopes with respect to what is varied (before the basis).
    private func values(
        _ parameters: [Float], _ basis: FrequencyBasis?, _ weights: [Float]
    ) -> (values: [Float], slopes: [Float]) {
        var latent = parameters
        if let basis {
            latent = Self.eachChannel(parameters, channels) { channel in basis(zip(channel, weights).map { $0 * $1 }) }
        }
        var slopes = [Float](repeating: 1, count: latent.count)
        for index in latent.indices {
            let channel = index / places
            if basis != nil, settings.range != nil {
                let share = 1 / (1 + exp(-latent[index]))
                slopes[index] = share * (1 - share) * span(channel)
                latent[index] = low(channel) + share * span(channel)
            } else if settings.range != nil {
                slopes[index] = span(channel)
                latent[index] = low(channel) + latent[index] * span(channel)
            }
        }
        return (latent, slopes)
    }

    /// A value as a share of the range; as it is where there is none.
    private func relative(_ value: Float, _ channel: Int) -> Float {
        settings.range == nil ? value : span(channel) > 0 ? (value - low(channel)) / span(channel) : 0.5
    }

    private static func logit(_ share: Float) -> Float {
        let held = max(0.01, min(0.99, share))
        return log(held / (1 - held))
    }

    /// `1 / max(frequency, 1 / longest axis)^decay`, scaled so that white noise keeps its deviation.
    static func weights(_ basis: FrequencyBasis, decay: Double) -> [Float] {
        let least = 1 / Double(basis.shape.max() ?? 1)
        let raw = basis.frequencies.map { pow(max($0, least), -decay) }
        let mean = (raw.reduce(0) { $0 + $1 * $1 } / Double(raw.count)).squareRoot()
        return raw.map { Float($0 / mean) }
    }

    private static func eachChannel(_ values: [Float], _ channels: Int, _ body: ([Float]) -> [Float]) -> [Float] {
        if channels == 1 { return body(values) }
        let size = values.count / channels
        return (0..<channels).flatMap { body(Array(values[$0 * size..<($0 + 1) * size])) }
    }

    /// Kingma & Ba 2015, with their β₁ = 0.9, β₂ = 0.999, ε = 1e-8.
    static func adam(
        _ parameters: inout [Float], _ gradient: [Float], _ first: inout [Float], _ second: inout [Float], step: Int,
        rate: Float
    ) {
        let (beta1, beta2): (Float, Float) = (0.9, 0.999)
        let correct1 = 1 - pow(beta1, Float(step))
        let correct2 = 1 - pow(beta2, Float(step))
        for index in parameters.indices {
            first[index] = beta1 * first[index] + (1 - beta1) * gradient[index]
            second[index] = beta2 * second[index] + (1 - beta2) * gradient[index] * gradient[index]
            parameters[index] -= rate * (first[index] / correct1) / ((second[index] / correct2).squareRoot() + 1e-8)
        }
    }

    /// Mean over voxels of `√(Σ_axes difference² + ε)` of relative values; its weighted gradient (with respect to the values
    /// themselves) is added.
    private func totalVariation(_ values: [Float], addingTo gradient: inout [Float]) -> Double {
        if settings.totalVariation == 0 { return 0 }
        let strides = spatial.rowMajorStrides
        let factor = Float(settings.totalVariation) / Float(values.count)
        let rank = spatial.count
        var sum = 0.0
        // Differences along the axes at one place; kept outside of the loop, which is long.
        var differences = [Float](repeating: 0, count: rank)
        for channel in 0..<channels {
            let scale = settings.range == nil || span(channel) == 0 ? 1 : 1 / span(channel)
            let base = channel * places
            for place in 0..<places {
                var squares: Float = 1e-6
                for axis in 0..<rank {
                    let isLast = place / strides[axis] % spatial[axis] + 1 == spatial[axis]
                    let difference = isLast ? 0 : (values[base + place + strides[axis]] - values[base + place]) * scale
                    differences[axis] = difference
                    squares += difference * difference
                }
                let length = squares.squareRoot()
                sum += Double(length)
                for axis in 0..<rank where differences[axis] != 0 {
                    let slope = factor * scale * differences[axis] / length
                    gradient[base + place + strides[axis]] += slope
                    gradient[base + place] -= slope
                }
            }
        }
        return sum / Double(values.count)
    }

    /// Mean squared distance from the middle of the range; its weighted gradient is added.
    private func squares(_ values: [Float], addingTo gradient: inout [Float]) -> Double {
        if settings.l2 == 0 { return 0 }
        let factor = 2 * Float(settings.l2) / Float(values.count)
        var sum = 0.0
        for index in values.indices {
            let channel = index / places
            let distance = relative(values[index], channel) - (settings.range == nil ? 0 : 0.5)
            sum += Double(distance) * Double(distance)
            gradient[index] += factor * distance / (settings.range == nil || span(channel) == 0 ? 1 : span(channel))
        }
        return sum / Double(values.count)
    }

    /// Relative values held within the range and, every so many steps, smoothed.
    private func holdAndSmooth(_ parameters: inout [Float], step: Int) {
        if settings.blurEvery > 0, step % settings.blurEvery == 0, settings.blurSigma > 0 {
            let filter = GaussianFilter(sigma: settings.blurSigma)
            let extents = [Int](repeating: 1, count: 3 - spatial.count) + spatial
            let shape = Index3(extents[2], extents[1], extents[0])
            parameters = Self.eachChannel(parameters, channels) { channel in
                var channel = channel
                for axis in 0..<3 where shape[axis] > 1 { channel = filter(channel, shape: shape, axis: axis) }
                return channel
            }
        }
        if settings.range != nil {
            for index in parameters.indices { parameters[index] = max(0, min(1, parameters[index])) }
        }
    }
}
