import Foundation
import Networks
import Preparations
import Tensors
import TestSupport
import Testing

@testable import Explanations

/// Reference maps of one library: a network, an input, and what the library finds.
private struct Peer {
    let network: String
    let peer: String
    let reference: SafeTensors
    let explainer: Explainer
    let input: PreparedInput
    let target: Target

    init(_ network: String, _ peer: String) throws {
        self.network = network
        self.peer = peer
        reference = try SafeTensors(contentsOf: Fixtures.reference("explanations/\(network).\(peer).safetensors"))
        explainer = try Explainer(network: Network(contentsOf: Fixtures.reference("explanations/\(network).onnx")))
        // Files that share the input of another one do not repeat it.
        let source =
            reference.names.contains("input")
            ? reference
            : try SafeTensors(
                contentsOf: Fixtures.reference(
                    "explanations/\(network)\(network.hasPrefix("vit") ? ".rules" : "").safetensors"))
        input = PreparedInput(testing: source.float("input")!)
        target = .index(Int(source.integer("target")!.values[0]))
    }

    /// `name option=value …`, as the scripts write them down.
    func explain(_ words: String) throws -> Explanation {
        let parts = words.split(separator: " ").map(String.init)
        var options: [String: OptionValue] = [:]
        for part in parts.dropFirst() {
            let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
            options[sides[0]] = OptionValue(parsing: sides[1])
        }
        var regions = ScanRegions.none
        if let labels = reference.float("parts") {
            let ones = [Double](repeating: 1, count: labels.rank)
            regions.labels = try input.volume(
                fromTensorSpatial: labels.values, shape: labels.shape, jump: ones, centre: ones.map { _ in 0 })
        }
        // Where only the class token is read, places count up to the last attention.
        let block = ["vit2d": "/layers.1", "vit3d": "/layers.2"][network]
        let part = parts[0] == "hirescam" ? "n2/norm/LayerNormalization" : "s2/Add"
        let tap = block.map { "\($0)/\(part)" } ?? "last-spatial"
        return try explainer.explain(
            input, .init(methods: [MethodChoice(parts[0], options: options)], taps: [tap], targets: [target]),
            regions: regions
        ).explanations[0]
    }

    func error(_ words: String, under key: String) throws -> Double {
        let expected = reference.float("\(key) \(words)")!
        return relativeError(try explain(words).maps[0].values.reshaped(expected.shape), expected)
    }
}

/// Methods against torchcam, Xplique, and Captum and NumPy with our random numbers fed in. The references are made by
/// `Tests/Reference/explanations_torchcam.py`, `…_xplique.py` and `…_sampling.py`.
@Suite struct PeerReferenceTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let network: String
        let peer: String
        let key: String
        let words: String
        var testDescription: String { "\(words) on \(network) against \(peer)" }
    }

    static let all: [Case] = {
        let folder = Fixtures.reference("explanations")
        let files = try! FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        return files.flatMap { file -> [Case] in
            let parts = file.split(separator: ".").map(String.init)
            guard parts.count == 3, ["torchcam", "xplique", "sampling"].contains(parts[1]) else { return [] }
            return try! SafeTensors(contentsOf: folder.appendingPathComponent(file)).names.compactMap { name in
                let words = name.split(separator: " ", maxSplits: 1).map(String.init)
                guard words.count == 2, ["map", "near", "differs"].contains(words[0]) else { return nil }
                return Case(network: parts[0], peer: parts[1], key: words[0], words: words[1])
            }
        }
    }()

    /// Every family of networks, in 2D and in 3D, with every library that can.
    @Test func nothingIsLeftOut() {
        let sampled = Set(Self.all.filter { $0.peer == "sampling" }.map(\.network))
        #expect(
            sampled == ["vgg2d", "vgg3d", "resnet2d", "resnet3d", "densenet2d", "densenet3d", "vit2d", "vit3d"])
        #expect(Set(Self.all.filter { $0.peer == "torchcam" }.map(\.network)) == sampled.union(["vggflat3d"]))
        #expect(Set(Self.all.filter { $0.peer == "xplique" }.map(\.network)) == ["vgg2d", "resnet2d", "densenet2d"])
        #expect(Self.all.count { $0.key == "map" } > 120)
    }

    @Test(arguments: all.filter { $0.key == "map" }) func matches(_ test: Case) throws {
        let error = try Peer(test.network, test.peer).error(test.words, under: "map")
        #expect(error < 1e-4, "\(error)")
    }

    /// Where the library goes another way, for the reason that its script names: torchcam loses the denominator of Grad-CAM++ and lays
    /// Score-CAM's masks by half pixels whatever the strides; Xplique sums over windows that overlap, and takes a channel's mean for its
    /// sum in Grad-CAM++.
    @Test(arguments: all.filter { $0.key == "differs" }) func differsOnPurpose(_ test: Case) throws {
        let error = try Peer(test.network, test.peer).error(test.words, under: "differs")
        #expect(error > 2e-4, "\(error): the library has changed, and may be a reference now")
    }

    /// Within sampling error, or that of another quadrature.
    @Test(arguments: all.filter { $0.key == "near" }) func agreesWithinItsError(_ test: Case) throws {
        let peer = try Peer(test.network, test.peer)
        let expected = peer.reference.float("near \(test.words)")!
        let found = try peer.explain(test.words)
        let values = found.maps[0].values.reshaped(expected.shape)
        if test.words.hasPrefix("rise") {
            // Both are means over random masks: their difference has the variance of both.
            let own = try #require(found.figures["standard error"])
            let other = Double(peer.reference.float("rise error")!.values[0])
            let error = (own * own + other * other).squareRoot()
            let worst = zip(values.values, expected.values).map { abs(Double($0 - $1)) }.max()!
            #expect(worst < 5 * error, "\(worst) with a standard error of \(error)")
            #expect((expected.values.map { abs($0) }.max() ?? 0) > Float(5 * error), "an error that says something")
        } else {
            let error = relativeError(values, expected)
            #expect(error < (test.words.hasPrefix("kernelshap") ? 0.05 : 0.01), "\(error)")
        }
    }
}
