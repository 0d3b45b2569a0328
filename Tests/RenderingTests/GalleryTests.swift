import Foundation
import TestSupport
import Testing
import Volumes

@testable import Rendering

/// Pictures of real scans to look at: set TOMOLENS_GALLERY to a folder.
@Suite(
    .enabled(
        if: Fixtures.realData != nil && ProcessInfo.processInfo.environment["TOMOLENS_GALLERY"] != nil,
        "set TOMOLENS_REAL_DATA and TOMOLENS_GALLERY to draw pictures of real scans"))
struct GalleryTests {
    let scans = Fixtures.realData!.appendingPathComponent("scans")
    let folder = URL(fileURLWithPath: ProcessInfo.processInfo.environment["TOMOLENS_GALLERY"]!)

    func volume(_ name: String) throws -> Volume {
        try NIfTIFile.read(scans.appendingPathComponent(name)).volume
    }

    /// Heat on a coarse grid of its own over the scan: a blob of 35 mm around `centre` (world mm), with a negative one beside it.
    func heat(over grid: Grid, around centre: Vector3, jump: Double = 8) -> Volume {
        let shape = Index3(
            max(1, grid.shape.x / Int(jump)), max(1, grid.shape.y / Int(jump)),
            max(1, Int(Double(grid.shape.z) / max(1, jump / 4))))
        let step = Vector3(
            Double(grid.shape.x) / Double(shape.x), Double(grid.shape.y) / Double(shape.y),
            Double(grid.shape.z) / Double(shape.z))
        let inner = Affine(
            i: [step.x, 0, 0], j: [0, step.y, 0], k: [0, 0, step.z], origin: (step - 1) / 2)
        var heat = Volume(grid: Grid(shape: shape, affine: grid.affine.composed(with: inner)), repeating: 0)
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    let place = heat.grid.affine([Double(i), Double(j), Double(k)])
                    func blob(_ centre: Vector3, _ size: Double) -> Double {
                        let d = place - centre
                        return exp(-(d * d).sum() / (2 * size * size))
                    }
                    heat[i, j, k] = Float(
                        0.0123
                            * (blob(centre, 25) + 0.35 * blob(centre + [60, 30, 20], 30) - 0.6
                                * blob(centre + [-70, 10, -15], 25)))
                }
            }
        }
        return heat
    }

    func centroid(_ mask: Volume) -> Vector3 {
        var (sum, count) = (Vector3.zero, 0.0)
        for k in 0..<mask.grid.shape.z {
            for j in 0..<mask.grid.shape.y {
                for i in 0..<mask.grid.shape.x where mask[i, j, k] != 0 {
                    sum += [Double(i), Double(j), Double(k)]
                    count += 1
                }
            }
        }
        return mask.grid.affine(sum / count)
    }

    @Test func chest() throws {
        let scan = try volume("lung1_chest.nii.gz")
        let label = try volume("lung1_chest_label.nii.gz")
        let heat = heat(over: scan.grid, around: centroid(label))
        let caption = OverlayCaption(
            scan: "lung1_chest", method: "HiResCAM at last-conv", target: "class nodule", score: "p = 0.97")
        var style = OverlayStyle()
        style.window = .lung
        style.planes = Plane.allCases
        let plain = try OverlayRenderer(scan: scan, heat: heat, mask: label, style: style, caption: caption)
        try plain.writeSlices(.hottest(1), to: folder, prefix: "chest-")
        try plain.writeMontage(.axial, count: 6, to: folder.appendingPathComponent("chest-montage.png"))
        try plain.writeMontage(.coronal, count: 4, to: folder.appendingPathComponent("chest-montage-coronal.png"))
        style.window = .mediastinum
        style.planes = [.axial]
        style.contours = [0.25, 0.5, 0.75]
        style.isSideBySide = true
        style.colourMap = .turbo
        try OverlayRenderer(scan: scan, heat: heat, mask: label, style: style, caption: caption)
            .writeSlices(.hottest(1), to: folder, prefix: "chest-side-")
        style.isSideBySide = false
        style.fillsHeat = false
        style.window = .lung
        try OverlayRenderer(scan: scan, heat: heat, style: style, caption: caption)
            .writeSlices(.hottest(1), to: folder, prefix: "chest-contour-")
        style.fillsHeat = true
        style.isSigned = true
        style.colourMap = nil
        style.planes = [.coronal]
        try OverlayRenderer(scan: scan, heat: heat, mask: label, style: style, caption: caption)
            .writeSlices(.hottest(1), to: folder, prefix: "chest-signed-")
        for map in ColourMap.allCases {
            style.colourMap = map
            style.isSigned = map == .diverging
            style.contours = []
            style.planes = [.axial]
            try OverlayRenderer(scan: scan, heat: heat, style: style, caption: caption)
                .writeSlices(.hottest(1), to: folder, prefix: "chest-\(map.rawValue)-")
        }
    }

    @Test func others() throws {
        var style = OverlayStyle()
        style.planes = Plane.allCases
        let head = try volume("head.nii.gz")
        style.window = .brain
        let middle = head.grid.affine(Vector3(100, 150, 60))
        try OverlayRenderer(
            scan: head, heat: heat(over: head.grid, around: middle), style: style,
            caption: .init(scan: "head", method: "Grad-CAM")
        ).writeSlices(.hottest(1), to: folder, prefix: "head-")
        let crop = try volume("lung1_nodule_crop.nii.gz")
        let label = try volume("lung1_nodule_crop_label.nii.gz")
        style.window = .lung
        let cropped = try OverlayRenderer(
            scan: crop, heat: heat(over: crop.grid, around: centroid(label)), mask: label, style: style,
            caption: .init(scan: "lung1_nodule_crop", method: "Grad-CAM", score: "logit 4.1"))
        try cropped.writeSlices(.hottest(1), to: folder, prefix: "crop-")
        let abdomen = try volume("abdomen_small.nii.gz")
        style.window = .abdomen
        try OverlayRenderer(
            scan: abdomen, heat: Volume(grid: abdomen.grid, repeating: -1), style: style,
            caption: .init(scan: "abdomen_small", method: "Grad-CAM")
        ).writeSlices(.hottest(1), to: folder, prefix: "abdomen-")
        let images = Fixtures.realData!.appendingPathComponent("images")
        let picture = try PictureReader.read(images.appendingPathComponent("glioma_tumor_0.png"))
        try OverlayRenderer(
            picture: picture, heat: heat(over: picture.grid, around: [-120, -100, 0], jump: 16),
            caption: .init(scan: "glioma_tumor_0", method: "Grad-CAM", target: "class glioma")
        ).writeSlices(to: folder, prefix: "image-")
        var face = Canvas(width: 560, height: 260, background: .black)
        for (row, line) in [
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
            "°²³µ−—–×±≤≥·…→Δασ é ü 漢", "The quick brown fox jumps over the lazy dog. I1l 0O",
        ].enumerated() {
            face.text(line, x: 10, y: 10 + row * 18, .small)
            face.text(line, x: 10, y: 120 + row * 26, .large)
        }
        try face.picture.writePNG(to: folder.appendingPathComponent("typeface.png"))
    }
}
