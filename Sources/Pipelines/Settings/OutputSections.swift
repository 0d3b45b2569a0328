import Failures
import Rendering
import Reports
import Volumes

/// How maps are drawn; nil means the default.
public struct RenderingSettings: Sendable, Hashable {
    public var colormap: String?
    public var window: Window?
    public var alpha: Double?
    public var threshold: Double?
    /// Fractions of the scale at which lines are drawn.
    public var contours: [Double]?
    public var interpolation: Resampler.Interpolation?
    public var sideBySide: Bool?
    public var planes: [Plane]?
    public var slices: Slices?
    public var scale: Scale?
    public var signed: Bool?
    /// Which part of a map's sum may lie beyond the end of its own scale; nil: 2 % for gradient methods, none for others.
    public var outliers: Double?
    /// Slices in the montage; 0 draws none.
    public var montage: Int?
    public var convention: Convention?

    public enum Window: Sendable, Hashable {
        case named(String)
        case range(ClosedRange<Double>)
    }

    public enum Slices: Sendable, Hashable {
        case all
        case hottest(Int)
    }

    /// From which values the colours run.
    public enum Scale: Sendable, Hashable {
        /// Each map by itself.
        case own
        /// One scale for all scans of the folder, method by method.
        case folder
        /// Up to this value.
        case fixed(Double)
    }

    /// On which side the patient's left is drawn.
    public enum Convention: String, Sendable, Hashable, CaseIterable {
        case radiological
        case neurological
    }

    public static let windows = ["lung", "mediastinum", "bone", "brain", "abdomen", "auto"]
    public static let colormaps = ColourMap.allCases.map(\.rawValue)

    public init() {}

    init(_ keys: KeyReader) throws {
        colormap = try keys.choice("colormap", Self.colormaps)
        if keys.value("window")?.array != nil {
            window = .range(try keys.range("window")!)
        } else if let name = try keys.choice("window", Self.windows) {
            window = .named(name)
        }
        alpha = try keys.number("alpha", in: 0...1)
        threshold = try keys.number("threshold", in: 0...1)
        if threshold == 1 { throw keys.wrong("threshold", expected: "a number from 0 to below 1") }
        contours = try keys.elements("contours")?.map { element in
            guard let level = element.json.number, level > 0, level < 1 else {
                throw KeyReader.failure(element.path, element.json, expected: "a number between 0 and 1")
            }
            return level
        }
        interpolation = try keys.choice("interpolation", Resampler.Interpolation.self)
        sideBySide = try keys.flag("sideBySide")
        planes = try keys.elements("planes")?.map { element in
            guard let plane = element.json.text.flatMap(Plane.init) else {
                throw KeyReader.failure(
                    element.path, element.json, expected: "one of axial, coronal, sagittal",
                    remedy: element.json.text.flatMap { Nearest.match($0, in: Plane.allCases.map(\.rawValue)) }
                        .map { "Did you mean '\($0)'?" } ?? "")
            }
            return plane
        }
        if keys.value("slices")?.members != nil {
            let slices = try keys.object("slices", PipelineKeys.slices)!
            guard let count = try slices.integer("hottest", in: 1...100_000) else {
                throw keys.wrong("slices", expected: "\"all\" or {hottest: number}")
            }
            self.slices = .hottest(count)
        } else if keys.value("slices") != nil {
            guard keys.value("slices")?.text == "all" else {
                throw keys.wrong("slices", expected: "\"all\" or {hottest: number}")
            }
            slices = .all
        }
        if let value = keys.value("scale") {
            switch (value.text, value.number) {
            case ("own", _): scale = .own
            case ("folder", _): scale = .folder
            case (_, let top?) where top > 0 && top < 1e30: scale = .fixed(top)
            default: throw keys.wrong("scale", expected: "\"own\", \"folder\" or a number above 0")
            }
        }
        outliers = try keys.number("outliers", in: 0...0.5)
        signed = try keys.flag("signed")
        montage = try keys.integer("montage", in: 0...400)
        convention = try keys.choice("convention", Convention.self)
    }

    func completed(by other: RenderingSettings) -> RenderingSettings {
        var result = self
        result.colormap = colormap ?? other.colormap
        result.window = window ?? other.window
        result.alpha = alpha ?? other.alpha
        result.threshold = threshold ?? other.threshold
        result.contours = contours ?? other.contours
        result.interpolation = interpolation ?? other.interpolation
        result.sideBySide = sideBySide ?? other.sideBySide
        result.planes = planes ?? other.planes
        result.slices = slices ?? other.slices
        result.scale = scale ?? other.scale
        result.outliers = outliers ?? other.outliers
        result.signed = signed ?? other.signed
        result.montage = montage ?? other.montage
        result.convention = convention ?? other.convention
        return result
    }
}

/// Which files are written; nil means the default.
public struct ExportSettings: Sendable, Hashable {
    public var heatmaps: [HeatmapGrid]?
    public var datatype: Datatype?
    public var overlays: Bool?
    public var page: Bool?
    /// Names of viewers that scenes are written for.
    public var viewers: [String]?

    public static let viewerNames = Viewer.allCases.map(\.rawValue)

    /// On which grid a heatmap volume is written.
    public enum HeatmapGrid: String, Sendable, Hashable, CaseIterable {
        /// On the scan's own voxels.
        case scan
        /// On the layer's voxels, with the affine of its receptive field.
        case tap
    }

    public enum Datatype: String, Sendable, Hashable, CaseIterable {
        case float32
        case int16
        case uint8
    }

    public init() {}

    init(_ keys: KeyReader) throws {
        heatmaps = try keys.elements("heatmaps")?.map { element in
            guard let grid = element.json.text.flatMap(HeatmapGrid.init) else {
                throw KeyReader.failure(element.path, element.json, expected: "\"scan\" or \"tap\"")
            }
            return grid
        }
        datatype = try keys.choice("datatype", Datatype.self)
        overlays = try keys.flag("overlays")
        page = try keys.flag("page")
        viewers = try keys.elements("viewers")?.map { element in
            guard let name = element.json.text, Self.viewerNames.contains(name) else {
                throw KeyReader.failure(
                    element.path, element.json, expected: "one of \(Self.viewerNames.joined(separator: ", "))",
                    remedy: element.json.text.flatMap { Nearest.match($0, in: Self.viewerNames) }
                        .map { "Did you mean '\($0)'?" } ?? "")
            }
            return name
        }
    }

    func completed(by other: ExportSettings) -> ExportSettings {
        var result = self
        result.heatmaps = heatmaps ?? other.heatmaps
        result.datatype = datatype ?? other.datatype
        result.overlays = overlays ?? other.overlays
        result.page = page ?? other.page
        result.viewers = viewers ?? other.viewers
        return result
    }
}
