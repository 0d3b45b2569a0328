import Foundation
import Volumes

/// A map as a page carries it: what is left of a ``ReviewHeat`` when its volume has been packed.
struct PackedHeat: Sendable {
    let layer: PageLayer
    let manifest: ReviewManifest.Heat
    let folderTop: Double?

    /// - Parameters:
    ///   - number: the map's place in the page.
    ///   - share: bytes that the map should stay under; it is packed in blocks of voxels where it would not.
    /// - Throws: ``Failure`` of kind `.scan` when the heat is not on `grid`.
    init(_ heat: ReviewHeat, number: Int, on grid: Grid, share: Int) throws {
        try ReviewPage.check(heat.volume, "heat of \(heat.methodTitle)", on: grid)
        let order = Orientation(grid.affine).rearrangement(to: .ras)
        let extremes = heat.extremes
        layer = try PackedHeat.layer(heat, coding: heat.coding(extremes), number: number, order: order, share: share)
        folderTop = heat.folderTop
        let peak = extremes.peak.map { voxel in
            ReviewManifest.Peak(
                voxel: voxel.elements,
                world: grid.affine([Double(voxel.x), Double(voxel.y), Double(voxel.z)]).elements,
                value: extremes.highest)
        }
        manifest = ReviewManifest.Heat(
            id: heat.scaleKey(number), method: heat.method, methodTitle: PageText.visible(heat.methodTitle),
            target: PageText.visible(heat.target), layer: ReviewManifest.Layer(layer), lowest: extremes.lowest,
            highest: extremes.highest, ownTops: heat.ownTops, peak: peak, peakIsInside: heat.peakIsInside,
            caution: heat.caution.map(PageText.visible), notes: heat.notes.map(PageText.visible),
            details: heat.details.map(\.visible))
    }

    private static func layer(
        _ heat: ReviewHeat, coding: PageLayer.Coding, number: Int, order: Rearrangement, share: Int
    ) throws -> PageLayer {
        if let cells = heat.cells,
            let layer = try cells.layer(id: "heat\(number)", of: heat, order: order, coding: coding)
        {
            return layer
        }
        var blocks: Index3 = [1, 1, 1]
        while true {
            let size = try PageLayer.estimatedSize(
                heat.volume, order: order, blocks: blocks, blending: .strongest, coding: coding, content: .noise)
            let shape = LayerSource(heat.volume, order: order, blocks: blocks, blending: .strongest).shape
            if size <= share || shape.max() <= 64 {
                return try PageLayer(
                    id: "heat\(number)", heat.volume, order: order, blocks: blocks, blending: .strongest,
                    coding: coding, content: .noise)
            }
            for axis in 0..<3 where shape[axis] > 1 { blocks[axis] *= 2 }
        }
    }
}
