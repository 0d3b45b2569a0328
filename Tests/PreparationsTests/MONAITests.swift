import Foundation
import Preparations
import TestSupport
import Testing
import Volumes

/// Each step beside the MONAI transform of its name (Tests/Reference/preparations.py).
@Suite struct MONAITests {
    struct Case: Decodable, Sendable {
        var name: String
        var source: String
        var affine: [[Double]]
    }

    static let file = try! SafeTensors(contentsOf: Fixtures.reference("preparations/monai.safetensors"))
    static let cases = try! JSONDecoder().decode([Case].self, from: Data(file.metadata["cases"]!.utf8))
    static let affines = try! JSONDecoder().decode(
        [String: [[Double]]].self, from: Data(file.metadata["affines"]!.utf8))

    static func image(_ name: String, affine: [[Double]]) -> ChannelVolume {
        let tensor = file.float(name)!
        let shape = tensor.shape
        let size = shape[1] * shape[2] * shape[3]
        return ChannelVolume(
            grid: Grid(shape: Index3(shape[3], shape[2], shape[1]), affine: Affine(rows: affine.flatMap { $0 })),
            channels: (0..<shape[0]).map { Array(tensor.values[$0 * size..<($0 + 1) * size]) })
    }

    static func source(_ name: String) -> ChannelVolume { image("source.\(name)", affine: affines[name]!) }

    /// The same parameters as in the script.
    static func steps(_ name: String) throws -> [any PreparationStep]? {
        switch name {
        case "Orientation RAS": [try OrientationStep(axcodes: "RAS")]
        case "Orientation SPL": [try OrientationStep(axcodes: "SPL")]
        case "Orientation PIR": [try OrientationStep(axcodes: "PIR")]
        case "Spacing 1.5 1.5 2": [try SpacingStep(pixdim: [1.5, 1.5, 2])]
        case "Spacing 1 1 1": [try SpacingStep(pixdim: [1, 1, 1])]
        case "Spacing 1.5": [try SpacingStep(pixdim: [1.5])]
        case "Spacing 2 -1 0.7": [try SpacingStep(pixdim: [2, -1, 0.7])]
        case "Spacing nearest": [try SpacingStep(pixdim: [1.13, 1.13, 2.21], mode: .nearest)]
        case "Spacing zeros": [try SpacingStep(pixdim: [0.61, 0.83, 1.7], paddingMode: .zeros)]
        case "Spacing diagonal": [try SpacingStep(pixdim: [1.2, 1.3, 1.4], diagonal: true)]
        case "Spacing diagonal zeros": [try SpacingStep(pixdim: [1.2, 1.3, 1.4], paddingMode: .zeros, diagonal: true)]
        case "Spacing unchanged": [try SpacingStep(pixdim: [0.8004, 0.7996, 3])]
        case "Resize area": [try ResizeStep(spatialSize: [8, 20, 5])]
        case "Resize trilinear": [try ResizeStep(spatialSize: [16, 6, 12], mode: .trilinear)]
        case "Resize aligned": [try ResizeStep(spatialSize: [16, 6, 13], mode: .trilinear, alignCorners: true)]
        case "Resize nearest": [try ResizeStep(spatialSize: [7, 23, 8], mode: .nearest)]
        case "Resize nearest-exact": [try ResizeStep(spatialSize: [7, 23, 5], mode: .nearestExact)]
        case "Resize longest": [try ResizeStep(spatialSize: [24], mode: .trilinear, sizeMode: .longest)]
        case "Resize keep": [try ResizeStep(spatialSize: [9, -1, -1], mode: .trilinear)]
        case "CenterSpatialCrop": [try CenterSpatialCropStep(roiSize: [6, 7, 20])]
        case "CenterSpatialCrop keep": [try CenterSpatialCropStep(roiSize: [5, -1, 4])]
        case "SpatialPad": [try SpatialPadStep(spatialSize: [20, 18, 4], fill: .constant(-1000))]
        case "SpatialPad end edge": [try SpatialPadStep(spatialSize: [14, 14, 15], method: .end, fill: .edge)]
        case "DivisiblePad": [try DivisiblePadStep(k: [4, 8, 5])]
        case "ResizeWithPadOrCrop": [try ResizeWithPadOrCropStep(spatialSize: [10, 18, 8], fill: .constant(-1000))]
        case "ResizeWithPadOrCrop odd": [try ResizeWithPadOrCropStep(spatialSize: [13, 6, 7])]
        case "CropForeground": [try CropForegroundStep(threshold: 150, allowSmaller: true)]
        case "CropForeground margin": [try CropForegroundStep(threshold: 330, margin: [3, 0, 4], kDivisible: [4])]
        case "CropForeground smaller": [try CropForegroundStep(threshold: 300, margin: [5], allowSmaller: true)]
        case "ScaleIntensityRange": [try ScaleIntensityRangeStep(aMin: -1000, aMax: 400, bMin: 0, bMax: 1, clip: true)]
        case "ScaleIntensityRange window":
            [try ScaleIntensityRangeStep(aMin: -175, aMax: 250, bMin: -1, bMax: 1, clip: true)]
        case "ScaleIntensityRange open": [try ScaleIntensityRangeStep(aMin: -500, aMax: 500, bMin: -2, bMax: 3)]
        case "ScaleIntensityRange bare": [try ScaleIntensityRangeStep(aMin: -500, aMax: 500)]
        case "ScaleIntensity", "ScaleIntensity together": [ScaleIntensityStep()]
        case "ScaleIntensity range": [ScaleIntensityStep(minv: -1, maxv: 2)]
        case "ScaleIntensity factor": [ScaleIntensityStep(minv: nil, maxv: nil, factor: 0.25)]
        case "ScaleIntensity channels": [ScaleIntensityStep(channelWise: true)]
        case "NormalizeIntensity", "NormalizeIntensity together": [try NormalizeIntensityStep()]
        case "NormalizeIntensity nonzero": [try NormalizeIntensityStep(nonzero: true, channelWise: true)]
        case "NormalizeIntensity given": [try NormalizeIntensityStep(subtrahend: [-100], divisor: [250])]
        case "NormalizeIntensity channels":
            [try NormalizeIntensityStep(subtrahend: [120, 110, 40], divisor: [58, 57, 30], channelWise: true)]
        case "NormalizeIntensity measured": [try NormalizeIntensityStep(channelWise: true)]
        case "ThresholdIntensity": [ThresholdIntensityStep(threshold: -300, cval: -1000)]
        case "ThresholdIntensity below": [ThresholdIntensityStep(threshold: 200, above: false, cval: 200)]
        case "ScaleIntensityRangePercentiles":
            [try PercentileRangeStep.scaling(lower: 1, upper: 99, bMin: 0, bMax: 1, clip: true)]
        case "ScaleIntensityRangePercentiles open":
            [try PercentileRangeStep.scaling(lower: 5, upper: 90, bMin: -1, bMax: 1)]
        case "ClipIntensityPercentiles": [try PercentileRangeStep.clipping(lower: 10, upper: 80.5)]
        case "ClipIntensityPercentiles channels":
            [try PercentileRangeStep.clipping(lower: 20, upper: 70, channelWise: true)]
        case "RepeatChannel": [try RepeatChannelStep(repeats: 3)]
        case "Compose":
            [
                try OrientationStep(axcodes: "RAS"), try SpacingStep(pixdim: [1.2, 1.2, 1.6]),
                try ScaleIntensityRangeStep(aMin: -1000, aMax: 400, bMin: 0, bMax: 1, clip: true),
                try CropForegroundStep(), try ResizeWithPadOrCropStep(spatialSize: [16, 12, 16]),
                try NormalizeIntensityStep(channelWise: true),
            ]
        case "Compose LPS":
            [
                try OrientationStep(axcodes: "LPS"), try SpacingStep(pixdim: [1, 1, 2.5]),
                try ResizeStep(spatialSize: [16, 16, 9], mode: .trilinear), ScaleIntensityStep(),
                try DivisiblePadStep(k: [8]),
            ]
        default: nil
        }
    }

    @Test("shape, affine and voxels are MONAI's", arguments: cases)
    func agreesWithMONAI(item: Case) throws {
        let steps = try #require(try Self.steps(item.name), "no steps for \(item.name)")
        let expected = Self.image(item.name, affine: item.affine)
        let (result, records) = try Preparation(steps: steps).prepared(Self.source(item.source))
        #expect(result.grid.shape == expected.grid.shape)
        let apart = zip(result.grid.affine.rows.joined(), item.affine.joined()).map { abs($0 - $1) }.max()!
        #expect(apart < 1e-9)
        #expect(result.channels.count == expected.channels.count)
        for (channel, values) in zip(result.channels, expected.channels) {
            #expect(relativeError(channel, values) < 2e-6)
        }
        #expect(records.count == steps.count + 1)
        #expect(records.last?.shape == (0..<3).map { expected.grid.shape[$0] })
    }
}
