import CNIfTI
import Workers

/// Toward which part of the body each stored axis runs: "RAS" says i toward Right, j Anterior, k Superior.
public struct Orientation: Sendable, Hashable, CustomStringConvertible {
    /// One of the six anatomical directions.
    public enum Direction: Character, Sendable, Hashable, CaseIterable {
        case right = "R"
        case left = "L"
        case anterior = "A"
        case posterior = "P"
        case superior = "S"
        case inferior = "I"

        /// The world axis it lies along: 0 for x, 1 for y, 2 for z.
        public var worldAxis: Int {
            switch self {
            case .right, .left: 0
            case .anterior, .posterior: 1
            case .superior, .inferior: 2
            }
        }

        /// Toward growing RAS+ coordinates.
        public var isPositive: Bool { self == .right || self == .anterior || self == .superior }

        public var opposite: Direction {
            switch self {
            case .right: .left
            case .left: .right
            case .anterior: .posterior
            case .posterior: .anterior
            case .superior: .inferior
            case .inferior: .superior
            }
        }

        init(worldAxis: Int, isPositive: Bool) {
            let positive: Direction = [.right, .anterior, .superior][worldAxis]
            self = isPositive ? positive : positive.opposite
        }
    }

    /// Of i, j and k; along three different world axes.
    public let directions: [Direction]

    /// From three letters, one from each of the pairs RL, AP and SI, in any order and case; nil for anything else.
    public init?(_ code: some StringProtocol) {
        let found = code.uppercased().compactMap(Direction.init(rawValue:))
        guard found.count == 3, code.count == 3, Set(found.map(\.worldAxis)).count == 3 else { return nil }
        directions = found
    }

    private init(directions: [Direction]) { self.directions = directions }

    public static let ras = Orientation(directions: [.right, .anterior, .superior])
    public static let lps = Orientation(directions: [.left, .posterior, .superior])

    /// The orientation nearest to an affine: what nibabel's `aff2axcodes` says.
    ///
    /// The rotation nearest to the affine (its polar factor, after dividing out voxel sizes) is searched for the axis whose
    /// direction is clearest, which takes the world axis it leans to, and so on with those left.
    public init(_ affine: Affine) {
        let size = affine.spacing
        var unit = affine
        unit.i /= size.x
        unit.j /= size.y
        unit.k /= size.z
        var matrix = nifti_dmat33()
        matrix.m.0 = (unit.i.x, unit.j.x, unit.k.x)
        matrix.m.1 = (unit.i.y, unit.j.y, unit.k.y)
        matrix.m.2 = (unit.i.z, unit.j.z, unit.k.z)
        let polar = nifti_dmat33_polar(matrix).m
        var columns: [Vector3] = [
            [polar.0.0, polar.1.0, polar.2.0], [polar.0.1, polar.1.1, polar.2.1], [polar.0.2, polar.1.2, polar.2.2],
        ]
        func clarity(_ axis: Int) -> Double { (columns[axis] * columns[axis]).max() }
        // Stable, so that ties go to the axis that is stored first.
        let order = [0, 1, 2].sorted { (clarity($0), -$0) > (clarity($1), -$1) }
        var found = [Direction](repeating: .right, count: 3)
        for axis in order {
            let column = columns[axis]
            let world = (0..<3).max { (abs(column[$0]), -$0) < (abs(column[$1]), -$1) }!
            found[axis] = Direction(worldAxis: world, isPositive: column[world] > 0)
            for other in 0..<3 { columns[other][world] = 0 }
        }
        directions = found
    }

    /// Three letters: "LPS".
    public var code: String { String(directions.map(\.rawValue)) }
    public var description: String { code }

    /// All 48.
    public static let all: [Orientation] = {
        let axes = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        return axes.flatMap { axes in
            (0..<8).map { signs in
                Orientation(
                    directions: (0..<3).map { Direction(worldAxis: axes[$0], isPositive: signs >> $0 & 1 == 0) })
            }
        }
    }()

    /// The stored axis that runs along a world axis, either way.
    public func storedAxis(alongWorld axis: Int) -> Int { directions.firstIndex { $0.worldAxis == axis }! }

    /// How voxels of this orientation are to be rearranged to have `target`'s.
    public func rearrangement(to target: Orientation) -> Rearrangement {
        let axes = target.directions.map { storedAxis(alongWorld: $0.worldAxis) }
        return Rearrangement(axes: axes, isFlipped: (0..<3).map { directions[axes[$0]] != target.directions[$0] })
    }
}

/// A permutation of the stored axes with some of them reversed: moves voxels without changing one.
public struct Rearrangement: Sendable, Hashable {
    /// For each new axis, the old axis it is.
    public let axes: [Int]
    /// For each new axis, whether it runs the other way than the old one.
    public let isFlipped: [Bool]

    /// - Precondition: `axes` is a permutation of 0, 1, 2.
    public init(axes: [Int], isFlipped: [Bool] = [false, false, false]) {
        precondition(axes.sorted() == [0, 1, 2] && isFlipped.count == 3, "a permutation of three axes")
        self.axes = axes
        self.isFlipped = isFlipped
    }

    public var isIdentity: Bool { axes == [0, 1, 2] && !isFlipped.contains(true) }

    /// The rearrangement that undoes this one.
    public var inverse: Rearrangement {
        let back = (0..<3).map { axes.firstIndex(of: $0)! }
        return Rearrangement(axes: back, isFlipped: back.map { isFlipped[$0] })
    }

    /// The grid of the rearranged voxels: every voxel keeps its place in the world.
    public func callAsFunction(_ grid: Grid) -> Grid {
        let columns = [grid.affine.i, grid.affine.j, grid.affine.k]
        var origin = grid.affine.origin
        var turned = columns
        var shape = Index3()
        for axis in 0..<3 {
            let old = axes[axis]
            shape[axis] = grid.shape[old]
            turned[axis] = isFlipped[axis] ? -columns[old] : columns[old]
            if isFlipped[axis] { origin += columns[old] * Double(grid.shape[old] - 1) }
        }
        return Grid(shape: shape, affine: Affine(i: turned[0], j: turned[1], k: turned[2], origin: origin))
    }

    /// The rearranged voxels of a volume of extents `shape`, i fastest before and after.
    public func callAsFunction<Voxel: BitwiseCopyable>(_ voxels: [Voxel], shape: Index3) -> [Voxel] {
        precondition(voxels.count == shape.x * shape.y * shape.z)
        if isIdentity { return voxels }
        let oldStrides = [1, shape.x, shape.x * shape.y]
        var strides = [0, 0, 0]
        var extents = [0, 0, 0]
        var base = 0
        for axis in 0..<3 {
            let old = axes[axis]
            extents[axis] = shape[old]
            strides[axis] = isFlipped[axis] ? -oldStrides[old] : oldStrides[old]
            if isFlipped[axis] { base += oldStrides[old] * (shape[old] - 1) }
        }
        return [Voxel](unsafeUninitializedCapacity: voxels.count) { out, initialized in
            HugePages.advise(out)
            voxels.withUnsafeBufferPointer { source in
                gather(source.baseAddress! + base, strides, extents, out.baseAddress!)
            }
            initialized = voxels.count
        }
    }

    public func callAsFunction(_ volume: Volume) -> Volume {
        Volume(grid: self(volume.grid), voxels: self(volume.voxels, shape: volume.grid.shape))
    }
}

extension Volume {
    public var orientation: Orientation { Orientation(grid.affine) }

    /// The same voxels at the same places, stored along axes that run as `target` says. On an oblique grid the axes run as
    /// near to these directions as they can without a voxel changing.
    public func reoriented(to target: Orientation) -> Volume { orientation.rearrangement(to: target)(self) }

    /// Reoriented to RAS, as nibabel's `as_closest_canonical`.
    public var closestCanonical: Volume { reoriented(to: .ras) }
}
