import Failures

/// How the text after an option, or a positional argument, becomes a value.
public struct ValueReader<Value: Sendable>: Sendable {
    /// What stands for the value in usage lines: `DIR`, `N`, `LOW,HIGH`.
    public var placeholder: String
    /// The rule as a noun phrase, for messages: "a whole number from 1 to 64".
    public var expected: String
    /// The words that are allowed, where they can be listed.
    public var choices: [String]
    public var completion: Completion
    /// The value, or nil when the text breaks the rule.
    public var read: @Sendable (String) -> Value?

    public init(
        placeholder: String, expected: String, choices: [String] = [], completion: Completion = .nothing,
        read: @escaping @Sendable (String) -> Value?
    ) {
        self.placeholder = placeholder
        self.expected = expected
        self.choices = choices
        self.completion = completion
        self.read = read
    }
}

/// What a shell may offer in place of a value.
public enum Completion: Sendable, Equatable {
    case nothing
    case file
    case folder
    case words([String])
}

extension ValueReader where Value == String {
    public static func text(_ placeholder: String, expected: String = "some text") -> ValueReader {
        ValueReader(placeholder: placeholder, expected: expected) { $0.isEmpty ? nil : $0 }
    }

    public static func file(_ placeholder: String = "FILE") -> ValueReader {
        ValueReader(placeholder: placeholder, expected: "the path of a file", completion: .file) {
            $0.isEmpty ? nil : $0
        }
    }

    public static func folder(_ placeholder: String = "DIR") -> ValueReader {
        ValueReader(placeholder: placeholder, expected: "the path of a folder", completion: .folder) {
            $0.isEmpty ? nil : $0
        }
    }

    public static func choice(_ choices: [String], _ placeholder: String = "NAME") -> ValueReader {
        ValueReader(
            placeholder: placeholder, expected: "one of \(choices.joined(separator: ", "))", choices: choices,
            completion: .words(choices)
        ) { choices.contains($0) ? $0 : nil }
    }
}

extension ValueReader where Value == Int {
    public static func integer(_ range: ClosedRange<Int>, _ placeholder: String = "N") -> ValueReader {
        let rule =
            range.upperBound == .max
            ? "a whole number of at least \(range.lowerBound)"
            : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        return ValueReader(placeholder: placeholder, expected: rule) { text in
            guard let value = Int(text), range.contains(value) else { return nil }
            return value
        }
    }
}

extension ValueReader where Value == [Double] {
    /// Numbers with commas (or an `x`, as in `96x96x96`) between them; how many is one of `counts`.
    public static func numbers(_ counts: Set<Int>, _ placeholder: String, expected: String) -> ValueReader {
        ValueReader(placeholder: placeholder, expected: expected) { text in
            let parts = text.split(omittingEmptySubsequences: false) { $0 == "," || $0 == "x" }
            guard counts.contains(parts.count) else { return nil }
            var values: [Double] = []
            for part in parts {
                // Hexadecimal, infinity and NaN are numbers to Double, and to nobody at a keyboard.
                guard part.allSatisfy({ "+-.0123456789eE".contains($0) }), let value = Double(part), value.isFinite
                else {
                    return nil
                }
                values.append(value)
            }
            return values
        }
    }
}

extension ValueReader where Value: RangeReplaceableCollection, Value.Element: Sendable {
    /// Several values of one kind with commas between them.
    public static func list(of element: ValueReader<Value.Element>, _ placeholder: String? = nil) -> ValueReader {
        ValueReader(
            placeholder: placeholder ?? "\(element.placeholder)[,…]",
            expected: "\(element.expected), or several with commas between", choices: element.choices,
            completion: element.completion
        ) { text in
            var values = Value()
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                guard let value = element.read(String(part)) else { return nil }
                values.append(value)
            }
            return values
        }
    }
}
