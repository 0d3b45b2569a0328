import Failures
import Foundation
import Preparations
import Tensors
import TestSupport
import Testing
import Volumes

@Suite struct PreparationTests {
    /// Every voxel holds a number that names its own world position.
    static func coded(_ shape: Index3, _ affine: Affine) -> Volume {
        var volume = Volume(grid: Grid(shape: shape, affine: affine), repeating: 0)
        for k in 0..<shape.z {
            for j in 0..<shape.y { for i in 0..<shape.x { volume[i, j, k] = Float(i + 100 * j + 10000 * k) } }
        }
        return volume
    }

    static let oblique = Affine(
        i: [0.7, 0.1, 0], j: [-0.1, 0.7, 0.05], k: [0, -0.2, 2], origin: [-30, 12, 100])

    @Test("a tensor's axes are the letters of its layout", arguments: ["xyz", "zyx", "yxz", "xzy", "zxy", "yzx"])
    func axes(letters: String) throws {
        let volume = Self.coded([4, 3, 5], Self.oblique)
        let layout = try NetworkLayout(axes: letters)
        let input = try Preparation(layout: layout).prepare(volume)
        let shape = volume.grid.shape
        #expect(input.tensor.shape == [1, 1] + layout.axes.map { shape[$0] })
        for (i, j, k) in [(0, 0, 0), (3, 1, 2), (1, 2, 4)] {
            let index = [i, j, k]
            let place = layout.axes.map { index[$0] }
            #expect(input.tensor[0, 0, place[0], place[1], place[2]] == volume[i, j, k])
        }
        #expect(input.volume().voxels == volume.voxels)
        #expect(input.tensorSpatial(from: volume) == input.tensor.values)
    }

    @Test("channels come second, or last where the layout says so")
    func channelsLast() throws {
        let volume = Self.coded([4, 3, 5], Self.oblique)
        let image = ChannelVolume([volume, Volume(grid: volume.grid, voxels: volume.voxels.map { -$0 })])
        let first = try Preparation(layout: NetworkLayout(axes: "zyx")).prepare(image)
        #expect(first.tensor.shape == [1, 2, 5, 3, 4])
        #expect(first.tensor[0, 1, 4, 2, 3] == -volume[3, 2, 4])
        let last = try Preparation(layout: NetworkLayout(axes: "zyx", channelsLast: true)).prepare(image)
        #expect(last.tensor.shape == [1, 5, 3, 4, 2])
        #expect(last.tensor[0, 4, 2, 3, 1] == -volume[3, 2, 4])
        #expect(last.volume(channel: 1).voxels == image.channels[1])
    }

    @Test("one word of the layout turns the scan, whatever the steps and however it is stored")
    func layoutOrientation() throws {
        let lps = try #require(Orientation("LPS"))
        let volume = Self.coded([4, 3, 5], Self.oblique)
        for stored in Orientation.all {
            let input = try Preparation(
                steps: [try OrientationStep(axcodes: "RAS")], layout: NetworkLayout(axes: "zyx", orientation: lps)
            ).prepare(volume.reoriented(to: stored))
            #expect(Orientation(input.grid.affine) == lps)
            #expect(input.tensor.values == volume.reoriented(to: lps).voxels)
        }
    }

    @Test(
        "a map's voxels lie at centre + n · jump of the input, in any layout", arguments: ["xyz", "zyx", "yxz", "zxy"])
    func tapGrid(letters: String) throws {
        let volume = Self.coded([16, 12, 8], Self.oblique)
        let input = try Preparation(layout: NetworkLayout(axes: letters)).prepare(volume)
        let shape = [3, 4, 2]
        let jump = [4.0, 2.0, 3.0]
        let centre = [1.5, -0.5, 2.0]
        let values = (0..<24).map(Float.init)
        let map = try input.volume(fromTensorSpatial: values, shape: shape, jump: jump, centre: centre)
        #expect(input.tensorSpatial(from: map) == values)
        for (a, b, c) in [(0, 0, 0), (2, 3, 1), (1, 2, 0)] {
            let tap = [a, b, c]
            var inputIndex = Vector3.zero
            var mapIndex = Index3(0, 0, 0)
            for axis in 0..<3 {
                inputIndex[input.layout.axes[axis]] = centre[axis] + jump[axis] * Double(tap[axis])
                mapIndex[input.layout.axes[axis]] = tap[axis]
            }
            let world = volume.grid.affine(inputIndex)
            let place = map.grid.affine(Vector3(Double(mapIndex.x), Double(mapIndex.y), Double(mapIndex.z)))
            #expect((world - place).length < 1e-9)
            #expect(map[mapIndex.x, mapIndex.y, mapIndex.z] == values[(a * 4 + b) * 2 + c])
        }
    }

    @Test(
        "a 2D network sees slice by slice, and the maps of the slices stack up in the world",
        arguments: ["xy", "yx", "zy", "xz"])
    func slices(letters: String) throws {
        let volume = Self.coded([6, 5, 4], Self.oblique)
        let layout = try NetworkLayout(axes: letters)
        let sliceAxis = try #require(layout.sliceAxis)
        let inputs = try Preparation(layout: layout).prepareSlices(volume)
        #expect(inputs.count == volume.grid.shape[sliceAxis])
        for (slice, input) in inputs.enumerated() {
            #expect(input.slice == slice)
            #expect(input.grid.shape[sliceAxis] == 1)
            #expect(input.tensor.shape == [1, 1] + layout.axes.map { volume.grid.shape[$0] })
            var index = Index3(1, 2, 3)
            index[sliceAxis] = slice
            let value = volume[index.x, index.y, index.z]
            #expect(input.tensor[0, 0, index[layout.axes[0]], index[layout.axes[1]]] == value)
            let map = try input.volume(
                fromTensorSpatial: input.tensor.values, shape: Array(input.tensor.shape[2...]), jump: [1, 1],
                centre: [0, 0])
            var inSlice = index
            inSlice[sliceAxis] = 0
            #expect(map[inSlice.x, inSlice.y, inSlice.z] == value)
            let there = map.grid.affine(Vector3(Double(inSlice.x), Double(inSlice.y), Double(inSlice.z)))
            let here = volume.grid.affine(Vector3(Double(index.x), Double(index.y), Double(index.z)))
            #expect((there - here).length < 1e-9)
        }
    }

    @Test(
        "a whole preparation brings a marker to where its affine says, within a hundredth of a voxel",
        arguments: Orientation.all)
    func marker(stored: Orientation) throws {
        let shape = Index3(72, 64, 40)
        var volume = Volume(grid: Grid(shape: shape, affine: Self.oblique), repeating: -1000)
        let place = volume.grid.affine([37.3, 31.8, 19.1])
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    let off = volume.grid.affine([Double(i), Double(j), Double(k)]) - place
                    volume[i, j, k] += Float(1400 * exp(-(off * off).sum() / 32))
                }
            }
        }
        let preparation = Preparation(
            steps: [
                try SpacingStep(pixdim: [1.1, 0.9, 1.3]),
                try ScaleIntensityRangeStep(aMin: -1000, aMax: 400, bMin: 0, bMax: 1, clip: true),
                try CropForegroundStep(threshold: 1e-4), try ResizeStep(spatialSize: [60, 64, 50], mode: .trilinear),
                try ResizeWithPadOrCropStep(spatialSize: [64, 60, 52]), try DivisiblePadStep(k: [16]),
            ], layout: try NetworkLayout(axes: "zyx", orientation: .lps))
        let input = try preparation.prepare(volume.reoriented(to: stored))
        let seen = input.volume()
        var (total, moment) = (0.0, Vector3.zero)
        for k in 0..<seen.grid.shape.z {
            for j in 0..<seen.grid.shape.y {
                for i in 0..<seen.grid.shape.x {
                    let weight = Double(seen[i, j, k])
                    total += weight
                    moment += Vector3(Double(i), Double(j), Double(k)) * weight
                }
            }
        }
        let error = moment / total - seen.grid.affine.inverse!(place)
        #expect(error.length < 0.01)
    }

    @Test("body crop keeps the body and its place, and drops air and table")
    func cropToBody() throws {
        var volume = Volume(grid: Grid(shape: [60, 50, 10], affine: Self.oblique), repeating: -1000)
        for k in 0..<10 { for j in 15..<40 { for i in 20..<45 { volume[i, j, k] = 30 } } }
        for k in 0..<10 { for i in 5..<55 { volume[i, 10, k] = 200 } }
        let step = try CropToBodyStep(margin: 0)
        let result = try step.apply(ChannelVolume(volume))
        #expect(result.grid.shape == [25, 25, 10])
        #expect((result.grid.affine([0, 0, 0]) - volume.grid.affine([20, 15, 0])).length < 1e-9)
        #expect(result.channels[0].allSatisfy { $0 == 30 })
    }

    @Test("several windows become channels")
    func windows() throws {
        let volume = Volume(grid: Grid(shape: [3, 1, 1], affine: .identity), voxels: [-1350, -600, 240])
        let image = try WindowChannelsStep(windows: [.lung, .mediastinum]).apply(ChannelVolume(volume))
        #expect(image.channels == [[0, 0.5, 1], [0, 0, 1]])
    }

    @Test("the record of steps says shape, spacing and orientation in words")
    func records() throws {
        let preparation = Preparation(
            steps: [try SpacingStep(pixdim: [2, 2, 2]), try RepeatChannelStep(repeats: 3)],
            layout: try NetworkLayout(axes: "xyz", orientation: .ras))
        let input = try preparation.prepare(
            Self.coded([8, 8, 4], Affine(i: [-1, 0, 0], j: [0, -1, 0], k: [0, 0, 3], origin: .zero)))
        #expect(
            input.records.map(\.description) == [
                "scan: 8 × 8 × 4 voxels of 1.0 × 1.0 × 3.0 mm, LPS",
                "Orientation (axcodes RAS, for the layout): 8 × 8 × 4 voxels of 1.0 × 1.0 × 3.0 mm, RAS",
                "Spacing (pixdim 2.0 2.0 2.0, bilinear, border): 4 × 4 × 6 voxels of 2.0 × 2.0 × 2.0 mm, RAS",
                "RepeatChannel (3 times): 3 channels of 4 × 4 × 6 voxels of 2.0 × 2.0 × 2.0 mm, RAS",
            ])
        #expect(preparation.summary.last == "layout: xyz RAS")
    }

    @Test("impossible parameters are named, with what is allowed")
    func refusals() {
        func found(_ body: () throws -> Any) -> String {
            do {
                _ = try body()
                return "nothing thrown"
            } catch { return "\(error)" }
        }
        #expect(found { try OrientationStep(axcodes: "RAX") }.contains("axcodes: expected three letters"))
        #expect(found { try SpacingStep(pixdim: []) }.contains("pixdim: expected one number"))
        #expect(found { try SpacingStep(pixdim: [1, .nan]) }.contains("expected spacings in mm, found nan"))
        #expect(
            found { try ResizeStep(spatialSize: [1, 2]) }.contains("spatial_size: expected one extent, or one for each")
        )
        #expect(found { try ResizeStep(spatialSize: [100_000]) }.contains("expected extents up to 65536"))
        #expect(
            found { try ResizeStep(spatialSize: [9], mode: .area, alignCorners: true) }.contains(
                "mode 'trilinear' beside it"))
        #expect(found { try ResizeStep(spatialSize: [9, 9, 9], sizeMode: .longest) }.contains("one positive number"))
        #expect(
            found { try CropForegroundStep(margin: [-1]) }.contains("margin: expected zero or more voxels, found -1"))
        #expect(
            found { try ScaleIntensityRangeStep(aMin: 1, aMax: 1) }.contains(
                "a_max: expected a number other than a_min"))
        #expect(found { try ClipIntensityStep(minimum: 2, maximum: 1) }.contains("maximum: expected no less than"))
        #expect(found { try NormalizeIntensityStep(subtrahend: [1, 2]) }.contains("channel_wise: true beside several"))
        #expect(found { try PercentileRangeStep.clipping(lower: -1, upper: 5) }.contains("a percentile from 0 to 100"))
        #expect(found { try RepeatChannelStep(repeats: 0) }.contains("repeats: expected 1 to 4096"))
        #expect(found { try NetworkLayout(axes: "xxz") }.contains("axes: expected two or three different letters"))

        let flat = Volume(grid: Grid(shape: [4, 4, 4], affine: .identity), repeating: -1000)
        #expect(
            found { try Preparation(steps: [try CropForegroundStep()]).prepare(flat) }
                .hasPrefix("preparation step 1: CropForeground: expected foreground: voxels above 0.0, found none"))
        #expect(
            found { try Preparation(steps: [try CropToBodyStep()]).prepare(flat) }.contains(
                "CropToBody: expected a body"))
        #expect(
            found { try Preparation(steps: [try SpacingStep(pixdim: [1e-6])]).prepare(flat) }
                .contains("Spacing: expected at most 1048576 voxels along an axis"))
        #expect(
            found { try Preparation(steps: [try SpacingStep(pixdim: [1e-4])]).prepare(flat) }
                .contains("Spacing: expected a prepared volume of 1 to"))
    }

    /// Resize and CenterCrop of torchvision 0.28 on a picture of 13 × 9 pixels (Pillow's rounding): to a shorter side of 4 and of 14,
    /// then the centre square of 3.
    @Test(arguments: [
        (4, [140, 74, 81, 133, 86, 126, 122, 130, 136]), (14, [39, 52, 85, 66, 87, 98, 159, 178, 163]),
    ])
    func picturesAreResizedAsTorchvisionDoes(shorterSide: Int, expected: [Float]) throws {
        let pixels: [Float] = [
            248, 207, 237, 211, 5, 60, 109, 82, 36, 222, 8, 15, 144, 24, 11, 104, 226, 159, 163, 41, 70, 40, 0, 63, 255,
            8,
            25, 146, 219, 100, 72, 21, 16, 107, 61, 229, 97, 150, 62, 239, 14, 193, 205, 110, 79, 72, 234, 48, 149, 166,
            59,
            153, 59, 74, 82, 167, 185, 19, 52, 94, 197, 76, 166, 98, 103, 11, 71, 90, 9, 149, 163, 192, 115, 48, 245,
            123, 134,
            7, 33, 170, 39, 133, 206, 225, 153, 23, 205, 136, 184, 133, 116, 114, 250, 53, 176, 151, 157, 63, 84, 75,
            10, 189,
            225, 202, 90, 167, 253, 43, 88, 212, 185, 229, 125, 1, 203, 29, 255,
        ]
        let image = ChannelVolume(Volume(grid: Grid(shape: [13, 9, 1], affine: .identity), voxels: pixels))
        let square = try PictureSquareStep(size: 3, shorterSide: shorterSide).apply(image)
        #expect(square.grid.shape == [3, 3, 1] && square.channels[0] == expected)
        // The square's centre is the picture's, but for the pixel that an odd rest leaves over.
        let centre = square.grid.affine([1, 1, 0])
        #expect(abs(centre.x - 6) < 2 && abs(centre.y - 4) < 2)
    }
}
