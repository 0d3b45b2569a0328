import Foundation
import TestSupport
import Volumes

@testable import Rendering

/// A small body without any symmetry, known in world millimetres, sampled on whatever grid is asked for.
enum Phantom {
    /// HU at a place: air, soft tissue, a bone toward right anterior superior, a lung toward left posterior.
    static func hounsfield(_ p: Vector3) -> Float {
        let body = (p.x / 40) * (p.x / 40) + (p.y / 30) * (p.y / 30) < 1
        if !body { return -1000 }
        func inside(_ centre: Vector3, _ radius: Double) -> Bool {
            let d = p - centre
            return (d * d).sum() < radius * radius
        }
        if inside([18, 12, 14], 9) { return 700 }
        if inside([-16, -8, -4], 12) { return -800 }
        return Float(30 + p.x / 4 + p.y / 3 + p.z / 2)
    }

    /// Positive around a place toward right posterior superior, negative toward left anterior.
    static func heat(_ p: Vector3) -> Float {
        func blob(_ centre: Vector3, _ size: Double) -> Double {
            let d = p - centre
            return exp(-(d * d).sum() / (2 * size * size))
        }
        return Float(2 * blob([14, -10, 8], 11) - 1.2 * blob([-15, 10, -6], 9))
    }

    /// A grid in RAS order centred near the origin, 19 × 23 × 17 voxels of 4 × 3 × 5 mm: no position falls on a rounding edge.
    static let grid = Grid(
        shape: [19, 23, 17],
        affine: Affine(i: [4, 0, 0], j: [0, 3, 0], k: [0, 0, 5], origin: [-36.23, -33.41, -40.17]))

    static func sample(_ grid: Grid, _ value: (Vector3) -> Float) -> Volume {
        var volume = Volume(grid: grid, repeating: 0)
        for k in 0..<grid.shape.z {
            for j in 0..<grid.shape.y {
                for i in 0..<grid.shape.x { volume[i, j, k] = value(grid.affine([Double(i), Double(j), Double(k)])) }
            }
        }
        return volume
    }

    /// The same voxels stored in another of the 48 axis orders: stored axis a is `order[a]` of the original, backwards where
    /// `flips[a]`.
    static func reordered(_ volume: Volume, order: [Int], flips: [Bool]) -> Volume {
        let old = volume.grid
        let columns = [old.affine.i, old.affine.j, old.affine.k]
        var origin = old.affine.origin
        var steps: [Vector3] = []
        for axis in 0..<3 {
            let column = columns[order[axis]]
            if flips[axis] { origin += column * Double(old.shape[order[axis]] - 1) }
            steps.append(flips[axis] ? -column : column)
        }
        let shape = Index3(old.shape[order[0]], old.shape[order[1]], old.shape[order[2]])
        var result = Volume(
            grid: Grid(shape: shape, affine: Affine(i: steps[0], j: steps[1], k: steps[2], origin: origin)),
            repeating: 0)
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    var from = Index3.zero
                    for (axis, index) in [i, j, k].enumerated() {
                        from[order[axis]] = flips[axis] ? shape[axis] - 1 - index : index
                    }
                    result[i, j, k] = volume[from.x, from.y, from.z]
                }
            }
        }
        return result
    }

    static let allOrders: [(order: [Int], flips: [Bool])] = {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        return orders.flatMap { order in
            (0..<8).map { (order, [$0 & 1 == 1, $0 & 2 == 2, $0 & 4 == 4]) }
        }
    }()
}

extension OverlayStyle {
    /// The slice alone, one pixel per voxel side, nothing written over it.
    static var bare: OverlayStyle {
        var style = OverlayStyle()
        style.showsHeader = false
        style.showsColourBar = false
        style.showsLetters = false
        style.showsScaleBar = false
        style.minimumSize = 1
        return style
    }
}
