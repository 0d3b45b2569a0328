import Foundation
import Networks
import TestSupport
import Tensors
import Testing

/// Trained networks on real scans, against what PyTorch's autograd gave.
@Suite(.enabled(if: Fixtures.realData != nil, "set TOMOLENS_REAL_DATA to the folder of real scans and networks"))
struct RealNetworkTests {
    static let cases: [(network: String, reference: String)] = [
        ("luna_nodule", "luna_107_nod1_ann0"), ("luna_nodule", "luna_248_nod1_ann0"),
        ("luna_nodule", "luna_25_nod2_ann0"),
        ("luna_nodule", "luna_lscc_crop"), ("luna_nodule", "luna_lung1_crop"), ("luna_nodule_fcn", "luna_fcn_lscc_roi"),
        ("brain_tumour_vgg16", "vgg16_glioma_tumor_0"), ("brain_tumour_vgg16", "vgg16_meningioma_tumor_0"),
        ("brain_tumour_vgg16", "vgg16_no_tumor_0"), ("brain_tumour_vgg16", "vgg16_pituitary_tumor_0"),
        ("meshnet_t1", "meshnet_t1_crop"),
    ]

    @Test(arguments: cases) func logitsAndMapsEqualPyTorch(_ network: String, _ name: String) throws {
        let folder = Fixtures.realData!
        let network = try Network(contentsOf: folder.appendingPathComponent("models/\(network).onnx"))
        let reference = try SafeTensors(contentsOf: folder.appendingPathComponent("reference/\(name).safetensors"))
        let port = network.inputs[0].name
        let inputs = [port: Value.float(reference.float("input.\(port)")!)]
        let taps = reference.metadata["taps"]!.split(separator: "\n").map(String.init)
        let output = network.outputs.map(\.name).first { reference.float("output.\($0)") != nil }!
        let logits = try network.logits(of: output)
        let recording = try network.record(inputs: inputs, targets: [logits.tensor, output], taps: taps)
        let outputError = relativeError(try recording.tensor(output), reference.float("output.\(output)")!)
        #expect(outputError < 1e-4)

        let scores = try recording.tensor(logits.tensor)
        let seed = Self.seed(scores)
        let scalar = zip(scores.values, seed.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        #expect(abs(scalar / Double(reference.float("target")!.values[0]) - 1) < 1e-4)
        let gradients = try recording.pullback(seeds: [logits.tensor: seed], to: taps)
        var worst = (gradcam: 0.0, hirescam: 0.0)
        var swapped = 0
        for tap in taps {
            let activation = try recording.tensor(tap)
            let (gradcam, hirescam) = Self.maps(activation, gradients[tap]!)
            let expected = reference.float("\(tap)|hirescam")!.values
            let ties = network.consumers(of: tap).contains { $0.type == "MaxPool" } ? Self.nearTies(activation) : []
            let largest = expected.map { abs($0) }.max()!
            let apart = expected.indices.filter { abs(hirescam[$0] - expected[$0]) > 1e-4 * largest }
            // Where two voxels of a pool's window are equal to within rounding, either may be the one that gets the
            // gradient, and the last bit of a sum decides.
            #expect(apart.allSatisfy(ties.contains), "\(tap) HiResCAM")
            #expect(apart.count <= 2, "\(tap) HiResCAM")
            let error = relativeError(gradcam, reference.float("\(tap)|gradcam")!.values)
            #expect(error < 1e-4, "\(tap) Grad-CAM")
            let kept = hirescam.indices.map { apart.contains($0) ? expected[$0] : hirescam[$0] }
            worst = (max(worst.gradcam, error), max(worst.hirescam, relativeError(kept, expected)))
            swapped += apart.count
            if let expected = reference.float("\(tap)|gradient") {
                #expect(relativeError(gradients[tap]!, expected) < 1e-4)
            }
            if let expected = reference.float("\(tap)|activation") {
                #expect(relativeError(activation, expected) < 1e-4)
            }
        }
        print(
            "\(name): output \(outputError), Grad-CAM \(worst.gradcam), HiResCAM \(worst.hirescam), voxels decided by a tie in a pool \(swapped)"
        )
    }

    /// Voxels of a map before a 2×2×2 pool that are, in some channel, the largest or second largest of a window in which
    /// these two differ by less than a millionth.
    private static func nearTies(_ activation: Tensor<Float>) -> Set<Int> {
        guard activation.rank == 5 else { return [] }
        let (channels, d, h, w) = (activation.shape[1], activation.shape[2], activation.shape[3], activation.shape[4])
        let values = activation.values
        var ties: Set<Int> = []
        for c in 0..<channels {
            for z in 0..<d / 2 {
                for y in 0..<h / 2 {
                    for x in 0..<w / 2 {
                        let places = (0..<8).map { ((2 * z + $0 / 4) * h + 2 * y + $0 / 2 % 2) * w + 2 * x + $0 % 2 }
                            .sorted { values[c * d * h * w + $0] > values[c * d * h * w + $1] }
                        let (first, second) = (values[c * d * h * w + places[0]], values[c * d * h * w + places[1]])
                        if first > 0, first - second < 1e-6 * first { ties.formUnion(places.prefix(2)) }
                    }
                }
            }
        }
        return ties
    }

    /// As the references' notes say: the nodule's logit of two, the only score of one, else the largest; and for a map of
    /// classes the third class, at every voxel where it wins.
    private static func seed(_ scores: Tensor<Float>) -> Tensor<Float> {
        let values = scores.values
        var seed = [Float](repeating: 0, count: scores.count)
        let classes = scores.shape[1]
        let places = scores.count / classes
        if places == 1 {
            seed[classes <= 2 ? classes - 1 : (0..<classes).max { values[$0] < values[$1] }!] = 1
        } else {
            for place in 0..<places {
                let best = (0..<classes).max { values[$0 * places + place] < values[$1 * places + place] }!
                if best == 2 { seed[2 * places + place] = 1 }
            }
        }
        return Tensor(shape: scores.shape, values: seed)
    }

    private static func maps(_ activation: Tensor<Float>, _ gradient: Tensor<Float>) -> (
        gradcam: [Float], hirescam: [Float]
    ) {
        let channels = activation.shape[1]
        let places = activation.count / channels
        let (a, g) = (activation.values, gradient.values)
        var gradcam = [Double](repeating: 0, count: places)
        var hirescam = gradcam
        for channel in 0..<channels {
            let range = channel * places..<(channel + 1) * places
            let mean = g[range].reduce(0.0) { $0 + Double($1) } / Double(places)
            for (place, index) in range.enumerated() {
                gradcam[place] += mean * Double(a[index])
                hirescam[place] += Double(g[index]) * Double(a[index])
            }
        }
        return (gradcam.map(Float.init), hirescam.map(Float.init))
    }
}
