import Failures
import Preparations
import Volumes

/// MONAI's transforms by name: which parameters each has, and the step it becomes.
public enum Transforms {
    /// One transform: its parameters as the reference page shows them, and how it is made.
    public struct Transform: Sendable {
        public let group: KeyGroup
        let make: @Sendable (KeyReader) throws -> any PreparationStep

        public var name: String { group.path }

        init(
            _ name: String, _ help: String, _ keys: [KeyDescription],
            _ make: @escaping @Sendable (KeyReader) throws -> any PreparationStep
        ) {
            group = KeyGroup(name, help, keys)
            self.make = make
        }
    }

    private static let any = -1e12...1e12

    private static let padKeys = [
        KeyDescription(
            "method", "\"symmetric\" or \"end\"", standard: "\"symmetric\"", "On which sides voxels are added."),
        KeyDescription("mode", "\"constant\" or \"edge\"", standard: "\"constant\"", "What the added voxels hold."),
        KeyDescription("constant_values", "a number", standard: "0", "The constant (MONAI's `value` is read too)."),
        KeyDescription("value", "a number", standard: "0", "As constant_values."),
    ]
    private static let sizeText = "a whole number or a list of three"
    private static let keepText = "zero or less keeps an axis as it is."

    public static let all: [Transform] = [
        Transform(
            "Orientation", "Turns and flips stored axes; no voxel changes.",
            [KeyDescription("axcodes", "three letters", "Where i, j, k are to run, such as \"RAS\". Required.")]
        ) { keys in
            try OrientationStep(axcodes: try required(keys, "axcodes") { try $0.text($1) })
        },
        Transform(
            "Spacing", "Resamples to a voxel size, keeping the directions of the axes.",
            [
                KeyDescription(
                    "pixdim", "a number or a list of up to three", "Millimetres along i, j, k; \(keepText) Required."),
                KeyDescription("mode", "\"bilinear\" or \"nearest\"", standard: "\"bilinear\"", "Interpolation."),
                KeyDescription(
                    "padding_mode", "\"border\" or \"zeros\"", standard: "\"border\"", "What lies beyond the scan."),
                KeyDescription("diagonal", "true or false", standard: "false", "Resample to the world's axes."),
                KeyDescription("antialias", "true or false", standard: "false", "Smooth before taking fewer samples."),
            ]
        ) { keys in
            let pixdim = try required(keys, "pixdim") { try numbers($0, $1, count: 1...3) }
            guard pixdim.allSatisfy({ $0 != 0 }) else {
                throw keys.wrong("pixdim", expected: "millimetres above 0, or -1 to keep an axis as it is")
            }
            return try SpacingStep(
                pixdim: pixdim,
                mode: try keys.choice("mode", ["bilinear", "trilinear", "nearest"]) == "nearest" ? .nearest : .linear,
                paddingMode: try keys.choice("padding_mode", SpacingStep.PaddingMode.self) ?? .border,
                diagonal: try keys.flag("diagonal") ?? false, antialias: try keys.flag("antialias") ?? false)
        },
        Transform(
            "Resize", "A given number of voxels, whatever their size becomes.",
            [
                KeyDescription("spatial_size", sizeText, "Voxels along i, j, k; \(keepText) Required."),
                KeyDescription(
                    "mode", "one of \(ResizeStep.Mode.allCases.map(\.rawValue).joined(separator: ", "))",
                    standard: "\"area\"",
                    "Interpolation (\"linear\" and \"bilinear\" are read as \"trilinear\")."),
                KeyDescription(
                    "size_mode", "\"all\" or \"longest\"", standard: "\"all\"",
                    "With \"longest\", one number for the longest axis."),
                KeyDescription(
                    "align_corners", "true or false", standard: "false",
                    "Outermost centres onto outermost centres; for trilinear."),
                KeyDescription("anti_aliasing", "true or false", standard: "false", "Smooth along axes that shrink."),
            ]
        ) { keys in
            let words = ResizeStep.Mode.allCases.map(\.rawValue)
            let mode = try keys.choice("mode", words + ["linear", "bilinear"])
            return try ResizeStep(
                spatialSize: try required(keys, "spatial_size", sizes),
                mode: mode.map { ResizeStep.Mode(rawValue: $0) ?? .trilinear } ?? .area,
                sizeMode: try keys.choice("size_mode", ResizeStep.SizeMode.self) ?? .all,
                alignCorners: try keys.flag("align_corners") ?? false,
                antialias: try keys.flag("anti_aliasing") ?? false)
        },
        Transform(
            "ResizeWithPadOrCrop", "A given shape: crops at the centre what is too long, pads what is too short.",
            [KeyDescription("spatial_size", sizeText, "Voxels along i, j, k; \(keepText) Required.")] + padKeys
        ) { keys in
            try ResizeWithPadOrCropStep(
                spatialSize: try required(keys, "spatial_size", sizes), method: try method(keys), fill: try fill(keys))
        },
        Transform(
            "CenterSpatialCrop", "Crops around the centre; axes that are shorter stay.",
            [KeyDescription("roi_size", sizeText, "Voxels along i, j, k; \(keepText) Required.")]
        ) { keys in
            try CenterSpatialCropStep(roiSize: try required(keys, "roi_size", sizes))
        },
        Transform(
            "SpatialPad", "Pads to a shape; axes that are longer stay.",
            [KeyDescription("spatial_size", sizeText, "Voxels along i, j, k; \(keepText) Required.")] + padKeys
        ) { keys in
            try SpatialPadStep(
                spatialSize: try required(keys, "spatial_size", sizes), method: try method(keys), fill: try fill(keys))
        },
        Transform(
            "DivisiblePad", "Pads to multiples, as networks that halve their input several times need.",
            [KeyDescription("k", sizeText, "The extents become multiples of it. Required.")] + padKeys
        ) { keys in
            try DivisiblePadStep(k: try required(keys, "k", sizes), method: try method(keys), fill: try fill(keys))
        },
        Transform(
            "CropForeground", "Crops to the box around all voxels above a threshold.",
            [
                KeyDescription("threshold", "a number", standard: "0", "What counts as foreground lies above it."),
                KeyDescription("margin", sizeText, standard: "0", "Voxels added around the box."),
                KeyDescription(
                    "allow_smaller", "true or false", standard: "false",
                    "Let the margin end at the scan's edge, without padding."),
                KeyDescription("k_divisible", sizeText, standard: "1", "Make the box's extents multiples of it."),
                KeyDescription(
                    "channel_indices", "a list of whole numbers", standard: "all", "Only these channels are looked at."),
            ] + padKeys
        ) { keys in
            try CropForegroundStep(
                threshold: Float(try keys.number("threshold", in: any) ?? 0),
                channelIndices: try keys.value("channel_indices") == nil ? nil : integers(keys, "channel_indices"),
                margin: try keys.value("margin") == nil ? [0] : sizes(keys, "margin")!,
                allowSmaller: try keys.flag("allow_smaller") ?? false,
                kDivisible: try keys.value("k_divisible") == nil ? [1] : sizes(keys, "k_divisible")!,
                fill: try fill(keys))
        },
        Transform(
            "CropToBody", "Crops to the patient: without the air around and without the table. Before any scaling.",
            [
                KeyDescription("threshold", "a number", standard: "-300", "HU above which a voxel may be body."),
                KeyDescription("margin", "a number of at least 0", standard: "5", "Millimetres kept around the body."),
            ]
        ) { keys in
            try CropToBodyStep(
                threshold: Float(try keys.number("threshold", in: any) ?? -300),
                margin: try keys.number("margin", in: 0...1e6) ?? 5)
        },
        Transform(
            "ScaleIntensityRange",
            "a_min…a_max becomes b_min…b_max, linearly. For CT, a_min and a_max are the HU window.",
            [
                KeyDescription("a_min", "a number", "Lower end of the source range. Required."),
                KeyDescription("a_max", "a number", "Upper end of the source range. Required."),
                KeyDescription("b_min", "a number", standard: "0", "Lower end of the target range."),
                KeyDescription("b_max", "a number", standard: "1", "Upper end of the target range."),
                KeyDescription("clip", "true or false", standard: "false", "Values outside become the target's ends."),
            ]
        ) { keys in
            let low = try required(keys, "a_min") { try $0.number($1, in: any) }
            let high = try required(keys, "a_max") { try $0.number($1, in: any) }
            guard low != high else { throw keys.wrong("a_max", expected: "another number than a_min") }
            return try ScaleIntensityRangeStep(
                aMin: Float(low), aMax: Float(high), bMin: try keys.number("b_min", in: any).map { Float($0) },
                bMax: try keys.number("b_max", in: any).map { Float($0) }, clip: try keys.flag("clip") ?? false)
        },
        Transform(
            "ScaleIntensityRangePercentiles",
            "As ScaleIntensityRange, with the source range given by percentiles of the image.",
            [
                KeyDescription("lower", "a number from 0 to 100", "Lower percentile. Required."),
                KeyDescription("upper", "a number from 0 to 100", "Upper percentile. Required."),
                KeyDescription("b_min", "a number", standard: "0", "Lower end of the target range."),
                KeyDescription("b_max", "a number", standard: "1", "Upper end of the target range."),
                KeyDescription("clip", "true or false", standard: "false", "Values outside become the target's ends."),
                KeyDescription("channel_wise", "true or false", standard: "false", "Each channel by itself."),
            ]
        ) { keys in
            try PercentileRangeStep.scaling(
                lower: try required(keys, "lower") { try $0.number($1, in: 0...100) },
                upper: try required(keys, "upper") { try $0.number($1, in: 0...100) },
                bMin: try keys.number("b_min", in: any).map { Float($0) },
                bMax: try keys.number("b_max", in: any).map { Float($0) }, clip: try keys.flag("clip") ?? false,
                channelWise: try keys.flag("channel_wise") ?? false)
        },
        Transform(
            "ScaleIntensity", "The image's smallest value becomes minv, its largest maxv.",
            [
                KeyDescription("minv", "a number or null", standard: "0", "What the smallest value becomes."),
                KeyDescription("maxv", "a number or null", standard: "1", "What the largest value becomes."),
                KeyDescription("factor", "a number", standard: "none", "Instead: values become v · (1 + factor)."),
                KeyDescription("channel_wise", "true or false", standard: "false", "Each channel by itself."),
            ]
        ) { keys in
            let factor = try keys.number("factor", in: any).map { Float($0) }
            // MONAI scales by the factor only where minv and maxv are null.
            return ScaleIntensityStep(
                minv: factor != nil && keys.value("minv") == nil ? nil : Float(try keys.number("minv", in: any) ?? 0),
                maxv: factor != nil && keys.value("maxv") == nil ? nil : Float(try keys.number("maxv", in: any) ?? 1),
                factor: factor, channelWise: try keys.flag("channel_wise") ?? false)
        },
        Transform(
            "NormalizeIntensity",
            "(v − subtrahend) / divisor; by default the image's mean and standard deviation (z-score).",
            [
                KeyDescription(
                    "subtrahend", "a number or a list", standard: "the mean",
                    "One for all channels, or with channel_wise one for each."),
                KeyDescription("divisor", "a number or a list", standard: "the standard deviation", "As subtrahend."),
                KeyDescription(
                    "nonzero", "true or false", standard: "false", "Only voxels that are not zero count and change."),
                KeyDescription("channel_wise", "true or false", standard: "false", "Each channel by itself."),
            ]
        ) { keys in
            try NormalizeIntensityStep(
                subtrahend: try numbers(keys, "subtrahend", count: 1...4096)?.map { Float($0) },
                divisor: try numbers(keys, "divisor", count: 1...4096)?.map { Float($0) },
                nonzero: try keys.flag("nonzero") ?? false, channelWise: try keys.flag("channel_wise") ?? false)
        },
        Transform(
            "ClipIntensity", "Values beyond a range become its ends.",
            [
                KeyDescription("min", "a number", standard: "none", "The lower end."),
                KeyDescription("max", "a number", standard: "none", "The upper end."),
            ]
        ) { keys in
            try ClipIntensityStep(
                minimum: try keys.number("min", in: any).map { Float($0) } ?? -.infinity,
                maximum: try keys.number("max", in: any).map { Float($0) } ?? .infinity)
        },
        Transform(
            "ClipIntensityPercentiles", "Values beyond two percentiles of the image become these.",
            [
                KeyDescription("lower", "a number from 0 to 100", standard: "0", "Lower percentile."),
                KeyDescription("upper", "a number from 0 to 100", standard: "100", "Upper percentile."),
                KeyDescription("channel_wise", "true or false", standard: "false", "Each channel by itself."),
            ]
        ) { keys in
            try PercentileRangeStep.clipping(
                lower: try keys.number("lower", in: 0...100), upper: try keys.number("upper", in: 0...100),
                channelWise: try keys.flag("channel_wise") ?? false)
        },
        Transform(
            "ThresholdIntensity", "What is not above (or below) a threshold becomes one value.",
            [
                KeyDescription("threshold", "a number", "The threshold. Required."),
                KeyDescription(
                    "above", "true or false", standard: "true", "Whether values above it stay, or those below."),
                KeyDescription("cval", "a number", standard: "0", "What the others become."),
            ]
        ) { keys in
            ThresholdIntensityStep(
                threshold: Float(try required(keys, "threshold") { try $0.number($1, in: any) }),
                above: try keys.flag("above") ?? true, cval: Float(try keys.number("cval", in: any) ?? 0))
        },
        Transform(
            "RepeatChannel", "Each channel several times, for networks that want three and have one.",
            [KeyDescription("repeats", "a whole number of at least 1", "How many times. Required.")]
        ) { keys in
            try RepeatChannelStep(repeats: try required(keys, "repeats") { try $0.integer($1, in: 1...4096) })
        },
        Transform(
            "WindowChannels", "Several HU windows of a CT as channels, each scaled to 0…1.",
            [
                KeyDescription(
                    "windows", "a list of [low, high] or names",
                    "The windows; names are \(HUWindow.presets.map(\.name).joined(separator: ", ")). Required.")
            ]
        ) { keys in
            guard let elements = keys.elements("windows"), !elements.isEmpty else {
                throw keys.wrong("windows", expected: "a list of [low, high] or names")
            }
            return try WindowChannelsStep(windows: elements.map(window))
        },
    ]

    public static let names = all.map(\.name)

    /// Steps of a MONAI block that load, convert or name data: there is nothing to do for them here.
    static let ignored: Set<String> = [
        "LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor", "CastToType",
        "ToDevice",
        "SelectItems", "Identity", "CopyItems", "ConcatItems", "SqueezeDim", "ToNumpy", "DeleteItems", "Lambda",
    ]

    /// Parameters of MONAI that change nothing here.
    private static let harmless: Set<String> = [
        "dtype", "image_only", "lazy", "track_meta", "device", "meta_keys", "source_key",
    ]

    /// The step for `settings`; nil for one that has nothing to do.
    ///
    /// - Throws: ``Failure`` of kind `.pipeline` that names the transform or the parameter by its path and line.
    static func step(_ settings: StepSettings) throws -> (any PreparationStep)? {
        let json = JSON(
            .object(settings.parameters.filter { !harmless.contains($0.name) }.map { JSON.Member($0.name, $0.value) }),
            line: settings.line)
        if ignored.contains(settings.transform) { return nil }
        if settings.transform.hasPrefix("Rand") {
            throw KeyReader.failure(
                settings.path, json, expected: "a step that does the same every time",
                found: "the augmentation '\(settings.transform)'",
                remedy: "Random augmentation belongs to training: leave it out.")
        }
        guard let transform = all.first(where: { $0.name == settings.transform }) else {
            throw KeyReader.failure(
                "\(settings.path).transform", json, expected: "a transform of the reference page",
                found: "'\(settings.transform)'", remedy: Nearest.suggestion(settings.transform, in: names))
        }
        for (name, value) in settings.parameters {
            if let text = value.text, text.hasPrefix("$") || text.hasPrefix("@") {
                throw KeyReader.failure(
                    "\(settings.path).\(name)", value, expected: "a value",
                    remedy: "Expressions and references of a MONAI bundle are not evaluated: write the value itself.")
            }
        }
        do {
            return try transform.make(try KeyReader(json, at: settings.path, group: transform.group))
        } catch var failure as Failure {
            // What a step refuses by itself names a parameter; what the reader refuses has its path already.
            if !failure.subject.hasPrefix(settings.path) {
                failure.subject =
                    "\(settings.path).\(failure.subject)\(settings.line > 0 ? " (line \(settings.line))" : "")"
            }
            failure.kind = .pipeline
            throw failure
        }
    }

    private static func required<Value>(_ keys: KeyReader, _ key: String, _ read: (KeyReader, String) throws -> Value?)
        throws -> Value
    {
        if let value = try read(keys, key) { return value }
        throw keys.wrong(key, expected: "\(keys.group.keys.first { $0.name == key }!.type)")
    }

    private static func numbers(_ keys: KeyReader, _ key: String, count: ClosedRange<Int>) throws -> [Double]? {
        guard let elements = keys.elements(key) else { return nil }
        let numbers = elements.compactMap(\.json.number)
        guard numbers.count == elements.count, count.contains(numbers.count) else {
            throw keys.wrong(key, expected: keys.group.keys.first { $0.name == key }!.type)
        }
        return numbers
    }

    private static func integers(_ keys: KeyReader, _ key: String) throws -> [Int] {
        let numbers = try numbers(keys, key, count: 1...4096) ?? []
        guard numbers.allSatisfy({ $0 == $0.rounded() && abs($0) < 1e9 }) else {
            throw keys.wrong(key, expected: keys.group.keys.first { $0.name == key }!.type)
        }
        return numbers.map { Int($0) }
    }

    private static func sizes(_ keys: KeyReader, _ key: String) throws -> [Int]? {
        guard keys.value(key) != nil else { return nil }
        let sizes = try integers(keys, key)
        guard sizes.count == 1 || sizes.count == 3 else { throw keys.wrong(key, expected: sizeText) }
        return sizes
    }

    private static func method(_ keys: KeyReader) throws -> PadMethod {
        try keys.choice("method", PadMethod.self) ?? .symmetric
    }

    private static func fill(_ keys: KeyReader) throws -> Fill {
        switch try keys.choice("mode", ["constant", "edge", "replicate"]) {
        case "edge", "replicate": return .edge
        default:
            let value = try keys.number("constant_values", in: any) ?? keys.number("value", in: any) ?? 0
            return .constant(Float(value))
        }
    }

    private static func window(_ element: (json: JSON, path: String)) throws -> HUWindow {
        if let name = element.json.text, let window = HUWindow(named: name) { return window }
        let numbers = element.json.array?.compactMap(\.number) ?? []
        guard numbers.count == 2, element.json.array?.count == 2, numbers[0] < numbers[1] else {
            throw KeyReader.failure(
                element.path, element.json,
                expected:
                    "[low, high] with low below high, or one of \(HUWindow.presets.map(\.name).joined(separator: ", "))"
            )
        }
        return HUWindow(lower: Float(numbers[0]), upper: Float(numbers[1]))
    }
}
