import Explanations
import Failures
import Foundation
import Networks
import Preparations
import Tensors

/// What one layer does over several scans: how its values are distributed, which of its channels say nothing, and how much of
/// the answer's gradient reaches it.
public struct LayerHealth: Sendable {
    public enum Role: String, Sendable {
        /// A convolution or linear layer.
        case linear
        /// A function of each value with a flat side at zero: ReLU and its clipped forms.
        case rectifier
        /// A function with two flat ends: sigmoid, tanh.
        case squashing
        /// Another activation.
        case activation
    }

    public let name: String
    public let tensor: String
    public let type: String
    public let role: Role
    public let channels: Int
    public let shape: [Int]
    public let minimum: Float
    public let maximum: Float
    public let mean: Double
    public let deviation: Double
    /// Share of values that are exactly zero.
    public let zeros: Double
    /// Share of values within a hundredth of the function's range of one of its ends; 0 for functions without ends.
    public let saturated: Double
    /// Channels that are zero everywhere in every scan.
    public let deadChannels: [Int]
    /// Channels of which at least 95 % of the values are saturated.
    public let saturatedChannels: [Int]
    /// Channels with the same value everywhere in every scan.
    public let constantChannels: [Int]
    /// Counts of values in `histogramRange`, equally wide bins; what lies beyond is counted at the ends.
    public let histogram: [Int]
    public let histogramRange: ClosedRange<Double>
    /// The Euclidean norm of the answer's gradient with respect to the layer, mean over scans; nil where the answer does not
    /// depend on the layer.
    public let gradientNorm: Double?
    public let isFinite: Bool
}

/// Looks at every layer of a network while it works.
public struct HealthCheck: Sendable {
    /// In the order of computation.
    public let layers: [LayerHealth]
    public let scans: Int

    static let bins = 64

    private struct Watched {
        let name: String
        let tensor: String
        let type: String
        let role: LayerHealth.Role
        let channelAxis: Int
        let shape: [Int]
        let ends: ClosedRange<Float>?
    }

    /// - Parameters:
    ///   - inputs: what the network is given, one after the other.
    ///   - observe: called before each input with its number.
    /// - Throws: as the network does.
    public init(
        _ explainer: Explainer, _ inputs: [PreparedInput], interrupted: Interruption? = nil,
        observe: (Int) -> Void = { _ in }
    ) throws {
        precondition(!inputs.isEmpty)
        let network = explainer.network
        let shapes = explainer.allInputs(inputs[0]).mapValues(\.shape)
        let watched = try Self.watched(explainer, shapes)
        let logits = try network.logits(of: explainer.outputName, inputShapes: shapes)
        let reached = Self.leading(to: logits.tensor, in: network)
        var totals = watched.map { Total(channels: $0.shape[$0.channelAxis]) }
        for (number, input) in inputs.enumerated() {
            observe(number)
            let tensors = watched.map(\.tensor)
            let recording = try network.record(
                inputs: explainer.allInputs(input), targets: [logits.tensor], taps: tensors, interrupted: interrupted)
            let answer = try recording.tensor(logits.tensor)
            let seed = Self.seed(answer)
            let gradients = try recording.pullback(
                seeds: [logits.tensor: seed], to: tensors.filter { reached.contains($0) && $0 != logits.tensor })
            for (index, layer) in watched.enumerated() {
                totals[index].add(try recording.tensor(layer.tensor), axis: layer.channelAxis, ends: layer.ends)
                if layer.tensor == logits.tensor { totals[index].addGradient(seed) }
                if let gradient = gradients[layer.tensor] { totals[index].addGradient(gradient) }
            }
        }
        layers = zip(watched, totals).map { layer, total in
            total.health(
                name: layer.name, tensor: layer.tensor, type: layer.type, role: layer.role, shape: layer.shape)
        }
        scans = inputs.count
    }

    /// One at the highest logit; for an answer of many places at each place's highest along axis 1, over their number.
    private static func seed(_ answer: Tensor<Float>) -> Tensor<Float> {
        var seed = Tensor<Float>(shape: answer.shape, repeating: 0)
        let values = answer.values
        let classes = answer.rank >= 2 ? answer.shape[1] : 1
        let inner = answer.rank > 2 ? answer.shape[2...].reduce(1, *) : 1
        let outer = values.count / max(1, classes * inner)
        seed.withUnsafeMutableBuffer { seed in
            for block in 0..<outer {
                for place in 0..<inner {
                    var best = 0
                    for index in 1..<max(1, classes)
                    where values[(block * classes + index) * inner + place]
                        > values[(block * classes + best) * inner + place]
                    {
                        best = index
                    }
                    seed[(block * classes + best) * inner + place] = 1 / Float(outer * inner)
                }
            }
        }
        return seed
    }

    /// Names of all tensors on which `target` depends.
    private static func leading(to target: String, in network: Network) -> Set<String> {
        var leads: Set<String> = [target]
        for node in network.nodes.reversed() where node.outputs.contains(where: leads.contains) {
            leads.formUnion(node.inputs.filter { !$0.isEmpty })
        }
        return leads
    }

    private static let linear: Set<String> = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
    private static let smooth: Set<String> = [
        "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "HardSwish", "Softplus", "Softsign", "Mish", "Swish",
        "ThresholdedRelu",
    ]

    private static func watched(_ explainer: Explainer, _ shapes: [String: [Int]]) throws -> [Watched] {
        let network = explainer.network
        let outputs = Set(network.outputs.map(\.name))
        return try network.taps(inputShapes: shapes).compactMap { tap in
            guard let node = tap.tap.node.flatMap({ name in network.nodes.first { $0.name == name } }),
                tap.shape.elementCount > 0
            else { return nil }
            let attributes = node.description.attributes
            let role: LayerHealth.Role
            var ends: ClosedRange<Float>?
            switch node.type {
            case "Relu": role = .rectifier
            case "Clip":
                func bound(_ position: Int, _ name: String) -> Float? {
                    if node.inputs.count > position, case .float(let value)? = network.constant(node.inputs[position]),
                        value.count == 1
                    {
                        return value[flat: 0]
                    }
                    return attributes.float(name)
                }
                guard let low = bound(1, "min"), let high = bound(2, "max"), low < high else { return nil }
                role = low == 0 ? .rectifier : .squashing
                ends = low...high
            case "Sigmoid", "HardSigmoid": (role, ends) = (.squashing, 0...1)
            case "Tanh": (role, ends) = (.squashing, -1...1)
            case let type where linear.contains(type): role = .linear
            case let type where smooth.contains(type): role = .activation
            default: return nil
            }
            // A network's own last sigmoid is meant to be sure.
            if role == .squashing, outputs.contains(tap.tap.tensor) { return nil }
            let field = try? network.receptiveField(
                of: tap.tap.tensor, input: explainer.inputName, inputShapes: shapes)
            let axis = field?.channelAxis ?? (tap.isTokens ? tap.shape.count - 1 : min(1, tap.shape.count - 1))
            guard tap.shape.indices.contains(axis) else { return nil }
            return Watched(
                name: node.modulePath ?? node.name, tensor: tap.tap.tensor, type: node.type, role: role,
                channelAxis: axis, shape: tap.shape, ends: ends)
        }
    }
}

/// Sums over scans for one layer.
private struct Total {
    private var count = 0
    private var zeros = 0
    private var saturated = 0
    private var sum = 0.0
    private var squares = 0.0
    private var minimum: [Float]
    private var maximum: [Float]
    private var channelCount: [Int]
    private var channelSaturated: [Int]
    private var histogram = [Int](repeating: 0, count: HealthCheck.bins)
    private var range: ClosedRange<Double>?
    private var gradient = 0.0
    private var gradients = 0
    private var isFinite = true

    init(channels: Int) {
        minimum = [Float](repeating: .infinity, count: channels)
        maximum = [Float](repeating: -.infinity, count: channels)
        channelCount = [Int](repeating: 0, count: channels)
        channelSaturated = channelCount
    }

    mutating func add(_ tensor: Tensor<Float>, axis: Int, ends: ClosedRange<Float>?) {
        let channels = tensor.shape[axis]
        let inner = tensor.shape[(axis + 1)...].reduce(1, *)
        let outer = tensor.count / max(1, channels * inner)
        let margin = ends.map { ($0.upperBound - $0.lowerBound) / 100 } ?? 0
        tensor.withUnsafeBuffer { values in
            if range == nil {
                // The first scan sets the bins; a margin leaves room for others.
                var (low, high) = (Float.infinity, -Float.infinity)
                for value in values where value.isFinite {
                    low = min(low, value)
                    high = max(high, value)
                }
                if !(low <= high) { (low, high) = (0, 1) }
                let slack = max(Double(high - low) * 0.1, 1e-6)
                range = (low == 0 ? 0 : Double(low) - slack)...(Double(high) + slack)
            }
            let (low, span) = (range!.lowerBound, range!.upperBound - range!.lowerBound)
            for block in 0..<outer {
                for channel in 0..<channels {
                    let start = (block * channels + channel) * inner
                    var flat = 0
                    for index in start..<start + inner {
                        let value = values[index]
                        guard value.isFinite else {
                            isFinite = false
                            continue
                        }
                        minimum[channel] = min(minimum[channel], value)
                        maximum[channel] = max(maximum[channel], value)
                        if value == 0 { zeros += 1 }
                        if let ends, value >= ends.upperBound - margin || value <= ends.lowerBound + margin {
                            flat += 1
                        }
                        sum += Double(value)
                        squares += Double(value) * Double(value)
                        let bin = Int((Double(value) - low) / span * Double(HealthCheck.bins))
                        histogram[max(0, min(HealthCheck.bins - 1, bin))] += 1
                    }
                    saturated += flat
                    channelSaturated[channel] += flat
                    channelCount[channel] += inner
                    count += inner
                }
            }
        }
    }

    mutating func addGradient(_ tensor: Tensor<Float>) {
        let squares = tensor.withUnsafeBuffer { $0.reduce(0.0) { $0 + Double($1) * Double($1) } }
        gradient += squares.squareRoot()
        gradients += 1
    }

    func health(
        name: String, tensor: String, type: String, role: LayerHealth.Role, shape: [Int]
    ) -> LayerHealth {
        let mean = sum / Double(max(1, count))
        let channels = minimum.indices
        return LayerHealth(
            name: name, tensor: tensor, type: type, role: role, channels: minimum.count, shape: shape,
            minimum: minimum.min() ?? 0, maximum: maximum.max() ?? 0, mean: mean,
            deviation: max(0, squares / Double(max(1, count)) - mean * mean).squareRoot(),
            zeros: Double(zeros) / Double(max(1, count)), saturated: Double(saturated) / Double(max(1, count)),
            deadChannels: channels.filter { minimum[$0] == 0 && maximum[$0] == 0 },
            saturatedChannels: channels.filter {
                channelCount[$0] > 0 && Double(channelSaturated[$0]) >= 0.95 * Double(channelCount[$0])
            },
            constantChannels: channels.filter { minimum[$0] == maximum[$0] && channelCount[$0] > 1 },
            histogram: histogram, histogramRange: range ?? 0...1,
            gradientNorm: gradients > 0 ? gradient / Double(gradients) : nil, isFinite: isFinite)
    }
}
