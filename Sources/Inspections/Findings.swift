import Foundation
import Preparations

/// What is wrong with a network, in words: what was seen, what it means, and what usually helps.
public struct Finding: Sendable {
    public enum Severity: String, Sendable, Comparable {
        case note
        case warning
        case severe

        public static func < (a: Severity, b: Severity) -> Bool {
            let order: [Severity] = [.note, .warning, .severe]
            return order.firstIndex(of: a)! < order.firstIndex(of: b)!
        }
    }

    public enum Kind: String, Sendable {
        case inputs = "inputs"
        case notFinite = "not finite"
        case dead = "dead channels"
        case saturated = "saturated channels"
        case constant = "constant channels"
        case vanishing = "vanishing gradient"
        case exploding = "exploding gradient"
        case sparse = "sparse layer"
        case roughKernels = "rough kernels"
        case texture = "texture"
        case outside = "heat outside the body"
    }

    public let kind: Kind
    public let severity: Severity
    /// Layers concerned; empty for the whole.
    public let layers: [String]
    public let text: String
    public let remedy: String
}

/// From which values on something is said. Conventions, not laws: each is printed beside what was measured.
public struct DiagnosisThresholds: Sendable {
    /// Share of a layer's channels that are dead: worth a word, and severe.
    public var dead = (warning: 0.1, severe: 0.5)
    /// Share of a layer's channels that are saturated.
    public var saturated = (warning: 0.25, severe: 0.6)
    /// Gradient norm at the first layer over that at the last but the answer itself: vanishing below, exploding above.
    public var vanishing = (warning: 1e-3, severe: 1e-5)
    public var exploding = (warning: 1e3, severe: 1e5)
    /// Share of a rectifier's values that are zero.
    public var zeros = 0.98
    /// Kernels less than so many standard errors smoother than random ones, and, two standard errors granted, by less than
    /// this: few small kernels alone are no evidence.
    public var smoothnessZ = 3.0
    public var smoothness = 0.15
    /// Share of the class answers that must stay when the input is blurred.
    public var keepsUnderBlur = 0.5
    /// Share of the positive heat outside of the body.
    public var heatOutside = 0.3
    /// Standard deviation of what the network is given, over all inputs, as a part of the largest magnitude: below, nothing can be seen.
    public var inputContrast = 0.01

    public init() {}
}

extension HealthCheck {
    /// What the layers' numbers say, the worst first.
    public func findings(_ thresholds: DiagnosisThresholds = DiagnosisThresholds()) -> [Finding] {
        var found: [Finding] = []
        func percent(_ share: Double) -> String { String(format: "%.0f %%", share * 100) }
        for layer in layers where !layer.isFinite {
            found.append(
                Finding(
                    kind: .notFinite, severity: .severe, layers: [layer.name],
                    text: "\(layer.name) computes values that are no numbers or infinite.",
                    remedy:
                        "Check that inputs are scaled as in training; train with a lower learning rate or clipped gradients."
                ))
        }
        for layer in layers where layer.role == .rectifier && !layer.deadChannels.isEmpty {
            let share = Double(layer.deadChannels.count) / Double(layer.channels)
            guard share >= thresholds.dead.warning else { continue }
            found.append(
                Finding(
                    kind: .dead, severity: share >= thresholds.dead.severe ? .severe : .warning, layers: [layer.name],
                    text:
                        "\(layer.deadChannels.count) of \(layer.channels) channels of \(layer.name) (\(percent(share))) are zero everywhere on all \(scans) inputs: dead rectifiers, through which no gradient passes.",
                    remedy:
                        "LeakyReLU or ELU in place of ReLU, a lower learning rate, He initialization, or normalization before the rectifier. On few inputs a channel may only be unused: look at more."
                ))
        }
        for layer in layers where !layer.saturatedChannels.isEmpty {
            let share = Double(layer.saturatedChannels.count) / Double(layer.channels)
            guard share >= thresholds.saturated.warning else { continue }
            found.append(
                Finding(
                    kind: .saturated, severity: share >= thresholds.saturated.severe ? .severe : .warning,
                    layers: [layer.name],
                    text:
                        "\(layer.saturatedChannels.count) of \(layer.channels) channels of \(layer.name) (\(layer.type), \(percent(share))) lie at an end of their range on 95 % of their places: saturated, and nearly no gradient passes.",
                    remedy:
                        "Normalization before the activation, smaller initial weights (Xavier), inputs scaled to unit deviation, or ReLU in place of \(layer.type)."
                ))
        }
        for layer in layers
        where layer.role == .linear && layer.shape.reduce(1, *) > layer.channels && !layer.constantChannels.isEmpty {
            let share = Double(layer.constantChannels.count) / Double(layer.channels)
            guard share >= thresholds.dead.warning else { continue }
            found.append(
                Finding(
                    kind: .constant, severity: share >= thresholds.dead.severe ? .severe : .warning,
                    layers: [layer.name],
                    text:
                        "\(layer.constantChannels.count) of \(layer.channels) channels of \(layer.name) have one value everywhere: their weights are zero, or nothing reaches them.",
                    remedy: "Look for dead layers before it; prune the channels, or lower weight decay."))
        }
        for layer in layers where layer.role == .rectifier && layer.zeros >= thresholds.zeros {
            found.append(
                Finding(
                    kind: .sparse, severity: .note, layers: [layer.name],
                    text: "\(percent(layer.zeros)) of the values of \(layer.name) are zero.",
                    remedy: "Not wrong by itself; together with dead channels it is."))
        }
        if let flow = gradientFlow(thresholds) { found.append(flow) }
        return found.sorted { $0.severity > $1.severity }
    }

    /// The layers with a gradient, from the input on.
    public var flow: [(name: String, norm: Double)] {
        layers.compactMap { layer in layer.gradientNorm.map { (layer.name, $0) } }
    }

    private func gradientFlow(_ thresholds: DiagnosisThresholds) -> Finding? {
        let flow = flow
        guard flow.count >= 3, let first = flow.first else { return nil }
        // The answer's own layer has a gradient of one by definition; the one before it is the reference.
        let last = flow[flow.count - 2]
        guard last.norm > 0 else { return nil }
        let ratio = first.norm / last.norm
        func number(_ value: Double) -> String { String(format: "%.2g", value) }
        // Where it goes: the steepest step toward the input.
        let steps = zip(flow, flow.dropFirst().dropLast())
        let ratios = steps.map { (from: $0.1.name, to: $0.0.name, ratio: $0.1.norm > 0 ? $0.0.norm / $0.1.norm : 1) }
        if ratio < thresholds.vanishing.warning {
            let steepest = ratios.min { $0.ratio < $1.ratio }
            return Finding(
                kind: .vanishing, severity: ratio < thresholds.vanishing.severe ? .severe : .warning,
                layers: [first.name],
                text:
                    "The answer's gradient shrinks from \(number(last.norm)) at \(last.name) to \(number(first.norm)) at \(first.name), by a factor of \(number(1 / max(ratio, 1e-300)))"
                    + (steepest.map { "; most of all from \($0.from) to \($0.to)" } ?? "")
                    + ": it vanishes, and early layers hardly learn.",
                remedy:
                    "ReLU-like activations in place of sigmoid or tanh, shortcut connections, batch or instance normalization, He or Xavier initialization."
            )
        }
        if ratio > thresholds.exploding.warning {
            let steepest = ratios.max { $0.ratio < $1.ratio }
            return Finding(
                kind: .exploding, severity: ratio > thresholds.exploding.severe ? .severe : .warning,
                layers: [first.name],
                text:
                    "The answer's gradient grows from \(number(last.norm)) at \(last.name) to \(number(first.norm)) at \(first.name), by a factor of \(number(ratio))"
                    + (steepest.map { "; most of all from \($0.from) to \($0.to)" } ?? "")
                    + ": it explodes, and a step of training throws early layers about.",
                remedy: "A lower learning rate, gradient clipping, normalization layers, smaller initial weights."
            )
        }
        return nil
    }
}

extension Finding {
    /// Whether the network was given anything to see: a window far from the scan's values makes every input one grey, and all that
    /// is measured on it is worth nothing.
    public static func inputs(_ inputs: [PreparedInput], _ thresholds: DiagnosisThresholds) -> [Finding] {
        var (count, sum, squares, largest) = (0.0, 0.0, 0.0, 0.0)
        for value in inputs.lazy.flatMap(\.tensor.values) where value.isFinite {
            count += 1
            sum += Double(value)
            squares += Double(value) * Double(value)
            largest = max(largest, abs(Double(value)))
        }
        let mean = sum / max(count, 1)
        let deviation = max(0, squares / max(count, 1) - mean * mean).squareRoot()
        guard count > 0, deviation <= thresholds.inputContrast * largest else { return [] }
        return [
            Finding(
                kind: .inputs, severity: .warning, layers: [],
                text:
                    "What the network is given is nearly one value everywhere (\(number(mean)) ± \(number(deviation)) over \(inputs.count) inputs): nothing below can be trusted.",
                remedy:
                    "Prepare the scans as in training: the pipeline's preparation, or --window around the scan's values ('tomolens inspect SCAN' tells them)."
            )
        ]
    }

    /// What the probe's numbers say.
    public static func kernels(_ kernels: [KernelTexture], _ thresholds: DiagnosisThresholds) -> [Finding] {
        let rough = kernels.filter {
            let above = $0.measured.smoothness - $0.random.smoothness
            return $0.smoothnessZ < thresholds.smoothnessZ && above + 2 * $0.standardError < thresholds.smoothness
        }
        // Where deeper layers mix features, kernels need not be smooth; the first one sees the scan itself.
        guard let first = kernels.first, rough.contains(where: { $0.layer == first.layer }) else { return [] }
        return [
            Finding(
                kind: .roughKernels, severity: .warning, layers: rough.map(\.layer),
                text:
                    "The kernels of \(first.layer) are no smoother than random numbers (correlation of neighbours \(number(first.measured.smoothness)), random \(number(first.random.smoothness)); \(number(first.smoothnessZ)) standard errors apart): they answer to grain, or have hardly been trained.",
                remedy:
                    "More data or augmentation, weight decay, fewer parameters, a longer warm-up; compare 'tomolens kernels' before and after."
            )
        ]
    }

    /// What the probe's numbers say.
    public static func texture(_ probe: TextureProbe, _ thresholds: DiagnosisThresholds) -> [Finding] {
        guard probe.cases.count >= 2 else { return [] }
        var found: [Finding] = []
        let count = probe.cases.count
        if probe.keptUnderBlur < thresholds.keepsUnderBlur {
            found.append(
                Finding(
                    kind: .texture, severity: .warning, layers: [],
                    text:
                        "Only \(percent(probe.keptUnderBlur)) of \(count) answers stay when the input is blurred by \(number(probe.sigma)) voxels: the network answers to fine grain.",
                    remedy:
                        "Blur, noise and intensity augmentation, weight decay, early stopping; check that training and validation scans come from different patients."
                ))
        }
        return found
    }

    /// What the probe's numbers say.
    public static func heat(_ places: [HeatPlaces], _ thresholds: DiagnosisThresholds) -> [Finding] {
        guard !places.isEmpty else { return [] }
        let outside = places.reduce(0) { $0 + $1.outside } / Double(places.count)
        let table = places.reduce(0) { $0 + $1.table } / Double(places.count)
        let volume = places.reduce(0) { $0 + $1.outsideVolume } / Double(places.count)
        guard outside > thresholds.heatOutside else { return [] }
        return [
            Finding(
                kind: .outside, severity: .warning, layers: [],
                text:
                    "\(percent(outside)) of the heat lies outside of the body (\(percent(volume)) of the scan does), \(percent(table)) on the table and other dense things.",
                remedy:
                    "Crop to the body in the preparation (CropToBody), vary the field of view in training, and look for marks that go with the label: tables, lines, borders."
            )
        ]
    }

    private static func number(_ value: Double) -> String { String(format: "%.2g", value) }
    private static func percent(_ share: Double) -> String { String(format: "%.0f %%", share * 100) }
}
