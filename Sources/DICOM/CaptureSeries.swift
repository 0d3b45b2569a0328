import CDICOM
import Failures
import Foundation
import Rendering
import Volumes
import Workers

/// A scan with its heat as a series of Secondary Capture images: colour pictures that any DICOM viewer shows, in the CT's study and
/// in its slices' places.
public struct CaptureSeries: Sendable {
    public let series: CTSeries
    /// Signed raw attribution on the series' grid.
    public let heat: Volume
    public var window: HUWindow
    public var style: OverlayStyle
    /// "Grad-CAM for nodule (1)".
    public var title: String
    /// What made the heat, for the derivation's description and for the identifiers: the same work gets the same ones.
    public var provenance: String
    public var software: String

    public init(
        series: CTSeries, heat: Volume, window: HUWindow, style: OverlayStyle, title: String, provenance: String,
        software: String
    ) {
        self.series = series
        self.heat = heat
        self.window = window
        self.style = style
        self.title = title
        self.provenance = provenance
        self.software = software
    }

    /// Writes `0001.dcm`, `0002.dcm` … into a folder, one for each of the CT's images, from its first slice on.
    ///
    /// - Parameter identifier: a DICOM identifier (UID) from text, always the same for the same text.
    /// - Throws: ``Failure`` of kind `.scan` when the heat is not on the series' grid, `.output` when a file cannot be written.
    @discardableResult
    public func write(to folder: URL, identifier: @Sendable (String) -> String) throws -> [URL] {
        try check()
        do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
            throw Failure(
                .output, folder.path, expected: "a folder that can be made", found: error.localizedDescription)
        }
        let shape = heat.grid.shape
        let name = "\(series.identifier)|\(title)|\(provenance)"
        let seriesIdentifier = identifier(name)
        let scale = style.scale ?? ScaleRange(of: heat, signed: style.isSigned)
        let map = style.colourMap ?? (scale.isSigned ? .diverging : .inferno)
        let digits = max(4, String(shape.z).count)
        return try Workers.shared.map(shape.z) { index in
            let number = String(index + 1)
            let url = folder.appendingPathComponent(
                String(repeating: "0", count: digits - number.count) + number + ".dcm")
            let pixels = picture(index, scale, map)
            let source = series.slices[index]
            try Self.write(url) { partial, error, size in
                Self.withTexts([
                    source.url.path, identifier("\(name)|\(source.sopInstance)"), seriesIdentifier,
                    String(title.prefix(64)), String("\(title). \(provenance)".prefix(1000)), software,
                ]) { texts in
                    pixels.withUnsafeBufferPointer { buffer in
                        var capture = tl_dicom_capture()
                        capture.source = texts[0]
                        capture.sop_instance = texts[1]
                        capture.series = texts[2]
                        capture.series_description = texts[3]
                        capture.derivation = texts[4]
                        capture.software = texts[5]
                        capture.series_number = 9000
                        capture.instance_number = Int32(index + 1)
                        capture.rows = Int32(shape.y)
                        capture.columns = Int32(shape.x)
                        capture.rgb = buffer.baseAddress
                        return tl_dicom_write_capture(partial, &capture, error, size)
                    }
                }
            }
            return url
        }
    }

    /// Writes the raw values as a Parametric Map, one file of 32-bit numbers in the slices' places, for software that reads them.
    ///
    /// - Throws: as ``write(to:identifier:)``.
    public func writeMap(to url: URL, identifier: @Sendable (String) -> String) throws {
        try check()
        let grid = series.volume.grid
        let name = "\(series.identifier)|\(title)|\(provenance)|map"
        // From our axes (Right, Anterior, Superior) to DICOM's (Left, Posterior, Superior).
        let flip = Vector3(-1, -1, 1)
        let spacing = grid.spacing
        let row = grid.affine.i * flip / spacing.x
        let column = grid.affine.j * flip / spacing.y
        let positions = (0..<grid.shape.z).flatMap { slice -> [Double] in
            let place = grid.affine(Vector3(0, 0, Double(slice))) * flip
            return [place.x, place.y, place.z]
        }
        try Self.write(url) { partial, error, size in
            Self.withTexts([
                series.slices[0].url.path, identifier(name), identifier("\(name)|series"),
                identifier("\(name)|dimension"), String(title.prefix(64)), String(title.prefix(64)), software,
            ]) { texts in
                positions.withUnsafeBufferPointer { places in
                    heat.voxels.withUnsafeBufferPointer { values in
                        var map = tl_dicom_map()
                        map.source = texts[0]
                        map.sop_instance = texts[1]
                        map.series = texts[2]
                        map.dimension = texts[3]
                        map.series_description = texts[4]
                        map.description = texts[5]
                        map.software = texts[6]
                        map.series_number = 9001
                        map.rows = Int32(grid.shape.y)
                        map.columns = Int32(grid.shape.x)
                        map.frames = Int32(grid.shape.z)
                        // Between rows first, then between columns.
                        map.spacing = (spacing.y, spacing.x)
                        map.step = spacing.z
                        map.orientation = (row.x, row.y, row.z, column.x, column.y, column.z)
                        map.lowest = Double(values.min() ?? 0)
                        map.highest = Double(values.max() ?? 0)
                        map.positions = places.baseAddress
                        map.values = values.baseAddress
                        return tl_dicom_write_map(partial, &map, error, size)
                    }
                }
            }
        }
    }

    /// Has a file written under a name of its own until it is whole.
    private static func write(
        _ url: URL, _ body: (UnsafePointer<CChar>, UnsafeMutablePointer<CChar>, Int) -> Int32
    ) throws {
        let partial = url.deletingLastPathComponent().appendingPathComponent(
            ".\(url.lastPathComponent).\(getpid()).0.partial")
        defer { try? FileManager.default.removeItem(at: partial) }
        try CTSeries.call(url.path, kind: .output) { error, size in
            partial.path.withCString { body($0, error, size) }
        }
        guard rename(partial.path, url.path) == 0 else {
            throw Failure(
                .output, url.path, expected: "a name that can be given to the finished file",
                found: String(cString: strerror(errno)))
        }
    }

    private func check() throws {
        guard heat.grid.shape == series.volume.grid.shape, Self.agree(heat.grid, series.volume.grid) else {
            throw Failure(
                .scan, "the heatmap", expected: "the grid of the series: \(series.volume.grid.shape)",
                found: "another: \(heat.grid.shape), or another place",
                remedy:
                    "Explain the volume that dicom-import made of this very series, and take the heatmap on the scan's voxels."
            )
        }
    }

    /// Grey of the window with the heat's colour over it, as in the overlays, pixel by pixel of the CT.
    private func picture(_ slice: Int, _ scale: ScaleRange, _ map: ColourMap) -> [UInt8] {
        let plane = heat.grid.shape.x * heat.grid.shape.y
        var pixels = [UInt8](repeating: 0, count: 3 * plane)
        for index in 0..<plane {
            let place = slice * plane + index
            let grey = Double(window(series.volume.voxels[place])) * 255
            let raw = heat.voxels[place]
            let alpha = style.alpha(Double(scale.strength(of: raw)))
            let colour = alpha > 0 ? map.colour(at: Double(scale.position(of: raw))) : .black
            for (channel, tint) in [colour.red, colour.green, colour.blue].enumerated() {
                pixels[3 * index + channel] = UInt8((grey * (1 - alpha) + Double(tint) * alpha).rounded())
            }
        }
        return pixels
    }

    /// NIfTI keeps 32-bit numbers: a thousandth of a millimetre is not to be had over a whole body.
    private static func agree(_ a: Grid, _ b: Grid) -> Bool {
        let far = Vector3(Double(b.shape.x - 1), Double(b.shape.y - 1), Double(b.shape.z - 1))
        return [Vector3(0, 0, 0), Vector3(far.x, 0, 0), Vector3(0, far.y, 0), far].allSatisfy { corner in
            let difference = a.affine(corner) - b.affine(corner)
            return (difference * difference).sum() < 0.05 * 0.05
        }
    }

    private static func withTexts<Result>(_ texts: [String], _ body: ([UnsafePointer<CChar>]) -> Result) -> Result {
        let copies = texts.map { strdup($0)! }
        defer { for copy in copies { free(copy) } }
        return body(copies.map { UnsafePointer($0) })
    }
}
