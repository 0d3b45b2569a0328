import Failures
import Foundation
import Networks
import Preparations
import Rendering
import Tensors
import Volumes

/// What the command line changes in the preparation.
public struct PreparationShortcuts: Sendable, Hashable {
    /// HU window that becomes 0…1.
    public var window: ClosedRange<Double>?
    /// Millimetres along i, j, k.
    public var spacing: [Double]?
    /// Voxels along i, j, k.
    public var size: [Int]?

    public init() {}

    var isEmpty: Bool { window == nil && spacing == nil && size == nil }
}

/// How scans become what the network wants: the steps, the layout, and every default filled in.
public struct PreparationPlan: Sendable {
    /// How the steps came about.
    private enum Origin: Sendable {
        /// Given by the pipeline, the command line or the network's metadata.
        case given
        /// Assumed for CT; open extents are padded where the network needs it.
        case assumedForCT
        /// Assumed for pictures: the usual preparation of ImageNet networks, to a square of this many pixels.
        case assumedForPictures(Int)
    }

    public let preparation: Preparation
    private let origin: Origin
    private let network: Network
    private let inputName: String
    /// Channels that the network's input has.
    let channels: Int

    /// One line a step, for people, for the settings' hash and for provenance.
    public var summary: [String] {
        var lines = preparation.summary
        if case .assumedForPictures(let size) = origin {
            lines.insert("shorter side to \(size * 256 / 224) pixels, square of \(size) from the centre", at: 0)
        }
        return lines
    }

    var json: JSON { .array(summary.map { .text($0) }) }

    /// The window of HU that the network sees, where the preparation has one.
    var window: HUWindow? {
        for step in preparation.steps {
            if let step = step as? ScaleIntensityRangeStep, step.aMin < step.aMax {
                return HUWindow(lower: step.aMin, upper: step.aMax)
            }
            if let step = step as? WindowChannelsStep { return step.windows.first }
        }
        return nil
    }

    init(
        _ words: PipelineFile, network: Network, inputName: String, forPictures: Bool, assumptions: inout [String]
    ) throws {
        self.network = network
        self.inputName = inputName
        let input = try InputFacts(network, inputName)
        let spatialRank = words.layout.axes?.count ?? input.spatialRank
        guard (2...3).contains(spatialRank) else {
            throw Failure(
                .network, "input '\(inputName)'", expected: "two or three spatial axes", found: "\(spatialRank)",
                remedy: "Name another input in the pipeline under network.input.")
        }
        guard spatialRank == input.spatialRank else {
            throw Failure(
                .pipeline, "layout.axes",
                expected: "\(input.spatialRank) axes, as the network's input '\(inputName)' has",
                found: "'\(words.layout.axes ?? "")'")
        }
        channels = words.layout.channels ?? input.channels ?? (forPictures ? 3 : 1)
        let isChannelsLast = words.layout.channelsLast ?? input.isChannelsLast
        let given = try Self.apply(words.shortcuts, to: words.preparation)

        var orientation = words.layout.orientation.flatMap { Orientation($0) }
        let turns = given?.contains { $0.transform == "Orientation" } ?? false
        let axes = words.layout.axes ?? (spatialRank == 3 ? "xyz" : "yx")
        if orientation == nil, !turns, !forPictures {
            orientation = spatialRank == 3 ? .ras : .lps
        }
        let layout = try NetworkLayout(axes: axes, orientation: orientation, channelsLast: isChannelsLast)
        if words.layout.axes == nil || (words.layout.orientation == nil && !turns && !forPictures) {
            let direction = orientation.map { " in \($0) orientation" } ?? ""
            assumptions.append("layout: axes \(axes)\(direction) (--axes, --orientation, or layout in a pipeline)")
        }

        var steps: [any PreparationStep]
        if let given {
            steps = try given.compactMap(Transforms.step)
            origin = .given
        } else if forPictures {
            let size = input.squareSize(layout) ?? words.shortcuts.size?.first ?? 224
            origin = .assumedForPictures(size)
            steps = [try ScaleIntensityRangeStep(aMin: 0, aMax: 255, bMin: 0, bMax: 1)]
            if channels == 3 { steps.append(try Self.imageNet()) }
            assumptions.append(
                "preparation: shorter side to \(size * 256 / 224) pixels, square of \(size) from the centre, values to 0…1"
                    + (channels == 3 ? ", ImageNet mean and deviation" : "") + " (preparation in a pipeline)")
        } else {
            origin = .assumedForCT
            steps = []
            var text: [String] = []
            if let spacing = words.shortcuts.spacing {
                steps.append(try SpacingStep(pixdim: spacing, antialias: true))
                text.append("resampled to \(spacing.map(JSON.digits).joined(separator: "×")) mm")
            }
            let window = words.shortcuts.window ?? -1000...400
            steps.append(
                ScaleIntensityRangeStep(HUWindow(lower: Float(window.lowerBound), upper: Float(window.upperBound))))
            text.append("HU \(JSON.digits(window.lowerBound))…\(JSON.digits(window.upperBound)) to 0…1")
            if let size = words.shortcuts.size ?? input.fixedSize(layout) {
                steps.append(
                    try ResizeStep(spatialSize: size.count == 2 ? size + [-1] : size, mode: .trilinear, antialias: true)
                )
                text.append("resized to \(size.filter { $0 > 0 }.map(String.init).joined(separator: "×"))")
            }
            if channels == 3, spatialRank == 2 {
                steps += [try RepeatChannelStep(repeats: 3), try Self.imageNet()]
                text.append("three channels with ImageNet mean and deviation")
            }
            assumptions.append(
                "preparation: \(text.joined(separator: ", ")) (--window, --spacing, --size, or preparation in a pipeline)"
            )
        }
        if channels > 1, !forPictures, !steps.contains(where: { $0 is RepeatChannelStep || $0 is WindowChannelsStep }) {
            // Before a normalization that has numbers for each channel; otherwise last, where it is cheapest.
            let place = steps.firstIndex { ($0 as? NormalizeIntensityStep)?.channelWise == true } ?? steps.count
            steps.insert(try RepeatChannelStep(repeats: channels), at: place)
        }
        preparation = Preparation(steps: steps, layout: layout)
    }

    private static func imageNet() throws -> NormalizeIntensityStep {
        try NormalizeIntensityStep(
            subtrahend: [0.485, 0.456, 0.406], divisor: [0.229, 0.224, 0.225], channelWise: true)
    }

    /// The pipeline's steps with what the command line says in their place.
    private static func apply(_ shortcuts: PreparationShortcuts, to steps: [StepSettings]?) throws -> [StepSettings]? {
        guard var steps, !shortcuts.isEmpty else { return steps }
        func set(_ names: Set<String>, _ values: [(String, JSON)], orInsert new: StepSettings, at place: Int) {
            if let index = steps.lastIndex(where: { names.contains($0.transform) }) {
                let old = steps[index]
                let kept = old.parameters.filter { parameter in !values.contains { $0.0 == parameter.name } }
                steps[index] = StepSettings(
                    transform: old.transform, parameters: kept + values.map { (name: $0.0, value: $0.1) },
                    path: old.path, line: old.line)
            } else {
                steps.insert(new, at: place)
            }
        }
        if let spacing = shortcuts.spacing {
            let place = (steps.firstIndex { $0.transform == "Orientation" } ?? -1) + 1
            set(
                ["Spacing"], [("pixdim", .numbers(spacing))],
                orInsert: StepSettings(
                    transform: "Spacing", parameters: [("pixdim", .numbers(spacing))], path: "--spacing"), at: place)
        }
        if let window = shortcuts.window {
            let ends = [("a_min", JSON.number(window.lowerBound)), ("a_max", JSON.number(window.upperBound))]
            let new = ends.map { (name: $0.0, value: $0.1) } + [(name: "clip", value: JSON.bool(true))]
            set(
                ["ScaleIntensityRange"], ends,
                orInsert: StepSettings(transform: "ScaleIntensityRange", parameters: new, path: "--window"),
                at: steps.count)
        }
        if let size = shortcuts.size {
            let sizes = JSON.numbers((size.count == 2 ? size + [-1] : size).map(Double.init))
            set(
                ["Resize", "ResizeWithPadOrCrop"], [("spatial_size", sizes)],
                orInsert: StepSettings(transform: "Resize", parameters: [("spatial_size", sizes)], path: "--size"),
                at: steps.count)
        }
        return steps
    }

    // MARK: Preparing

    /// What the network is given: one input for a whole scan, or one a slice for a 2D network.
    func prepare(_ source: ScanSource) throws -> [PreparedInput] {
        let image: ChannelVolume
        switch source {
        case .volume(let scan): image = ChannelVolume(scan.volume)
        case .picture(let picture):
            guard preparation.layout.spatialRank == 2 else {
                throw Failure(
                    .network, "input '\(inputName)'", expected: "a network of two spatial axes for an image",
                    found: "one of three",
                    remedy: "Explain a scan with this network.")
            }
            image = channels == 1 ? ChannelVolume(picture.luminanceVolume) : ChannelVolume(picture.colourVolumes)
        }
        var preparation = preparation
        if case .assumedForPictures(let size) = origin {
            preparation.steps.insert(PictureSquareStep(size: size, shorterSide: size * 256 / 224), at: 0)
        }
        let inputs = try preparation.prepareSlices(image)
        if case .assumedForCT = origin, let input = inputs.first, !fits(input.tensor.shape),
            let padding = padding(for: input.tensor.shape)
        {
            preparation.steps.append(try DivisiblePadStep(k: [padding], fill: .edge))
            return try preparation.prepareSlices(image)
        }
        return inputs
    }

    /// Whether the network can run on an input of this shape.
    private func fits(_ shape: [Int]) -> Bool {
        guard network.inputs.count == 1 else { return true }
        return (try? network.shapes(for: [inputName: shape])) != nil
    }

    /// The power of two of which the extents must be multiples, for networks that halve their input and join levels again.
    private func padding(for shape: [Int]) -> Int? {
        [2, 4, 8, 16, 32, 64].first { factor in
            fits(
                shape.enumerated().map { axis, extent in
                    let isSpatial = preparation.layout.isChannelsLast ? axis > 0 && axis < shape.count - 1 : axis > 1
                    return isSpatial ? (extent + factor - 1) / factor * factor : extent
                })
        }
    }
}

/// What the file declares of the input that takes the scan.
private struct InputFacts {
    let spatialRank: Int
    /// Nil where the file leaves it open.
    let channels: Int?
    let isChannelsLast: Bool
    /// Extents of the spatial axes in the tensor's order; nil for open ones.
    private let extents: [Int?]

    init(_ network: Network, _ inputName: String) throws {
        guard let port = network.inputs.first(where: { $0.name == inputName }) else {
            preconditionFailure("an input that the explainer has checked")
        }
        let layout = try network.layout(of: inputName)
        spatialRank = layout.spatial.count
        isChannelsLast = layout.channels.map { channels in layout.spatial.allSatisfy { $0 < channels } } ?? false
        func extent(_ axis: Int) -> Int? {
            guard let dims = port.dims, axis < dims.count, case .fixed(let extent) = dims[axis] else { return nil }
            return extent
        }
        channels = layout.channels.flatMap(extent)
        extents = layout.spatial.map(extent)
    }

    /// The fixed spatial extents in the volume's order, with -1 for the axis of slices; nil unless all are fixed.
    func fixedSize(_ layout: NetworkLayout) -> [Int]? {
        let fixed = extents.compactMap { $0 }
        guard fixed.count == layout.axes.count else { return nil }
        var size = [-1, -1, -1]
        for (axis, extent) in zip(layout.axes, fixed) { size[axis] = extent }
        return size
    }

    /// The extent of a square input of fixed size.
    func squareSize(_ layout: NetworkLayout) -> Int? {
        let fixed = extents.compactMap { $0 }
        return fixed.count == 2 && fixed[0] == fixed[1] ? fixed[0] : nil
    }
}
