import Failures
import Foundation
import Pipelines
import Volumes

#if DICOM
    import DICOM
#endif

/// DICOM CT series where the commands take scans: each becomes a NIfTI file among the results, and everything else goes on from there.
struct DICOMScans {
    /// The folder among the results in which the NIfTI files lie.
    static let folderName = "imported-from-dicom"

    let scans: [FoundScan]
    /// Makes a scan's NIfTI file, from the series as it is now.
    let fetch: @Sendable (FoundScan) throws -> Void
    /// What was passed over, and why.
    let remarks: [String]

    /// The series below a folder in which no file fits what the pipeline asks for; nil where one does, or where nothing is DICOM.
    ///
    /// - Throws: ``Failure`` where there are series and this program was built without DICOM, or none of them is CT.
    static func below(_ input: URL, settings: InputSettings, output: URL) throws -> DICOMScans? {
        let finder = ScanFinder(input: input, settings: settings, skipping: output)
        guard (try? finder.find()) == nil, holdsDICOM(input) else { return nil }
        #if DICOM
            let (found, unreadable) = try CTSeries.all(in: input)
            guard !found.isEmpty else {
                throw Failure(
                    .scan, input.path, expected: "NIfTI files, or CT series in DICOM",
                    found: "DICOM files, none of them a CT image that can be read")
            }
            let top = input.resolvingSymlinksInPath().standardizedFileURL.path
            let uses = Dictionary(grouping: found) { $0.folder.path }.mapValues(\.count)
            var series: [String: CTSeries.Found] = [:]
            for item in found {
                var path = item.folder.resolvingSymlinksInPath().standardizedFileURL.path
                path = path == top ? input.standardizedFileURL.lastPathComponent : String(path.dropFirst(top.count + 1))
                // Several in one folder are told apart by what identifies them.
                if uses[item.folder.path]! > 1 { path += "/\(item.identifier)" }
                series[path] = item
            }
            let folder = output.appendingPathComponent(folderName, isDirectory: true)
            let scans = ScanFinder.scans(named: series.keys.sorted(), in: folder)
            let remarks = unreadable.map { "\($0.path): not a DICOM file that can be read" }
            return DICOMScans(
                scans: scans,
                fetch: { [series] scan in
                    let item = series[scan.path]!
                    try write(try CTSeries(item), to: scan.url)
                }, remarks: remarks)
        #else
            throw DICOMSupport.missing(input)
        #endif
    }

    /// The NIfTI file of a folder that holds one series, written into the results; nil where a folder is none, or holds no DICOM.
    static func imported(_ url: URL, series: String?, output: URL) throws -> URL? {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue,
            holdsDICOM(url)
        else { return nil }
        #if DICOM
            let name = ScanFinder.names(for: [url.standardizedFileURL.lastPathComponent]).first!.value
            let file = output.appendingPathComponent("\(folderName)/\(name).nii.gz")
            try write(try CTSeries(folder: url, series: series), to: file)
            return file
        #else
            throw DICOMSupport.missing(url)
        #endif
    }

    /// Whether one of a folder's first files begins as a DICOM file does: 128 bytes, then DICM.
    static func holdsDICOM(_ folder: URL) -> Bool {
        guard let walker = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: [.isRegularFileKey])
        else { return false }
        var seen = 0
        for case let url as URL in walker {
            guard (try? url.resourceValues(forKeys: [.isRegularFileKey]))?.isRegularFile == true else { continue }
            if let handle = try? FileHandle(forReadingFrom: url) {
                defer { try? handle.close() }
                let start = (try? handle.read(upToCount: 132)) ?? Data()
                if start.count == 132, start.suffix(4) == Data("DICM".utf8) { return true }
            }
            seen += 1
            if seen == 1000 { return false }
        }
        return false
    }

    #if DICOM
        static func write(_ series: CTSeries, to url: URL) throws {
            var writer = NIfTIWriter()
            let isWhole = series.volume.voxels.allSatisfy { $0 == $0.rounded() && abs($0) < 32768 }
            writer.encoding = isWhole ? .int16 : .float32
            writer.description = "\(Product.signature) from DICOM"
            try writer.write(series.volume, to: url)
        }
    #endif
}
