import Foundation
import Tensors

/// Occlusion: how far the target falls when a window of the scan is covered.
///
/// Zeiler & Fergus, ECCV 2014, section 4.2. A window of `size` voxels of the prepared input, or of `mm` millimetres, slides by
/// `stride`; a voxel's value is the mean fall over the windows that cover it.
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
                "mm", .number(0...1000), standard: .number(0), "window edge in mm, whatever the voxels; 0 uses size"),
            MethodOption(
                "mmStride", .number(0...1000), standard: .number(0), "step of the window in mm; 0 is half of mm"),
            MethodOption(
                "fill", .choice(["minimum", "mean", "zero"]), standard: .word("minimum"), "what covers the window"),
            Budget.option,
        ])

    private let size: Int
    private let stride: Int
    private let edge: Double
    private let step: Double
    private let fill: String
    private let seconds: Double

    public init(_ options: MethodOptions) {
        size = options.integer("size")
        stride = options.integer("stride")
        edge = options.number("mm")
        step = options.number("mmStride")
        fill = options.word("fill")
        seconds = options.number("seconds")
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
        let spacing = question.places.spacing
        func voxels(_ length: Double, _ axis: Int) -> Int { max(1, Int((length / spacing[axis]).rounded())) }
        let sizes = extents.indices.map { edge > 0 ? voxels(edge, $0) : size }
        let strides = extents.indices.map { edge > 0 ? voxels(step > 0 ? step : edge / 2, $0) : stride }
        let starts = extents.indices.map { axis in
            Array(
                Swift.stride(from: 0, to: max(1, extents[axis] - sizes[axis] + strides[axis]), by: strides[axis])
            ).map { min($0, max(0, extents[axis] - sizes[axis])) }
        }
        var fall = [Double](repeating: 0, count: extents.elementCount)
        var covers = [Int](repeating: 0, count: extents.elementCount)
        let windows = Array(Odometer(starts.map(\.count)))
        let budget = Budget(seconds: seconds, planned: windows.count)
        let offsets = Array(Odometer(zip(sizes, extents).map { min($0, $1) }))
        func places(_ window: Int) -> [Int] {
            let corner = windows[window].enumerated().map { starts[$0.offset][$0.element] }
            return offsets.map { offset in
                zip(zip(offset, corner), extents).reduce(0) { $0 * $1.1 + $1.0.0 + $1.0.1 }
            }
        }
        try budget.scores(question, count: windows.count) { window in
            var mask = [Float](repeating: 1, count: extents.elementCount)
            for place in places(window) { mask[place] = 0 }
            return question.masked(by: mask, fill: cover)
        } take: { window, score in
            for place in places(window) {
                fall[place] += question.target.score - score
                covers[place] += 1
            }
        }
        let map = zip(fall, covers).map { $1 > 0 ? Float($0 / Double($1)) : 0 }
        return AttributionMap(
            Tensor(shape: extents, values: map), notes: budget.notes,
            figures: ["evaluations": Double(budget.evaluations)], isPartial: budget.isInterrupted)
    }
}
