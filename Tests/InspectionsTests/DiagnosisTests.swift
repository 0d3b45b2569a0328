import Explanations
import Foundation
import Networks
import Preparations
import TestSupport
import Tensors
import Testing
import Volumes

@testable import Inspections

/// Networks with planted faults, and one that memorized beside one that learned (Tests/Reference/diagnosis.py).
@Suite struct DiagnosisTests {
    static let data = try! SafeTensors(contentsOf: Fixtures.reference("diagnosis/inputs.safetensors"))

    static func load(_ name: String, _ key: String) throws -> (explainer: Explainer, inputs: [PreparedInput]) {
        let network = try Network(contentsOf: Fixtures.reference("diagnosis/\(name).onnx"))
        let all = data.float(key)!
        let spatial = Array(all.shape.dropFirst(2))
        let size = spatial.elementCount
        let grid = Grid(
            shape: Index3(spatial[0], spatial[1], spatial.count > 2 ? spatial[2] : 1), affine: .identity)
        let layout = NetworkLayout(axes: spatial.count == 3 ? [0, 1, 2] : [0, 1])
        let inputs = (0..<all.shape[0]).map { number in
            PreparedInput(
                tensor: Tensor(
                    shape: [1, 1] + spatial, values: Array(all.values[number * size..<(number + 1) * size])),
                grid: grid, layout: layout)
        }
        return (try Explainer(network: network), inputs)
    }

    static func kinds(_ name: String) throws -> [Finding.Kind: Finding.Severity] {
        let (explainer, inputs) = try load(name, "noise")
        let findings = try HealthCheck(explainer, inputs).findings()
        return Dictionary(findings.map { ($0.kind, $0.severity) }) { max($0, $1) }
    }

    @Test func aHealthyNetworkIsCalledHealthy() throws {
        #expect(try Self.kinds("healthy").filter { $0.value > .note }.isEmpty)
    }

    /// Noise around 0 through a window of −1000 … 400 HU is one grey, and whatever is measured on it says nothing.
    @Test func inputsWithoutContrastAreFound() throws {
        let inputs = try Self.load("healthy", "noise").inputs
        let thresholds = DiagnosisThresholds()
        #expect(Finding.inputs(inputs, thresholds).isEmpty)
        let grey = inputs.map { input in
            PreparedInput(
                tensor: Tensor(shape: input.tensor.shape, values: input.tensor.values.map { ($0 + 1000) / 1400 }),
                grid: input.grid, layout: input.layout)
        }
        let found = Finding.inputs(grey, thresholds)
        #expect(
            found.map(\.kind) == [.inputs] && found[0].text.contains("0.71") && found[0].remedy.contains("--window"))
    }

    @Test func deadChannelsAreFound() throws {
        let (explainer, inputs) = try Self.load("dead", "noise")
        let health = try HealthCheck(explainer, inputs)
        let rectifiers = health.layers.filter { $0.role == .rectifier }
        #expect(rectifiers.count == 4)
        // Planted: the first five of the second layer.
        #expect(Array(rectifiers[1].deadChannels.prefix(5)) == [0, 1, 2, 3, 4])
        #expect(rectifiers[0].deadChannels.isEmpty)
        let finding = try #require(health.findings().first { $0.kind == .dead })
        #expect(finding.severity == .severe && finding.layers == [rectifiers[1].name])
        #expect(finding.remedy.contains("LeakyReLU"))
        let found = try Self.kinds("dead")
        #expect(found[.vanishing] == nil && found[.exploding] == nil)
    }

    @Test func aVanishingGradientIsFound() throws {
        let found = try Self.kinds("vanishing")
        #expect(found[.vanishing] == .severe)
        #expect(found[.dead] == nil && found[.exploding] == nil)
        let (explainer, inputs) = try Self.load("vanishing", "noise")
        let flow = try HealthCheck(explainer, inputs).flow
        #expect(flow.first!.norm < 1e-5 * flow[flow.count - 2].norm)
    }

    @Test func saturationIsFound() throws {
        let found = try Self.kinds("saturated")
        #expect(found[.saturated] == .severe)
        let (explainer, inputs) = try Self.load("saturated", "noise")
        let health = try HealthCheck(explainer, inputs)
        let squashing = health.layers.filter { $0.role == .squashing }
        #expect(squashing[1].saturatedChannels.count == 4 && squashing[0].saturatedChannels.isEmpty)
    }

    @Test func anExplodingGradientIsFound() throws {
        let found = try Self.kinds("exploding")
        #expect(found[.exploding] == .severe && found[.vanishing] == nil)
    }

    /// Every layer's numbers are those of its activations, and the gradient is the network's own.
    @Test func numbersOfALayer() throws {
        let (explainer, inputs) = try Self.load("healthy", "noise")
        let health = try HealthCheck(explainer, inputs)
        let layer = health.layers.first { $0.role == .rectifier }!
        var values: [Float] = []
        var norms = 0.0
        for input in inputs {
            let all = explainer.allInputs(input)
            let recording = try explainer.network.record(
                inputs: all, targets: ["output"], taps: [layer.tensor])
            values += try recording.tensor(layer.tensor).values
            let output = try recording.tensor("output")
            var seed = Tensor<Float>(shape: output.shape, repeating: 0)
            let winner = output.values[0] >= output.values[1] ? 0 : 1
            seed.withUnsafeMutableBuffer { $0[winner] = 1 }
            let gradient = try recording.pullback(seeds: ["output": seed], to: [layer.tensor])[layer.tensor]!
            norms += gradient.values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        }
        let mean = values.reduce(0.0) { $0 + Double($1) } / Double(values.count)
        #expect(abs(layer.mean - mean) < 1e-6 && layer.maximum == values.max()!)
        #expect(abs(layer.zeros - Double(values.filter { $0 == 0 }.count) / Double(values.count)) < 1e-9)
        #expect(layer.histogram.reduce(0, +) == values.count)
        #expect(abs(layer.gradientNorm! - norms / Double(inputs.count)) < 1e-6 * norms)
        #expect(health.scans == 3)
    }

    // MARK: Learned or memorized

    @Test func whatLearnedAndWhatMemorizedAreToldApart() throws {
        let thresholds = DiagnosisThresholds()
        var textures: [String: KernelTexture] = [:]
        var probes: [String: TextureProbe] = [:]
        for name in ["proper", "memorizer"] {
            let (explainer, inputs) = try Self.load(name, "images")
            let bank = try KernelBank(explainer.network, layer: "first-conv")
            let texture: KernelTexture = try #require(KernelTexture(bank))
            textures[name] = texture
            probes[name] = try TextureProbe(explainer, inputs, sigma: 1.5)
        }
        let (good, bad) = (textures["proper"]!, textures["memorizer"]!)
        #expect(good.smoothnessZ > thresholds.smoothnessZ, "\(good.smoothnessZ)")
        #expect(bad.smoothnessZ < thresholds.smoothnessZ, "\(bad.smoothnessZ)")
        #expect(good.measured.highFrequencyShare < bad.measured.highFrequencyShare)
        #expect(good.measured.spectralEntropy < bad.measured.spectralEntropy)
        #expect(Finding.kernels([good], thresholds).isEmpty)
        #expect(Finding.kernels([bad], thresholds).map(\.kind) == [.roughKernels])
        // The answer of the one survives blurring, that of the other does not.
        #expect(probes["proper"]!.keptUnderBlur > probes["memorizer"]!.keptUnderBlur)
        #expect(Finding.texture(probes["proper"]!, thresholds).isEmpty)
    }

    /// The networks are what their script says: one knows discs, the other its labels.
    @Test func theTwoNetworksAnswerAsTheyWereTrained() throws {
        for (name, key) in [("proper", "labels"), ("memorizer", "randomLabels")] {
            let (explainer, inputs) = try Self.load(name, "images")
            let truth = Self.data.integer(key)!.values
            for (input, label) in zip(inputs, truth) {
                let logits = try explainer.answer(input).classLogits!
                #expect((logits[1] > logits[0]) == (label == 1), "\(name)")
            }
        }
    }

    // MARK: Where heat lies

    @Test func heatOutsideTheBodyIsMeasured() throws {
        let grid = Grid(shape: [20, 20, 20], affine: .identity)
        var scan = Volume(grid: grid, repeating: -1000)
        var body = Mask(grid: grid, isSet: [Bool](repeating: false, count: grid.count))
        var heat = Volume(grid: grid, repeating: 0)
        for k in 0..<20 {
            for j in 0..<20 {
                for i in 5..<15 where (5..<15).contains(j) {
                    body[i, j, k] = true
                    scan[i, j, k] = 40
                }
            }
        }
        scan[17, 10, 10] = 200  // the table
        heat[10, 10, 10] = 2
        heat[17, 10, 10] = 1
        heat[1, 10, 10] = 1
        heat[10, 10, 5] = -5
        let seen = Mask(grid: grid, isSet: [Bool](repeating: true, count: grid.count))
        let places = try #require(HeatPlaces(heat: heat, scan: scan, seen: seen, body: body))
        #expect(abs(places.outside - 0.5) < 1e-9 && abs(places.table - 0.25) < 1e-9)
        #expect(abs(places.border - 0.25) < 1e-9)
        #expect(abs(places.outsideVolume - 0.75) < 1e-9 && places.tableVolume == 1.0 / 8000)
        #expect(!Finding.heat([places], DiagnosisThresholds()).isEmpty)
        let none = Volume(grid: grid, repeating: -1)
        #expect(HeatPlaces(heat: none, scan: scan, seen: seen, body: body) == nil)
    }
}
