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
        let last = Vector3(Double(shape.x - 1), Double(shape.y - 1), Double(shape.z - 1))
        let (rowStride, sliceStride) = (shape.x, shape.x * shape.y)
        let constant: Float? = if case .constant(let value) = outside { value } else { nil }
        let isNearest = interpolation == .nearest
        return [Float](unsafeUninitializedCapacity: count) { out, initialized in
            source.voxels.withUnsafeBufferPointer { voxels in
                let base = voxels.baseAddress!
                Workers.shared.forEachRange(target.y * target.z, grain: 16) { rows in
                    for row in rows {
                        let start = map([0, Double(row % target.y), Double(row / target.y)])
                        let target0 = out.baseAddress! + row * target.x
                        for i in 0..<target.x {
                            let index = settled(start + map.i * Double(i))
                            if let constant, any(index .< -0.5 .| index .> last + 0.5) {
                                target0[i] = constant
                                continue
                            }
                            let inside = index.clamped(lowerBound: .zero, upperBound: last)
                            if isNearest {
                                let n = inside.rounded(.toNearestOrEven)
                                target0[i] = base[Int(n.x) + rowStride * Int(n.y) + sliceStride * Int(n.z)]
                                continue
                            }
                            let low = inside.rounded(.down)
                            let weight = SIMD3<Float>(inside - low)
                            let p = base + (Int(low.x) + rowStride * Int(low.y) + sliceStride * Int(low.z))
                            // The upper neighbour of the last voxel is itself: its weight is zero.
                            let dx = low.x < last.x ? 1 : 0
                            let dy = low.y < last.y ? rowStride : 0
                            let dz = low.z < last.z ? sliceStride : 0
                            let a = lerp(lerp(p[0], p[dx], weight.x), lerp(p[dy], p[dy + dx], weight.x), weight.y)
                            let q = p + dz
                            let b = lerp(lerp(q[0], q[dx], weight.x), lerp(q[dy], q[dy + dx], weight.x), weight.y)
                            target0[i] = lerp(a, b, weight.z)
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

@inline(__always)
private func lerp(_ a: Float, _ b: Float, _ weight: Float) -> Float { a + (b - a) * weight }

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

    /// Where one target index samples the source along one axis.
    private struct Tap {
        var low: Int
        var high: Int
        var weight: Float
        var isInside: Bool
    }

    private func taps(_ axis: Int, target: Int, extent: Int, nearest: Bool) -> [Tap] {
        let last = Double(extent - 1)
        return (0..<target).map { index in
            let place = settled(Vector3(offset[axis] + scale[axis] * Double(index), 0, 0)).x
            let isInside = place >= -0.5 && place <= last + 0.5
            let clamped = min(max(place, 0), last)
            if nearest {
                let n = Int(clamped.rounded(.toNearestOrEven))
                return Tap(low: n, high: n, weight: 0, isInside: isInside)
            }
            let low = clamped.rounded(.down)
            return Tap(
                low: Int(low), high: min(Int(low) + 1, extent - 1), weight: Float(clamped - low), isInside: isInside)
        }
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
            voxels.withUnsafeBufferPointer { voxels in
                let base = voxels.baseAddress!
                Workers.shared.forEach(target.z) { k in
                    let slice = out.baseAddress! + target.x * target.y * k
                    if let constant, !z[k].isInside {
                        slice.initialize(repeating: constant, count: target.x * target.y)
                        return
                    }
                    withUnsafeTemporaryAllocation(of: Float.self, capacity: plane + shape.x) { scratch in
                        // Along z for the whole slice, then along y for each row, then along x.
                        let between = scratch.baseAddress!
                        let line = between + plane
                        blend(
                            base + plane * z[k].low, base + plane * z[k].high, z[k].weight, into: between, count: plane)
                        for j in 0..<target.y {
                            let row = slice + target.x * j
                            if let constant, !y[j].isInside {
                                row.initialize(repeating: constant, count: target.x)
                                continue
                            }
                            blend(
                                between + shape.x * y[j].low, between + shape.x * y[j].high, y[j].weight, into: line,
                                count: shape.x)
                            for i in 0..<target.x {
                                let tap = x[i]
                                row[i] = lerp(line[tap.low], line[tap.high], tap.weight)
                                if let constant, !tap.isInside { row[i] = constant }
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
            for index in 0..<count { out[index] = lerp(a[index], b[index], weight) }
        }
    }
}
