import CKernels
import Failures
import Foundation
import Workers

/// A convolution of stride 1 and kernels of 3 (or 1) computed with fewer multiplications than its definition has.
///
/// Tiles of 4 outputs an axis take 6 multiplications where the definition takes 12: a third as many products in two axes,
/// an eighth in three after their quotient of transforms. See `MinimalFiltering.h` for the scheme and its sources.
struct MinimalFiltering: Sendable {
    private(set) var description: tomo_filtering
    let processor: Int32
    /// Strides of the weights' output and input channels, and whether taps are counted from the last.
    private let weightStrides: (output: Int, input: Int)
    private let flipped: Bool
    private let direction: Convolution.Direction

    /// Tiles that one thread carries from input to output while they stay in its cache.
    private static let blockTiles = 24
    /// Up to so many tiles are few, and so many of them are transformed together: transformed, they stay in a processor's third cache.
    private static let fewTiles = 95
    private static let togetherTiles = 54

    /// The best tiles for a convolution; nil where the definition's kernels are faster or this scheme does not apply.
    ///
    /// - Parameter always: whether the scheme is taken even where the definition is faster.
    ///
    /// The choice weighs multiplications, transforms and the reading of transformed weights, in units of one
    /// multiply-add; the constants are from measurements and need not be precise, since near the line both are alike.
    init?(
        _ convolution: Convolution, _ direction: Convolution.Direction, processor: Int32 = tomo_best_processor(),
        always: Bool = false
    ) {
        let window = convolution.window
        guard convolution.groups == 1, window.stride == .one, window.dilation == .one || window.kernel == .one,
            (0..<3).allSatisfy({ window.kernel[$0] == 1 || window.kernel[$0] == 3 }), window.kernel != .one
        else { return nil }
        let forward = direction == .forward
        let (input, output) = forward ? (window.input, window.output) : (window.output, window.input)
        let inputs = forward ? convolution.inputChannels : convolution.outputChannels
        let outputs = forward ? convolution.outputChannels : convolution.inputChannels
        let pad = forward ? window.padBegin : window.kernel &- 1 &- window.padBegin

        let lanes = Int(tomo_filtering_lanes(processor))
        func padded(_ channels: Int) -> Double { Double((channels + lanes - 1) / lanes * lanes) }
        func cost(_ tile: SIMD3<Int>) -> Double {
            var points = 1.0
            var tiles = Double(convolution.batch)
            for axis in 0..<3 {
                if tile[axis] > 1 { points *= Double(tile[axis] + 2) }
                let along = (output[axis] + tile[axis] - 1) / tile[axis]
                tiles *= Double(along)
            }
            let weights = points * Double(inputs) * Double(outputs)
            let passes = tiles > 4 * Double(Self.blockTiles) ? tiles / Double(Self.blockTiles) / 8 : 1
            return weights * (tiles + 8 * passes) + points * tiles * 15 * (padded(inputs) + padded(outputs))
        }
        var best: (tile: SIMD3<Int>, cost: Double)?
        for z in window.kernel[0] == 3 ? [4, 2] : [1] {
            for y in window.kernel[1] == 3 ? [4, 2] : [1] {
                for x in window.kernel[2] == 3 ? [4, 2] : [1] {
                    let tile = SIMD3(z, y, x)
                    let cost = cost(tile)
                    if best == nil || cost < best!.cost { best = (tile, cost) }
                }
            }
        }
        guard let best else { return nil }
        let byDefinition =
            1.15 * convolution.multiplyAdds
            + 4 * Double(convolution.batch)
            * (Double(inputs) * Double(input.product) + Double(outputs) * Double(output.product))
        guard always || best.cost < 0.9 * byDefinition else { return nil }

        var f = tomo_filtering()
        f.batch = Int64(convolution.batch)
        f.in_channels = Int64(inputs)
        f.out_channels = Int64(outputs)
        f.input = input.tuple
        f.output = output.tuple
        f.kernel = window.kernel.tuple
        f.pad = pad.tuple
        f.tile = best.tile.tuple
        f.pool = SIMD3<Int>.one.tuple
        description = f
        self.processor = processor
        self.direction = direction
        let taps = window.kernel.product
        weightStrides = forward ? (inputs * taps, taps) : (taps, outputs * taps)
        flipped = !forward
    }

    /// The same, writing only what a maximum pool takes of it; nil where the pool is none of two by two (by two) outputs, side by side.
    func pooled(by window: SpatialWindow) -> MinimalFiltering? {
        let tile = SIMD3(Int(description.tile.0), Int(description.tile.1), Int(description.tile.2))
        let output = SIMD3(Int(description.output.0), Int(description.output.1), Int(description.output.2))
        guard window.input == output, window.kernel == window.stride, window.dilation == .one,
            window.padBegin == .zero, window.output == output / window.kernel,
            (0..<3).allSatisfy({ window.kernel[$0] == 1 || (window.kernel[$0] == 2 && tile[$0] > 1) })
        else { return nil }
        var pooled = self
        pooled.description.pool = window.kernel.tuple
        return pooled
    }

    func run(from: Tensor<Float>, weight: Tensor<Float>, epilogue: Epilogue, shape: [Int], cache: PackedWeights)
        -> Tensor<Float>
    {
        var f = description
        let tiles = Int(tomo_filtering_tiles(&f))
        // For few tiles, transforming weights takes less time than reading transformed ones, of which there are up to eight times as many.
        let isFew = tiles <= Self.fewTiles
        let tile = SIMD3(Int(f.tile.0), Int(f.tile.1), Int(f.tile.2))
        let layout: PackedWeights.Key.Layout =
            isFew ? .ordered(processor: processor) : .filtered(tile: tile, processor: processor)
        let weights = cache.packed(weight, PackedWeights.Key(layout: layout, direction: direction)) {
            isFew
                ? arranged(weight, count: tomo_filtering_ordered_count(&f, processor), by: tomo_filtering_order)
                : arranged(weight, count: tomo_filtering_packed_count(&f, processor), by: tomo_filtering_pack)
        }
        return Tensor(shape: shape) { to in
            from.withUnsafeBuffer { from in
                weights.withUnsafeBuffer { weights in
                    epilogue.withDescription { epilogue in
                        let compute = isFew ? computeFew : computeMany
                        compute(tiles, from.baseAddress!, weights.baseAddress!, epilogue, to.baseAddress!)
                    }
                }
            }
        }
    }

    private typealias Arrange =
        @convention(c) (
            UnsafePointer<tomo_filtering>?, Int32, UnsafePointer<Float>?, Int64, Int64, Int32,
            UnsafeMutablePointer<Float>?, Int64, Int64
        ) -> Void

    /// Weights in a layout of the kernels, panel by panel.
    private func arranged(_ weight: Tensor<Float>, count: Int64, by arrange: Arrange) -> Tensor<Float> {
        var f = description
        let panels = Int(tomo_filtering_panels(&f, processor))
        return Tensor(shape: [Int(count)]) { to in
            weight.withUnsafeBuffer { weight in
                Workers.shared.forEach(panels) { panel in
                    var f = description
                    arrange(
                        &f, processor, weight.baseAddress, Int64(weightStrides.output), Int64(weightStrides.input),
                        flipped ? 1 : 0, to.baseAddress, Int64(panel), Int64(panel + 1))
                }
            }
        }
    }

    /// Tile by tile from input to output, with transformed weights.
    private func computeMany(
        _ tiles: Int, _ from: UnsafePointer<Float>, _ packed: UnsafePointer<Float>, _ epilogue: tomo_epilogue,
        _ to: UnsafeMutablePointer<Float>
    ) {
        var f = description
        let block = tiles < 16 * Self.blockTiles ? 12 : Self.blockTiles
        let workspace = 4 * Int(tomo_filtering_workspace(&f, processor, Int64(block)))
        Workers.shared.forEachRange(tiles, grain: block) { range in
            var f = description
            var epilogue = epilogue
            Scratch.with(bytes: workspace) { scratch in
                tomo_filtering_run(
                    &f, processor, from, packed, &epilogue, to, Int64(range.lowerBound), Int64(range.upperBound),
                    scratch.assumingMemoryBound(to: Float.self))
            }
        }
    }

    /// All tiles of a part at once in two steps: threads share out the input's channels, then the output's.
    private func computeFew(
        _ tiles: Int, _ from: UnsafePointer<Float>, _ ordered: UnsafePointer<Float>, _ epilogue: tomo_epilogue,
        _ to: UnsafeMutablePointer<Float>
    ) {
        var f = description
        let lanes = Int(tomo_filtering_lanes(processor))
        let blocks = (Int(f.in_channels) + lanes - 1) / lanes
        let panels = Int(tomo_filtering_panels(&f, processor))
        let parts = (tiles + Self.togetherTiles - 1) / Self.togetherTiles
        let most = Int64((tiles + parts - 1) / parts)
        let transformedBytes = 4 * Int(tomo_filtering_transformed_count(&f, processor, most))
        let stepBytes = 4 * Int(tomo_filtering_step_workspace(&f, processor))
        let freshBytes = 4 * Int(tomo_filtering_fresh_workspace(&f, processor, most))
        Scratch.with(bytes: transformedBytes) { scratch in
            let transformed = scratch.assumingMemoryBound(to: Float.self)
            for part in 0..<parts {
                let (begin, end) = (part * tiles / parts, (part + 1) * tiles / parts)
                // Tiles are split too where there are few blocks of channels.
                let pieces = blocks >= 8 ? 1 : min(end - begin, (8 + blocks - 1) / blocks)
                Workers.shared.forEach(blocks * pieces) { index in
                    var f = description
                    let (block, piece) = (index / pieces, index % pieces)
                    Scratch.with(bytes: stepBytes) { scratch in
                        tomo_filtering_transform_input(
                            &f, processor, from, transformed, Int64(begin), Int64(end),
                            Int64(begin + piece * (end - begin) / pieces),
                            Int64(begin + (piece + 1) * (end - begin) / pieces), Int64(block), Int64(block + 1),
                            scratch.assumingMemoryBound(to: Float.self))
                    }
                }
                Workers.shared.forEach(panels) { panel in
                    var f = description
                    var epilogue = epilogue
                    Scratch.with(bytes: freshBytes) { scratch in
                        tomo_filtering_multiply(
                            &f, processor, transformed, ordered, &epilogue, to, Int64(begin), Int64(end),
                            Int64(panel), scratch.assumingMemoryBound(to: Float.self))
                    }
                }
            }
        }
    }
}

/// What is applied to a convolution's sums in the same pass: a bias, an addend, a (leaky) rectifier.
struct Epilogue {
    var bias: Tensor<Float>?
    var residual: Tensor<Float>?
    /// Factor for values below 0; 1 is no rectifier.
    var slope: Float = 1

    static let none = Epilogue()

    func withDescription<Result>(_ body: (tomo_epilogue) throws -> Result) rethrows -> Result {
        func with<R>(_ tensor: Tensor<Float>?, _ body: (UnsafePointer<Float>?) throws -> R) rethrows -> R {
            guard let tensor else { return try body(nil) }
            return try tensor.withUnsafeBuffer { try body($0.baseAddress) }
        }
        return try with(bias) { bias in
            try with(residual) { residual in
                try body(tomo_epilogue(bias: bias, residual: residual, slope: slope))
            }
        }
    }

    /// Adds the residual to `to` and rectifies: for kernels that know a bias only.
    func finish(_ to: UnsafeMutablePointer<Float>, _ offset: Int, _ count: Int) {
        if let residual {
            residual.withUnsafeBuffer { residual in
                let addend = residual.baseAddress! + offset
                for index in 0..<count { to[offset + index] += addend[index] }
            }
        }
        if slope == 0 {
            for index in offset..<offset + count where to[index] < 0 { to[index] = 0 }
        } else if slope != 1 {
            for index in offset..<offset + count where to[index] < 0 { to[index] *= slope }
        }
    }
}
