import CVoxels
import Volumes
import Workers

/// Where the heat of one map lies, in numbers and in words. Only what speaks for the target, the positive heat, counts.
public struct HeatMeasures: Sendable, Equatable {
    /// The hottest voxel; the first of several equals. Nil for a map without positive heat.
    public var peakVoxel: Index3?
    public var peakValue: Double
    public var lowestValue: Double
    /// World position of the peak, in RAS+ millimetres.
    public var peakPosition: Vector3?
    /// Toward which sides the peak lies from the volume's centre: "left, anterior, superior".
    public var peakDirection: String
    /// Along each stored axis, the slices with the most positive heat, hottest first.
    public var hottestSlices: [[Int]]
    /// Volume where the heat is at least half of the peak, in millilitres.
    public var halfMaximumVolume: Double
    public var labels: LabelMeasures?

    /// How the heat and a label map meet.
    public struct LabelMeasures: Sendable, Equatable {
        public var peakIsInside: Bool
        /// Value of the label map at the peak.
        public var valueAtPeak: Int
        /// From the peak to the nearest labelled voxel's centre, in mm; 0 inside.
        public var distance: Double
        /// Part of all positive heat that lies in labelled voxels.
        public var energyInside: Double
        /// Labelled voxels on the scan's grid.
        public var voxels: Int
    }

    /// - Parameters:
    ///   - heat: signed raw attribution on the scan's grid.
    ///   - labels: on the same grid; which values count is `counted`, or all above 0.
    ///   - count: how many slices to name along each axis.
    public init(_ heat: Volume, labels: Volume? = nil, counted: Set<Int>? = nil, slices count: Int = 3) {
        let grid = heat.grid
        let shape = grid.shape
        // Slices of k are summed apart and then in order: the same bits at any number of threads.
        let slices = SlicePart.of(heat)
        var sums = [[Double](repeating: 0, count: shape.x), [Double](repeating: 0, count: shape.y), []]
        var highest: Float = 0
        var lowest: Float = 0
        var place = -1
        var total = 0.0
        for part in slices {
            if part.highest > highest { (highest, place) = (part.highest, part.place) }
            lowest = min(lowest, part.lowest)
            for i in 0..<shape.x { sums[0][i] += part.columns[i] }
            for j in 0..<shape.y { sums[1][j] += part.rows[j] }
            sums[2].append(part.total)
            total += part.total
        }
        peakValue = Double(highest)
        lowestValue = Double(lowest)
        hottestSlices = sums.map { sums in
            sums.indices.filter { sums[$0] > 0 }.sorted { (sums[$0], $1) > (sums[$1], $0) }.prefix(count).map { $0 }
        }
        guard place >= 0 else {
            peakDirection = ""
            halfMaximumVolume = 0
            return
        }
        let voxel = Index3(place % shape.x, place / shape.x % shape.y, place / (shape.x * shape.y))
        let position = grid.affine(Vector3(Double(voxel.x), Double(voxel.y), Double(voxel.z)))
        peakVoxel = voxel
        peakPosition = position
        peakDirection = Self.direction(of: position, in: grid)
        let half = highest / 2
        let hot = SlicePart.count(heat, from: half)
        halfMaximumVolume = Double(hot) * grid.voxelVolume / 1000
        if let labels {
            precondition(labels.grid.shape == shape, "labels on the heat's grid")
            self.labels = LabelMeasures(
                heat, labels: labels, counted: counted, peak: voxel, position: position, place: place, total: total)
        }
    }

    /// Offsets within a tenth of the half extent are called central, and no side is named on that axis.
    static func direction(of position: Vector3, in grid: Grid) -> String {
        let middle = Vector3(Double(grid.shape.x - 1), Double(grid.shape.y - 1), Double(grid.shape.z - 1)) / 2
        let offset = position - grid.affine(middle)
        let names = [("right", "left"), ("anterior", "posterior"), ("superior", "inferior")]
        var words: [String] = []
        for axis in 0..<3 {
            let reach =
                abs(grid.affine.i[axis]) * (middle.x + 0.5) + abs(grid.affine.j[axis]) * (middle.y + 0.5)
                + abs(grid.affine.k[axis]) * (middle.z + 0.5)
            if abs(offset[axis]) > 0.1 * reach { words.append(offset[axis] > 0 ? names[axis].0 : names[axis].1) }
        }
        return words.isEmpty ? "central" : words.joined(separator: ", ")
    }
}

/// What one slice of k holds.
private struct SlicePart: Sendable {
    /// The highest value above 0 and its voxel's index in the volume; the first of several equals.
    var highest: Float = 0
    var place = -1
    /// The lowest value, 0 where none is negative.
    var lowest: Float = 0
    /// Sums of positive heat for every i, for every j, and over all.
    var columns: [Double]
    var rows: [Double]
    var total = 0.0

    static func of(_ heat: Volume) -> [SlicePart] {
        let shape = heat.grid.shape
        return results(heat) { slice, k in
            var part = SlicePart(
                columns: [Double](repeating: 0, count: shape.x), rows: [Double](repeating: 0, count: shape.y))
            for j in 0..<shape.y {
                let line = UnsafeBufferPointer(rebasing: slice[shape.x * j..<shape.x * (j + 1)])
                var (low, high, row) = (Float(0), Float(0), 0.0)
                part.columns.withUnsafeMutableBufferPointer { columns in
                    tomo_positive_row(line.baseAddress!, Int64(shape.x), &low, &high, &row, columns.baseAddress!)
                }
                part.lowest = min(part.lowest, low)
                if high > part.highest {
                    part.highest = high
                    part.place = shape.x * (j + shape.y * k) + line.firstIndex(of: high)!
                }
                part.rows[j] = row
                part.total += row
            }
            return part
        }
    }

    /// How many voxels hold at least so much.
    static func count(_ heat: Volume, from least: Float) -> Int {
        results(heat) { slice, _ in
            var count = 0
            for value in slice { count += value >= least ? 1 : 0 }
            return count
        }.reduce(0, +)
    }

    private static func results<Result: Sendable>(
        _ heat: Volume, _ body: (UnsafeBufferPointer<Float>, Int) -> Result
    ) -> [Result] {
        let size = heat.grid.shape.x * heat.grid.shape.y
        return heat.voxels.withUnsafeBufferPointer { voxels in
            // Nothing in the body throws.
            try! Workers.shared.map(heat.grid.shape.z) { k in
                body(UnsafeBufferPointer(rebasing: voxels[size * k..<size * (k + 1)]), k)
            }
        }
    }
}

extension HeatMeasures.LabelMeasures {
    fileprivate init(
        _ heat: Volume, labels: Volume, counted: Set<Int>?, peak: Index3, position: Vector3, place: Int, total: Double
    ) {
        func counts(_ value: Float) -> Bool {
            guard let counted else { return value > 0 }
            return abs(value) < 1e9 && counted.contains(Int(value.rounded()))
        }
        let shape = heat.grid.shape
        var inside = 0.0
        var nearest = Double.infinity
        voxels = 0
        var index = 0
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    if counts(labels.voxels[index]) {
                        voxels += 1
                        inside += Double(max(0, heat.voxels[index]))
                        let step = heat.grid.affine.direction(
                            Vector3(Double(i - peak.x), Double(j - peak.y), Double(k - peak.z)))
                        nearest = min(nearest, (step * step).sum())
                    }
                    index += 1
                }
            }
        }
        let value = labels.voxels[place]
        valueAtPeak = abs(value) < 1e9 ? Int(value.rounded()) : 0
        peakIsInside = counts(value)
        distance = nearest.squareRoot()
        energyInside = total > 0 ? inside / total : 0
    }
}
