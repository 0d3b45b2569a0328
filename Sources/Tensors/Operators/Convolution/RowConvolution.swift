import CKernels
import Workers

/// A convolution with vectors along rows, where the other kernels waste lanes or reorder for nothing: few input channels
/// forward, few input channels on the way back (the gradient of a network's input), kernels of 1.
///
/// Backward, a stride s makes sᵈ grids of inputs (one for each remainder of the index by s on each axis), each a
/// convolution of stride 1 with every s-th tap.
struct RowConvolution: Sendable {
    /// One grid of results with the taps that reach it.
    private struct Grid: Sendable {
        var rows: tomo_rows
        /// On each axis the first tap and the step to the next.
        var first: SIMD3<Int>
        var step: SIMD3<Int>
        /// Where its weights begin in the packed ones.
        var offset: Int
    }

    private let convolution: Convolution
    private let direction: Convolution.Direction
    private let processor: Int32
    private let grids: [Grid]
    private let packedCount: Int

    /// nil where other kernels are better.
    init?(
        _ convolution: Convolution, _ direction: Convolution.Direction, processor: Int32 = tomo_best_processor(),
        always: Bool = false
    ) {
        let window = convolution.window
        let forward = direction == .forward
        guard convolution.groups == 1, forward || window.dilation == .one else { return nil }
        let isPointwise =
            window.kernel == .one && window.stride == .one && window.padBegin == .zero
            && window.input == window.output
        guard always || convolution.inputChannels <= 4 || isPointwise else { return nil }
        self.convolution = convolution
        self.direction = direction
        self.processor = processor

        var grids: [Grid] = []
        var count = 0
        func add(_ rows: tomo_rows, first: SIMD3<Int>, step: SIMD3<Int>) {
            var rows = rows
            grids.append(Grid(rows: rows, first: first, step: step, offset: count))
            count += Int(tomo_rows_packed_count(&rows))
        }
        if forward {
            var rows = tomo_rows()
            rows.in_channels = Int64(convolution.inputChannels)
            rows.out_channels = Int64(convolution.outputChannels)
            // Kernels of 1 know no neighbours: the volume is one row.
            let flat = SIMD3(1, 1, window.inputCount)
            rows.input = (isPointwise ? flat : window.input).tuple
            rows.grid = (isPointwise ? flat : window.output).tuple
            rows.output = rows.grid
            rows.taps = window.kernel.tuple
            rows.stride = window.stride.tuple
            rows.dilation = window.dilation.tuple
            rows.pad = window.padBegin.tuple
            rows.out_step = SIMD3<Int>.one.tuple
            add(rows, first: .zero, step: .one)
        } else {
            let isFlat = isPointwise
            let input = isFlat ? SIMD3(1, 1, window.inputCount) : window.input
            let output = isFlat ? SIMD3(1, 1, window.outputCount) : window.output
            let stride = window.stride
            for z in 0..<min(stride[0], input[0]) {
                for y in 0..<min(stride[1], input[1]) {
                    for x in 0..<min(stride[2], input[2]) {
                        let remainder = SIMD3(z, y, x)
                        let tap = SIMD3<Int>(
                            (z + window.padBegin[0]) % stride[0], (y + window.padBegin[1]) % stride[1],
                            (x + window.padBegin[2]) % stride[2])
                        var taps = SIMD3<Int>.zero
                        var grid = SIMD3<Int>.zero
                        var pad = SIMD3<Int>.zero
                        for axis in 0..<3 {
                            taps[axis] = max(0, (window.kernel[axis] - tap[axis] + stride[axis] - 1) / stride[axis])
                            grid[axis] = (input[axis] - remainder[axis] + stride[axis] - 1) / stride[axis]
                            let reached = (remainder[axis] + window.padBegin[axis] - tap[axis]) / stride[axis]
                            pad[axis] = taps[axis] - 1 - reached
                        }
                        // Without a tap on one axis there is none at all.
                        if taps.product == 0 { taps = .zero }
                        var rows = tomo_rows()
                        rows.in_channels = Int64(convolution.outputChannels)
                        rows.out_channels = Int64(convolution.inputChannels)
                        rows.input = output.tuple
                        rows.grid = grid.tuple
                        rows.taps = taps.tuple
                        rows.stride = SIMD3<Int>.one.tuple
                        rows.dilation = SIMD3<Int>.one.tuple
                        rows.pad = pad.tuple
                        rows.output = input.tuple
                        rows.out_step = stride.tuple
                        rows.out_offset = remainder.tuple
                        add(rows, first: tap &+ stride &* (taps &- 1), step: 0 &- stride)
                    }
                }
            }
        }
        self.grids = grids
        packedCount = count
    }

    func run(from: Tensor<Float>, weight: Tensor<Float>, epilogue: Epilogue, shape: [Int], cache: PackedWeights)
        -> Tensor<Float>
    {
        let packed = cache.packed(weight, PackedWeights.Key(layout: .rows, direction: direction)) { pack(weight) }
        let forward = direction == .forward
        let fromCount =
            (forward ? convolution.inputChannels : convolution.outputChannels)
            * (forward ? convolution.window.inputCount : convolution.window.outputCount)
        return Tensor(shape: shape) { to in
            let pieces = pieces
            let toCount = to.count / convolution.batch
            from.withUnsafeBuffer { from in
                packed.withUnsafeBuffer { packed in
                    epilogue.withDescription { epilogue in
                        Workers.shared.forEach(convolution.batch * pieces.count) { index in
                            let piece = pieces[index % pieces.count]
                            let image = index / pieces.count
                            let grid = grids[piece.grid]
                            var rows = grid.rows
                            var epilogue = epilogue
                            epilogue.residual = epilogue.residual.map { $0 + image * toCount }
                            let bytes = 4 * tomo_rows_workspace(&rows, Int64(piece.y.count), Int64(piece.x.count))
                            Scratch.with(bytes: Int(bytes)) { scratch in
                                tomo_rows_run(
                                    &rows, processor, from.baseAddress! + image * fromCount,
                                    packed.baseAddress! + grid.offset, &epilogue, to.baseAddress! + image * toCount,
                                    Int64(piece.z), Int64(piece.y.lowerBound), Int64(piece.y.upperBound),
                                    Int64(piece.x.lowerBound), Int64(piece.x.upperBound),
                                    scratch.assumingMemoryBound(to: Float.self))
                            }
                        }
                    }
                }
            }
        }
    }

    private struct Piece {
        var grid: Int
        var z: Int
        var y: Range<Int>
        var x: Range<Int>
    }

    /// Parts of planes whose copied rows stay within a part of the second cache.
    private var pieces: [Piece] {
        var pieces: [Piece] = []
        for (index, grid) in grids.enumerated() {
            var rows = grid.rows
            let (depth, height, width) = (Int(rows.grid.0), Int(rows.grid.1), Int(rows.grid.2))
            guard depth > 0, height > 0, width > 0 else { continue }
            let limit = Int64(1 << 16)
            var columns = width
            while columns > 256, tomo_rows_workspace(&rows, 1, Int64(columns)) > limit { columns = (columns + 1) / 2 }
            columns = (columns + 63) / 64 * 64
            var high = 1
            while high < height, tomo_rows_workspace(&rows, Int64(2 * high), Int64(min(columns, width))) <= limit {
                high *= 2
            }
            // Enough pieces, and equal ones, that no thread waits long for the last.
            let others = grids.count * convolution.batch * depth * ((width + columns - 1) / columns)
            let count = max((height + high - 1) / high, min(height, 16 / others))
            high = (height + count - 1) / count
            for z in 0..<depth {
                for y in stride(from: 0, to: height, by: high) {
                    for x in stride(from: 0, to: width, by: columns) {
                        pieces.append(
                            Piece(grid: index, z: z, y: y..<min(height, y + high), x: x..<min(width, x + columns)))
                    }
                }
            }
        }
        return pieces
    }

    private func pack(_ weight: Tensor<Float>) -> Tensor<Float> {
        let kernel = convolution.window.kernel
        let taps = Int64(kernel.product)
        let forward = direction == .forward
        let inputs = Int64(convolution.inputChannels)
        let outStride = forward ? inputs * taps : taps
        let inStride = forward ? taps : inputs * taps
        func array(_ values: SIMD3<Int>) -> [Int64] { (0..<3).map { Int64(values[$0]) } }
        return Tensor(shape: [packedCount]) { packed in
            weight.withUnsafeBuffer { weight in
                Workers.shared.forEach(grids.count) { index in
                    var rows = grids[index].rows
                    tomo_rows_pack(
                        &rows, weight.baseAddress, outStride, inStride, array(grids[index].first),
                        array(grids[index].step), array(SIMD3(kernel[1] * kernel[2], kernel[2], 1)),
                        packed.baseAddress! + grids[index].offset)
                }
            }
        }
    }
}
