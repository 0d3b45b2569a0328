import Foundation
import Rendering
import TestSupport
import Volumes

@testable import Reports

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers everywhere.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}

/// Scans and heat for the tests of pages and scenes.
enum SyntheticScan {
    /// Where the browser tests want their pages.
    static let pages = ProcessInfo.processInfo.environment["TOMOLENS_PAGES"].map {
        URL(fileURLWithPath: $0, isDirectory: true)
    }

    /// 44×58×21 voxels, axes toward Posterior, Left and Superior, turned by some degrees, 0.8×0.7×3 mm.
    static let obliqueGrid: Grid = {
        let (c, s) = (cos(0.21), sin(0.21))
        return Grid(
            shape: [44, 58, 21],
            affine: Affine(
                i: [0.8 * s, -0.8 * c, 0], j: [-0.7 * c, -0.7 * s, 0], k: [0.3, 0, 2.98], origin: [31.5, 12.25, -140]))
    }()

    static func blob(_ grid: Grid, at voxel: Vector3, radius: Double, peak: Float) -> Volume {
        var volume = Volume(grid: grid, repeating: 0)
        let centre = grid.affine(voxel)
        for k in 0..<grid.shape.z {
            for j in 0..<grid.shape.y {
                for i in 0..<grid.shape.x {
                    let offset = grid.affine([Double(i), Double(j), Double(k)]) - centre
                    let share = (offset * offset).sum() / (radius * radius)
                    if share < 9 { volume[i, j, k] = peak * Float(exp(-share)) }
                }
            }
        }
        return volume
    }

    static func oblique() throws -> ReviewPage {
        var random = SplitMix(seed: 11)
        let grid = obliqueGrid
        var scan = Volume(grid: grid, repeating: -1000)
        for k in 0..<grid.shape.z {
            for j in 0..<grid.shape.y {
                for i in 0..<grid.shape.x {
                    let x = (Double(i) - 21.5) / 19
                    let y = (Double(j) - 28.5) / 26
                    let inside = x * x + y * y < 1
                    let bone = inside && x * x + y * y > 0.8
                    let level = bone ? 700.0 : inside ? 40 + 3 * Double(k) : -1000
                    scan[i, j, k] = Float((level + (random.unit() - 0.5) * 40).rounded())
                }
            }
        }
        var page = ReviewPage(title: PageSamples.hostile, scan: scan)
        let warm = blob(grid, at: [13, 40, 14], radius: 6, peak: 0.0125)
        var signed = blob(grid, at: [30, 18, 6], radius: 7, peak: 3)
        let against = blob(grid, at: [15, 20, 15], radius: 7, peak: 4)
        for index in signed.voxels.indices { signed.voxels[index] -= against.voxels[index] }
        page.heats = [
            ReviewHeat(method: "gradcam", methodTitle: "Grad-CAM", target: "nodule (1)", volume: warm),
            ReviewHeat(
                method: "gradcam", methodTitle: "Grad-CAM", target: "other (0)",
                volume: blob(grid, at: [8, 8, 3], radius: 5, peak: 9)),
            ReviewHeat(
                method: "hirescam", methodTitle: "HiResCAM " + PageSamples.hostile, target: "nodule (1)", volume: signed
            ),
        ]
        page.style.alpha = .init(opacity: 0.6, threshold: 0.05, exponent: 0.5)
        page.heats[0].details = [ReviewFact("tap", "/block4/conv2/Conv_output_0")]
        page.heats[0].peakIsInside = true
        page.heats[0].folderTop = 0.025
        page.heats[0].scaleKey = "gradcam|class1"
        page.heats[2].caution = "A caution with \(PageSamples.hostile)"
        page.mask = blob(grid, at: [13, 40, 14], radius: 3, peak: 1)
        for index in page.mask!.voxels.indices { page.mask!.voxels[index] = page.mask!.voxels[index] > 0.3 ? 1 : 0 }
        page.answer = ReviewAnswer(
            rows: [
                .init(label: "nodule (1) " + PageSamples.hostile, logit: 2.25, probability: 0.9047, isExplained: true),
                .init(label: "other (0)", logit: 0, probability: 0.0953),
            ], note: "Softmax over 2 classes.")
        page.warnings = ["A warning with \(PageSamples.hostile)"]
        page.facts = [ReviewFact("file", "scans/\(PageSamples.hostile).nii.gz")]
        page.provenance = [ReviewFact("network", PageSamples.hostile), ReviewFact("program", "tomolens")]
        page.links = [ReviewLink("heatmap " + PageSamples.hostile, path: PageSamples.hostile + ".nii.gz")]
        page.folderPage = "../folder/index.html"
        page.presets = [ReviewWindow(name: "network", window: HUWindow(lower: -1000, upper: 1000))]
        return page
    }

    /// Heats interpolated from 6×5×4 cells that lie askew in the scan, and from cells along its axes; the network saw a part.
    static func withCells() throws -> ReviewPage {
        var page = try oblique()
        let grid = page.scan.grid
        let seen = Grid(
            shape: [36, 40, 15],
            affine: grid.affine.composed(with: Affine(i: [1, 0, 0], j: [0, 1, 0], k: [0, 0, 1], origin: [4, 9, 3])))
        let (c, s) = (cos(0.3), sin(0.3))
        let placements = [
            Affine(i: [8 * c, 8 * s, 0], j: [-8 * s, 8 * c, 0.2], k: [0, 0, 4], origin: [3, 4, 1]),
            Affine(i: [0, 8, 0], j: [7, 0, 0], k: [0, 0, -4], origin: [3.5, 3.5, 13]),
        ]
        page.heats = placements.enumerated().map { number, placement in
            var random = SplitMix(seed: 40 + UInt64(number))
            let cells = Grid(shape: [6, 5, 4], affine: seen.affine.composed(with: placement))
            var map = Volume(grid: cells, repeating: 0)
            for index in map.voxels.indices { map.voxels[index] = Float(random.unit() - 0.3) * 0.02 }
            let placed = interpolated(map, on: grid, seen: seen)
            var heat = ReviewHeat(
                method: "m\(number)", methodTitle: "Method \(number)", target: "nodule (1)", volume: placed)
            heat.cells = ReviewCells(map: map, seen: seen)
            return heat
        }
        return page
    }

    /// Trilinear by world coordinates, edges held, 0 outside of what was seen: written anew, as a reference.
    static func interpolated(_ map: Volume, on grid: Grid, seen: Grid) -> Volume {
        var result = Volume(grid: grid, repeating: 0)
        let toSeen = seen.affine.inverse!
        let toMap = map.grid.affine.inverse!
        for k in 0..<grid.shape.z {
            for j in 0..<grid.shape.y {
                for i in 0..<grid.shape.x {
                    let world = grid.affine([Double(i), Double(j), Double(k)])
                    let inside = toSeen(world)
                    let isSeen = (0..<3).allSatisfy {
                        inside[$0] >= -0.5 - 1e-6 && inside[$0] <= Double(seen.shape[$0]) - 0.5 + 1e-6
                    }
                    if !isSeen { continue }
                    let at = toMap(world)
                    var value = 0.0
                    for c in 0..<map.grid.shape.z {
                        let z = hat(at.z, c, map.grid.shape.z)
                        if z == 0 { continue }
                        for b in 0..<map.grid.shape.y {
                            let y = hat(at.y, b, map.grid.shape.y)
                            if y == 0 { continue }
                            for a in 0..<map.grid.shape.x {
                                value += z * y * hat(at.x, a, map.grid.shape.x) * Double(map[a, b, c])
                            }
                        }
                    }
                    result[i, j, k] = Float(value)
                }
            }
        }
        return result
    }

    private static func hat(_ place: Double, _ index: Int, _ count: Int) -> Double {
        max(0, 1 - abs(max(0, min(place, Double(count - 1))) - Double(index)))
    }

    /// The scan, the heats and the mask of a page as NIfTI files.
    static func write(_ page: ReviewPage, to folder: URL) throws {
        try NIfTIWriter().write(page.scan, to: folder.appendingPathComponent("scan.nii.gz"))
        for (index, heat) in page.heats.enumerated() {
            try NIfTIWriter().write(heat.volume, to: folder.appendingPathComponent("heat\(index).nii.gz"))
        }
        if let mask = page.mask { try NIfTIWriter().write(mask, to: folder.appendingPathComponent("mask.nii.gz")) }
    }

    static func chest() throws -> (scan: Volume, mask: Volume) {
        let scans = Fixtures.realData!.appendingPathComponent("scans")
        return (
            try NIfTIFile.read(scans.appendingPathComponent("lung1_chest.nii.gz")).volume,
            try NIfTIFile.read(scans.appendingPathComponent("lung1_chest_label.nii.gz")).volume
        )
    }

    /// Slices interpolated along k, with the noise that thin slices have.
    static func thin(_ scan: Volume, _ mask: Volume, slices: Int) -> (Volume, Volume) {
        let old = scan.grid
        let ratio = Double(old.shape.z - 1) / Double(slices - 1)
        var affine = old.affine
        affine.k *= ratio
        let grid = Grid(shape: [old.shape.x, old.shape.y, slices], affine: affine)
        let plane = old.shape.x * old.shape.y
        var result = Volume(grid: grid, repeating: 0)
        var thinMask = Volume(grid: grid, repeating: 0)
        var random = SplitMix(seed: 3)
        for k in 0..<slices {
            let at = Double(k) * ratio
            let low = min(Int(at), old.shape.z - 2)
            let share = Float(at - Double(low))
            for index in 0..<plane {
                let a = scan.voxels[low * plane + index]
                let b = scan.voxels[(low + 1) * plane + index]
                let bits = random.next()
                // Sum of four uniform numbers: nearly normal, 25 HU.
                var noise = -2.0
                for piece in 0..<4 as Range<UInt64> { noise += Double(bits >> (16 * piece) & 0xffff) / 65536 }
                noise *= 43
                let value = a + share * (b - a)
                result.voxels[k * plane + index] = value <= -1000 ? -1024 : (value + Float(noise)).rounded()
            }
            let nearest = Int(at.rounded()) * plane
            thinMask.voxels.replaceSubrange(k * plane..<(k + 1) * plane, with: mask.voxels[nearest..<nearest + plane])
        }
        return (result, thinMask)
    }

    /// A page with heat as a network's coarse layer would give it: interpolated from few cells about the mask's middle.
    static func page(of scan: Volume, mask: Volume, title: String) -> ReviewPage {
        let grid = scan.grid
        var sum = Vector3.zero
        var count = 0.0
        var index = 0
        for k in 0..<grid.shape.z {
            for j in 0..<grid.shape.y {
                for i in 0..<grid.shape.x {
                    if mask.voxels[index] > 0 {
                        sum += [Double(i), Double(j), Double(k)]
                        count += 1
                    }
                    index += 1
                }
            }
        }
        let middle = sum / max(1, count)
        let order = Index3(14, 14, 10)
        let jump = Vector3(Double(grid.shape.x), Double(grid.shape.y), Double(grid.shape.z)) / Vector3(14, 14, 10)
        let centre = (jump - 1) / 2
        let cells = Grid(
            shape: order,
            affine: grid.affine.composed(
                with: Affine(i: [jump.x, 0, 0], j: [0, jump.y, 0], k: [0, 0, jump.z], origin: centre)))
        func coarse(_ seed: UInt64, _ spread: Double, _ signed: Bool) -> (Volume, ReviewCells) {
            var random = SplitMix(seed: seed)
            var map = Volume(grid: cells, repeating: 0)
            let place = (middle - centre) / jump
            for c in 0..<order.z {
                for b in 0..<order.y {
                    for a in 0..<order.x {
                        let offset = Vector3(Double(a), Double(b), Double(c)) - place
                        var value = exp(-(offset * offset).sum() / spread)
                        value += (random.unit() - (signed ? 0.6 : 0.75)) * 0.12
                        map[a, b, c] = Float(signed ? value : max(0, value)) * 0.031
                    }
                }
            }
            return (Resampler(.linear, outside: .border).resample(map, onto: grid), ReviewCells(map: map, seen: grid))
        }
        var page = ReviewPage(title: title, scan: scan)
        let parts = [("gradcam", "Grad-CAM", coarse(1, 1.6, false)), ("hirescam", "HiResCAM", coarse(2, 0.9, true))]
        page.heats = parts.map { method, title, heat in
            var entry = ReviewHeat(method: method, methodTitle: title, target: "nodule (1)", volume: heat.0)
            entry.cells = heat.1
            return entry
        }
        page.mask = mask
        page.answer = ReviewAnswer(
            rows: [
                .init(label: "nodule (1)", logit: 4.12, probability: 0.9985, isExplained: true),
                .init(label: "non-nodule (0)", logit: -2.41, probability: 0.0015),
            ], note: "Softmax over 2 classes.")
        for index in page.heats.indices {
            let peak = page.heats[index].extremes.peak!
            page.heats[index].peakIsInside = mask[peak.x, peak.y, peak.z] > 0
            page.heats[index].details = [ReviewFact("tap", "last-conv")]
        }
        page.facts = [ReviewFact("file", "\(title).nii.gz")]
        page.provenance = [ReviewFact("program", "tomolens"), ReviewFact("network", "luna_nodule.onnx")]
        return page
    }

    /// A picture with the size and the noise of a scan's thumbnail.
    static func thumbnail() throws -> [UInt8] {
        var random = SplitMix(seed: 9)
        var pixels: [UInt8] = []
        for y in 0..<144 {
            for x in 0..<144 {
                let body = hypot(Double(x) - 72, Double(y) - 72) < 60 ? 150.0 : 20
                let grey = UInt8(body + random.unit() * 16 + Double((x / 9 + y / 9) % 4) * 12)
                pixels += x > 50 && x < 70 && y > 60 && y < 76 ? [240, grey / 2, 30] : [grey, grey, grey]
            }
        }
        return [UInt8](try JPEG.encode(Picture(width: 144, height: 144, layout: .rgb, pixels: pixels), quality: 80))
    }
}
