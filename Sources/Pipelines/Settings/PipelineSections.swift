import Explanations
import Failures
import Foundation

/// Which scans are taken, and what lies beside them.
public struct InputSettings: Sendable {
    public var patterns: [String]?
    public var exclude: [String]?
    /// Which volume of a 4D file; nil refuses 4D files.
    public var volume: Int?
    /// Name of the label map beside a scan, with `{stem}` in it.
    public var labels: String?
    /// Which values of the label map count; nil takes all above 0.
    public var labelValues: [Int]?
    /// Path of a folder of scans, or of one scan, that the explained ones are compared with; relative to the pipeline file.
    public var references: String?

    public init() {}

    init(_ keys: KeyReader) throws {
        patterns = try keys.texts("pattern")
        exclude = try keys.texts("exclude")
        volume = try keys.integer("volume", in: 0...Int(Int32.max))
        labels = try keys.text("labels")
        if let labels, !labels.contains("{stem}") {
            throw keys.wrong(
                "labels", expected: "a name with {stem} in it", remedy: "Example: \"{stem}_mask.nii.gz\".")
        }
        references = try keys.text("references")
        labelValues = try keys.elements("labelValues")?.map { element in
            guard let value = element.json.number, value == value.rounded(), abs(value) < 1e9 else {
                throw KeyReader.failure(element.path, element.json, expected: "a whole number")
            }
            return Int(value)
        }
    }

    func completed(by other: InputSettings) -> InputSettings {
        var result = self
        result.patterns = patterns ?? other.patterns
        result.exclude = exclude ?? other.exclude
        result.volume = volume ?? other.volume
        result.labels = labels ?? other.labels
        result.labelValues = labelValues ?? other.labelValues
        result.references = references ?? other.references
        return result
    }
}

/// Which network, and how its answer is read.
public struct NetworkSettings: Sendable {
    /// Path of the ONNX file, relative to the pipeline file.
    public var file: String?
    public var input: String?
    public var output: String?
    /// Values of the network's further inputs.
    public var inputs: [(name: String, value: OtherInput)]?
    public var classes: [String]?
    public var activation: Answer.Activation?

    /// A constant that fills the input, or a file with its values.
    public enum OtherInput: Sendable, Hashable {
        case constant([Double])
        case file(String)
    }

    public init() {}

    init(_ keys: KeyReader) throws {
        file = try keys.text("file")
        input = try keys.text("input")
        output = try keys.text("output")
        classes = try keys.texts("classes")
        if let classes,
            let twice = Dictionary(grouping: classes, by: { $0.lowercased() }).first(where: { $1.count > 1 })
        {
            throw keys.wrong(
                "classes", expected: "every name once",
                remedy: "'\(twice.value[0])' stands there \(twice.value.count) times.")
        }
        let words = Answer.Activation.allCases.map(\.rawValue) + ["auto"]
        activation = try keys.choice("activation", words).flatMap(Answer.Activation.init)
        if let value = keys.value("inputs") {
            let path = keys.path(of: "inputs")
            guard let members = value.members else {
                throw KeyReader.failure(path, value, expected: "an object: {name: value, …}")
            }
            inputs = try members.map { member in
                if let text = member.value.text { return (member.key, .file(text)) }
                if let number = member.value.number { return (member.key, .constant([number])) }
                if let numbers = member.value.array?.compactMap(\.number), !numbers.isEmpty,
                    numbers.count == member.value.array?.count
                {
                    return (member.key, .constant(numbers))
                }
                throw KeyReader.failure(
                    "\(path).\(member.key)", member.value, expected: "a number, a list of numbers, or a file's name")
            }
        }
    }

    func completed(by other: NetworkSettings) -> NetworkSettings {
        var result = self
        result.file = file ?? other.file
        result.input = input ?? other.input
        result.output = output ?? other.output
        result.inputs = inputs ?? other.inputs
        result.classes = classes ?? other.classes
        result.activation = activation ?? other.activation
        return result
    }
}

/// In which order and direction the network wants the voxels.
public struct LayoutSettings: Sendable, Hashable {
    /// The network's spatial axes, slowest first, in the words of the volume: `xyz` or `zyx`.
    public var axes: String?
    /// Anatomical directions in which x, y and z grow: `RAS`, `LPS`.
    public var orientation: String?
    public var channelsLast: Bool?
    /// Channels of the network's input into which the one channel of a scan is repeated.
    public var channels: Int?

    public init() {}

    init(_ keys: KeyReader) throws {
        let orders = ["xyz", "xzy", "yxz", "yzx", "zxy", "zyx", "xy", "yx"]
        axes = try keys.choice("axes", orders)
        if let text = try keys.text("orientation") {
            orientation = text.uppercased()
            guard LayoutSettings.isOrientation(text) else {
                throw keys.wrong(
                    "orientation", expected: "three letters, one each of R/L, A/P and S/I, such as RAS or LPS")
            }
        }
        channelsLast = try keys.flag("channelsLast")
        channels = try keys.integer("channels", in: 1...1024)
    }

    /// Whether `text` names a direction for each of the three anatomical axes.
    public static func isOrientation(_ text: String) -> Bool {
        let letters = Array(text.uppercased())
        return letters.count == 3
            && ["RL", "AP", "SI"].allSatisfy { pair in letters.filter { pair.contains($0) }.count == 1 }
    }

    func completed(by other: LayoutSettings) -> LayoutSettings {
        var result = self
        result.axes = axes ?? other.axes
        result.orientation = orientation ?? other.orientation
        result.channelsLast = channelsLast ?? other.channelsLast
        result.channels = channels ?? other.channels
        return result
    }
}

/// Which scalar is explained, with classes still by name or index.
public enum TargetSettings: Sendable, Hashable {
    case highest
    case every
    case one(ClassReference)
    /// Nil: the class that wins most voxels.
    case region(ClassReference?)
    case masked(ClassReference)

    public enum ClassReference: Sendable, Hashable {
        case index(Int)
        case name(String)

        init(_ text: String) { self = Int(text).map { .index($0) } ?? .name(text) }

        var text: String {
            switch self {
            case .index(let index): String(index)
            case .name(let name): name
            }
        }
    }

    /// From the command line: `argmax`, `every`, an index, a class name, `region`, `region:CLASS`, `mask:CLASS`.
    public init(parsing text: String) throws {
        switch text {
        case "argmax": self = .highest
        case "every": self = .every
        case "region": self = .region(nil)
        case _ where text.hasPrefix("region:") && text.count > 7:
            self = .region(ClassReference(String(text.dropFirst(7))))
        case _ where text.hasPrefix("mask:") && text.count > 5:
            self = .masked(ClassReference(String(text.dropFirst(5))))
        case "", "region:", "mask:", "mask":
            throw Failure(
                .usage, "target '\(text)'",
                expected: "argmax, every, a class index, a class name, region, region:CLASS or mask:CLASS",
                found: "'\(text)'")
        default: self = .one(ClassReference(text))
        }
    }

    init(_ json: JSON, at path: String) throws {
        let expected =
            "\"argmax\", \"every\", \"region\", a class index, a class name, or {class: …}, {region: …}, {mask: …}"
        func reference(_ json: JSON, _ path: String) throws -> ClassReference {
            if let text = json.text, !text.isEmpty { return .name(text) }
            if let number = json.number, number == number.rounded(), number >= 0, number < 1e9 {
                return .index(Int(number))
            }
            throw KeyReader.failure(path, json, expected: "a class index or a class name")
        }
        if let text = json.text {
            do { self = try TargetSettings(parsing: text) } catch {
                throw KeyReader.failure(path, json, expected: expected)
            }
        } else if json.number != nil {
            self = .one(try reference(json, path))
        } else if json.members != nil {
            let keys = try KeyReader(json, at: path, group: PipelineKeys.target)
            guard let member = json.members?.first, json.members?.count == 1 else {
                throw KeyReader.failure(path, json, expected: "one of class, region, mask")
            }
            let inner = keys.path(of: member.key)
            switch member.key {
            case "class": self = .one(try reference(member.value, inner))
            case "region":
                self = member.value.text == "largest" ? .region(nil) : .region(try reference(member.value, inner))
            default: self = .masked(try reference(member.value, inner))
            }
        } else {
            throw KeyReader.failure(path, json, expected: expected)
        }
    }

    /// The target with class names made indices.
    public func target(classNames: [String]) throws -> Target {
        func index(_ reference: ClassReference) throws -> Int {
            switch reference {
            case .index(let index): return index
            case .name(let name):
                guard let index = classNames.firstIndex(where: { $0.lowercased() == name.lowercased() }) else {
                    throw Failure(
                        .usage, "target '\(name)'",
                        expected: classNames.isEmpty
                            ? "a class index, for no class is named" : "a class of the network",
                        found: "'\(name)'",
                        remedy: classNames.isEmpty
                            ? "Name the classes in the pipeline under network.classes."
                            : Nearest.suggestion(name, in: classNames))
                }
                return index
            }
        }
        switch self {
        case .highest: return .highest
        case .every: return .every
        case .one(let reference): return .index(try index(reference))
        case .region(let reference): return .region(classIndex: try reference.map(index))
        case .masked(let reference): return .masked(classIndex: try index(reference))
        }
    }

    /// As one would type it.
    public var text: String {
        switch self {
        case .highest: "argmax"
        case .every: "every"
        case .one(let reference): reference.text
        case .region(let reference): reference.map { "region:\($0.text)" } ?? "region"
        case .masked(let reference): "mask:\(reference.text)"
        }
    }
}
