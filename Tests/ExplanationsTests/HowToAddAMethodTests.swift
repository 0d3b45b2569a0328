import Foundation
import Networks
import Preparations
import Tensors
import TestSupport
import Testing

@testable import Explanations

/// How a method is added, on a small one: the gradient's magnitude at a tap, `√Σ_c g²`.
///
/// 1. Write a type in `Sources/Explanations/Methods/`, one file. Its `descriptor` is what users read before they choose it: `tomolens
///    methods`, the docs' table. Its `explain` asks the ``Question``: the activation at a tap, the gradient there, the score of another
///    input, the score with a tap replaced, or a gradient under other rules (``PropagationRules``).
///    A method that works at layers of its own choosing, or not on every network, says so in `layers`, and refuses with what to use instead.
///    One that samples takes a ``Budget``, so that a stop leaves the best so far.
/// 2. Name it in ``MethodCatalogue``. From then on `tomolens explain --method`, pipelines, completions and the manual know it.
/// 3. Give it a reference that we did not write in `Tests/Reference/explanations*.py`, and a line in `docs/reference/methods.md` (a test
///    fails until it has one).
private struct GradientNorm: ExplanationMethod {
    static let descriptor = MethodDescriptor(
        name: "gradient-norm", title: "Gradient norm", family: .gradient,
        summary: "How strongly the target would react to any change at a place of a layer.", source: "an example",
        needs: "a tap with spatial extent", cost: "1 forward, 1 pullback to the tap",
        trust: "Sensitivity, not contribution.",
        sanity: .passes, mapsInput: false,
        options: [MethodOption("power", .number(0.1...10), standard: .number(2), "of the magnitudes that are summed")])

    private let power: Double

    init(_ options: MethodOptions) { power = options.number("power") }

    func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let gradient = try question.gradient(at: tap)
        return AttributionMap(
            ChannelReduction.sum(of: gradient, with: gradient) { Double($0) * Double($1) }.transformed {
                $0.squareRoot()
            })
    }
}

@Suite("How to add a method")
struct HowToAddAMethodTests {
    @Test func optionsAreChecked() throws {
        let options = try MethodOptions(["power": .number(3)], for: GradientNorm.descriptor)
        #expect(options.number("power") == 3)
        #expect(throws: (any Error).self) { try MethodOptions(["power": .number(30)], for: GradientNorm.descriptor) }
        #expect(throws: (any Error).self) { try MethodOptions(["powr": .number(3)], for: GradientNorm.descriptor) }
        _ = GradientNorm(options)
    }

    /// Where the map would come from: the layers that are asked for, unless a method says otherwise.
    @Test func layersAreTheTapsAskedFor() throws {
        let network = try Network(contentsOf: Fixtures.reference("explanations/vgg3d.onnx"))
        let tap = try network.defaultTap().tensor
        let scope = NetworkScope(
            network: network, inputName: "ct", outputName: "logits", inputShapes: [:], head: try network.head(),
            taps: [tap])
        let method = GradientNorm(try MethodOptions(for: GradientNorm.descriptor))
        #expect(try method.layers(scope).maps == [tap])
    }

    @Test func everyMethodHasALineInTheDocumentation() throws {
        let text = try String(
            contentsOf: Fixtures.root.appendingPathComponent("docs/reference/methods.md"), encoding: .utf8)
        for descriptor in MethodCatalogue.descriptors {
            #expect(
                text.contains("| `\(descriptor.name)` |"),
                "docs/reference/methods.md has no line for \(descriptor.name)")
        }
    }

    @Test func everyMethodSaysWhatOneMustKnow() {
        #expect(Set(MethodCatalogue.names).count == MethodCatalogue.names.count)
        for descriptor in MethodCatalogue.descriptors {
            for text in [
                descriptor.title, descriptor.summary, descriptor.source, descriptor.needs, descriptor.cost,
                descriptor.trust,
            ] {
                #expect(!text.isEmpty, "\(descriptor.name)")
            }
            for option in descriptor.options {
                #expect(option.accepts(option.standard), "\(descriptor.name), \(option.name)")
            }
        }
    }
}
