import Failures

/// The checked options of one use of a method: every declared one is present, no other is.
public struct MethodOptions: Sendable {
    private let values: [String: OptionValue]

    /// - Throws: ``Failure`` of kind `.usage` for an unknown option or a value out of range.
    public init(_ given: [String: OptionValue] = [:], for descriptor: MethodDescriptor) throws {
        var values: [String: OptionValue] = [:]
        for option in descriptor.options { values[option.name] = option.standard }
        for (name, value) in given.sorted(by: { $0.key < $1.key }) {
            guard let option = descriptor.options.first(where: { $0.name == name }) else {
                let names = descriptor.options.map(\.name)
                throw Failure(
                    .usage, "method '\(descriptor.name)'",
                    expected: names.isEmpty ? "no options" : "one of its options", found: "'\(name)'",
                    remedy: Nearest.suggestion(name, in: names))
            }
            guard option.accepts(value) else {
                throw Failure(
                    .usage, "method '\(descriptor.name)', option '\(name)'", expected: option.allowed,
                    found: "\(value)")
            }
            values[name] = value
        }
        self.values = values
    }

    public func integer(_ name: String) -> Int {
        if case .number(let value)? = values[name] { return Int(value) }
        preconditionFailure("option \(name) is not declared as an integer")
    }

    public func number(_ name: String) -> Double {
        if case .number(let value)? = values[name] { return value }
        preconditionFailure("option \(name) is not declared as a number")
    }

    public func word(_ name: String) -> String {
        if case .word(let value)? = values[name] { return value }
        preconditionFailure("option \(name) is not declared as a choice")
    }

    public func flag(_ name: String) -> Bool {
        if case .flag(let value)? = values[name] { return value }
        preconditionFailure("option \(name) is not declared as a flag")
    }
}

extension MethodOption {
    func accepts(_ value: OptionValue) -> Bool {
        switch (kind, value) {
        case (.integer(let range), .number(let number)):
            number == number.rounded() && abs(number) < 1e15 && range.contains(Int(number))
        case (.number(let range), .number(let number)): range.contains(number)
        case (.choice(let words), .word(let word)): words.contains(word)
        case (.flag, .flag): true
        default: false
        }
    }
}
