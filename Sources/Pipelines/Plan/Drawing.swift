import Explanations
import Failures
import Foundation
import Rendering
import Volumes
import Workers

/// How the maps of a run are drawn, with every default filled in.
public struct Drawing: Sendable {
    public let colourMap: ColourMap?
    let window: RenderingSettings.Window
    let alpha: OverlayStyle.Alpha
    let contours: [Double]
    let interpolation: Resampler.Interpolation
    let isSideBySide: Bool
    let planes: [Plane]
    let slices: RenderingSettings.Slices
    public let scale: RenderingSettings.Scale
    let isSigned: Bool
    /// Which part of a map's sum may lie beyond its own scale; nil: by the method's kind.
    private let outliers: Double?
    let montage: Int
    let convention: RenderingSettings.Convention

    init(_ settings: RenderingSettings) {
        colourMap = settings.colormap.flatMap(ColourMap.init(rawValue:))
        window = settings.window ?? .named("auto")
        let standard = OverlayStyle.Alpha()
        alpha = OverlayStyle.Alpha(
            opacity: settings.alpha ?? standard.opacity, threshold: settings.threshold ?? standard.threshold)
        contours = settings.contours ?? []
        interpolation = settings.interpolation ?? .linear
        isSideBySide = settings.sideBySide ?? false
        planes = settings.planes ?? Plane.allCases
        slices = settings.slices ?? .hottest(3)
        scale = settings.scale ?? .own
        isSigned = settings.signed ?? false
        outliers = settings.outliers
        montage = settings.montage ?? 12
        convention = settings.convention ?? .radiological
    }

    /// Every value, for the settings' hash and for provenance.
    var json: JSON {
        let window: JSON =
            switch window {
            case .named(let name): .text(name)
            case .range(let range): .numbers([range.lowerBound, range.upperBound])
            }
        let slices: JSON =
            switch slices {
            case .all: .text("all")
            case .hottest(let count): .object([("hottest", .number(count))])
            }
        let scale: JSON =
            switch scale {
            case .own: .text("own")
            case .folder: .text("folder")
            case .fixed(let top): .number(top)
            }
        return .object([
            ("colormap", .text(colourMap?.rawValue)), ("window", window), ("alpha", .number(alpha.opacity)),
            ("threshold", .number(alpha.threshold)), ("contours", .numbers(contours)),
            ("interpolation", .text(interpolation.rawValue)), ("sideBySide", .bool(isSideBySide)),
            ("planes", .array(planes.map { .text($0.rawValue) })), ("slices", slices), ("scale", scale),
            ("signed", .bool(isSigned)), ("outliers", outliers.map { .number($0) } ?? .text("auto")),
            ("montage", .number(montage)), ("convention", .text(convention.rawValue)),
        ])
    }

    /// Which part of a map's sum may lie beyond the end of its own scale.
    private func outliers(_ method: MethodDescriptor?) -> Double {
        outliers ?? (method?.family == .gradient ? Self.gradientOutliers : 0)
    }

    /// As Captum draws attributions.
    public static let gradientOutliers = 0.02

    /// What the colours of one map run over on its own scale.
    func ownRange(of heat: Volume, by method: MethodDescriptor?, signed: Bool) -> ScaleRange {
        ScaleRange(of: heat, signed: signed, outliers: outliers(method))
    }

    /// What the colours of one map run over.
    func range(of heat: Volume, by method: MethodDescriptor?, shared: ScaleRange?) -> ScaleRange {
        switch scale {
        case .own: ownRange(of: heat, by: method, signed: isSigned)
        case .folder: shared ?? ownRange(of: heat, by: method, signed: isSigned)
        case .fixed(let top): .fixed(Float(top), signed: isSigned)
        }
    }

    func style(_ source: ScanSource, range: ScaleRange) -> OverlayStyle {
        var style = OverlayStyle()
        if case .volume(let image) = source {
            let isCT = image.statistics.notCTReason == nil
            style.window = Self.window(window, of: image.volume, isCT: isCT)
        }
        style.colourMap = colourMap
        style.isSigned = isSigned
        style.scale = range
        style.alpha = alpha
        style.contours = contours
        style.interpolation = interpolation
        style.isSideBySide = isSideBySide
        style.planes = planes
        style.isRadiological = convention == .radiological
        if case .picture = source { style.planes = [.axial] }
        return style
    }

    /// The grey window that the words mean for a scan.
    public static func window(
        _ window: RenderingSettings.Window, of volume: Volume, isCT: Bool
    ) -> OverlayStyle.Window {
        switch window {
        case .range(let range):
            return .hu(HUWindow(lower: Float(range.lowerBound), upper: Float(range.upperBound)), name: "")
        case .named("lung"): return .lung
        case .named("mediastinum"): return .mediastinum
        case .named("bone"): return .bone
        case .named("brain"): return .brain
        case .named("abdomen"): return .abdomen
        case .named: return isCT ? automatic(volume) : .automatic
        }
    }

    /// Lung for CT that shows lung, abdomen for other CT.
    private static func automatic(_ volume: Volume) -> OverlayStyle.Window {
        let size = volume.grid.shape.x * volume.grid.shape.y
        let counts = volume.voxels.withUnsafeBufferPointer { voxels in
            // Nothing in the body throws.
            try! Workers.shared.map(volume.grid.shape.z) { k in
                var (above, denser) = (0, 0)
                for value in voxels[size * k..<size * (k + 1)] {
                    above += value > -950 ? 1 : 0
                    denser += value > -600 ? 1 : 0
                }
                return (above, denser)
            }
        }
        let denser = counts.reduce(0) { $0 + $1.1 }
        let lung = counts.reduce(0) { $0 + $1.0 } - denser
        return Double(lung) > 0.15 * Double(denser) ? .lung : .abdomen
    }

    /// Draws one map's slices and montage.
    ///
    /// - Parameters:
    ///   - folder: for the slices; the montage goes to `montage`.
    /// - Returns: the files that were written.
    func draw(
        _ heat: Volume, over source: ScanSource, labels: Volume?, caption: OverlayCaption, range: ScaleRange,
        folder: URL,
        montage url: URL
    ) throws -> [URL] {
        let renderer = try renderer(heat, source, labels, caption, range)
        let selection: OverlayRenderer.Selection =
            switch slices {
            case .all: .all
            case .hottest(let count): .hottest(count)
            }
        var files = try renderer.writeSlices(selection, to: folder).map(\.url)
        if montage > 0, renderer.sliceCount(.axial) > 1 {
            try renderer.writeMontage(.axial, count: min(montage, renderer.sliceCount(.axial)), to: url)
            files.append(url)
        }
        return files
    }

    /// The longer side of a thumbnail in pixels.
    private static let thumbnailSize = 144

    /// One small picture of a map, as a JPEG file: some thousand bytes, so that a page can show thousands of scans.
    func thumbnail(_ heat: Volume, over source: ScanSource, labels: Volume?, range: ScaleRange) throws -> Data {
        let renderer = try renderer(heat, source, labels, OverlayCaption(), range)
        return try JPEG.encode(renderer.thumbnail(size: Self.thumbnailSize), quality: 80)
    }

    private func renderer(
        _ heat: Volume, _ source: ScanSource, _ labels: Volume?, _ caption: OverlayCaption, _ range: ScaleRange
    ) throws -> OverlayRenderer {
        let style = style(source, range: range)
        switch source {
        case .volume(let image):
            return try OverlayRenderer(scan: image.volume, heat: heat, mask: labels, style: style, caption: caption)
        case .picture(let picture):
            return try OverlayRenderer(picture: picture, heat: heat, mask: labels, style: style, caption: caption)
        }
    }
}
