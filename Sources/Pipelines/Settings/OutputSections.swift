import Failures

/// How maps are drawn; nil means the default.
public struct RenderingSettings: Sendable, Hashable {
    public var colormap: String?
    public var window: Window?
    public var alpha: Double?
    public var threshold: Double?
    public var contour: Bool?
    public var planes: [Plane]?
    public var slices: Slices?
    public var scale: Scale?
    public var signed: Bool?
    /// Slices in the montage; 0 draws none.
    public var montage: Int?
    public var convention: Convention?

    public enum Window: Sendable, Hashable {
        case named(String)
        case range(ClosedRange<Double>)
    }

    public enum Plane: String, Sendable, Hashable, CaseIterable {
        case axial
        case coronal
        case sagittal
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
        case fixed(ClosedRange<Double>)
    }

    /// On which side the patient's left is drawn.
    public enum Convention: String, Sendable, Hashable, CaseIterable {
        case radiological
        case neurological
    }

    public static let windows = ["lung", "mediastinum", "bone", "brain", "soft-tissue", "auto"]
    public static let colormaps = ["viridis", "inferno", "magma", "turbo", "jet", "coolwarm"]

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
        contour = try keys.flag("contour")
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
        if keys.value("scale")?.array != nil {
            scale = .fixed(try keys.range("scale")!)
        } else if let word = keys.value("scale") {
            switch word.text {
            case "own": scale = .own
            case "folder": scale = .folder
            default: throw keys.wrong("scale", expected: "\"own\", \"folder\" or [low, high]")
            }
        }
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
        result.contour = contour ?? other.contour
        result.planes = planes ?? other.planes
        result.slices = slices ?? other.slices
        result.scale = scale ?? other.scale
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
    }

    func completed(by other: ExportSettings) -> ExportSettings {
        var result = self
        result.heatmaps = heatmaps ?? other.heatmaps
        result.datatype = datatype ?? other.datatype
        result.overlays = overlays ?? other.overlays
        return result
    }
}
