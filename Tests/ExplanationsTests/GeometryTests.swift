import Foundation
import Networks
import Preparations
import Tensors
import TestSupport
import Testing
import Volumes

@testable import Explanations

/// Where the heat lies: the centroid of what single tap voxels see against the receptive field's arithmetic, and markers through
/// a preparation and back. Networks by `Tests/Reference/geometry.py`.
@Suite struct GeometryTests {
    static let families = ["vgg", "strided", "resnet", "paddedpool", "dilated"]

    private func report(_ family: String, positions: Int, extent: Int? = nil) throws -> GeometryCheck.TapReport {
        let network = try Network(contentsOf: Fixtures.reference("geometry/\(family).onnx"))
        // Extents at which the layer's grid is its own mirror image, so that a pair of mirrored inputs cancels chance.
        let extent = extent ?? ["vgg": 48, "dilated": 48, "resnet": 65][family] ?? 49
        let shape = [1, 1, extent, extent, extent]
        let tap = try network.tap("last-spatial", inputShapes: ["ct": shape]).tensor
        return try GeometryCheck(network: network, inputName: "ct", positions: positions, draws: 4).check(
            tap: tap, noiseOfShape: shape)
    }

    @Test(arguments: families) func uniformWeightsShowNoBias(_ family: String) throws {
        let report = try report(family, positions: 6)
        print("geometry \(family):", report.axes.map { ($0.bias, $0.halfPixelBias, $0.cornerAlignedError) })
        #expect(report.worstBias <= 0.1)
    }

    @Test func aTrainedNetworkShowsLittle() throws {
        let network = try Network(contentsOf: Fixtures.root.appendingPathComponent("pipelines/lung-nodule.onnx"))
        let shape = try network.usualShapes()[network.inputs[0].name]!
        let tap = try network.defaultTap().tensor
        let report = try GeometryCheck(network: network, inputName: network.inputs[0].name, positions: 8, draws: 4)
            .check(
                tap: tap, noiseOfShape: shape)
        print("geometry lung-nodule:", report.axes.map { ($0.bias, $0.halfPixelBias, $0.cornerAlignedError) })
        #expect(report.worstBias <= 0.5)
    }

    @Test func aMirroredInputIsReadBackwardsAlongSpatialAxesOnly() {
        let tensor = Tensor<Float>(shape: [1, 2, 2, 3], values: (0..<12).map { Float($0) })
        #expect(GeometryCheck.mirrored(tensor, [2, 3]).values == [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6])
        #expect(GeometryCheck.mirrored(tensor, [3]).values == [2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9])
    }

    /// The check can fail: half-pixel interpolation, right for 2-pools, is 3.5 voxels off on three strided convolutions.
    @Test func halfPixelInterpolationIsSeenToBeWrong() throws {
        let strided = try report("strided", positions: 2, extent: 48)
        #expect(strided.axes.allSatisfy { abs(abs($0.halfPixelBias) - 3.5) < 0.2 })
        let vgg = try report("vgg", positions: 6)
        #expect(vgg.axes.allSatisfy { abs($0.halfPixelBias) < 0.1 })
    }

    /// Slices as thick as a third of a tap's voxel, where a centroid of coarse samples would wander, and thin ones.
    @Test(arguments: [2.5, 5]) func markersComeBackToTheirPlace(_ thickness: Double) throws {
        let stored = Grid(
            shape: thickness > 3 ? [80, 80, 40] : [48, 40, 32],
            affine: Affine(i: [-1.4, 0, 0], j: [0, 1.4, 0], k: [0, 0, thickness], origin: [30, -28, 300]))
        for (name, scan) in MarkerCheck.variations(of: stored) {
            let report = try MarkerCheck(preparation: Preparation()).check(name, scan: scan) { prepared in
                // A tap with jump 4 whose first voxel lies at index 1.5: two pools.
                Grid(
                    shape: Index3(prepared.grid.shape.x / 4, prepared.grid.shape.y / 4, prepared.grid.shape.z / 4),
                    affine: prepared.grid.affine.composed(
                        with: Affine(i: [4, 0, 0], j: [0, 4, 0], k: [0, 0, 4], origin: [1.5, 1.5, 1.5])))
            }
            print("markers \(name): prepared \(report.preparedVoxels) placed \(report.placedVoxels) voxels")
            #expect(report.preparedVoxels < 0.01)
            #expect(report.placedVoxels < 0.01)
        }
    }

    @Test func whatTheNetworkDidNotSeeIsZero() throws {
        let scan = Grid(shape: [20, 20, 20], affine: .identity)
        let seen = Grid(
            shape: [10, 10, 10], affine: Affine(i: [1, 0, 0], j: [0, 1, 0], k: [0, 0, 1], origin: [5, 5, 5]))
        let tap = Volume(
            grid: Grid(
                shape: [5, 5, 5], affine: Affine(i: [2, 0, 0], j: [0, 2, 0], k: [0, 0, 2], origin: [5.5, 5.5, 5.5])),
            repeating: 3)
        let placed = try HeatPlacement.place(tap, on: scan, seen: seen)
        for k in 0..<20 {
            for j in 0..<20 {
                for i in 0..<20 {
                    let inside = [i, j, k].allSatisfy { (5...14).contains($0) }
                    #expect(placed[i, j, k] == (inside ? 3 : 0))
                }
            }
        }
    }
}
