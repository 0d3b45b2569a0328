import Failures
import Foundation
import Rendering
import Volumes

/// Names of image files.
public enum PictureName {
    public static let extensions = ["png", "jpeg", "jpg"]

    /// Whether a file's name, or a pattern, is that of an image.
    public static func isPicture(_ name: String) -> Bool {
        extensions.contains((name as NSString).pathExtension.lowercased())
    }
}

/// A scan or an image as read: what is explained, and what lies under the heat.
enum ScanSource: Sendable {
    case volume(NIfTIImage)
    case picture(Picture)

    var grid: Grid {
        switch self {
        case .volume(let image): image.volume.grid
        case .picture(let picture): picture.grid
        }
    }

    /// The header whose geometry a heatmap on the same grid copies.
    var header: NIfTIHeader? { if case .volume(let image) = self { image.header } else { nil } }

    /// Remarks about the file for the report.
    var warnings: [String] {
        guard case .volume(let image) = self else { return [] }
        return (image.issues + [image.ctIssue].compactMap { $0 }).filter { $0.level != .note }.map {
            "\($0.field): \($0.problem); \($0.handling)"
        }
    }

    static func isPicture(_ url: URL) -> Bool { PictureName.isPicture(url.lastPathComponent) }

    /// - Parameter volume: which one of a 4D file.
    static func read(_ url: URL, volume: Int?) throws -> ScanSource {
        if isPicture(url) { return .picture(try PictureReader.read(url)) }
        do {
            var image = try NIfTIFile.read(url, volume: volume)
            image.replaceNonFinite()
            return .volume(image)
        } catch var failure as Failure {
            if failure.remedy.hasPrefix("Choose a volume from") {
                failure.remedy += " with --volume or the pipeline's input.volume."
            }
            throw failure
        }
    }

    /// The files that hold the scan: one, or the two of a pair.
    static func files(of url: URL) -> [URL] {
        guard let partner = NIfTIFile.partner(of: url) else { return [url] }
        return [url, partner]
    }
}
