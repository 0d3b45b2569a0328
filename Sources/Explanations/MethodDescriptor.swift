/// What a user must know of a method before choosing it; `tomolens methods` prints it and the docs' table is made from it.
public struct MethodDescriptor: Sendable {
    public enum Family: String, Sendable, CaseIterable {
        case cam = "class activation"
        case gradient = "gradient"
        case perturbation = "perturbation"
        case attention = "attention"
    }

    /// What the Adebayo et al. (2018) sanity checks say: does the map depend on the weights it claims to explain?
    public enum SanityStatus: String, Sendable {
        case passes
        case fails
        case notApplicable = "not applicable"
    }

    /// As typed: `gradcam`.
    public let name: String
    /// As written in titles: `Grad-CAM`.
    public let title: String
    public let family: Family
    /// One sentence: what the map shows.
    public let summary: String
    /// The formula's source.
    public let source: String
    /// What the network must have.
    public let needs: String
    /// Network evaluations, in words: "1 forward, 1 pullback".
    public let cost: String
    /// What the map can be trusted for, and where it misleads.
    public let trust: String
    public let sanity: SanityStatus
    /// Whether the map lies on a tap (a layer's grid) or on the input's own voxels.
    public let mapsInput: Bool
    /// Whether the method looks at a tap though its map lies on the input.
    public let needsTap: Bool
    public let options: [MethodOption]

    /// Whether it asks the network again and again, and gives the best so far when it is stopped.
    public var samples: Bool { options.contains { $0.name == Budget.option.name } }

    public init(
        name: String, title: String, family: Family, summary: String, source: String, needs: String, cost: String,
        trust: String, sanity: SanityStatus, mapsInput: Bool, needsTap: Bool? = nil, options: [MethodOption] = []
    ) {
        self.name = name
        self.title = title
        self.family = family
        self.summary = summary
        self.source = source
        self.needs = needs
        self.cost = cost
        self.trust = trust
        self.sanity = sanity
        self.mapsInput = mapsInput
        self.needsTap = needsTap ?? !mapsInput
        self.options = options
    }
}

/// One number or word that tunes a method.
public struct MethodOption: Sendable {
    public enum Kind: Sendable {
        case integer(ClosedRange<Int>)
        case number(ClosedRange<Double>)
        case choice([String])
        case flag
    }

    public let name: String
    public let kind: Kind
    public let standard: OptionValue
    public let summary: String

    public init(_ name: String, _ kind: Kind, standard: OptionValue, _ summary: String) {
        self.name = name
        self.kind = kind
        self.standard = standard
        self.summary = summary
    }

    /// What may stand there, for messages.
    public var allowed: String {
        switch kind {
        case .integer(let range): "an integer from \(range.lowerBound) to \(range.upperBound)"
        case .number(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
        case .choice(let words): "one of \(words.joined(separator: ", "))"
        case .flag: "true or false"
        }
    }
}

/// The value of a method's option as a pipeline or the command line gives it.
public enum OptionValue: Sendable, Hashable, CustomStringConvertible {
    case number(Double)
    case word(String)
    case flag(Bool)

    public var description: String {
        switch self {
        case .number(let value): value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
        case .word(let text): text
        case .flag(let value): String(value)
        }
    }

    /// From a command line's `name=value`.
    public init(parsing text: String) {
        if let value = Double(text) {
            self = .number(value)
        } else if text == "true" || text == "false" {
            self = .flag(text == "true")
        } else {
            self = .word(text)
        }
    }
}
