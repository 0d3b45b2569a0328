import Foundation
import Volumes

/// The few cells of a network's layer that a heat volume was interpolated from.
///
/// The page then interpolates by itself: trilinearly by world coordinates, the outermost cells' values held to the edge of
/// what the network saw, exactly 0 outside of that.
public struct ReviewCells: Sendable {
    /// Signed raw attribution on the layer's own grid.
    public var map: Volume
    /// The grid of the network's input.
    public var seen: Grid

    public init(map: Volume, seen: Grid) {
        self.map = map
        self.seen = seen
    }

    /// Where the cells lie with respect to the page's voxels.
    struct Placement: Sendable {
        let shape: Index3
        /// From RAS-ordered scan voxels to cells.
        let toCells: Affine
        /// From RAS-ordered scan voxels to voxels of the network's input.
        let toSeen: Affine
        let seenShape: Index3
    }

    /// A layer that carries the cells, or nil where they would not be smaller, or do not give the heat's volume (because it
    /// was changed after it was placed).
    func layer(id: String, of heat: ReviewHeat, order: Rearrangement, coding: PageLayer.Coding) throws -> PageLayer? {
        let scan = order(heat.volume.grid)
        guard map.grid.count * 16 <= scan.count, map.voxels.allSatisfy(\.isFinite), case .steps(_, let step) = coding,
            let toCells = map.grid.affine.inverse?.composed(with: scan.affine),
            let toSeen = seen.affine.inverse?.composed(with: scan.affine)
        else { return nil }
        let placement = Placement(shape: map.grid.shape, toCells: toCells, toSeen: toSeen, seenShape: seen.shape)
        guard agrees(placement, with: heat.volume, order: order, step: step) else { return nil }
        let bytes = map.voxels.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }
        return PageLayer(
            id: id, shape: scan.shape, coding: coding, placement: placement, cells: Data(bytes).base64EncodedData())
    }

    /// Compares some thousands of voxels, spread so that they fall on all rows, columns and slices alike.
    private func agrees(_ placement: Placement, with volume: Volume, order: Rearrangement, step: Double) -> Bool {
        let source = LayerSource(volume, order: order, blocks: [1, 1, 1], blending: .strongest)
        let shape = source.shape
        let count = shape.x * shape.y * shape.z
        for sample in 0..<min(8192, count) {
            // Multiples of the golden section leave no pattern.
            let share = (Double(sample) * 0.618_033_988_749_895).truncatingRemainder(dividingBy: 1)
            let index = min(count - 1, Int(share * Double(count)))
            let voxel = Index3(index % shape.x, index / shape.x % shape.y, index / (shape.x * shape.y))
            let expected = Double(source[voxel])
            guard let found = value(placement, at: voxel) else {
                if expected != 0 { return false }
                continue
            }
            if !(abs(found - expected) <= step / 16) { return false }
        }
        return true
    }

    /// The interpolated value, nil outside of what the network saw.
    private func value(_ placement: Placement, at voxel: Index3) -> Double? {
        let index = Vector3(Double(voxel.x), Double(voxel.y), Double(voxel.z))
        let seen = placement.toSeen(index)
        for axis in 0..<3 where seen[axis] < -0.500001 || seen[axis] > Double(placement.seenShape[axis]) - 0.499999 {
            return nil
        }
        let place = placement.toCells(index)
        var low = Index3()
        var share = Vector3()
        for axis in 0..<3 {
            let held = max(0, min(place[axis], Double(placement.shape[axis] - 1)))
            low[axis] = min(Int(held), max(0, placement.shape[axis] - 2))
            share[axis] = held - Double(low[axis])
        }
        var sum = 0.0
        for corner in 0..<8 {
            var at = low
            var weight = 1.0
            for axis in 0..<3 {
                let isFar = corner >> axis & 1 == 1
                weight *= isFar ? share[axis] : 1 - share[axis]
                if isFar { at[axis] = min(at[axis] + 1, placement.shape[axis] - 1) }
            }
            if weight > 0 { sum += weight * Double(map[at.x, at.y, at.z]) }
        }
        return sum
    }
}
