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
        struct Tap {
            var first: Int
            var second: Int
            var weight: Float
        }
        func taps(_ count: Int, of native: Int, at position: (Double) -> Double) -> [Tap] {
            (0..<count).map { index in
                let place = min(max(position(Double(index)), 0), Double(native - 1))
                if interpolation == .nearest {
                    let nearest = Int(place.rounded())
                    return Tap(first: nearest, second: nearest, weight: 0)
                }
                let first = Int(place)
                return Tap(first: first, second: min(first + 1, native - 1), weight: Float(place - Double(first)))
            }
        }
        let columns = taps(display.width, of: width, at: display.native(x:))
        let rows = taps(display.height, of: height, at: display.native(y:))
        let count = display.width * display.height
        return [Float](unsafeUninitializedCapacity: count) { target, initialized in
            values.withUnsafeBufferPointer { source in
                columns.withUnsafeBufferPointer { columns in
                    for (y, row) in rows.enumerated() {
                        let (upper, lower) = (row.first * width, row.second * width)
                        for x in 0..<columns.count {
                            let column = columns[x]
                            let (a, b) = (source[upper + column.first], source[upper + column.second])
                            let (c, d) = (source[lower + column.first], source[lower + column.second])
                            let top = a + (b - a) * column.weight
                            let bottom = c + (d - c) * column.weight
                            target[y * columns.count + x] = top + (bottom - top) * row.weight
                        }
                    }
                }
            }
            initialized = count
        }
    }
}
