import Failures
import Workers

/// A tensor read at places that a grid names, −1 … 1 across each spatial axis, the innermost axis first.
///
/// Any number of spatial axes. Linear, nearest or cubic; outside lie zeros, the edge, or mirror images.
struct GridSample: Operator {
    static let types = ["GridSample"]
    private let node: NodeDescription
    private let mode: Mode
    private let padding: Padding
    private let alignsCorners: Bool

    private enum Mode { case linear, nearest, cubic }
    private enum Padding: String, CaseIterable { case zeros, border, reflection }

    init(_ node: NodeDescription) throws {
        self.node = node
        let name = try node.string("mode") ?? "linear"
        switch name {
        case "linear", "bilinear": mode = .linear
        case "nearest": mode = .nearest
        case "cubic", "bicubic": mode = .cubic
        default: throw node.failure(expected: "mode linear, nearest or cubic", found: "'\(name)'")
        }
        padding = try node.choice("padding_mode", default: .zeros)
        alignsCorners = try node.flag("align_corners", default: false)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = [try node.input(inputs, 0, "the tensor"), try node.input(inputs, 1, "the grid")]
        let form = try Form(values, node)
        guard let tensors = try node.floats(values, "inputs") else { return [.pending(form.resultShape)] }
        let (x, grid) = (tensors[0], tensors[1])
        return [
            .float(
                Tensor(shape: form.resultShape) { result in
                    x.withUnsafeBuffer { x in
                        grid.withUnsafeBuffer { grid in
                            Workers.shared.forEach(form.batch) { sample in
                                for place in 0..<form.places {
                                    let corners = corners(grid, form, sample, place)
                                    for channel in 0..<form.channels {
                                        let plane = (sample * form.channels + channel)
                                        var sum: Float = 0
                                        for corner in corners {
                                            sum += corner.weight * x[plane * form.inner + corner.offset]
                                        }
                                        result[plane * form.places + place] = sum
                                    }
                                }
                            }
                        }
                    }
                })
        ]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let form = try Form(call.inputs.map { $0! }, node)
        let (x, grid, gradient) = (call.float(0), call.float(1), call.gradient)
        return call.results { index in index == 0 ? pullTensor(grid, gradient, form) : pullGrid(x, grid, gradient, form)
        }
    }

    private func pullTensor(_ grid: Tensor<Float>, _ gradient: Tensor<Float>, _ form: Form) -> Tensor<Float> {
        Tensor(shape: [form.batch, form.channels] + form.extents) { result in
            result.initialize(repeating: 0)
            gradient.withUnsafeBuffer { g in
                grid.withUnsafeBuffer { grid in
                    Workers.shared.forEach(form.batch) { sample in
                        for place in 0..<form.places {
                            let corners = corners(grid, form, sample, place)
                            for channel in 0..<form.channels {
                                let plane = sample * form.channels + channel
                                let flow = g[plane * form.places + place]
                                for corner in corners {
                                    result[plane * form.inner + corner.offset] += corner.weight * flow
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    private func pullGrid(
        _ x: Tensor<Float>, _ grid: Tensor<Float>, _ gradient: Tensor<Float>, _ form: Form
    ) -> Tensor<Float> {
        let rank = form.extents.count
        return Tensor(shape: grid.shape) { result in
            x.withUnsafeBuffer { x in
                gradient.withUnsafeBuffer { g in
                    grid.withUnsafeBuffer { grid in
                        Workers.shared.forEach(form.batch) { sample in
                            for place in 0..<form.places {
                                let start = (sample * form.places + place) * rank
                                for axis in 0..<rank {
                                    let corners = corners(grid, form, sample, place, slopeOf: axis)
                                    var sum = 0.0
                                    for channel in 0..<form.channels {
                                        let plane = sample * form.channels + channel
                                        var slope: Float = 0
                                        for corner in corners {
                                            slope += corner.weight * x[plane * form.inner + corner.offset]
                                        }
                                        sum += Double(slope) * Double(g[plane * form.places + place])
                                    }
                                    result[start + rank - 1 - axis] = Float(sum)
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    // MARK: - Corners

    /// What one place reads: flat offsets in a channel and their weights; or the weights' slopes by the grid along an axis.
    private func corners(
        _ grid: UnsafeBufferPointer<Float>, _ form: Form, _ sample: Int, _ place: Int, slopeOf slopeAxis: Int? = nil
    ) -> [(offset: Int, weight: Float)] {
        let rank = form.extents.count
        var corners: [(offset: Int, weight: Float)] = [(0, 1)]
        for axis in 0..<rank {
            let coordinate = grid[(sample * form.places + place) * rank + rank - 1 - axis]
            let taps = taps(Double(coordinate), form.extents[axis], slopes: slopeAxis == axis)
            corners = corners.flatMap { corner in
                taps.map { (corner.offset * form.extents[axis] + $0.index, corner.weight * Float($0.weight)) }
            }
        }
        return corners
    }

    private func taps(_ coordinate: Double, _ extent: Int, slopes: Bool) -> [(index: Int, weight: Double)] {
        let size = Double(extent)
        let unit = (alignsCorners ? size - 1 : size) / 2
        let raw = alignsCorners ? (coordinate + 1) * unit : (coordinate + 1) * unit - 0.5
        guard raw.isFinite, abs(raw) < 1e9 else { return [] }
        if mode == .cubic {
            // Mirrored and clamped tap by tap.
            let below = raw.rounded(.down)
            return (-1...2).compactMap { step in
                let place = below + Double(step)
                let weight = slopes ? unit * cubicSlope(raw - place) : cubic(raw - place)
                return inside(Int(bounded(place, extent).place), extent).map { ($0, weight) }
            }
        }
        let (x, slope) = bounded(raw, extent)
        if mode == .nearest {
            return slopes ? [] : inside(Int(x.rounded(.toNearestOrEven)), extent).map { [($0, 1)] } ?? []
        }
        let below = x.rounded(.down)
        let fraction = x - below
        return [
            (Int(below), slopes ? -unit * slope : 1 - fraction), (Int(below) + 1, slopes ? unit * slope : fraction),
        ]
        .compactMap { index, weight in inside(index, extent).map { ($0, weight) } }
    }

    private func inside(_ index: Int, _ extent: Int) -> Int? { index >= 0 && index < extent ? index : nil }

    /// A coordinate brought inside where the padding says so, and d(bounded)/d(coordinate).
    private func bounded(_ x: Double, _ extent: Int) -> (place: Double, slope: Double) {
        let last = Double(extent - 1)
        switch padding {
        case .zeros: return (x, 1)
        case .border: return x <= 0 ? (0, 0) : x >= last ? (last, 0) : (x, 1)
        case .reflection:
            let low = alignsCorners ? 0 : -0.5
            let span = alignsCorners ? last : Double(extent)
            if span == 0 { return (0, 0) }
            let distance = abs(x - low)
            let flips = (distance / span).rounded(.down)
            let rest = distance - flips * span
            let isBack = flips.truncatingRemainder(dividingBy: 2) != 0
            let place = isBack ? low + span - rest : low + rest
            let slope = (x < low) != isBack ? -1.0 : 1.0
            return place <= 0 ? (0, 0) : place >= last ? (last, 0) : (place, slope)
        }
    }

    /// The cubic convolution kernel with a = −0.75, and its derivative.
    private func cubic(_ distance: Double) -> Double {
        let (d, a) = (abs(distance), -0.75)
        if d <= 1 { return ((a + 2) * d - (a + 3)) * d * d + 1 }
        return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0
    }

    private func cubicSlope(_ distance: Double) -> Double {
        let (d, a) = (abs(distance), -0.75)
        let slope = d <= 1 ? (3 * (a + 2) * d - 2 * (a + 3)) * d : d < 2 ? (3 * a * d - 10 * a) * d + 8 * a : 0
        return distance < 0 ? -slope : slope
    }

    /// The extents of tensor, grid and result.
    private struct Form {
        let batch: Int
        let channels: Int
        let extents: [Int]
        /// Elements of a channel.
        let inner: Int
        /// Places of the grid.
        let places: Int
        let resultShape: [Int]

        init(_ values: [Value], _ node: NodeDescription) throws {
            let (x, grid) = (values[0].shape, values[1].shape)
            guard x.count >= 3, grid.count == x.count, grid[0] == x[0], grid[grid.count - 1] == x.count - 2,
                x[2...].allSatisfy({ $0 > 0 })
            else {
                throw node.mismatch("[batch, channels, …] and a grid [batch, …, coordinates]", values)
            }
            batch = x[0]
            channels = x[1]
            extents = Array(x[2...])
            inner = extents.elementCount
            places = grid.elementCount(1..<grid.count - 1)
            resultShape = try node.possible([x[0], x[1]] + grid[1..<grid.count - 1])
        }
    }
}
