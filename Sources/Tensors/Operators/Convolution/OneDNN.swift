import COneDNN
import Failures
import Synchronization
import Workers

/// Convolutions by oneDNN's direct kernels, one piece a thread.
///
/// The work is cut in slabs of the outermost spatial axis (and in channels or images), always at the same places: each
/// piece is a small convolution of its own whose kernel, layouts and workspace are one cached plan.
struct OneDNNSchedule: Sendable {
    /// A part of the result that one thread computes by one call.
    private struct Piece: Sendable {
        var plan: OneDNNPlan?
        var fromOffset: Int
        var toOffset: Int
        /// Channels of the result.
        var channels: Range<Int>
        /// Extent of the piece in the result: floats in each channel, contiguous.
        var run: Int
    }

    private let convolution: Convolution
    private let direction: Convolution.Direction
    private let pieces: [Piece]
    private let toChannelStride: Int

    /// nil where oneDNN has no kernel for a piece of it.
    private init?(_ convolution: Convolution, _ direction: Convolution.Direction, bias: Bool) {
        self.convolution = convolution
        self.direction = direction
        let window = convolution.window
        let forward = direction == .forward
        let to = forward ? window.output : window.input
        let toChannels = forward ? convolution.outputChannels : convolution.inputChannels
        let fromChannels = forward ? convolution.inputChannels : convolution.outputChannels
        let fromCount = forward ? window.inputCount : window.outputCount
        toChannelStride = to.product
        let axis = (0..<3).first { to[$0] > 1 } ?? 0
        let (slabs, channelRanges) = Self.cut(convolution, direction, axis: axis)

        var pieces: [Piece] = []
        var plans: [OneDNNPlan.Key: OneDNNPlan] = [:]
        let innerTo = (axis + 1..<3).reduce(1) { $0 * to[$1] }
        for image in 0..<convolution.batch {
            for channels in channelRanges {
                for slab in slabs {
                    let part = forward ? window.forwardSlab(slab, axis) : window.backwardSlab(slab, axis)
                    let from = forward ? window.input : window.output
                    let innerFrom = (axis + 1..<3).reduce(1) { $0 * from[$1] }
                    var piece = Piece(
                        plan: nil, fromOffset: image * fromChannels * fromCount,
                        toOffset: (image * toChannels + channels.lowerBound) * to.product + slab.lowerBound * innerTo,
                        channels: channels, run: slab.count * innerTo)
                    if let part {
                        piece.fromOffset += part.first * innerFrom
                        let key = OneDNNPlan.Key(
                            whole: convolution, direction: direction, part: part.window, channels: channels.count,
                            bias: bias && forward)
                        if plans[key] == nil {
                            guard let plan = OneDNNPlan(key) else { return nil }
                            plans[key] = plan
                        }
                        piece.plan = plans[key]
                    }
                    pieces.append(piece)
                }
            }
        }
        self.pieces = pieces
    }

    /// Where the result is cut: slabs of `axis` and ranges of its channels. Depends on the extents alone.
    private static func cut(
        _ convolution: Convolution, _ direction: Convolution.Direction, axis: Int
    ) -> (slabs: [Range<Int>], channels: [Range<Int>]) {
        let window = convolution.window
        let to = direction == .forward ? window.output : window.input
        let rows = to[axis]
        let work = convolution.multiplyAdds / Double(max(1, convolution.batch))
        // Enough pieces to feed several threads evenly, each of at least a few million operations.
        let wanted = max(1, min(rows, 16 / max(1, convolution.batch), Int(work / 2e6)))
        var height = (rows + wanted - 1) / wanted
        // A slab's blocked copies should not outgrow the outer cache by much.
        let rowBytes =
            4 * (window.inputCount * convolution.inputChannels + window.outputCount * convolution.outputChannels)
            / max(1, rows)
        height = max(1, min(height, (24 << 20) / max(1, rowBytes)))
        var slabs: [Range<Int>] = []
        if direction == .forward {
            slabs = stride(from: 0, to: rows, by: height).map { $0..<min(rows, $0 + height) }
        } else {
            // Cuts where an output's first tap may lie, so that no slab needs negative padding.
            let step = window.stride[axis]
            height = (height + step - 1) / step * step
            var begin = 0
            var end = height - window.padBegin[axis] % step
            while begin < rows {
                slabs.append(begin..<min(rows, end))
                begin = end
                end += height
            }
        }
        let channels = direction == .forward ? convolution.outputChannels : convolution.inputChannels
        let count = slabs.count * max(1, convolution.batch)
        var width = channels
        if convolution.groups == 1, count < 8, work > 8e6, channels >= 64 {
            let parts = (8 + count - 1) / count
            width = max(32, ((channels + parts - 1) / parts + 31) / 32 * 32)
        }
        return (slabs, stride(from: 0, to: channels, by: width).map { $0..<min(channels, $0 + width) })
    }

    private struct Key: Hashable {
        var convolution: Convolution
        var direction: Convolution.Direction
        var bias: Bool
    }

    private static let made = Mutex<[Key: OneDNNSchedule?]>([:])

    /// The schedule for these extents, made once; nil where oneDNN can't.
    static func of(_ convolution: Convolution, _ direction: Convolution.Direction, bias: Bool) -> OneDNNSchedule? {
        let key = Key(convolution: convolution, direction: direction, bias: bias)
        if let known = made.withLock({ $0[key] }) { return known }
        let schedule = OneDNNSchedule(convolution, direction, bias: bias)
        made.withLock { table in
            // Tens of layers in a few sizes; a stream of ever new sizes must not fill memory.
            if table.count >= 512 { table.removeAll() }
            table[key] = .some(schedule)
        }
        return schedule
    }

    /// - Throws: a ``Failure`` of kind `.resources` when the library cannot run its own kernel (memory).
    func run(from: Tensor<Float>, weight: Tensor<Float>, epilogue: Epilogue, cache: PackedWeights) throws
        -> Tensor<Float>
    {
        let forward = direction == .forward
        let shape = forward ? convolution.outputShape : convolution.inputShape
        return try Tensor(shape: shape) { to in
            let base = to.baseAddress!
            let count = to.count
            try from.withUnsafeBuffer { from in
                try Workers.shared.forEachThrowing(pieces.count) { index in
                    let piece = pieces[index]
                    let target = base + piece.toOffset
                    let biases = epilogue.bias.map { bias in piece.channels.map { bias[flat: $0] } }
                    guard let plan = piece.plan else {
                        for channel in 0..<piece.channels.count {
                            (target + channel * toChannelStride).update(
                                repeating: biases?[channel] ?? 0, count: piece.run)
                            epilogue.finish(base, piece.toOffset + channel * toChannelStride, piece.run)
                        }
                        return
                    }
                    let packed = try cache.packed(
                        weight,
                        PackedWeights.Key(layout: .oneDNN(channels: piece.channels), direction: direction),
                        fits: plan.accepts
                    ) { try plan.pack(weight, convolution, piece.channels) }
                    let source = UnsafeBufferPointer(rebasing: from[piece.fromOffset...])
                    try plan.run(
                        source, packed, forward ? biases : nil,
                        UnsafeMutableBufferPointer(start: target, count: count - piece.toOffset))
                    if !forward, let biases {
                        for (channel, value) in biases.enumerated() {
                            let run = target + channel * toChannelStride
                            for index in 0..<piece.run { run[index] += value }
                        }
                    }
                    for channel in 0..<piece.channels.count {
                        epilogue.finish(base, piece.toOffset + channel * toChannelStride, piece.run)
                    }
                }
            }
        }
    }
}

extension SpatialWindow {
    /// The convolution that computes output rows `slab` of one axis alone, and the first input row it reads.
    func forwardSlab(_ slab: Range<Int>, _ axis: Int) -> (window: SpatialWindow, first: Int)? {
        let start = slab.lowerBound * stride[axis] - padBegin[axis]
        let end = (slab.upperBound - 1) * stride[axis] - padBegin[axis] + reach[axis]
        let first = min(max(0, start), input[axis] - 1)
        let last = max(first + 1, min(input[axis], end))
        var part = self
        part.input[axis] = last - first
        part.output[axis] = slab.count
        part.padBegin[axis] = first - start
        part.padEnd[axis] = end - last
        return (part.withExactEnds(), first)
    }

    /// The convolution whose backward pass computes input rows `slab` of one axis alone, and the first output row it
    /// reads; nil where no output touches the slab.
    func backwardSlab(_ slab: Range<Int>, _ axis: Int) -> (window: SpatialWindow, first: Int)? {
        let step = stride[axis]
        let lowest = slab.lowerBound + padBegin[axis] - reach[axis] + 1
        let first = slab.lowerBound == 0 ? 0 : max(0, (lowest + step - 1) / step)
        let last = min(output[axis] - 1, (slab.upperBound - 1 + padBegin[axis]) / step)
        guard last >= first else { return nil }
        var part = self
        part.input[axis] = slab.count
        part.output[axis] = last - first + 1
        part.padBegin[axis] = padBegin[axis] + slab.lowerBound - first * step
        return (part.withExactEnds(), first)
    }

    /// Trailing pads such that the last window ends exactly at the padded input's end; negative where rows are left.
    func withExactEnds() -> SpatialWindow {
        var window = self
        window.padEnd = (output &- 1) &* stride &+ reach &- input &- padBegin
        return window
    }
}

/// One primitive of oneDNN with its reorders; immutable and shared.
final class OneDNNPlan: @unchecked Sendable {
    struct Key: Hashable, Sendable {
        var whole: Convolution
        var direction: Convolution.Direction
        var part: SpatialWindow
        /// Channels of the result that the part computes.
        var channels: Int
        var bias: Bool
    }

    private let handle: OpaquePointer
    private let workspace: Int
    private let forward: Bool

    init?(_ key: Key) {
        let (whole, part) = (key.whole, key.part)
        forward = key.direction == .forward
        // Fewer axes than three lead with trivial ones; the library has its best kernels for two and three.
        let rank =
            part.input[0] == 1 && part.output[0] == 1 && part.kernel[0] == 1 && whole.window.input[0] == 1 ? 2 : 3
        var c = tomo_dnn_convolution()
        c.direction = Int32(forward ? TOMO_DNN_FORWARD : TOMO_DNN_BACKWARD_DATA)
        c.spatial_rank = Int32(rank)
        c.has_bias = key.bias ? 1 : 0
        c.batch = 1
        c.groups = Int64(whole.groups)
        c.in_channels = Int64(forward ? whole.inputChannels : key.channels)
        c.out_channels = Int64(forward ? key.channels : whole.outputChannels)
        func last(_ values: SIMD3<Int>) -> (Int64, Int64, Int64) {
            rank == 3 ? values.tuple : (Int64(values[1]), Int64(values[2]), 0)
        }
        c.source = last(part.input)
        c.target = last(part.output)
        c.kernel = last(part.kernel)
        c.stride = last(part.stride)
        c.dilation = last(part.dilation)
        c.pad_begin = last(part.padBegin)
        c.pad_end = last(part.padEnd)
        /// Strides of a slab inside the whole tensor; of a single channel's slab as if it stood alone, since it is dense.
        func strides(_ whole: SIMD3<Int>, _ part: SIMD3<Int>, channels: Int64) -> (Int64, Int64, Int64, Int64, Int64) {
            let channel = Int64(channels == 1 ? part.product : whole.product)
            let plane = Int64(whole[1] * whole[2])
            let row = Int64(whole[2])
            return rank == 3
                ? (channel * channels, channel, plane, row, 1) : (channel * channels, channel, row, 1, 0)
        }
        c.source_strides = strides(whole.window.input, part.input, channels: c.in_channels)
        c.target_strides = strides(whole.window.output, part.output, channels: c.out_channels)
        let taps = Int64(part.kernel.product)
        c.weight_strides = (taps * Int64(whole.inputChannels / whole.groups), taps)
        var made: OpaquePointer?
        guard tomo_dnn_plan_create(&c, &made) == 0, let made else { return nil }
        handle = made
        workspace = tomo_dnn_plan_workspace(made)
    }

    deinit { tomo_dnn_plan_destroy(handle) }

    func accepts(_ weights: OneDNNWeights) -> Bool { tomo_dnn_weights_fit(weights.handle, handle) != 0 }

    /// The weights that belong to `channels` of the result, in this plan's layout.
    func pack(_ weight: Tensor<Float>, _ convolution: Convolution, _ channels: Range<Int>) throws -> OneDNNWeights {
        let taps = convolution.window.kernel.product
        // Channels of the result are the first axis of the weights forward and the second backward.
        let step = forward ? convolution.inputChannels / convolution.groups * taps : taps
        return try weight.withUnsafeBuffer { weights in
            try OneDNNWeights(handle, UnsafeBufferPointer(rebasing: weights[(channels.lowerBound * step)...]))
        }
    }

    func run(
        _ from: UnsafeBufferPointer<Float>, _ weights: OneDNNWeights, _ bias: [Float]?,
        _ to: UnsafeMutableBufferPointer<Float>
    ) throws {
        let status = Scratch.with(bytes: workspace) { scratch in
            tomo_dnn_plan_run(
                handle, from.baseAddress, from.count, weights.handle, bias, bias?.count ?? 0, to.baseAddress, to.count,
                scratch, workspace)
        }
        if status != 0 { throw Failure.oneDNN(status) }
    }
}

/// Weights in a layout of oneDNN's choice; immutable and shared.
final class OneDNNWeights: @unchecked Sendable {
    let handle: OpaquePointer

    init(_ plan: OpaquePointer, _ weights: UnsafeBufferPointer<Float>) throws {
        var made: OpaquePointer?
        let status = tomo_dnn_weights_create(plan, weights.baseAddress, weights.count, &made)
        guard status == 0, let made else { throw Failure.oneDNN(status) }
        handle = made
    }

    deinit { tomo_dnn_weights_destroy(handle) }
}

extension Failure {
    static func oneDNN(_ status: Int32) -> Failure {
        precondition(status != TOMO_DNN_BAD_LENGTH, "a buffer too short for its plan")
        return Failure(
            .resources, "oneDNN", expected: "the kernel to run", found: "status \(status)",
            remedy: "Free memory, or run fewer scans at once")
    }
}
