import Foundation
import Testing
import Volumes

@testable import Rendering

@Suite struct ThumbnailTests {
    /// A ramp with one bright, hot corner in slice 3 of 5.
    private func renderer(_ shape: Index3 = [40, 30, 5]) throws -> OverlayRenderer {
        let grid = Grid(shape: shape, affine: Affine(i: [-1, 0, 0], j: [0, -1, 0], k: [0, 0, 2], origin: .zero))
        var scan = Volume(grid: grid, repeating: 0)
        var heat = scan
        for k in 0..<shape.z { for j in 0..<shape.y { for i in 0..<shape.x { scan[i, j, k] = Float(100 * k) } } }
        for j in 0..<10 { for i in 0..<10 { heat[i, j, 3] = 2 } }
        var style = OverlayStyle()
        style.window = .hu(HUWindow(lower: 0, upper: 400), name: "")
        style.alpha = .init(opacity: 1, threshold: 0.1, exponent: 1)
        return try OverlayRenderer(scan: scan, heat: heat, style: style, caption: OverlayCaption(scan: "text"))
    }

    @Test func showsTheHottestSliceWithoutText() throws {
        for size in [20, 40, 100] {
            let picture = try renderer().thumbnail(size: size)
            #expect(picture.width == size && picture.height == (size * 3 + 3) / 4)
            // Slice 3 is 300 of 400; nothing is written on it.
            let far = picture[picture.width - 2, picture.height - 2]
            #expect(far == Colour(191, 191, 191))
            let hot = picture[2 * size / 40, 2 * size / 40]
            #expect(hot == ColourMap.inferno.colour(at: 1), "\(hot)")
        }
    }

    @Test func reducingAverages() {
        let picture = Picture(width: 3, height: 3, layout: .gray, pixels: [0, 10, 20, 30, 40, 51, 60, 71, 200])
        #expect(picture.reduced(by: 2).pixels == [20, 36, 66, 200])
        #expect(picture.reduced(by: 1) == picture)
    }

    @Test(arguments: [Picture.Layout.gray, .rgb]) func jpegComesBackNearly(layout: Picture.Layout) throws {
        let (width, height) = (37, 23)
        var pixels: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width { for c in 0..<layout.rawValue { pixels.append(UInt8(40 + 4 * x + 2 * y + 9 * c)) } }
        }
        let picture = Picture(width: width, height: height, layout: layout, pixels: pixels)
        let data = try JPEG.encode(picture, quality: 95)
        #expect(try JPEG.encode(picture, quality: 95) == data)
        #expect(data.count < pixels.count)
        let back = try JPEG.decode(data)
        #expect(back.width == width && back.height == height && back.layout == layout)
        let worst = zip(back.pixels, pixels).map { abs(Int($0) - Int($1)) }.max()!
        #expect(worst <= 6, "\(worst)")
    }
}
