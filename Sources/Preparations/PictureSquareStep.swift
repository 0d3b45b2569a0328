import Failures
import Volumes
import Workers

/// How torchvision brings a picture to an ImageNet network: `Resize` of the shorter side, then `CenterCrop`, to the last bit.
///
/// `Resize` of a picture of 8 bits weighs all pixels under a triangle as wide as the reduction, first along rows, then along columns,
/// and rounds to whole values after each (Pillow's `BILINEAR`). A network that was trained on such pictures sees others otherwise:
/// plain linear interpolation leaves out pixels, and answers move by some percent.
public struct PictureSquareStep: PreparationStep {
    public let size: Int
    public let shorterSide: Int

    public let name = "PictureSquare"
    public var summary: String { "shorter side to \(shorterSide) pixels, square of \(size) from the centre" }

    /// - Precondition: 1 ≤ size ≤ shorterSide.
    public init(size: Int, shorterSide: Int) {
        precondition(size >= 1 && shorterSide >= size)
        self.size = size
        self.shorterSide = shorterSide
    }

    public func apply(_ image: ChannelVolume) throws -> ChannelVolume {
        let source = image.grid.shape
        let shorter = min(source.x, source.y)
        func scaled(_ extent: Int) -> Int { extent == shorter ? shorterSide : shorterSide * extent / shorter }
        let resized = Index3(scaled(source.x), scaled(source.y), source.z)
        try Parameter.check(resized, step: name)
        // Halves go to the even neighbour, as in Python.
        func start(_ extent: Int) -> Int { Int((Double(extent - size) / 2).rounded(.toNearestOrEven)) }
        let (left, top) = (start(resized.x), start(resized.y))
        let columns = Triangle(from: source.x, to: resized.x, taken: left..<left + size)
        let rows = Triangle(from: source.y, to: resized.y, taken: top..<top + size)
        var map = Affine.identity
        map.i *= columns.scale
        map.j *= rows.scale
        map.origin[0] = (Double(left) + 0.5) * columns.scale - 0.5
        map.origin[1] = (Double(top) + 0.5) * rows.scale - 0.5
        let grid = Grid(shape: Index3(size, size, source.z), affine: image.grid.affine.composed(with: map))
        return image.moved(to: grid) { voxels in
            var squares: [Float] = []
            for slice in 0..<source.z {
                let plane = voxels[slice * source.x * source.y..<(slice + 1) * source.x * source.y]
                let wide = (0..<source.y).flatMap { row in
                    columns.apply(plane, start: plane.startIndex + row * source.x, stride: 1)
                }
                let tall = (0..<size).map { column in rows.apply(wide[...], start: column, stride: size) }
                for row in 0..<size {
                    for column in 0..<size { squares.append(tall[column][row]) }
                }
            }
            return squares
        }
    }

    /// The weights of a reduction along one axis, in the fixed point that Pillow computes with.
    private struct Triangle {
        static let bits = 22
        let scale: Double
        let windows: [(first: Int, weights: [Int])]

        init(from source: Int, to target: Int, taken: Range<Int>) {
            let scale = Double(source) / Double(target)
            let width = max(scale, 1)
            self.scale = scale
            windows = taken.map { index in
                let centre = (Double(index) + 0.5) * scale
                let first = max(0, Int(centre - width + 0.5))
                let end = min(source, Int(centre + width + 0.5))
                let heights = (first..<end).map { max(0, 1 - abs((Double($0) - centre + 0.5) / width)) }
                let sum = heights.reduce(0, +)
                return (first, heights.map { Int(0.5 + $0 / sum * Double(1 << Self.bits)) })
            }
        }

        /// A line of values, each rounded to 0…255 before and after.
        func apply(_ values: ArraySlice<Float>, start: Int, stride: Int) -> [Float] {
            windows.map { window in
                var sum = 1 << (Self.bits - 1)
                for (offset, weight) in window.weights.enumerated() {
                    let value = values[start + (window.first + offset) * stride]
                    sum += weight * Int(min(max(value, 0), 255).rounded())
                }
                return Float(min(max(sum >> Self.bits, 0), 255))
            }
        }
    }
}
