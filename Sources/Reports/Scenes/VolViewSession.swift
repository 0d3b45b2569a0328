import Failures
import Foundation
import Rendering
import Volumes

/// A VolView session (.volview.zip): the scan, the heat as a layer over it, and the heat's bands as a segment group, whose
/// colours are exactly those of the overlays. (A layer opens in VolView's own colours over the range 0…1.)
struct VolViewSession {
    let scene: ViewerScene

    /// Bands from the threshold to the top of the scale, on each side of zero.
    static let bands = 10

    init(_ scene: ViewerScene) { self.scene = scene }

    func write(to url: URL) throws {
        let ending = scene.scanFile.lastPathComponent.hasSuffix(".gz") ? "scan.nii.gz" : "scan.nii"
        guard let scan = try? Data(contentsOf: scene.scanFile) else {
            throw Failure(.output, scene.scanFile.path, expected: "a readable scan for the session", found: "none")
        }
        var archive = StoredZip()
        try archive.add("manifest.json", PageText.json(manifest(scanName: ending)))
        try archive.add("data/1/\(ending)", [UInt8](scan))
        try archive.add("data/2/heat.nii.gz", try nifti(strengths, .int16))
        try archive.add("labels/bands.nii.gz", try nifti(bandLabels, .label8))
        let bytes = try archive.finished()
        try AtomicFile.write(to: url) { try $0.write(bytes) }
    }

    /// Heat from 0 to 1 (from −1 on signed maps), background exactly 0.
    private var strengths: Volume {
        let scale = scene.scale
        var volume = scene.heat
        for index in volume.voxels.indices {
            let value = scale.strength(of: volume.voxels[index])
            volume.voxels[index] = scale.isSigned && volume.voxels[index] < 0 ? -value : value
        }
        return volume
    }

    /// 0 where there is no colour; 1…10 from the threshold up; 11…20 for evidence against.
    private var bandLabels: Volume {
        let scale = scene.scale
        let threshold = scene.style.alpha.threshold
        var volume = scene.heat
        for index in volume.voxels.indices {
            let strength = Double(scale.strength(of: volume.voxels[index]))
            guard strength > threshold else {
                volume.voxels[index] = 0
                continue
            }
            let band = min(
                VolViewSession.bands - 1, Int((strength - threshold) / (1 - threshold) * Double(VolViewSession.bands)))
            volume.voxels[index] = Float(1 + band + (volume.voxels[index] < 0 ? VolViewSession.bands : 0))
        }
        return volume
    }

    private func nifti(_ volume: Volume, _ encoding: NIfTIWriter.Encoding) throws -> [UInt8] {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tomolens-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let url = folder.appendingPathComponent("volume.nii.gz")
        var writer = NIfTIWriter()
        writer.encoding = encoding
        try writer.write(volume, to: url)
        return [UInt8](try Data(contentsOf: url))
    }

    private func manifest(scanName: String) -> Manifest {
        let threshold = scene.style.alpha.threshold
        var segments: [String: Manifest.Segment] = [:]
        let sides = scene.scale.isSigned ? [1.0, -1.0] : [1.0]
        for (side, sign) in sides.enumerated() {
            for band in 0..<VolViewSession.bands {
                let value = 1 + band + side * VolViewSession.bands
                let low = threshold + (1 - threshold) * Double(band) / Double(VolViewSession.bands)
                let middle = low + (1 - threshold) / Double(2 * VolViewSession.bands)
                let colour = scene.colourMap.colour(at: scene.scale.isSigned ? (1 + sign * middle) / 2 : middle)
                let alpha = scene.style.alpha(middle)
                segments[String(value)] = Manifest.Segment(
                    value: value, name: "heat \(sign < 0 ? "against " : "")from \(Int((low * 100).rounded())) %",
                    color: [Int(colour.red), Int(colour.green), Int(colour.blue), Int((alpha * 255).rounded())],
                    visible: true)
            }
        }
        let window = Manifest.View.Window(
            width: Double(scene.window.width), level: Double(scene.window.level), auto: "FullRange", useAuto: false)
        func slice(_ axis: String) -> Manifest.View {
            Manifest.View(
                id: axis, name: axis, type: "2D", dataID: "1", options: ["orientation": axis],
                config: ["1": Manifest.View.Config(window: window)])
        }
        let volume = Manifest.View(
            id: "Volume", name: "Volume", type: "3D", dataID: "1",
            options: ["viewDirection": "Posterior", "viewUp": "Superior"], config: [:])
        let views = [slice("Axial"), slice("Coronal"), slice("Sagittal"), volume]
        return Manifest(
            dataSources: [1, 2].map { Manifest.Source(id: $0, fileId: $0) },
            datasets: [1, 2].map { Manifest.Dataset(id: String($0), dataSourceId: $0) },
            datasetFilePath: ["1": "data/1/\(scanName)", "2": "data/2/heat.nii.gz"],
            labelMaps: [
                Manifest.LabelMap(
                    id: "bands", path: "labels/bands.nii.gz",
                    metadata: Manifest.LabelMap.Metadata(
                        name: "\(PageText.visible(scene.name)) heat", parentImage: "1",
                        segments: Manifest.LabelMap.Segments(
                            order: segments.values.map(\.value).sorted(), byValue: segments)))
            ],
            tools: Manifest.Tools(crosshairs: Manifest.Tools.Crosshairs(position: peak)),
            viewByID: Dictionary(uniqueKeysWithValues: views.map { ($0.id, $0) }),
            layoutSlots: views.map(\.id))
    }

    /// World position of the hottest voxel in VolView's space (LPS); the middle of the scan without one.
    private var peak: [Double] {
        let grid = scene.scan.grid
        let voxel =
            ReviewHeat(method: "", methodTitle: "", target: "", volume: scene.heat).extremes.peak
            ?? Index3(grid.shape.x / 2, grid.shape.y / 2, grid.shape.z / 2)
        let world = grid.affine([Double(voxel.x), Double(voxel.y), Double(voxel.z)])
        return [-world.x, -world.y, world.z]
    }
}

/// The session's manifest in the full form of version 6.1.0, which later versions migrate.
private struct Manifest: Encodable {
    struct Source: Encodable {
        let id: Int
        let type = "file"
        let fileId: Int
        let fileType = "application/vnd.unknown.nifti-1"
    }

    struct Dataset: Encodable {
        let id: String
        let dataSourceId: Int
    }

    struct Segment: Encodable {
        let value: Int
        let name: String
        let color: [Int]
        let visible: Bool
    }

    struct LabelMap: Encodable {
        struct Segments: Encodable {
            let order: [Int]
            let byValue: [String: Segment]
        }

        struct Metadata: Encodable {
            let name: String
            let parentImage: String
            let segments: Segments
        }

        let id: String
        let path: String
        let metadata: Metadata
    }

    struct Tools: Encodable {
        struct Crosshairs: Encodable { let position: [Double] }

        struct Paint: Encodable {
            let activeSegmentGroupID = "bands"
            let activeSegment = 1
            let brushSize = 8
            let labelmapOpacity = 1
        }

        let crosshairs: Crosshairs
        let paint = Paint()
        let crop: [String: [String: [Double]]] = [:]
        let current = "WindowLevel"
    }

    struct View: Encodable {
        struct Window: Encodable {
            let width: Double
            let level: Double
            let auto: String
            let useAuto: Bool
        }

        struct Config: Encodable { let window: Window }

        let id: String
        let name: String
        let type: String
        let dataID: String
        let options: [String: String]
        let config: [String: Config]
    }

    struct Layout: Encodable {
        struct Item: Encodable {
            let type: String
            var slotIndex: Int?
            var direction: String?
            var items: [Item]?
        }

        let direction: String
        let items: [Item]

        /// Two rows of two views.
        static let fourUp = Layout(
            direction: "column",
            items: [0, 2].map { first in
                Item(
                    type: "layout", direction: "row",
                    items: [Item(type: "slot", slotIndex: first), Item(type: "slot", slotIndex: first + 1)])
            })
    }

    struct Layers: Encodable {
        let selectionKey = "1"
        let sourceSelectionKeys = ["2"]
    }

    let version = "6.1.0"
    let dataSources: [Source]
    let datasets: [Dataset]
    let datasetFilePath: [String: String]
    let labelMaps: [LabelMap]
    let tools: Tools
    let activeView = "Axial"
    let isActiveViewMaximized = false
    let viewByID: [String: View]
    let primarySelection = "1"
    let layout = Layout.fourUp
    let layoutSlots: [String]
    let parentToLayers = [Layers()]
}
