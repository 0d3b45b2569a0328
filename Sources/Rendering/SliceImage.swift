import CVoxels
import Volumes

/// The values of one slice as a picture has them: rows from the top, pixels from the left, one pixel per voxel.
struct SliceImage: Sendable {
    let width: Int
    let height: Int
    var values: [Float]
}

extension SliceFrame {
    /// The slice's voxels, copied without interpolation. `volume` lies on the frame's grid.
    func extract(_ volume: Volume, slice: Int) -> SliceImage {
        precondition(volume.grid.shape == grid.shape && (0..<sliceCount).contains(slice))
        let strides = [1, grid.shape.x, grid.shape.x * grid.shape.y]
        let (origin, _, _) = indices(slice: slice)
        let start = Int(origin.x) + strides[1] * Int(origin.y) + strides[2] * Int(origin.z)
        let right = across.isReversed ? -strides[across.stored] : strides[across.stored]
        let below = down.isReversed ? -strides[down.stored] : strides[down.stored]
        let (width, height) = (across.count, down.count)
        let values = [Float](unsafeUninitializedCapacity: width * height) { target, initialized in
            volume.voxels.withUnsafeBufferPointer { source in
                for y in 0..<height {
                    let row = start + y * below
                    for x in 0..<width { target[y * width + x] = source[row + x * right] }
                }
            }
            initialized = width * height
        }
        return SliceImage(width: width, height: height, values: values)
    }
}

/// The pixels that a slice is shown with: square, so many mm each, covering the slice's voxels to their outer edges.
struct DisplayGrid: Sendable, Hashable {
    let width: Int
    let height: Int
    /// Millimetres per pixel.
    let pixel: Double
    /// Native pixels (voxels) per display pixel, across and down.
    let stepX: Double
    let stepY: Double

    /// Square pixels as large as the slice's smaller voxel side; enlarged by a whole factor until the longer side has
    /// `minimum` pixels, shrunk where it would have more than `maximum`.
    init(frame: SliceFrame, minimum: Int, maximum: Int) {
        let finest = min(frame.across.spacing, frame.down.spacing)
        let longest = DisplayGrid.longest(frame)
        var factor = max(1, (Double(minimum) * finest / longest - 1e-9).rounded(.up))
        if longest / finest * factor > Double(maximum) { factor = Double(maximum) * finest / longest }
        self.init(frame: frame, pixel: finest / factor)
    }

    /// The longer side has `size` pixels.
    init(frame: SliceFrame, size: Int) {
        self.init(frame: frame, pixel: DisplayGrid.longest(frame) / Double(size))
    }

    private init(frame: SliceFrame, pixel: Double) {
        self.pixel = pixel
        let (across, down) = (Double(frame.across.count), Double(frame.down.count))
        width = max(1, Int((across * frame.across.spacing / pixel).rounded()))
        height = max(1, Int((down * frame.down.spacing / pixel).rounded()))
        stepX = across / Double(width)
        stepY = down / Double(height)
    }

    private static func longest(_ frame: SliceFrame) -> Double {
        max(Double(frame.across.count) * frame.across.spacing, Double(frame.down.count) * frame.down.spacing)
    }

    /// A display pixel's centre in native pixels: x ↦ (x + ½) · step − ½, so that the outer edges coincide.
    func native(x: Double) -> Double { (x + 0.5) * stepX - 0.5 }
    func native(y: Double) -> Double { (y + 0.5) * stepY - 0.5 }

    /// The inverse of ``native(x:)`` and ``native(y:)``.
    func display(_ point: SIMD2<Float>) -> SIMD2<Float> {
        SIMD2((point.x + 0.5) / Float(stepX) - 0.5, (point.y + 0.5) / Float(stepY) - 0.5)
    }
}

extension SliceImage {
    /// The values at the centres of `display`'s pixels, between the voxel centres as `interpolation` says, the outermost voxels
    /// continued to the edge.
    func sampled(on display: DisplayGrid, _ interpolation: Resampler.Interpolation) -> [Float] {
        if display.width == width && display.height == height { return values }
        let count = display.width * display.height
        return [Float](unsafeUninitializedCapacity: count) { target, initialized in
            let base = target.baseAddress!
            forEachRow(on: display, interpolation) { y, row in
                (base + y * display.width).initialize(from: row, count: display.width)
            }
            initialized = count
        }
    }

    /// The rows of ``sampled(on:_:)`` from the top, one after the other; each stays only as long as the call.
    func forEachRow(
        on display: DisplayGrid, _ interpolation: Resampler.Interpolation, _ body: (Int, UnsafePointer<Float>) -> Void
    ) {
        values.withUnsafeBufferPointer { source in
            let source = source.baseAddress!
            if display.width == width && display.height == height {
                for y in 0..<height { body(y, source + y * width) }
                return
            }
            let columns = SampleTaps(display.width, of: width, interpolation, at: display.native(x:))
            let rows = SampleTaps(display.height, of: height, interpolation, at: display.native(y:))
            let size = display.width
            withUnsafeTemporaryAllocation(of: Float.self, capacity: size * 3) { scratch in
                // Each of the slice's rows is stretched once and kept for the display rows on both sides of it.
                let stretched = [scratch.baseAddress!, scratch.baseAddress! + size]
                let result = scratch.baseAddress! + 2 * size
                var held = [-1, -1]
                func line(_ row: Int) -> UnsafePointer<Float> {
                    let place = row & 1
                    if held[place] != row {
                        held[place] = row
                        tomo_sample_line(
                            source + row * width, columns.low, columns.high, columns.weight, stretched[place],
                            Int64(size))
                    }
                    return UnsafePointer(stretched[place])
                }
                for y in 0..<display.height {
                    let (upper, lower) = (line(Int(rows.low[y])), line(Int(rows.high[y])))
                    tomo_blend_rows(upper, lower, rows.weight[y], result, Int64(size))
                    body(y, result)
                }
            }
        }
    }
}

/// Between which two native pixels each display pixel lies along one axis, and how near to the second.
private struct SampleTaps {
    var low: [Int32] = []
    /// `low` or the one after it.
    var high: [Int32] = []
    var weight: [Float] = []

    init(
        _ count: Int, of native: Int, _ interpolation: Resampler.Interpolation, at position: (Double) -> Double
    ) {
        for index in 0..<count {
            let place = min(max(position(Double(index)), 0), Double(native - 1))
            let first = interpolation == .nearest ? place.rounded() : place.rounded(.down)
            low.append(Int32(first))
            high.append(interpolation == .nearest ? Int32(first) : Int32(min(Int(first) + 1, native - 1)))
            weight.append(interpolation == .nearest ? 0 : Float(place - first))
        }
    }
}
