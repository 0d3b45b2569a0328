import CVoxels
import Workers

/// Brings a volume onto another grid by world coordinates: each target voxel takes the value at its own place.
public struct Resampler: Sendable, Hashable {
    public enum Interpolation: String, Sendable, Hashable, CaseIterable {
        /// Trilinear.
        case linear
        /// The voxel whose centre is nearest in index space; ties go to the even index.
        case nearest
    }

    /// What stands where the source has no voxel.
    public enum Outside: Sendable, Hashable {
        /// The nearest voxel of the source, however far.
        case border
        /// A constant, from half a voxel beyond the outermost centres on: a voxel's own cell still has its value.
        case constant(Float)
        /// A constant, reached linearly within one voxel beyond the outermost centres (PyTorch's `zeros` padding for 0).
        case fading(Float)
    }

    public var interpolation: Interpolation
    public var outside: Outside
    /// Smooth the source before taking samples that lie further apart than its voxels, so that detail between the samples
    /// is averaged and not picked by chance. A Gaussian along each source axis with standard deviation (step − 1) / 2
    /// voxels, where step is the distance of two samples in source voxels: the choice of scikit-image and MONAI. Ignored
    /// for nearest-neighbour interpolation.
    public var antialias: Bool

    public init(_ interpolation: Interpolation = .linear, outside: Outside = .border, antialias: Bool = false) {
        self.interpolation = interpolation
        self.outside = outside
        self.antialias = antialias
    }

    /// The volume on `grid`.
    ///
    /// - Precondition: the affine of the source can be inverted, as that of any volume read from a file can.
    public func resample(_ volume: Volume, onto grid: Grid) -> Volume {
        guard let worldToSource = volume.grid.affine.inverse else { preconditionFailure("a singular source affine") }
        let map = worldToSource.composed(with: grid.affine)
        return Volume(grid: grid, voxels: resample(volume.voxels, shape: volume.grid.shape, map: map, onto: grid.shape))
    }

    /// Resamples in index space: target index `t` takes the value at source index `map(t)`.
    public func resample(_ voxels: [Float], shape: Index3, map: Affine, onto target: Index3) -> [Float] {
        var source = Source(voxels: voxels, shape: shape)
        var map = map
        if antialias, interpolation == .linear { source.smooth(along: map) }
        var outside = outside
        if case .fading(let value) = outside {
            source.pad(value)
            map.origin += [1, 1, 1]
            outside = .border
        }
        // Along turned axes the whole source is rearranged first: too much work for a single slice of a large volume.
        let isFew = target.x * target.y * target.z < voxels.count / 4
        if let aligned = AlignedMap(map, target: target), aligned.axes == [0, 1, 2] || !isFew {
            return aligned.resample(source, onto: target, interpolation: interpolation, outside: outside)
        }
        return resampleObliquely(source, map: map, onto: target, outside: outside)
    }

    // MARK: - Any affine

    private func resampleObliquely(_ source: Source, map: Affine, onto target: Index3, outside: Outside) -> [Float] {
        let count = target.x * target.y * target.z
        let shape = source.shape
        var (isBounded, constant): (Int32, Float) = (0, 0)
        if case .constant(let value) = outside { (isBounded, constant) = (1, value) }
        let isNearest = interpolation == .nearest
        return [Float](unsafeUninitializedCapacity: count) { out, initialized in
            HugePages.advise(out)
            source.voxels.withUnsafeBufferPointer { voxels in
                let base = voxels.baseAddress!
                Workers.shared.forEachRange(target.y * target.z, grain: 16) { rows in
                    for row in rows {
                        let start = map([0, Double(row % target.y), Double(row / target.y)])
                        var line = tomo_line(
                            voxels: base, shape: (Int64(shape.x), Int64(shape.y), Int64(shape.z)),
                            start: (start.x, start.y, start.z), step: (map.i.x, map.i.y, map.i.z),
                            is_bounded: isBounded, outside: constant)
                        let target0 = out.baseAddress! + row * target.x
                        if isNearest {
                            tomo_sample_nearest(&line, target0, Int64(target.x))
                        } else {
                            tomo_sample_trilinear(&line, target0, Int64(target.x))
                        }
                    }
                }
            }
            initialized = count
        }
    }

    /// Voxels on their way through the steps before sampling.
    fileprivate struct Source {
        var voxels: [Float]
        var shape: Index3

        /// The Gaussian against aliasing, for samples that `map` takes.
        mutating func smooth(along map: Affine) {
            for axis in 0..<3 {
                let step = max(abs(map.i[axis]), abs(map.j[axis]), abs(map.k[axis]))
                let sigma = (step - 1) / 2
                if sigma > 1e-6, shape[axis] > 1 {
                    voxels = GaussianFilter(sigma: sigma)(voxels, shape: shape, axis: axis)
                }
            }
        }

        /// One more voxel of `value` on every side.
        mutating func pad(_ value: Float) {
            let wide = shape &+ Index3(2, 2, 2)
            var padded = [Float](repeating: value, count: wide.x * wide.y * wide.z)
            for k in 0..<shape.z {
                for j in 0..<shape.y {
                    let from = shape.x * (j + shape.y * k)
                    let to = 1 + wide.x * (j + 1 + wide.y * (k + 1))
                    padded.replaceSubrange(to..<to + shape.x, with: voxels[from..<from + shape.x])
                }
            }
            (voxels, shape) = (padded, wide)
        }
    }
}

/// An index rounded to 2⁻³⁰ of a voxel: what differs only by the rounding in products of affines becomes equal, so that a
/// voxel's own centre gives exactly its value and half-way stays half-way.
@inline(__always)
private func settled(_ index: Vector3) -> Vector3 { (index * 1_073_741_824).rounded(.toNearestOrEven) / 1_073_741_824 }

// MARK: - Grids whose axes run along each other

/// A map whose every target axis runs along one source axis: interpolation separates into three one-dimensional ones.
private struct AlignedMap {
    /// The source axis of each target axis.
    let axes: [Int]
    /// Source voxels per target voxel, along each target axis; negative where they run against each other.
    let scale: [Double]
    /// Source index of target index 0, along each target axis.
    let offset: [Double]

    /// Nil unless no target voxel lies more than a millionth of a voxel off the separable map.
    init?(_ map: Affine, target: Index3) {
        let columns = [map.i, map.j, map.k]
        let axes = columns.map { column in (0..<3).max { abs(column[$0]) < abs(column[$1]) }! }
        guard Set(axes).count == 3 else { return nil }
        var drift = Vector3.zero
        for axis in 0..<3 {
            for other in 0..<3 where other != axes[axis] {
                drift[other] += abs(columns[axis][other]) * Double(target[axis] - 1)
            }
        }
        guard drift.max() < 1e-6 else { return nil }
        self.axes = axes
        scale = (0..<3).map { columns[$0][axes[$0]] }
        offset = axes.map { map.origin[$0] }
    }

    /// Where the target indices sample the source along one axis.
    private struct Taps {
        var low: [Int32] = []
        var high: [Int32] = []
        var weight: [Float] = []
        /// The target indices no more than half a voxel beyond the outermost centres: an interval, for places only rise
        /// or only fall.
        var inside = 0..<0
    }

    private func taps(_ axis: Int, target: Int, extent: Int, nearest: Bool) -> Taps {
        let last = Double(extent - 1)
        var taps = Taps()
        var inside: (first: Int, end: Int)?
        for index in 0..<target {
            let place = settled(Vector3(offset[axis] + scale[axis] * Double(index), 0, 0)).x
            if place >= -0.5 && place <= last + 0.5 { inside = (inside?.first ?? index, index + 1) }
            let clamped = min(max(place, 0), last)
            let low = clamped.rounded(nearest ? .toNearestOrEven : .down)
            taps.low.append(Int32(low))
            taps.high.append(nearest ? Int32(low) : Int32(min(low + 1, last)))
            taps.weight.append(nearest ? 0 : Float(clamped - low))
        }
        if let inside { taps.inside = inside.first..<inside.end }
        return taps
    }

    func resample(
        _ source: Resampler.Source, onto target: Index3, interpolation: Resampler.Interpolation,
        outside: Resampler.Outside
    ) -> [Float] {
        let turn = Rearrangement(axes: axes)
        let voxels = turn(source.voxels, shape: source.shape)
        let shape = Index3(source.shape[axes[0]], source.shape[axes[1]], source.shape[axes[2]])
        let nearest = interpolation == .nearest
        let x = taps(0, target: target.x, extent: shape.x, nearest: nearest)
        let y = taps(1, target: target.y, extent: shape.y, nearest: nearest)
        let z = taps(2, target: target.z, extent: shape.z, nearest: nearest)
        let constant: Float? = if case .constant(let value) = outside { value } else { nil }
        let count = target.x * target.y * target.z
        let plane = shape.x * shape.y
        return [Float](unsafeUninitializedCapacity: count) { out, initialized in
            HugePages.advise(out)
            voxels.withUnsafeBufferPointer { voxels in
                let base = voxels.baseAddress!
                Workers.shared.forEach(target.z) { k in
                    let slice = out.baseAddress! + target.x * target.y * k
                    if let constant, !z.inside.contains(k) {
                        slice.initialize(repeating: constant, count: target.x * target.y)
                        return
                    }
                    withUnsafeTemporaryAllocation(of: Float.self, capacity: plane + shape.x) { scratch in
                        // Along z for the whole slice, then along y for each row, then along x.
                        let between = scratch.baseAddress!
                        let line = between + plane
                        blend(
                            base + plane * Int(z.low[k]), base + plane * Int(z.high[k]), z.weight[k], into: between,
                            count: plane)
                        for j in 0..<target.y {
                            let row = slice + target.x * j
                            if let constant, !y.inside.contains(j) {
                                row.initialize(repeating: constant, count: target.x)
                                continue
                            }
                            blend(
                                between + shape.x * Int(y.low[j]), between + shape.x * Int(y.high[j]), y.weight[j],
                                into: line, count: shape.x)
                            tomo_sample_line(line, x.low, x.high, x.weight, row, Int64(target.x))
                            if let constant {
                                for i in 0..<x.inside.lowerBound { row[i] = constant }
                                for i in x.inside.upperBound..<target.x { row[i] = constant }
                            }
                        }
                    }
                }
            }
            initialized = count
        }
    }

    @inline(__always)
    private func blend(
        _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ weight: Float, into out: UnsafeMutablePointer<Float>,
        count: Int
    ) {
        if weight == 0 {
            out.update(from: a, count: count)
        } else {
            tomo_blend_rows(a, b, weight, out, Int64(count))
        }
    }
}
