import Failures
import Foundation

/// A tensor sampled on a finer or coarser lattice: nearest, linear or cubic, one axis after the other.
///
/// Every mode is a linear map along each axis, so any number of axes is served alike and the pullback is the maps'
/// adjoints. Elements outside are those at the edge, or left out where `exclude_outside`.
struct Resize: Operator {
    static let types = ["Resize", "Upsample"]
    private let node: NodeDescription
    private let kernel: ResizeKernel
    private let coordinates: CoordinateTransformation
    private let excludesOutside: Bool
    private let extrapolation: Float
    private let axes: [Int]?
    private let aspect: AspectRatioPolicy
    private let scales: [Float]?

    private enum AspectRatioPolicy: String, CaseIterable {
        case stretch
        case notLarger = "not_larger"
        case notSmaller = "not_smaller"
    }

    init(_ node: NodeDescription) throws {
        self.node = node
        // Before opset 11 there was one convention: place x reads x / scale, and nearest rounds down.
        let isOld = node.type == "Upsample" || node.opset < 11
        coordinates = try isOld ? .asymmetric : node.choice("coordinate_transformation_mode", default: .halfPixel)
        kernel = try ResizeKernel(
            mode: node.choice("mode", default: ResizeKernel.Mode.nearest),
            rounding: isOld ? .floor : node.choice("nearest_mode", default: .roundPreferFloor),
            cubicCoefficient: Double(node.float("cubic_coeff_a", default: -0.75)),
            antialiases: node.flag("antialias", default: false))
        excludesOutside = try node.flag("exclude_outside", default: false)
        extrapolation = try node.float("extrapolation_value", default: 0)
        axes = try node.ints("axes")
        aspect = try node.choice("keep_aspect_ratio_policy", default: .stretch)
        scales = try node.floats("scales")
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let maps = try maps(value.shape, inputs)
        switch value {
        case .pending(var shape):
            for (axis, map) in maps { shape[axis] = map.resultExtent }
            return [.pending(shape)]
        case .float(let x):
            return [.float(maps.reduce(x) { $1.map.apply($0, axis: $1.axis, empty: extrapolation) })]
        case .integer, .boolean:
            return [
                try maps.reduce(value) { value, step in
                    guard let places = step.map.selection else {
                        throw node.mismatch("floats where values are interpolated", [value])
                    }
                    return value.moved(by: AxisTake(value.shape, axis: step.axis, indices: places))
                }
            ]
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        try call.results { index in
            guard index == 0 else { return nil }
            return try maps(call.shape(0), call.inputs).reversed().reduce(call.gradient) {
                $1.map.transposed.apply($0, axis: $1.axis)
            }
        }
    }

    // MARK: - Extents

    /// How one axis is resampled.
    private struct AxisPlan {
        let source: Int
        let result: Int
        /// Result places a source place.
        let scale: Double
        /// The part of the axis that is sampled, 0 its first element and 1 its last (tf_crop_and_resize).
        let region: ClosedPair
    }

    private typealias ClosedPair = (start: Double, end: Double)

    /// The maps of all axes that change, innermost first: rows grow before they are many.
    private func maps(_ shape: [Int], _ inputs: [Value?]) throws -> [(axis: Int, map: AxisMap)] {
        let axes = self.axes ?? Array(shape.indices)
        _ = try node.axes(axes, rank: shape.count)
        let plans = try plans(shape, axes.map { try node.axis($0, rank: shape.count) }, inputs)
        var extents = shape
        for (axis, plan) in plans { extents[axis] = plan.result }
        _ = try node.possible(extents)
        return plans.sorted { $0.axis > $1.axis }.compactMap { axis, plan in
            let isWhole = coordinates != .cropAndResize || (plan.region.start == 0 && plan.region.end == 1)
            if plan.source == plan.result, abs(plan.scale - 1) < 1e-9, isWhole { return nil }
            return (axis, map(plan))
        }
    }

    private func plans(_ shape: [Int], _ axes: [Int], _ inputs: [Value?]) throws -> [(axis: Int, plan: AxisPlan)] {
        let hasRegion = node.type == "Resize" && node.opset >= 11
        let scales = try numbers(inputs, hasRegion ? 2 : 1, "the scales") ?? self.scales?.map(Double.init)
        let sizes = try hasRegion ? node.optional(inputs, 3).map { try node.list($0, "the sizes") } : nil
        var region = [ClosedPair](repeating: (0, 1), count: axes.count)
        if coordinates == .cropAndResize {
            guard let corners = try numbers(inputs, 1, "the region"), corners.count == 2 * axes.count,
                corners.allSatisfy({ abs($0) < 1e6 })
            else { throw node.failure(expected: "a region of two corners of \(axes.count) axes", found: "another") }
            region = axes.indices.map { (corners[$0], corners[axes.count + $0]) }
        }
        let wanted: [(extent: Int, scale: Double)]
        if let sizes, !sizes.isEmpty {
            wanted = try extents(sizes, axes.map { shape[$0] })
        } else if let scales, !scales.isEmpty {
            guard scales.count == axes.count, scales.allSatisfy({ $0 > 0 && $0 < 1e6 }) else {
                throw node.failure(expected: "a positive scale for each of \(axes.count) axes", found: "\(scales)")
            }
            wanted = zip(axes, scales).map { (Int(Double(shape[$0]) * $1), $1) }
        } else {
            throw node.failure(expected: "scales or sizes", found: "none")
        }
        return try zip(axes.indices, axes).map { index, axis in
            guard shape[axis] > 0 || wanted[index].extent == 0 else {
                throw node.failure(expected: "an axis with elements to sample", found: "\(shape)")
            }
            // Each place of a changed axis gets its own weights; no image or volume has an axis longer than this.
            guard wanted[index].extent <= 1 << 24 || wanted[index].extent == shape[axis] else {
                throw node.failure(expected: "at most 2^24 places along an axis", found: "\(wanted[index].extent)")
            }
            let plan = AxisPlan(
                source: shape[axis], result: wanted[index].extent, scale: wanted[index].scale, region: region[index])
            return (axis, plan)
        }
    }

    private func extents(_ sizes: [Int], _ shape: [Int]) throws -> [(extent: Int, scale: Double)] {
        guard sizes.count == shape.count, sizes.allSatisfy({ $0 >= 0 && $0 < 1 << 40 }) else {
            throw node.failure(expected: "a size for each of \(shape.count) axes", found: "\(sizes)")
        }
        let scales = zip(sizes, shape).map { Double($0) / Double(max($1, 1)) }
        guard aspect != .stretch else { return Array(zip(sizes, scales)) }
        guard let common = aspect == .notLarger ? scales.min() : scales.max() else { return [] }
        return shape.map { (Int((common * Double($0) + 0.5).rounded(.down)), common) }
    }

    /// A list of floats; nil where omitted.
    private func numbers(_ inputs: [Value?], _ index: Int, _ role: String) throws -> [Double]? {
        guard let value = node.optional(inputs, index) else { return nil }
        guard let tensor = try node.float(value, role) else {
            throw UndeterminedShape(node.mismatch("\(role) as known numbers", [value]))
        }
        guard tensor.rank <= 1 else { throw node.mismatch("\(role) as a list", [value]) }
        return tensor.values.map(Double.init)
    }

    // MARK: - Weights

    private func map(_ plan: AxisPlan) -> AxisMap {
        AxisMap(sourceExtent: plan.source, resultExtent: plan.result) { place in
            let x = coordinates.source(
                of: Double(place), from: plan.source, to: plan.result, scale: plan.scale, region: plan.region)
            guard x.isFinite, coordinates != .cropAndResize || (x >= 0 && x <= Double(plan.source - 1)) else {
                return []
            }
            var taps = kernel.taps(at: x, scale: plan.scale)
            if excludesOutside {
                for tap in taps.indices where taps[tap].index < 0 || taps[tap].index >= plan.source {
                    taps[tap].weight = 0
                }
                let sum = taps.reduce(0) { $0 + $1.weight }
                if sum != 0 { for tap in taps.indices { taps[tap].weight /= sum } }
            }
            return taps.map { (min(max($0.index, 0), plan.source - 1), $0.weight) }
        }
    }
}

/// Which source coordinate a place of the result reads, by the names that ONNX gives.
private enum CoordinateTransformation: String, CaseIterable {
    case halfPixel = "half_pixel"
    case halfPixelSymmetric = "half_pixel_symmetric"
    case pytorchHalfPixel = "pytorch_half_pixel"
    case alignCorners = "align_corners"
    case asymmetric = "asymmetric"
    case cropAndResize = "tf_crop_and_resize"
    /// Opset 11 only.
    case halfPixelForNearest = "tf_half_pixel_for_nn"

    func source(
        of place: Double, from source: Int, to result: Int, scale: Double, region: (start: Double, end: Double)
    ) -> Double {
        let last = Double(source - 1)
        // The extent that the scale asks for, which need not be whole.
        let exact = abs(Double(source) * scale - Double(result)) < 1e-9 ? Double(result) : Double(source) * scale
        switch self {
        case .halfPixel: return (place + 0.5) / scale - 0.5
        case .halfPixelSymmetric:
            let offset = Double(source) / 2 * (1 - Double(result) / exact)
            return offset + (place + 0.5) / scale - 0.5
        case .pytorchHalfPixel: return exact == 1 ? -0.5 : (place + 0.5) / scale - 0.5
        case .alignCorners: return exact == 1 ? 0 : place * last / (exact - 1)
        case .asymmetric: return place / scale
        case .halfPixelForNearest: return (place + 0.5) / scale
        case .cropAndResize:
            let span = region.end - region.start
            return region.start * last + (exact == 1 ? span * last / 2 : place * span * last / (exact - 1))
        }
    }
}

/// What is read around a source coordinate, and with which weights.
private struct ResizeKernel {
    enum Mode: String, CaseIterable { case nearest, linear, cubic }
    enum Rounding: String, CaseIterable {
        case roundPreferFloor = "round_prefer_floor"
        case roundPreferCeil = "round_prefer_ceil"
        case floor, ceil
    }

    let mode: Mode
    let rounding: Rounding
    /// The free parameter a of the cubic convolution kernel (Keys 1981).
    let cubicCoefficient: Double
    /// Whether the kernel widens as the result gets coarser.
    let antialiases: Bool

    func taps(at x: Double, scale: Double) -> [(index: Int, weight: Double)] {
        if mode == .nearest { return [(nearest(x), 1)] }
        let radius = mode == .linear ? 1.0 : 2.0
        let stretch = antialiases ? min(scale, 1) : 1
        let first = Int((x - radius / stretch).rounded(.down))
        let last = Int((x + radius / stretch).rounded(.up))
        var taps = (first...last).map { (index: $0, weight: weight((Double($0) - x) * stretch)) }
        if antialiases {
            let sum = taps.reduce(0) { $0 + $1.weight }
            for tap in taps.indices { taps[tap].weight /= sum }
        }
        return taps
    }

    private func nearest(_ x: Double) -> Int {
        let below = x.rounded(.down)
        let fraction = x - below
        switch rounding {
        case .roundPreferFloor: return Int(fraction <= 0.5 ? below : below + 1)
        case .roundPreferCeil: return Int(fraction < 0.5 ? below : below + 1)
        case .floor: return Int(below)
        case .ceil: return Int(fraction == 0 ? below : below + 1)
        }
    }

    private func weight(_ distance: Double) -> Double {
        let d = abs(distance)
        let a = cubicCoefficient
        if mode == .linear { return max(0, 1 - d) }
        if d <= 1 { return ((a + 2) * d - (a + 3)) * d * d + 1 }
        if d < 2 { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a }
        return 0
    }
}
