import Failures
import Foundation
import Pipelines
import Volumes

/// What a file named on the command line is, by its ending; where that tells nothing, by its first bytes.
enum FileKind {
    case scan
    case picture
    case network

    /// - Throws: ``Failure`` of kind `.usage` when there is no such file or nothing says what it is.
    init(of url: URL) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
            throw Failure(.usage, url.path, expected: "a file", found: "nothing there", remedy: Self.nearby(url))
        }
        guard !isFolder.boolValue else {
            throw Failure(
                .usage, url.path, expected: "a file", found: "a folder",
                remedy: "For a folder of scans use 'tomolens run PIPELINE --input DIR --output DIR', "
                    + "for a DICOM series 'tomolens explain DIR' or 'tomolens dicom-import DIR'.")
        }
        let name = url.lastPathComponent.lowercased()
        if NIfTIFile.hasKnownName(url) {
            self = .scan
        } else if PictureName.isPicture(name) {
            self = .picture
        } else if name.hasSuffix(".onnx") {
            self = .network
        } else {
            let handle = try? FileHandle(forReadingFrom: url)
            let start = [UInt8]((try? handle?.read(upToCount: 4)) ?? Data())
            try? handle?.close()
            if start.starts(with: [0x89, 0x50, 0x4E, 0x47]) || start.starts(with: [0xFF, 0xD8, 0xFF]) {
                self = .picture
            } else if start.starts(with: [0x1F, 0x8B]) || start.starts(with: [0x5C, 1, 0, 0])
                || start.starts(with: [0, 0, 1, 0x5C])
            {
                self = .scan
            } else {
                // Whatever it is, the network reader knows foreign formats by name.
                self = .network
            }
        }
    }

    private static func nearby(_ url: URL) -> String {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: url.deletingLastPathComponent().path)) ?? []
        return Nearest.match(url.lastPathComponent, in: names.sorted()).map { "Did you mean '\($0)'?" } ?? ""
    }
}
