import Explanations
import Failures
import Foundation
import Rendering
import Reports
import Volumes

extension ScanWorker {
    /// The scan as one file with one 3D volume, as viewers open it: the scan's own, or a copy beside the heatmaps where that is a
    /// pair of files, or one volume of several.
    private var sceneScan: (url: URL, isCopy: Bool) {
        let name = scan.url.lastPathComponent.lowercased()
        let isSingle = (name.hasSuffix(".nii") || name.hasSuffix(".nii.gz")) && plan.words.input.volume == nil
        return isSingle ? (scan.url, false) : (folder.appendingPathComponent("\(scan.name)_scan.nii.gz"), true)
    }

    /// Writes the copy of the scan that scenes need, if they do.
    func writeSceneScan(_ source: ScanSource) throws -> [URL] {
        guard !plan.viewers.isEmpty, case .volume(let image) = source, sceneScan.isCopy else { return [] }
        var writer = NIfTIWriter()
        writer.description = "\(Product.signature), a copy of the scan for viewers"
        try writer.write(image.volume, to: sceneScan.url)
        return [sceneScan.url]
    }

    /// Writes the scenes of one map for all viewers that the plan names; none for pictures, which have no place in a patient.
    ///
    /// - Parameter shared: the folder's scale, where it is known.
    func writeScenes(
        _ heat: Volume, by method: MethodDescriptor?, _ source: ScanSource, stem: String, shared: ScaleRange?
    ) throws -> [URL] {
        guard !plan.viewers.isEmpty, case .volume(let image) = source else { return [] }
        let name = "\(scan.name)_\(stem)"
        let style = plan.drawing.style(source, range: plan.drawing.range(of: heat, by: method, shared: shared))
        let scene = ViewerScene(
            name: name, scanFile: sceneScan.url, scan: image.volume,
            heatFile: folder.appendingPathComponent("\(name).nii.gz"), heat: heat,
            window: style.window.ends(of: image.volume), style: style)
        return try plan.viewers.flatMap { try scene.write(for: $0, toFolder: folder) }
    }
}
