import Explanations
import Failures
import Foundation
import Networks
import Preparations
import Tensors
import Volumes

/// Whether a network answers to shape or to grain: its answer for the input as it is, blurred, and with the phases of its
/// spectrum scrambled (the same texture and contrast, no shape).
///
/// A network that sees structures keeps its answer when the grain is smoothed away, and loses it when the structures are. One
/// that memorized noise does the opposite. (Geirhos et al., ICLR 2019, ask the same with stylized images.)
public struct TextureProbe: Sendable {
    public struct Case: Sendable {
        /// The class that wins for the input as it is.
        public let classIndex: Int
        /// Probability (or score, for one without classes) of that class: as it is, blurred, scrambled.
        public let original: Double
        public let blurred: Double
        public let scrambled: Double
        public let keepsUnderBlur: Bool
        public let keepsScrambled: Bool
    }

    public let cases: [Case]
    /// Of the blur, in voxels.
    public let sigma: Double

    /// Share of inputs whose answer stays the same.
    public var keptUnderBlur: Double { share(\.keepsUnderBlur) }
    public var keptScrambled: Double { share(\.keepsScrambled) }

    private func share(_ property: (Case) -> Bool) -> Double {
        cases.isEmpty ? 0 : Double(cases.filter(property).count) / Double(cases.count)
    }

    /// - Throws: as the network does; a ``Failure`` for a network that answers for every voxel.
    public init(
        _ explainer: Explainer, _ inputs: [PreparedInput], sigma: Double = 2, seed: Int = 0,
        interrupted: Interruption? = nil
    ) throws {
        var random = RandomSource(seed: UInt64(seed))
        self.sigma = sigma
        cases = try inputs.map { input in
            let shapes = explainer.allInputs(input).mapValues(\.shape)
            let layout = try explainer.layouts(of: [explainer.inputName], inputShapes: shapes)[explainer.inputName]!
            let map = layout.featureMap(input.tensor)
            let places = layout.spatial.elementCount
            func changed(_ body: ([Float]) -> [Float]) -> PreparedInput {
                let values = (0..<layout.channels).flatMap { channel in
                    body(map.withUnsafeBuffer { Array($0[channel * places..<(channel + 1) * places]) })
                }
                let tensor = layout.replacing(input.tensor, by: Tensor(shape: map.shape, values: values))
                return PreparedInput(tensor: tensor, grid: input.grid, layout: input.layout, slice: input.slice)
            }
            // One field of noise for all channels keeps their relation.
            let noise = (0..<places).map { _ in random.normal() }
            let blurred = changed { Self.blurred($0, layout.spatial, sigma: sigma) }
            let scrambled = changed { Fourier.phaseScrambled($0, shape: layout.spatial, noise: noise) }
            let answers = try [input, blurred, scrambled].map { try explainer.answer($0, interrupted: interrupted) }
            guard let logits = answers[0].classLogits else {
                throw Failure(
                    .network, "logits", expected: "one answer for the whole input", found: "one for every voxel")
            }
            let winner = Self.winner(logits)
            let numbers = answers.map { answer -> Double in
                answer.probabilities?[winner] ?? Double(answer.classLogits?[winner] ?? 0)
            }
            func keeps(_ answer: Answer) -> Bool {
                guard let other = answer.classLogits else { return false }
                // A single logit decides by its sign.
                return logits.count == 1 ? (other[0] > 0) == (logits[0] > 0) : Self.winner(other) == winner
            }
            return Case(
                classIndex: winner, original: numbers[0], blurred: numbers[1], scrambled: numbers[2],
                keepsUnderBlur: keeps(answers[1]), keepsScrambled: keeps(answers[2]))
        }
    }

    private static func winner(_ logits: [Float]) -> Int {
        logits.indices.max { logits[$0] < logits[$1] || (logits[$0] == logits[$1] && $0 > $1) } ?? 0
    }

    /// Gaussian smoothing of row-major values along every axis.
    static func blurred(_ values: [Float], _ spatial: [Int], sigma: Double) -> [Float] {
        let filter = GaussianFilter(sigma: sigma)
        let extents = [Int](repeating: 1, count: 3 - spatial.count) + spatial
        let shape = Index3(extents[2], extents[1], extents[0])
        var result = values
        for axis in 0..<3 where shape[axis] > 1 { result = filter(result, shape: shape, axis: axis) }
        return result
    }
}

/// Where a map's positive heat lies that has no business there.
public struct HeatPlaces: Sendable {
    /// Shares of the positive heat: outside of the body, of that on dense things such as the table, and within the outermost
    /// tenth of the scan along any axis.
    public let outside: Double
    public let table: Double
    public let border: Double
    /// The share of the scan's voxels that lie there: what heat spread evenly would have.
    public let outsideVolume: Double
    public let tableVolume: Double
    public let borderVolume: Double

    /// - Parameters:
    ///   - heat: on the grid of the scan.
    ///   - scan: in HU.
    ///   - seen: what the network saw of it; voxels beyond are not counted.
    public init?(heat: Volume, scan: Volume, seen: Mask, body: Mask, dense: Float = -300) {
        precondition(heat.grid.shape == scan.grid.shape && body.grid.shape == scan.grid.shape)
        let shape = scan.grid.shape
        let margin = Index3(
            shape.x > 9 ? (shape.x + 9) / 10 : 0, shape.y > 9 ? (shape.y + 9) / 10 : 0,
            shape.z > 9 ? (shape.z + 9) / 10 : 0)
        var sums = [Double](repeating: 0, count: 4)
        var voxels = [Int](repeating: 0, count: 4)
        var index = 0
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    defer { index += 1 }
                    guard seen.isSet[index] else { continue }
                    let value = max(0, Double(heat.voxels[index]))
                    let isOutside = !body.isSet[index]
                    let isBorder =
                        i < margin.x || j < margin.y || k < margin.z || i >= shape.x - margin.x
                        || j >= shape.y - margin.y || k >= shape.z - margin.z
                    for (place, holds) in [
                        true, isOutside, isOutside && scan.voxels[index] > dense, isBorder,
                    ].enumerated() where holds {
                        sums[place] += value
                        voxels[place] += 1
                    }
                }
            }
        }
        guard sums[0] > 0, voxels[0] > 0 else { return nil }
        (outside, table, border) = (sums[1] / sums[0], sums[2] / sums[0], sums[3] / sums[0])
        outsideVolume = Double(voxels[1]) / Double(voxels[0])
        tableVolume = Double(voxels[2]) / Double(voxels[0])
        borderVolume = Double(voxels[3]) / Double(voxels[0])
    }
}
