import Failures
import Foundation
import Rendering
import Volumes

/// A program that opens a scan with a heatmap over it.
public enum Viewer: String, Sendable, CaseIterable {
    /// Kitware VolView: a session that holds the data.
    case volview
    /// 3D Slicer: a scene that points to the files.
    case slicer
    /// ITK-SNAP: a workspace that points to the files.
    case itksnap
    /// NiiVue: a document that holds the data, and a page that opens it.
    case niivue
    /// FSLeyes: its command line.
    case fsleyes
}

/// A scan and its heatmap as viewers open them: the same window, scale, threshold and colours as in the overlays, as far as a
/// viewer can be told.
///
/// Files are pointed to by paths relative to the scene, so that a folder can be moved as a whole.
public struct ViewerScene: Sendable {
    /// Shown by the viewers and part of the file names.
    public var name: String
    /// The scan's NIfTI file.
    public var scanFile: URL
    /// The heatmap's NIfTI file, on the scan's grid.
    public var heatFile: URL
    public var scan: Volume
    /// Signed raw attribution.
    public var heat: Volume
    public var window: HUWindow
    /// Colours, opacity, threshold and sign. `scale` nil: the heat's own.
    public var style: OverlayStyle

    public init(
        name: String, scanFile: URL, scan: Volume, heatFile: URL, heat: Volume, window: HUWindow = .lung,
        style: OverlayStyle = OverlayStyle()
    ) {
        self.name = name
        self.scanFile = scanFile
        self.scan = scan
        self.heatFile = heatFile
        self.heat = heat
        self.window = window
        self.style = style
    }

    /// Writes the scene for one viewer into `folder`, and gives the files written, the one to open first.
    ///
    /// - Throws: ``Failure`` of kind `.output` when a file cannot be written, a path cannot stand in the format, or the
    ///   session would be larger than its format allows; `.scan` when the heat is not on the scan's grid.
    @discardableResult
    public func write(for viewer: Viewer, toFolder folder: URL) throws -> [URL] {
        guard heat.grid.shape == scan.grid.shape else {
            throw Failure(
                .scan, heatFile.path, expected: "a heatmap of \(scan.grid.shape.text) voxels, as the scan",
                found: heat.grid.shape.text)
        }
        func place(_ ending: String) -> URL { folder.appendingPathComponent(fileStem + ending) }
        switch viewer {
        case .slicer:
            let url = place(".mrml")
            try AtomicFile.write(SlicerScene(self, folder: folder).text(), to: url)
            return [url]
        case .itksnap:
            let url = place(".itksnap")
            try AtomicFile.write(ITKSNAPWorkspace(self, folder: folder).text(), to: url)
            return [url]
        case .fsleyes:
            let url = place("_fsleyes.sh")
            try AtomicFile.write(FSLeyesCommand(self, folder: folder).text(), to: url)
            return [url]
        case .niivue:
            let document = try NiiVueDocument(self)
            let url = place(".nvd")
            try AtomicFile.write(to: url) { try $0.write(document.bytes) }
            let page = place("_niivue.html")
            try document.writePage(title: name, to: page)
            return [page, url]
        case .volview:
            let url = place(".volview.zip")
            try VolViewSession(self).write(to: url)
            return [url]
        }
    }

    /// The raw value at the warm end of the scale.
    var top: Float { scale.isBlank ? 1 : scale.top }

    var scale: ScaleRange { style.scale ?? ScaleRange(of: heat, signed: style.isSigned) }

    /// Raw heat from which on there is colour.
    var threshold: Float { Float(style.alpha.threshold) * top }

    var colourMap: ColourMap { style.colourMap ?? (scale.isSigned ? .diverging : .inferno) }

    /// The name without what file systems and shells take amiss.
    var fileStem: String {
        let kept = String.UnicodeScalarView(
            name.unicodeScalars.map { scalar in
                "/\\:*?\"<>|".unicodeScalars.contains(scalar) || PageText.visible(String(scalar)) != String(scalar)
                    ? "_" : scalar
            })
        let stem = String(String(kept).prefix(100))
        return stem.isEmpty || stem.hasPrefix(".") || stem.hasPrefix("-") ? "_" + stem : stem
    }

    /// Smallest and largest finite value of a volume.
    static func range(_ volume: Volume) -> ClosedRange<Double> {
        var (low, high) = (Float.infinity, -Float.infinity)
        for value in volume.voxels where value.isFinite {
            low = min(low, value)
            high = max(high, value)
        }
        return low <= high ? Double(low)...Double(high) : 0...1
    }
}

/// The way from a folder to a file, with `/` and `..`, as scenes write it.
enum RelativePath {
    static func of(_ file: URL, from folder: URL) -> String {
        let from = folder.standardizedFileURL.pathComponents
        let to = file.standardizedFileURL.pathComponents
        var shared = 0
        while shared < min(from.count, to.count - 1), from[shared] == to[shared] { shared += 1 }
        return ([String](repeating: "..", count: from.count - shared) + to[shared...]).joined(separator: "/")
    }
}

/// XML 1.0 as scenes write it.
enum XML {
    /// The text between the quotes of an attribute.
    ///
    /// - Throws: ``Failure`` of kind `.output` for characters that XML has no way to write.
    static func attribute(_ text: String) throws -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&apos;"
            case "\t", "\n", "\r": result += "&#\(scalar.value);"
            default:
                guard scalar.value >= 0x20, scalar.value != 0xfffe, scalar.value != 0xffff else {
                    throw Failure(
                        .output, PageText.visible(text), expected: "a name that XML can write",
                        found: "the character U+\(String(scalar.value, radix: 16, uppercase: true))",
                        remedy: "Rename the file.")
                }
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
