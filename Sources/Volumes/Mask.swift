import Workers

/// Which voxels of a grid belong to something.
public struct Mask: Sendable, Hashable {
    public var grid: Grid
    /// i fastest, as in a ``Volume``.
    public var isSet: [Bool]

    public init(grid: Grid, isSet: [Bool]) {
        precondition(isSet.count == grid.count, "\(isSet.count) voxels on a grid of \(grid.shape)")
        self.grid = grid
        self.isSet = isSet
    }

    /// Where `condition` holds of the volume's voxels.
    public init(_ volume: Volume, where condition: (Float) -> Bool) {
        self.init(grid: volume.grid, isSet: volume.voxels.map(condition))
    }

    public var count: Int { isSet.reduce(0) { $0 + ($1 ? 1 : 0) } }

    public subscript(i: Int, j: Int, k: Int) -> Bool {
        get { isSet[i + grid.shape.x * (j + grid.shape.y * k)] }
        set { isSet[i + grid.shape.x * (j + grid.shape.y * k)] = newValue }
    }

    /// The smallest box around all set voxels, as first and one past last index; nil when none is set.
    public var boundingBox: (start: Index3, end: Index3)? {
        let shape = grid.shape
        var low = shape
        var high = Index3(-1, -1, -1)
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                let row = shape.x * (j + shape.y * k)
                guard let first = isSet[row..<row + shape.x].firstIndex(of: true) else { continue }
                let last = isSet[row..<row + shape.x].lastIndex(of: true)!
                low = Index3(min(low.x, first - row), min(low.y, j), min(low.z, k))
                high = Index3(max(high.x, last - row), max(high.y, j), max(high.z, k))
            }
        }
        return high.x < 0 ? nil : (low, high &+ Index3(1, 1, 1))
    }

    public func inverted() -> Mask { Mask(grid: grid, isSet: isSet.map { !$0 }) }

    public func intersection(_ other: Mask) -> Mask {
        precondition(other.grid.shape == grid.shape)
        return Mask(grid: grid, isSet: zip(isSet, other.isSet).map { $0 && $1 })
    }

    /// Set where any voxel in a box of `radius` voxels to each side is set.
    public func dilated(by radius: Index3) -> Mask {
        var result = self
        for axis in 0..<3 where radius[axis] > 0 { result.spread(radius[axis], along: axis) }
        return result
    }

    /// Set where every voxel in a box of `radius` voxels to each side is set; beyond the edge counts as set, so that what
    /// runs off the scan is not gnawed at.
    public func eroded(by radius: Index3) -> Mask { inverted().dilated(by: radius).inverted() }

    private mutating func spread(_ radius: Int, along axis: Int) {
        let shape = grid.shape
        let strides = [1, shape.x, shape.x * shape.y]
        let (u, v) = axis == 0 ? (1, 2) : axis == 1 ? (0, 2) : (0, 1)
        let extent = shape[axis]
        let step = strides[axis]
        let source = isSet
        isSet.withUnsafeMutableBufferPointer { out in
            source.withUnsafeBufferPointer { source in
                let target = UnsafeMutablePointer(out.baseAddress!)
                Workers.shared.forEach(shape[v]) { b in
                    for a in 0..<shape[u] {
                        let start = a * strides[u] + b * strides[v]
                        // How many of the voxels in the sliding box are set.
                        var inBox = 0
                        for t in 0..<min(radius, extent) where source[start + t * step] { inBox += 1 }
                        for t in 0..<extent {
                            if t + radius < extent, source[start + (t + radius) * step] { inBox += 1 }
                            if t - radius - 1 >= 0, source[start + (t - radius - 1) * step] { inBox -= 1 }
                            target[start + t * step] = inBox > 0
                        }
                    }
                }
            }
        }
    }

    /// The connected component with the most voxels (neighbours share a face); all unset when nothing is set.
    public func largestComponent() -> Mask {
        let runs = Runs(isSet, shape: grid.shape)
        return Mask(
            grid: grid,
            isSet: runs.painted { sizes in
                guard let largest = sizes.values.max() else { return [] }
                // Of two of one size the one that is stored first.
                return [sizes.filter { $0.value == largest }.keys.min()!]
            })
    }

    /// With every hole set that is closed within its slice across `axis`: no path within the slice leads from it to the
    /// slice's edge.
    public func holesFilled(across axis: Int) -> Mask {
        // Slices must lie one after the other: bring the axis to the back, and back again afterwards.
        let turn = Rearrangement(axes: [0, 1, 2].filter { $0 != axis } + [axis])
        let turned = turn(isSet, shape: grid.shape)
        let shape = turn(grid).shape
        let plane = shape.x * shape.y
        var filled = turned
        filled.withUnsafeMutableBufferPointer { out in
            let target = UnsafeMutablePointer(out.baseAddress!)
            Workers.shared.forEach(shape.z) { k in
                let slice = turned[k * plane..<(k + 1) * plane].map { !$0 }
                let runs = Runs(slice, shape: [shape.x, shape.y, 1])
                let closed = runs.painted { _ in runs.componentsAwayFromEdge }
                for index in 0..<plane where closed[index] { target[k * plane + index] = true }
            }
        }
        return Mask(grid: grid, isSet: turn.inverse(filled, shape: shape))
    }
}

/// Set voxels as runs along i, joined to components by union-find: far fewer than voxels.
private struct Runs {
    private struct Run {
        var start: Int
        var end: Int
        var row: Int
    }

    private let shape: Index3
    private var runs: [Run] = []
    private var parent: [Int] = []

    init(_ isSet: [Bool], shape: Index3) {
        self.shape = shape
        /// First run of each row, with one entry more at the end.
        var rowStart: [Int] = []
        rowStart.reserveCapacity(shape.y * shape.z + 1)
        isSet.withUnsafeBufferPointer { voxels in
            for row in 0..<shape.y * shape.z {
                rowStart.append(runs.count)
                let base = row * shape.x
                var i = 0
                while i < shape.x {
                    if !voxels[base + i] {
                        i += 1
                        continue
                    }
                    let start = i
                    while i < shape.x, voxels[base + i] { i += 1 }
                    runs.append(Run(start: start, end: i, row: row))
                }
            }
        }
        rowStart.append(runs.count)
        parent = Array(runs.indices)
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                let row = j + shape.y * k
                if j > 0 { join(rowStart[row]..<rowStart[row + 1], rowStart[row - 1]..<rowStart[row]) }
                if k > 0 {
                    let below = row - shape.y
                    join(rowStart[row]..<rowStart[row + 1], rowStart[below]..<rowStart[below + 1])
                }
            }
        }
        for index in parent.indices { parent[index] = root(index) }
    }

    private func root(_ index: Int) -> Int {
        var index = index
        while parent[index] != index { index = parent[index] }
        return index
    }

    private mutating func unite(_ a: Int, _ b: Int) {
        let (x, y) = (root(a), root(b))
        if x == y { return }
        // The lower number leads: components are named by their first run.
        let (low, high) = (min(x, y), max(x, y))
        parent[high] = low
        if parent[a] != low { parent[a] = low }
        if parent[b] != low { parent[b] = low }
    }

    /// Unites the overlapping runs of two rows; both are in order.
    private mutating func join(_ row: Range<Int>, _ other: Range<Int>) {
        var (a, b) = (row.lowerBound, other.lowerBound)
        while a < row.upperBound, b < other.upperBound {
            if runs[a].start < runs[b].end, runs[b].start < runs[a].end { unite(a, b) }
            if runs[a].end < runs[b].end { a += 1 } else { b += 1 }
        }
    }

    /// Components with no voxel on the edge of the j–i plane.
    var componentsAwayFromEdge: Set<Int> {
        var touching: Set<Int> = []
        for (index, run) in runs.enumerated() {
            let j = run.row % shape.y
            if j == 0 || j == shape.y - 1 || run.start == 0 || run.end == shape.x { touching.insert(parent[index]) }
        }
        return Set(parent).subtracting(touching)
    }

    /// The voxels of the components that `choose` names, given the size of each.
    func painted(_ choose: ([Int: Int]) -> Set<Int>) -> [Bool] {
        var sizes: [Int: Int] = [:]
        for (index, run) in runs.enumerated() { sizes[parent[index], default: 0] += run.end - run.start }
        let chosen = choose(sizes)
        var isSet = [Bool](repeating: false, count: shape.x * shape.y * shape.z)
        for (index, run) in runs.enumerated() where chosen.contains(parent[index]) {
            let base = run.row * shape.x
            for i in base + run.start..<base + run.end { isSet[i] = true }
        }
        return isSet
    }
}
