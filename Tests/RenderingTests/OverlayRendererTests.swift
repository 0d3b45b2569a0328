import Failures
import Foundation
import TestSupport
import Testing
import Volumes
import Workers

@testable import Rendering

struct OverlayRendererTests {
    static let scan = Phantom.sample(Phantom.grid, Phantom.hounsfield)
    static let heat = Phantom.sample(Phantom.grid, Phantom.heat)
    static var mask: Volume {
        var mask = heat
        mask.voxels = heat.voxels.map { $0 > 1 ? 3 : 0 }
        return mask
    }

    /// All that a style can draw, so that nothing escapes the comparison.
    static var everything: OverlayStyle {
        var style = OverlayStyle()
        style.window = .mediastinum
        style.contours = [0.3, 0.7]
        style.isSigned = true
        style.isSideBySide = true
        return style
    }

    static func renderer(_ order: [Int], _ flips: [Bool], _ style: OverlayStyle) throws -> OverlayRenderer {
        try OverlayRenderer(
            scan: Phantom.reordered(scan, order: order, flips: flips),
            heat: Phantom.reordered(heat, order: order, flips: flips),
            mask: Phantom.reordered(mask, order: order, flips: flips), style: style,
            caption: .init(scan: "phantom", method: "Grad-CAM", target: "class 1", score: "p = 0.5"))
    }

    static let expected: [Plane: [Picture]] = {
        let renderer = try! OverlayRendererTests.renderer([0, 1, 2], [false, false, false], everything)
        return Dictionary(
            uniqueKeysWithValues: Plane.allCases.map { plane in
                (plane, [renderer.slice(plane, 9), renderer.montage(plane, slices: renderer.hottest(plane, count: 3))])
            })
    }()

    /// The same anatomy stored in each of the 48 axis orders gives the same picture, pixel for pixel, text included.
    @Test(arguments: Phantom.allOrders.indices) func storedOrderDoesNotShow(_ index: Int) throws {
        let (order, flips) = Phantom.allOrders[index]
        let renderer = try OverlayRendererTests.renderer(order, flips, OverlayRendererTests.everything)
        for plane in Plane.allCases {
            let slices = renderer.hottest(plane, count: 3)
            #expect(
                [renderer.slice(plane, 9), renderer.montage(plane, slices: slices)] == OverlayRendererTests.expected[
                    plane]!)
            let (axis, stored) = renderer.storedIndex(plane, 9)
            #expect(order[axis] == plane.through.worldAxis)
            #expect(stored == (flips[axis] ? renderer.sliceCount(plane) - 10 : 9))
        }
    }

    /// Planted voxels with known places in the patient: which pixel of which slice shows them.
    @Test func voxelsAreWhereTheAnatomySays() throws {
        var scan = Volume(grid: Phantom.grid, repeating: -1000)
        // Index 16 of 19 toward Right, 4 of 23 toward Anterior (so posterior), 12 of 17 toward Superior.
        scan[16, 4, 12] = 1000
        let heat = Volume(grid: Phantom.grid, repeating: 0)
        var style = OverlayStyle.bare
        style.window = .hu(HUWindow(lower: 0, upper: 1), name: "")
        style.interpolation = .nearest
        func white(_ plane: Plane, _ slice: Int, radiological: Bool = true) throws -> (x: Int, y: Int) {
            var style = style
            style.isRadiological = radiological
            let picture = try OverlayRenderer(scan: scan, heat: heat, style: style).basePicture(
                SliceFrame(grid: scan.grid, plane: plane, radiological: radiological), slice,
                DisplayGrid(
                    frame: SliceFrame(grid: scan.grid, plane: plane, radiological: radiological), minimum: 1,
                    maximum: 999))
            let brightest = (0..<picture.width * picture.height).max {
                picture.pixels[$0 * 3] < picture.pixels[$1 * 3]
            }!
            #expect(picture.pixels[brightest * 3] == 255)
            return (brightest % picture.width, brightest / picture.width)
        }
        // Patient right is on the left: 16 of 19 → third column from the left, 4 mm a voxel at 3 mm a pixel.
        #expect(try white(.axial, 12).x < 6)
        #expect(try white(.axial, 12).y == 18)
        #expect(try white(.axial, 12, radiological: false).x > 19)
        // Superior is on top: fifth row of voxels from the top, 5 mm a voxel at 4 mm a pixel.
        let coronal = try white(.coronal, 4)
        #expect(coronal.x == 2 && (5...6).contains(coronal.y))
        // Anterior is on the left, so what is posterior lies on the right.
        let sagittal = try white(.sagittal, 16)
        #expect(sagittal.x == 18 && (6...8).contains(sagittal.y))
    }

    /// Heat on coarse, turned and shifted grids of its own: a function that is linear in the world is read back exactly.
    @Test(arguments: [0.0, 0.35]) func heatIsReadByWorldCoordinates(_ angle: Double) throws {
        func value(_ p: Vector3) -> Float { Float(3 + 0.02 * p.x - 0.03 * p.y + 0.05 * p.z) }
        let (c, s) = (cos(angle), sin(angle))
        let own = Grid(
            shape: [14, 15, 12],
            affine: Affine(i: [-9 * c, 9 * s, 0], j: [-8 * s, -8 * c, 0], k: [1, 0, 10], origin: [70, 60, -60]))
        let heat = Phantom.sample(own, value)
        let renderer = try OverlayRenderer(scan: OverlayRendererTests.scan, heat: heat, style: .bare)
        for plane in Plane.allCases {
            let frame = renderer.frame(plane)
            let display = DisplayGrid(frame: frame, minimum: 100, maximum: 999)
            let values = renderer.heatValues(frame, 7, display)
            let (origin, right, down) = frame.indices(slice: 7)
            let inverse = own.affine.inverse!
            var compared = 0
            for y in 0..<display.height {
                for x in 0..<display.width {
                    let index =
                        origin + right * display.native(x: Double(x)) + down * display.native(y: Double(y))
                    let world = Phantom.grid.affine(index)
                    let place = inverse(world)
                    let last = Vector3(13, 14, 11)
                    let read = values[y * display.width + x]
                    if all(place .>= .zero .& place .<= last) {
                        #expect(abs(read - value(world)) < 1e-4)
                        compared += 1
                    } else if any(place .< -0.501 .| place .> last + 0.501) {
                        #expect(read == 0)
                    }
                }
            }
            #expect(compared > 3000)
        }
    }

    /// Heat on its own grid over a scan in another axis order: the same picture but for rounding.
    @Test func coarseHeatOverAnyStoredOrder() throws {
        let own = Grid(
            shape: [6, 7, 5],
            affine: Affine(i: [-13, 0, 0], j: [0, -11, 0], k: [0, 0, 17], origin: [31.3, 29.1, -35.7]))
        let heat = Phantom.sample(own, Phantom.heat)
        var style = OverlayStyle()
        style.window = .mediastinum
        let first = try OverlayRenderer(scan: OverlayRendererTests.scan, heat: heat, style: style)
        for index in [5, 22, 47] {
            let (order, flips) = Phantom.allOrders[index]
            let turned = Phantom.reordered(OverlayRendererTests.scan, order: order, flips: flips)
            let other = try OverlayRenderer(scan: turned, heat: heat, style: style)
            for plane in Plane.allCases {
                let (a, b) = (first.slice(plane, 8), other.slice(plane, 8))
                #expect(zip(a.pixels, b.pixels).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
                let sums = zip(first.heatPerSlice(plane), other.heatPerSlice(plane))
                #expect(sums.allSatisfy { abs($0 - $1) <= 1e-3 * max(1, $0) })
            }
        }
    }

    @Test func hottestSlicesByTheSumOfPositiveHeat() throws {
        var heat = Volume(grid: Phantom.grid, repeating: -1)
        heat[3, 4, 5] = 2
        heat[3, 9, 6] = 1
        heat[4, 9, 6] = 1.5
        heat[3, 9, 8] = 2
        heat[3, 9, 9] = .infinity
        let renderer = try OverlayRenderer(scan: OverlayRendererTests.scan, heat: heat)
        #expect(renderer.hottest(.axial, count: 9) == [6, 5, 8])
        #expect(renderer.hottest(.axial, count: 2) == [6, 5])
        // Slices lie 5 mm apart.
        #expect(renderer.hottest(.axial, count: 9, apart: 5) == [6, 5, 8])
        #expect(renderer.hottest(.axial, count: 9, apart: 5.1) == [6, 8])
        #expect(renderer.hottest(.axial, count: 9, apart: 11) == [6])
        #expect(renderer.hottest(.axial, count: 9, apart: .infinity) == [6])
        #expect(renderer.heatPerSlice(.coronal)[9] == 4.5)
        #expect(renderer.hottest(.sagittal, count: 5) == [3, 4])
    }

    /// Faint grain over a whole slice sums to more than a peak, and shows nothing.
    @Test func aPeakOutweighsFaintGrain() throws {
        var heat = Volume(grid: Phantom.grid, repeating: 0)
        let shape = heat.grid.shape
        for j in 0..<shape.y {
            for i in 0..<shape.x { heat[i, j, 2] = 0.09 }
        }
        heat[3, 4, 5] = 1
        heat[3, 4, 6] = 0.5
        let renderer = try OverlayRenderer(scan: OverlayRendererTests.scan, heat: heat)
        let sums = renderer.heatPerSlice(.axial)
        #expect(sums.firstIndex(of: sums.max()!) == 2)
        #expect(renderer.hottest(.axial, count: 9) == [5, 6, 2])
    }

    /// Captum's rule: as much of the sum as told lies beyond the scale's end.
    @Test func outliersShareTheEndOfAScale() throws {
        var heat = Volume(grid: Grid(shape: [10, 10, 10], affine: .identity), repeating: 0)
        for index in 0..<980 { heat.voxels[index] = Float(index + 1) / 980 * (index % 2 == 0 ? 1 : -1) }
        heat.voxels[990] = 50
        let positive = heat.voxels.filter { $0 > 0 }.map(Double.init).sorted()
        let whole = positive.reduce(0, +)
        for outliers in [0.25, 0.5] {
            let scale = ScaleRange(of: heat, outliers: outliers)
            var sum = 0.0
            let exact = positive.first { value in
                sum += value
                return sum >= whole * (1 - outliers)
            }!
            #expect(scale.origin == .clipped && abs(Double(scale.top) / exact - 1) < 0.01, "\(scale.top) \(exact)")
        }
        #expect(ScaleRange(of: heat, outliers: 0) == ScaleRange(of: heat))
        #expect(ScaleRange(of: heat, signed: true, outliers: 0.25).top > ScaleRange(of: heat, outliers: 0.25).top * 0.9)
        // One value alone is no outlier.
        var single = Volume(grid: heat.grid, repeating: 0)
        single.voxels[7] = 3
        #expect(ScaleRange(of: single, outliers: 0.02) == ScaleRange(of: single))
    }

    @Test func mapsOfThreeKindsLookDifferent() throws {
        let scan = OverlayRendererTests.scan
        var negative = OverlayRendererTests.heat
        negative.voxels = negative.voxels.map { -abs($0) }
        let blank = try OverlayRenderer(scan: scan, heat: negative, style: .bare)
        #expect(blank.scale.isBlank)
        // The message is there, and but for it the scan is as it was.
        var bare = try OverlayRenderer(scan: scan, heat: Volume(grid: scan.grid, repeating: 1), style: .bare)
            .basePicture(
                blank.frame(.axial), 8, DisplayGrid(frame: blank.frame(.axial), minimum: 384, maximum: 999))
        var style = OverlayStyle.bare
        style.minimumSize = 384
        let said = try OverlayRenderer(scan: scan, heat: negative, style: style).slice(.axial, 8)
        var changedRows = Set<Int>()
        for index in said.pixels.indices where said.pixels[index] != bare.pixels[index] {
            changedRows.insert(index / (said.width * 3))
        }
        #expect(!changedRows.isEmpty && changedRows.max()! - changedRows.min()! < 40)
        // Evidence against the target shows only on a signed scale.
        style.isSigned = true
        let signed = try OverlayRenderer(scan: scan, heat: negative, style: style).slice(.axial, 5)
        bare = try OverlayRenderer(scan: scan, heat: negative, style: style).basePicture(
            blank.frame(.axial), 5, DisplayGrid(frame: blank.frame(.axial), minimum: 384, maximum: 999))
        var bluer = 0
        for pixel in 0..<signed.width * signed.height {
            if signed.pixels[pixel * 3 + 2] > bare.pixels[pixel * 3 + 2] { bluer += 1 }
        }
        #expect(bluer > 1000)
    }

    @Test func nothingFiniteNothingDrawnNothingBroken() throws {
        var scan = OverlayRendererTests.scan
        var heat = OverlayRendererTests.heat
        for index in stride(from: 0, to: scan.voxels.count, by: 7) {
            scan.voxels[index] = [.nan, .infinity, -.infinity][index % 3]
            heat.voxels[index] = [.nan, .infinity, -.infinity][index % 3]
        }
        for window in [OverlayStyle.Window.lung, .automatic] {
            var style = OverlayRendererTests.everything
            style.window = window
            let renderer = try OverlayRenderer(scan: scan, heat: heat, style: style)
            #expect(renderer.scale.top < 3)
            for plane in Plane.allCases { _ = renderer.slice(plane, 3) }
        }
        scan.voxels = scan.voxels.map { _ in .nan }
        heat.voxels = heat.voxels.map { _ in .nan }
        var style = OverlayStyle.bare
        style.minimumSize = 384
        let renderer = try OverlayRenderer(scan: scan, heat: heat, style: style)
        #expect(renderer.scale.isBlank)
        // Black but for the message that nothing is there.
        let picture = renderer.slice(.axial, 0)
        #expect(picture.pixels.filter { $0 == 0 }.count > picture.pixels.count * 8 / 10)
        #expect(renderer.hottest(.axial, count: 3).isEmpty)
    }

    @Test func extremeShapes() throws {
        for shape in [Index3(1, 1, 1), Index3(1, 40, 1), Index3(300, 1, 2), Index3(2, 3, 1)] {
            for spacing in [Vector3(1, 1, 1), Vector3(0.001, 5, 700)] {
                let affine = Affine(i: [0, spacing.x, 0], j: [0, 0, -spacing.y], k: [spacing.z, 0, 0], origin: .zero)
                let grid = Grid(shape: shape, affine: affine)
                let renderer = try OverlayRenderer(
                    scan: Volume(grid: grid, repeating: 40), heat: Volume(grid: grid, repeating: 1),
                    mask: Volume(grid: grid, repeating: 1), style: OverlayRendererTests.everything)
                for plane in Plane.allCases {
                    let picture = renderer.slice(plane, 0)
                    #expect(max(picture.width, picture.height) < 2 * 2048 + 400)
                    _ = renderer.montage(plane, slices: [0])
                }
            }
        }
    }

    @Test func gridsWithoutAPlaceAreRefused() {
        var flat = OverlayRendererTests.heat
        flat.grid.affine.k = .zero
        let failure = #expect(throws: Failure.self) { try OverlayRenderer(scan: OverlayRendererTests.scan, heat: flat) }
        #expect(failure?.kind == .scan && failure?.subject.contains("heat") == true)
    }

    /// A picture goes through the same code as it stands: rows from the top, columns from the left, colours kept.
    @Test func picturesKeepTheirColoursAndTheirSides() throws {
        let picture = PNGTests.picture(.rgb, width: 40, height: 30)
        var heat = Volume(grid: picture.grid, repeating: 0)
        heat[39, 0, 0] = 1
        var style = OverlayStyle.bare
        style.alpha = .init(opacity: 1, threshold: 0, exponent: 1)
        style.colourMap = .gray
        let drawn = try OverlayRenderer(picture: picture, heat: heat, style: style).slice(.axial, 0)
        #expect(drawn[39, 0] == .white)
        var expected = picture
        for channel in 0..<3 { expected.pixels[39 * 3 + channel] = 255 }
        #expect(drawn == expected)
    }

    @Test func sharedScalesGiveEqualHeatEqualColours() throws {
        var strong = OverlayRendererTests.heat
        strong.voxels = strong.voxels.map { $0 * 2 }
        let scales = [OverlayRendererTests.heat, strong].map { ScaleRange(of: $0) }
        var style = OverlayStyle.bare
        style.scale = .shared(scales)
        let weakRenderer = try OverlayRenderer(
            scan: OverlayRendererTests.scan, heat: OverlayRendererTests.heat, style: style)
        #expect(weakRenderer.scale.top == scales[1].top)
        style.scale = .fixed(scales[0].top)
        let halfRenderer = try OverlayRenderer(
            scan: OverlayRendererTests.scan, heat: OverlayRendererTests.heat, style: style)
        #expect(weakRenderer.slice(.axial, 9) != halfRenderer.slice(.axial, 9))
    }
}

@Suite(.serialized) struct WritingTests {
    /// The same files, byte for byte, at any number of threads.
    @Test func threadsDoNotShow() throws {
        var style = OverlayRendererTests.everything
        style.planes = Plane.allCases
        let renderer = try OverlayRenderer(
            scan: OverlayRendererTests.scan, heat: OverlayRendererTests.heat, mask: OverlayRendererTests.mask,
            style: style)
        var results: [[String: Data]] = []
        for width in [1, 3, 8] {
            Workers.setWidth(width)
            let folder = Fixtures.temporaryFolder("slices")
            let written = try renderer.writeSlices(to: folder, prefix: "case-")
            #expect(written.count == 19 + 23 + 17)
            let shown = try renderer.writeMontage(
                .coronal, count: 4, to: folder.appendingPathComponent("montage.png"))
            // 3 mm a slice, at least 5 mm apart.
            #expect(shown.count == 4 && zip(shown, shown.dropFirst()).allSatisfy { $0 - $1 >= 2 })
            var files: [String: Data] = [:]
            for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
                files[name] = try Data(contentsOf: folder.appendingPathComponent(name))
            }
            results.append(files)
        }
        Workers.setWidth(Workers.defaultWidth)
        #expect(results[0].count == 60)
        #expect(results[0].keys.contains("case-axial-001.png") && results[0].keys.contains("case-sagittal-019.png"))
        #expect(results.allSatisfy { $0 == results[0] })
    }

    @Test func theListSaysWhatWasWritten() throws {
        let renderer = try OverlayRenderer(scan: OverlayRendererTests.scan, heat: OverlayRendererTests.heat)
        let folder = Fixtures.temporaryFolder("hottest").appendingPathComponent("not yet there")
        let written = try renderer.writeSlices(.hottest(3), to: folder)
        #expect(written.map(\.index) == renderer.hottest(.axial, count: 3).sorted())
        for slice in written {
            #expect(slice.url.lastPathComponent == "axial-0\(slice.index < 9 ? "0" : "")\(slice.index + 1).png")
            #expect(abs(slice.position - (-40.17 + 5 * Double(slice.index))) < 1e-9)
            #expect(abs(slice.heat - renderer.heatPerSlice(.axial)[slice.index]) < 1e-9)
            #expect(try PictureReader.read(slice.url) == renderer.slice(.axial, slice.index))
        }
    }

    @Test func withoutPositiveHeatTheMiddleSliceSaysSo() throws {
        let heat = Volume(grid: Phantom.grid, repeating: -1)
        let renderer = try OverlayRenderer(scan: OverlayRendererTests.scan, heat: heat)
        let folder = Fixtures.temporaryFolder("blank")
        #expect(try renderer.writeSlices(.hottest(3), to: folder).map(\.index) == [8])
        #expect(try renderer.writeSlices(.hottest(0), to: folder).isEmpty)
    }

    @Test func aFolderThatCannotBeMadeIsNamed() throws {
        let file = Fixtures.temporaryFolder("blocked").appendingPathComponent("file")
        try Data().write(to: file)
        let renderer = try OverlayRenderer(scan: OverlayRendererTests.scan, heat: OverlayRendererTests.heat)
        let failure = #expect(throws: Failure.self) { try renderer.writeSlices(to: file) }
        #expect(failure?.kind == .output && failure?.subject.contains("file") == true)
    }
}
