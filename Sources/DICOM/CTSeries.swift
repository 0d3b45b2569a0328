import CDICOM
import Failures
import Foundation
import Volumes
import Workers

/// A CT series in DICOM files, as one volume of Hounsfield units in its place in the patient.
///
/// What one regular grid cannot hold is refused with the reason: slices at uneven distances or twice in one place, a tilted
/// gantry (whose slices are sheared against each other), images of several sizes or directions.
public struct CTSeries: Sendable {
    /// One image file, in the order of the volume's slices.
    public struct Slice: Sendable {
        public let url: URL
        public let sopInstance: String
        public let instanceNumber: Int
    }

    public let slices: [Slice]
    /// `SeriesInstanceUID`.
    public let identifier: String
    public let description: String
    /// i runs along a row, j down the rows, k along the slices' normal.
    public let volume: Volume

    /// Reads a series.
    ///
    /// - Parameters:
    ///   - folder: searched with its subfolders; files that are not DICOM, and images that are not CT, are passed over.
    ///   - series: the `SeriesInstanceUID` to take where the folder holds several.
    /// - Throws: ``Failure`` of kind `.scan`.
    public init(folder: URL, series: String? = nil) throws {
        let groups = Dictionary(grouping: try Self.slices(of: try Self.images(in: folder), folder), by: \.series)
        let chosen: [Image]
        if let series {
            guard let group = groups[series] else {
                throw Failure(
                    .scan, folder.path, expected: "the series '\(series)'", found: Self.list(groups))
            }
            chosen = group
        } else {
            guard groups.count == 1 else {
                throw Failure(
                    .scan, folder.path, expected: "one CT series", found: Self.list(groups),
                    remedy: groups.isEmpty ? "" : "Name one with --series.")
            }
            chosen = groups.values.first!
        }
        try self.init(chosen, folder.path)
    }

    /// A series that was found, read as it is now.
    public init(_ found: Found) throws {
        let images = try Workers.shared.map(found.files.count) { try Self.image(found.files[$0]) }
        try self.init(images, found.folder.path)
    }

    private init(_ chosen: [Image], _ place: String) throws {
        identifier = chosen[0].series
        description = chosen[0].description
        let (ordered, grid) = try Self.arranged(chosen, place)
        slices = ordered.map {
            Slice(url: $0.url, sopInstance: $0.instance, instanceNumber: Int($0.header.instance_number))
        }
        let plane = grid.shape.x * grid.shape.y
        let planes = try Workers.shared.map(ordered.count) { index -> [Float] in
            let path = ordered[index].url.path
            var values = [Float](repeating: 0, count: plane)
            try Self.call(path) { tl_dicom_read_values(path, &values, plane, $0, $1) }
            return values
        }
        var voxels: [Float] = []
        voxels.reserveCapacity(grid.count)
        for values in planes { voxels += values }
        volume = Volume(grid: grid, voxels: voxels)
    }

    private struct Image: Sendable {
        let url: URL
        let header: tl_dicom_image
        let series: String
        let instance: String
        let description: String

        /// CT Image Storage, not a scout.
        var isSlice: Bool {
            CTSeries.text(header.modality) == "CT" && CTSeries.text(header.sop_class) == "1.2.840.10008.5.1.4.1.1.2"
        }
        var position: Vector3 { Vector3(header.position.0, header.position.1, header.position.2) }
        var row: Vector3 { Vector3(header.orientation.0, header.orientation.1, header.orientation.2) }
        var column: Vector3 { Vector3(header.orientation.3, header.orientation.4, header.orientation.5) }
    }

    /// A series and its files.
    public struct Found: Sendable {
        public let identifier: String
        /// The lowest folder that all of the files lie in.
        public let folder: URL
        public let files: [URL]
    }

    /// Every CT series below a folder, by folder and identifier, and the DICOM files that cannot be read.
    ///
    /// - Throws: ``Failure`` of kind `.scan` where there is no DICOM file.
    public static func all(in folder: URL) throws -> (series: [Found], unreadable: [URL]) {
        let urls = try files(in: folder)
        let read = try Workers.shared.map(urls.count) { [urls] in try? image(urls[$0]) }
        let unreadable = zip(urls, read).filter { $0.1 == nil }.map(\.0)
        let groups = Dictionary(grouping: read.compactMap { $0 }.filter(\.isSlice), by: \.series)
        let series = groups.map { identifier, images -> Found in
            let folders = images.map { $0.url.deletingLastPathComponent().pathComponents }
            var common = folders[0]
            for other in folders.dropFirst() {
                common = Array(zip(common, other).prefix { $0 == $1 }.map(\.0))
            }
            let place = URL(fileURLWithPath: NSString.path(withComponents: common), isDirectory: true)
            return Found(identifier: identifier, folder: place, files: images.map(\.url))
        }
        return (
            series.sorted { ($0.folder.path, $0.identifier) < ($1.folder.path, $1.identifier) }, unreadable
        )
    }

    private static func image(_ url: URL) throws -> Image {
        var header = tl_dicom_image()
        try call(url.path) { tl_dicom_read_image(url.path, &header, $0, $1) }
        return Image(
            url: url, header: header, series: text(header.series), instance: text(header.sop_instance),
            description: text(header.series_description))
    }

    private static func files(in folder: URL) throws -> [URL] {
        guard let walker = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil) else {
            throw Failure(.scan, folder.path, expected: "a readable folder", found: "none")
        }
        var urls: [URL] = []
        for case let url as URL in walker where tl_dicom_is_file(url.path) == 1 { urls.append(url) }
        urls.sort { $0.path < $1.path }
        guard !urls.isEmpty else {
            throw Failure(.scan, folder.path, expected: "DICOM files", found: "none")
        }
        return urls
    }

    private static func images(in folder: URL) throws -> [Image] {
        let urls = try files(in: folder)
        return try Workers.shared.map(urls.count) { [urls] in try image(urls[$0]) }
    }

    /// The CT images of `headers`; scouts are CT by modality and no part of the volume.
    private static func slices(of headers: [Image], _ folder: URL) throws -> [Image] {
        let ct = headers.filter { text($0.header.modality) == "CT" }
        if ct.isEmpty {
            let kinds = Set(headers.map { text($0.header.modality) }).sorted().joined(separator: ", ")
            throw Failure(.scan, folder.path, expected: "CT images", found: "\(headers.count) of \(kinds)")
        }
        let slices = ct.filter(\.isSlice)
        guard !slices.isEmpty else {
            throw Failure(
                .scan, folder.path, expected: "CT Image Storage, one image a file",
                found: "SOP class \(text(ct[0].header.sop_class))",
                remedy: "Convert enhanced multi-frame CT to single images first.")
        }
        return slices
    }

    private static func list(_ groups: [String: [Image]]) -> String {
        let lines = groups.sorted { $0.key < $1.key }.map { key, images in
            "\(key) (\(images.count) images\(images[0].description.isEmpty ? "" : ", '\(images[0].description)'"))"
        }
        return "\(groups.count): \(lines.joined(separator: "; "))"
    }

    /// The images by their place along the normal, and the grid they make.
    private static func arranged(_ images: [Image], _ folder: String) throws -> ([Image], Grid) {
        func refuse(_ image: Image, _ expected: String, _ found: String, _ remedy: String = "") -> Failure {
            Failure(.scan, image.url.path, expected: expected, found: found, remedy: remedy)
        }
        let first = images[0]
        for image in images {
            let header = image.header
            guard header.has_position == 1, header.has_orientation == 1, header.has_spacing == 1 else {
                throw refuse(
                    image, "a place in the patient (position, orientation, pixel spacing)", "none",
                    "Scouts and reformatted pictures have none.")
            }
            guard header.samples == 1, header.frames == 1, header.rows > 0, header.columns > 0 else {
                throw refuse(image, "one grey image", "\(header.frames) frames of \(header.samples) samples a pixel")
            }
            guard header.has_rescale == 1, header.slope.isFinite, header.intercept.isFinite, header.slope != 0 else {
                throw refuse(image, "RescaleSlope and RescaleIntercept, which make Hounsfield units", "none")
            }
            let unit = text(header.rescale_type)
            guard unit.isEmpty || unit == "HU" || unit == "US" else {
                throw refuse(image, "values in Hounsfield units", "RescaleType '\(unit)'")
            }
            guard header.rows == first.header.rows, header.columns == first.header.columns else {
                throw refuse(
                    image, "\(first.header.columns)×\(first.header.rows) pixels, as the others",
                    "\(header.columns)×\(header.rows)")
            }
            let isAligned = close(image.row, first.row, 1e-4) && close(image.column, first.column, 1e-4)
            guard isAligned, abs(header.spacing.0 - first.header.spacing.0) < 1e-4,
                abs(header.spacing.1 - first.header.spacing.1) < 1e-4
            else {
                throw refuse(image, "the direction and pixel spacing of the series' other images", "others")
            }
        }
        guard images.count >= 2 else {
            throw refuse(first, "a series of at least two images", "one")
        }
        let normal = cross(first.row, first.column)
        guard abs((normal * normal).sum() - 1) < 1e-3, first.header.spacing.0 > 0, first.header.spacing.1 > 0 else {
            throw refuse(first, "rows and columns at right angles and pixels with a size", "others")
        }
        let ordered = images.map { ($0, ($0.position * normal).sum()) }.sorted { $0.1 < $1.1 }
        let steps = zip(ordered.dropFirst(), ordered).map { $0.1 - $1.1 }
        let usual = steps.sorted()[steps.count / 2]
        for (index, step) in steps.enumerated() {
            let image = ordered[index + 1].0
            guard step > 1e-3 else {
                throw refuse(
                    image, "one image at each place",
                    "another one at the same: '\(ordered[index].0.url.lastPathComponent)'",
                    "Several time points or reconstructions in one series have to be told apart first.")
            }
            guard abs(step - usual) <= max(0.01, usual * 0.01) else {
                throw refuse(
                    image, "slices at even distances of \(rounded(usual)) mm",
                    "\(rounded(step)) mm to the one before",
                    "Images may be missing; or resample the series evenly first.")
            }
        }
        let count = Double(ordered.count - 1)
        let step = (ordered.last!.0.position - ordered[0].0.position) / count
        let length = (step * step).sum().squareRoot()
        let angle = acos(min(1, (step * normal).sum() / length)) * 180 / .pi
        guard angle < 0.1 else {
            throw refuse(
                ordered[0].0, "slices right above each other",
                "a tilted gantry: \(rounded(angle))° from square",
                "Undo the tilt first (dcm2niix does), or it would shear the patient.")
        }
        for (index, entry) in ordered.enumerated() {
            let expected = ordered[0].0.position + step * Double(index)
            guard close(entry.0.position, expected, max(0.05, usual * 0.05)) else {
                throw refuse(entry.0, "slices on one straight line", "one beside it")
            }
        }
        // DICOM's axes run to Left, Posterior, Superior; ours to Right, Anterior, Superior.
        let flip = Vector3(-1, -1, 1)
        let affine = Affine(
            i: first.row * first.header.spacing.1 * flip, j: first.column * first.header.spacing.0 * flip,
            k: step * flip, origin: ordered[0].0.position * flip)
        let shape = Index3(Int(first.header.columns), Int(first.header.rows), ordered.count)
        return (ordered.map(\.0), Grid(shape: shape, affine: affine))
    }

    static func call(_ path: String, kind: Failure.Kind = .scan, _ body: (UnsafeMutablePointer<CChar>, Int) -> Int32)
        throws
    {
        var error = [CChar](repeating: 0, count: 512)
        guard error.withUnsafeMutableBufferPointer({ body($0.baseAddress!, $0.count) }) == 1 else {
            let reason = String(decoding: error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw Failure(
                kind, path,
                expected: kind == .scan ? "a DICOM image that can be read" : "a DICOM image that can be written",
                found: "DCMTK's answer '\(reason)'")
        }
    }

    /// A C array of characters as text.
    static func text<Characters>(_ characters: Characters) -> String {
        withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func close(_ a: Vector3, _ b: Vector3, _ tolerance: Double) -> Bool {
        let difference = a - b
        return max(abs(difference.x), abs(difference.y), abs(difference.z)) <= tolerance
    }

    private static func cross(_ a: Vector3, _ b: Vector3) -> Vector3 {
        Vector3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)
    }

    private static func rounded(_ value: Double) -> String { String(format: "%.4g", value) }
}
