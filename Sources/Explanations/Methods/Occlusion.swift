import Foundation
import Tensors

/// Occlusion: how far the target falls when a window of the scan is covered.
///
/// Zeiler & Fergus, ECCV 2014, section 4.2. A window of `size` voxels of the prepared input slides by `stride`; a voxel's value
/// is the mean fall over the windows that cover it.
public struct Occlusion: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "occlusion", title: "Occlusion", family: .perturbation,
        summary: "How far the target falls when a window of the scan is covered.",
        source: "Zeiler & Fergus, arXiv 1311.2901", needs: "any network", cost: "1 forward a window",
        trust:
            "Direct and model-free; resolution is the window's, and covered scans are unlike any the network was trained on.",
        sanity: .passes, mapsInput: true,
        options: [
            MethodOption("size", .integer(1...512), standard: .number(16), "window edge in prepared voxels"),
            MethodOption("stride", .integer(1...512), standard: .number(8), "step of the window in prepared voxels"),
            MethodOption(
                "fill", .choice(["minimum", "mean", "zero"]), standard: .word("minimum"), "what covers the window"),
        ])

    private let size: Int
    private let stride: Int
    private let fill: String

    public init(_ options: MethodOptions) {
        size = options.integer("size")
        stride = options.integer("stride")
        fill = options.word("fill")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let input = question.input
        let values = input.values
        let cover: Float =
            switch fill {
            case "zero": 0
            case "mean": Float(values.reduce(0.0) { $0 + Double($1) } / Double(max(1, values.count)))
            default: values.min() ?? 0
            }
        let extents = question.inputLayout.spatial
        let starts = extents.map { extent in
            Array(Swift.stride(from: 0, to: max(1, extent - size + stride), by: stride)).map {
                min($0, max(0, extent - size))
            }
        }
        var fall = [Double](repeating: 0, count: extents.elementCount)
        var covers = [Int](repeating: 0, count: extents.elementCount)
        var evaluations = 0
        for window in Odometer(starts.map(\.count)) {
            let corner = window.enumerated().map { starts[$0.offset][$0.element] }
            var mask = [Float](repeating: 1, count: extents.elementCount)
            let places = Odometer(extents.map { min(size, $0) }).map { offset in
                zip(zip(offset, corner), extents).reduce(0) { $0 * $1.1 + $1.0.0 + $1.0.1 }
            }
            for place in places { mask[place] = 0 }
            let score = try question.score(of: question.masked(by: mask, fill: cover))
            evaluations += 1
            for place in places {
                fall[place] += question.target.score - score
                covers[place] += 1
            }
        }
        let map = zip(fall, covers).map { $1 > 0 ? Float($0 / Double($1)) : 0 }
        return AttributionMap(Tensor(shape: extents, values: map), figures: ["evaluations": Double(evaluations)])
    }
}
