import Failures
import Tensors
import Volumes

/// The scan's parts as a network sees them: one part a place, the features that perturbation methods hide and show.
public struct Segmentation: Sendable {
    /// Row-major over the input's spatial axes; from 0 to ``count`` − 1.
    let parts: [Int32]
    let count: Int
    /// What each part is called: a label's value, or the number of a supervoxel.
    let names: [Int]
    /// Places of each part.
    let sizes: [Int]

    /// - Parameter keys: any number a place; equal numbers are one part, parts are in ascending order.
    init(keys: [Int]) {
        names = Set(keys).sorted()
        var numbers: [Int: Int32] = [:]
        for (number, name) in names.enumerated() { numbers[name] = Int32(number) }
        count = names.count
        var parts = [Int32](repeating: 0, count: keys.count)
        var sizes = [Int](repeating: 0, count: names.count)
        var last: (key: Int, part: Int32)?
        for index in keys.indices {
            let part = last?.key == keys[index] ? last!.part : numbers[keys[index]]!
            last = (keys[index], part)
            parts[index] = part
            sizes[Int(part)] += 1
        }
        self.parts = parts
        self.sizes = sizes
    }

    /// The mean of `values` over each part.
    func means(_ values: [Float]) -> [Float] {
        var sums = [Double](repeating: 0, count: count)
        for (part, value) in zip(parts, values) { sums[Int(part)] += Double(value) }
        return zip(sums, sizes).map { Float($0 / Double($1)) }
    }

    /// The mean of `values` over the places of other parts that border on each part.
    func borderMeans(_ values: [Float], shape: [Int]) -> [Float] {
        let strides = shape.rowMajorStrides
        var sums = [Double](repeating: 0, count: count)
        var places = [Double](repeating: 0, count: count)
        for axis in shape.indices {
            for index in parts.indices where index / strides[axis] % shape[axis] + 1 < shape[axis] {
                let next = index + strides[axis]
                let (a, b) = (Int(parts[index]), Int(parts[next]))
                if a == b { continue }
                sums[a] += Double(values[next])
                sums[b] += Double(values[index])
                places[a] += 1
                places[b] += 1
            }
        }
        return zip(sums, places).map { $1 > 0 ? Float($0 / $1) : 0 }
    }

    /// One number a part, at every place of it.
    func spread(_ values: [Double], shape: [Int]) -> Tensor<Float> {
        let numbers = values.map { Float($0) }
        return Tensor(shape: shape, values: parts.map { numbers[Int($0)] })
    }
}

/// What is known of a scan besides what the network sees, on any grid of the same world.
public struct ScanRegions: Sendable {
    /// Organs, a tumour: whole numbers, each a region.
    public var labels: Volume?
    /// Finds the patient's body; asked only when something needs it.
    public var body: (@Sendable () -> Mask?)?
    /// Other scans, prepared for the network: what the scan is compared with. Asked only when something needs them.
    public var references: (@Sendable () throws -> [Tensor<Float>])?

    public init(
        labels: Volume? = nil, body: (@Sendable () -> Mask?)? = nil,
        references: (@Sendable () throws -> [Tensor<Float>])? = nil
    ) {
        self.labels = labels
        self.body = body
        self.references = references
    }

    public static let none = ScanRegions()
}

/// The options by which a scan is cut into parts.
struct SegmentOptions: Sendable {
    static let all = [
        MethodOption(
            "segments", .choice(["supervoxels", "labels"]), standard: .word("supervoxels"),
            "what is hidden and shown: supervoxels of the body, or the regions of the label map"),
        MethodOption("count", .integer(2...5000), standard: .number(48), "supervoxels, about"),
        MethodOption(
            "compactness", .number(0.001...100), standard: .number(0.3),
            "weight of distance against grey value: small follows edges, large makes cubes"),
        MethodOption(
            "fill", .choice(["auto", "own", "around", "minimum", "mean", "zero"]), standard: .word("auto"),
            "what hidden parts show: their own mean, the mean of what borders on them, the scan's lowest value, its mean, or 0; auto is own for supervoxels, around for labels"
        ),
    ]

    private let kind: String
    private let count: Int
    private let compactness: Double
    private let fill: String

    init(_ options: MethodOptions) {
        kind = options.word("segments")
        count = options.integer("count")
        compactness = options.number("compactness")
        fill = options.word("fill")
    }

    /// - Throws: a ``Failure`` when labels are asked for and there are none, or fewer than two parts come out.
    func parts(of question: Question, title: String) throws -> HiddenParts {
        let segmentation: Segmentation
        if kind == "labels" {
            guard let labels = question.regions.labels else {
                throw Failure(
                    .usage, "method '\(title)', option 'segments'", expected: "a label map beside the scan",
                    found: "none",
                    remedy: "Give one with --labels, or use segments=supervoxels.")
            }
            segmentation = Segmentation(keys: question.places.sampled(labels).map { Self.whole($0) })
        } else {
            let body = question.regions.body?().map { question.places.sampled($0.asVolume).map { $0 > 0.5 } }
            let layout = question.inputLayout
            segmentation = Supervoxels(count: count, compactness: compactness).segment(
                question.activation(of: question.input), shape: layout.spatial, spacing: question.places.spacing,
                inside: body)
        }
        guard segmentation.count >= 2 else {
            throw Failure(
                .usage, "method '\(title)'", expected: "at least two parts to hide and show",
                found: "\(segmentation.count)", remedy: "Give a label map with a region, or a larger count.")
        }
        let standard = kind == "labels" ? "around" : "own"
        return HiddenParts(question, segmentation, fill: fill == "auto" ? standard : fill)
    }

    private static func whole(_ value: Float) -> Int { abs(value) < 1e9 ? Int(value.rounded()) : 0 }
}

/// A scan of which any parts can be hidden.
struct HiddenParts {
    let segmentation: Segmentation
    let question: Question
    private let shown: Tensor<Float>
    private let hidden: Tensor<Float>

    init(_ question: Question, _ segmentation: Segmentation, fill: String) {
        self.question = question
        self.segmentation = segmentation
        shown = question.activation(of: question.input)
        let size = segmentation.parts.count
        let values = shown.values
        switch fill {
        case "own", "around":
            var means = values
            for channel in 0..<max(1, values.count / max(1, size)) {
                let own = Array(values[channel * size..<(channel + 1) * size])
                let spatial = question.inputLayout.spatial
                let found = fill == "own" ? segmentation.means(own) : segmentation.borderMeans(own, shape: spatial)
                for place in 0..<size { means[channel * size + place] = found[Int(segmentation.parts[place])] }
            }
            hidden = Tensor(shape: shown.shape, values: means)
        case "mean":
            hidden = Tensor(shape: shown.shape, repeating: Float(shown.total / Double(max(1, values.count))))
        case "zero": hidden = Tensor(shape: shown.shape, repeating: 0)
        default: hidden = Tensor(shape: shown.shape, repeating: values.min() ?? 0)
        }
    }

    /// The scan of which only the given parts are shown, in the network's own layout.
    func input(showing: [Bool]) -> Tensor<Float> {
        let parts = segmentation.parts
        let size = parts.count
        let seen = shown.withUnsafeBuffer { shown in
            hidden.withUnsafeBuffer { hidden in
                Tensor<Float>(shape: self.shown.shape) { result in
                    for index in shown.indices {
                        result[index] = showing[Int(parts[index % size])] ? shown[index] : hidden[index]
                    }
                }
            }
        }
        return question.inputLayout.replacing(question.input, by: seen)
    }

    /// The target's scalar when only the given parts are shown.
    func score(showing: [Bool]) throws -> Double { try question.score(of: input(showing: showing)) }

    /// A map of one number a part, with a table of the parts.
    func map(
        _ values: [Double], errors: [Double]? = nil, notes: [String], figures: [String: Double], isPartial: Bool
    ) -> AttributionMap {
        var table: [Float] = []
        for (part, value) in values.enumerated() {
            table += [Float(segmentation.names[part]), Float(segmentation.sizes[part]), Float(value)]
            if let errors { table.append(Float(errors[part])) }
        }
        let columns = ["segment", "voxels", "value"] + (errors == nil ? [] : ["standard error"])
        var figures = figures
        figures["segments"] = Double(segmentation.count)
        return AttributionMap(
            segmentation.spread(values, shape: question.inputLayout.spatial), notes: notes, figures: figures,
            isPartial: isPartial,
            matrices: [
                NamedMatrix("segments", Tensor(shape: [values.count, columns.count], values: table), columns: columns)
            ])
    }
}

/// Where the places of a network's input lie in the world.
public struct InputPlaces: Sendable {
    /// Length of a step along each of the input's spatial axes, in mm.
    let spacing: [Double]
    /// A volume of the same world at every place, in the order of the input's spatial axes: nearest neighbour, 0 outside.
    let sampled: @Sendable (Volume) -> [Float]
}

extension Mask {
    /// 1 where set, 0 elsewhere.
    var asVolume: Volume { Volume(grid: grid, voxels: isSet.map { $0 ? 1 : 0 }) }
}
