import Failures
import Foundation
import Volumes
import Workers

/// MONAI's `Resize`: a given number of voxels along i, j, k, whatever their size becomes.
public struct ResizeStep: PreparationStep {
    /// PyTorch's modes of interpolation; MONAI's default is `area`.
    public enum Mode: String, Sendable, CaseIterable {
        /// The mean of the source voxels that a target voxel covers.
        case area
        case trilinear
        /// The source voxel at `floor(index · source / target)`: half a voxel off, as PyTorch keeps it for old networks.
        case nearest
        case nearestExact = "nearest-exact"
    }

    /// What the numbers of `spatialSize` say.
    public enum SizeMode: String, Sendable, CaseIterable {
        case all
        /// One number: the extent of the longest axis; the others keep the proportions.
        case longest
    }

    public let spatialSize: Index3
    public let mode: Mode
    public let sizeMode: SizeMode
    /// Outermost centres onto outermost centres, instead of edges onto edges. For `trilinear` only.
    public let alignCorners: Bool
    /// MONAI's `anti_aliasing`: a Gaussian of (factor − 1) / 2 voxels along axes that shrink.
    public let antialias: Bool

    public let name = "Resize"
    public var summary: String {
        "spatial_size \(sizeMode == .all ? Parameter.text(spatialSize) : "\(spatialSize.x) longest"), \(mode.rawValue)"
            + (alignCorners ? ", align_corners" : "") + (antialias ? ", anti_aliasing" : "")
    }

    /// - Parameter spatialSize: One number for all axes or one for each; zero or less keeps the scan's extent.
    /// - Throws: a `Failure` of kind `pipeline` for another count of numbers, or options that do not go together.
    public init(
        spatialSize: [Int], mode: Mode = .area, sizeMode: SizeMode = .all, alignCorners: Bool = false,
        antialias: Bool = false
    ) throws {
        self.spatialSize = try Parameter.sizes(spatialSize, "spatial_size")
        if sizeMode == .longest, spatialSize.count != 1 || spatialSize[0] < 1 {
            throw Failure(
                .pipeline, "spatial_size", expected: "one positive number for size_mode 'longest'",
                found: "\(spatialSize)")
        }
        if alignCorners, mode != .trilinear {
            throw Failure(
                .pipeline, "align_corners", expected: "mode 'trilinear' beside it", found: "mode '\(mode.rawValue)'")
        }
        self.mode = mode
        self.sizeMode = sizeMode
        self.alignCorners = alignCorners
        self.antialias = antialias
    }

    public func apply(_ image: ChannelVolume) throws -> ChannelVolume {
        let source = image.grid.shape
        let target = targetShape(source)
        try Parameter.check(target, step: name)
        if target == source { return image }
        let map = indexMap(source, target)
        let grid = Grid(shape: target, affine: image.grid.affine.composed(with: map))
        return image.moved(to: grid) { resized(smoothed($0, source, target), source, target, map) }
    }

    private func targetShape(_ shape: Index3) -> Index3 {
        if sizeMode == .all { return Parameter.filled(spatialSize, from: shape) }
        let scale = Double(spatialSize.x) / Double(shape.max())
        func scaled(_ extent: Int) -> Int { max(1, Int((Double(extent) * scale).rounded(.toNearestOrEven))) }
        return Index3(scaled(shape.x), scaled(shape.y), scaled(shape.z))
    }

    /// Target index to source index. An axis that shrinks to one voxel with aligned corners keeps its first one, and its
    /// step, where MONAI's affine becomes singular.
    private func indexMap(_ source: Index3, _ target: Index3) -> Affine {
        var map = Affine.identity
        for axis in 0..<3 {
            let (from, to) = (Double(source[axis]), Double(target[axis]))
            let scale = alignCorners ? (to > 1 && from > 1 ? (from - 1) / (to - 1) : 1) : from / to
            if axis == 0 { map.i *= scale } else if axis == 1 { map.j *= scale } else { map.k *= scale }
            map.origin[axis] = alignCorners ? 0 : (scale - 1) / 2
        }
        return map
    }

    private func smoothed(_ voxels: [Float], _ source: Index3, _ target: Index3) -> [Float] {
        var voxels = voxels
        if antialias {
            for axis in 0..<3 where target[axis] < source[axis] {
                let sigma = (Double(source[axis]) / Double(target[axis]) - 1) / 2
                voxels = GaussianFilter(sigma: sigma)(voxels, shape: source, axis: axis)
            }
        }
        return voxels
    }

    private func resized(_ voxels: [Float], _ source: Index3, _ target: Index3, _ map: Affine) -> [Float] {
        switch mode {
        case .trilinear: Resampler().resample(voxels, shape: source, map: map, onto: target)
        case .area:
            averaged(voxels, source, target) { index, from, to in
                index * from / to..<((index + 1) * from + to - 1) / to
            }
        case .nearest:
            averaged(voxels, source, target) { index, from, to in
                let place = index * from / to
                return place..<place + 1
            }
        case .nearestExact:
            averaged(voxels, source, target) { index, from, to in
                let place = (2 * index + 1) * from / (2 * to)
                return place..<place + 1
            }
        }
    }

    /// Each target voxel is the mean of a box of source voxels; `range` gives a side of the box from target index, source
    /// and target extent.
    private func averaged(
        _ voxels: [Float], _ source: Index3, _ target: Index3, range: (Int, Int, Int) -> Range<Int>
    ) -> [Float] {
        let ranges = (0..<3).map { axis in (0..<target[axis]).map { range($0, source[axis], target[axis]) } }
        return [Float](unsafeUninitializedCapacity: target.x * target.y * target.z) { out, initialized in
            let result = out.baseAddress!
            voxels.withUnsafeBufferPointer { voxels in
                Workers.shared.forEach(target.y * target.z) { row in
                    let (js, ks) = (ranges[1][row % target.y], ranges[2][row / target.y])
                    for i in 0..<target.x {
                        var sum = 0.0
                        for k in ks {
                            for j in js {
                                let line = source.x * (j + source.y * k)
                                for index in ranges[0][i] { sum += Double(voxels[line + index]) }
                            }
                        }
                        result[row * target.x + i] = Float(sum / Double(ks.count * js.count * ranges[0][i].count))
                    }
                }
            }
            initialized = target.x * target.y * target.z
        }
    }
}
