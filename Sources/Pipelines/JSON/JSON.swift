import Foundation

/// A JSON value that remembers the order of its keys and where in its file it stood.
public struct JSON: Sendable {
    public enum Content: Sendable {
        case null
        case bool(Bool)
        case number(Double)
        case text(String)
        case array([JSON])
        case object([Member])
    }

    public struct Member: Sendable {
        public var key: String
        public var value: JSON

        public init(_ key: String, _ value: JSON) {
            self.key = key
            self.value = value
        }
    }

    public var content: Content
    /// Where the value begins, counted from 1; 0 for a value that was made and not read.
    public var line: Int
    public var column: Int

    public init(_ content: Content, line: Int = 0, column: Int = 0) {
        self.content = content
        self.line = line
        self.column = column
    }

    public static let null = JSON(.null)
    public static func bool(_ value: Bool) -> JSON { JSON(.bool(value)) }
    public static func text(_ value: String) -> JSON { JSON(.text(value)) }
    public static func text(_ value: String?) -> JSON { value.map { JSON(.text($0)) } ?? .null }
    public static func array(_ values: [JSON]) -> JSON { JSON(.array(values)) }
    public static func object(_ members: [(String, JSON)]) -> JSON { JSON(.object(members.map { Member($0.0, $0.1) })) }

    /// A number; JSON has no NaN and no infinity, so those become null.
    public static func number(_ value: Double) -> JSON { value.isFinite ? JSON(.number(value)) : .null }
    public static func number(_ value: Int) -> JSON { JSON(.number(Double(value))) }
    public static func number(_ value: Double?) -> JSON { value.map { number($0) } ?? .null }
    public static func numbers(_ values: [Double]) -> JSON { .array(values.map { number($0) }) }
    /// With as many digits as tell one 32-bit float from the next, and no more.
    public static func number(_ value: Float) -> JSON { number(Double("\(value)") ?? Double(value)) }

    // Inlined elsewhere, these make the 6.3 optimizer fail on its own ownership check.
    @inline(never)
    public subscript(key: String) -> JSON? {
        guard case .object(let members) = content else { return nil }
        return members.first { $0.key == key }?.value
    }

    // Inlined elsewhere, these make the 6.3 optimizer fail on its own ownership check.
    @inline(never)
    public var text: String? { if case .text(let value) = content { value } else { nil } }
    // Inlined elsewhere, these make the 6.3 optimizer fail on its own ownership check.
    @inline(never)
    public var number: Double? { if case .number(let value) = content { value } else { nil } }
    // Inlined elsewhere, these make the 6.3 optimizer fail on its own ownership check.
    @inline(never)
    public var bool: Bool? { if case .bool(let value) = content { value } else { nil } }
    // Inlined elsewhere, these make the 6.3 optimizer fail on its own ownership check.
    @inline(never)
    public var array: [JSON]? { if case .array(let values) = content { values } else { nil } }
    public var members: [Member]? { if case .object(let members) = content { members } else { nil } }
    // Inlined elsewhere, these make the 6.3 optimizer fail on its own ownership check.
    @inline(never)
    public var isNull: Bool { if case .null = content { true } else { false } }

    /// What stands here, for messages: `the text "x"`, `the number 3`, `a list of 2`.
    public var summary: String {
        switch content {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .number(let value): return "the number \(JSON.digits(value))"
        case .text(let value): return value.count <= 60 ? "the text \"\(value)\"" : "the text \"\(value.prefix(57))…\""
        case .array(let values):
            if values.isEmpty { return "an empty list" }
            let numbers = values.compactMap(\.number)
            if values.count <= 4, numbers.count == values.count {
                return "[\(numbers.map(JSON.digits).joined(separator: ", "))]"
            }
            return "a list of \(values.count)"
        case .object(let members):
            if members.isEmpty { return "an empty object" }
            return
                "an object with \(members.prefix(4).map(\.key).joined(separator: ", "))\(members.count > 4 ? ", …" : "")"
        }
    }

    /// `3` for whole numbers, the shortest decimal that reads back equal otherwise.
    static func digits(_ value: Double) -> String {
        if value == value.rounded(), abs(value) < 9e15 { return String(Int(value)) }
        return "\(value)"
    }
}

extension JSON: Equatable {
    /// Equal contents, wherever they stood.
    public static func == (a: JSON, b: JSON) -> Bool {
        switch (a.content, b.content) {
        case (.null, .null): true
        case (.bool(let x), .bool(let y)): x == y
        case (.number(let x), .number(let y)): x == y
        case (.text(let x), .text(let y)): x == y
        case (.array(let x), .array(let y)): x == y
        case (.object(let x), .object(let y)): x.map(\.key) == y.map(\.key) && x.map(\.value) == y.map(\.value)
        default: false
        }
    }
}

extension JSON {
    /// The value as JSON text. The same value always gives the same bytes.
    ///
    /// - Parameter pretty: indented by two spaces, lists of plain values on one line; otherwise everything on one line.
    public func serialized(pretty: Bool = true) -> String {
        var text = ""
        write(into: &text, indent: pretty ? 0 : nil)
        if pretty { text += "\n" }
        return text
    }

    private func write(into text: inout String, indent: Int?) {
        switch content {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let value): text += JSON.digits(value)
        case .text(let value): JSON.quote(value, into: &text)
        case .array(let values):
            let isPlain = values.allSatisfy { $0.array == nil && $0.members == nil }
            text += "["
            for (number, value) in values.enumerated() {
                if number > 0 { text += isPlain && indent != nil ? ", " : "," }
                if !isPlain { JSON.newline(indent.map { $0 + 2 }, into: &text) }
                value.write(into: &text, indent: isPlain ? nil : indent.map { $0 + 2 })
            }
            if !isPlain { JSON.newline(indent, into: &text) }
            text += "]"
        case .object(let members):
            text += "{"
            for (number, member) in members.enumerated() {
                if number > 0 { text += "," }
                JSON.newline(indent.map { $0 + 2 }, into: &text)
                JSON.quote(member.key, into: &text)
                text += indent == nil ? ":" : ": "
                member.value.write(into: &text, indent: indent.map { $0 + 2 })
            }
            if !members.isEmpty { JSON.newline(indent, into: &text) }
            text += "}"
        }
    }

    private static func newline(_ indent: Int?, into text: inout String) {
        guard let indent else { return }
        text += "\n" + String(repeating: " ", count: indent)
    }

    private static func quote(_ value: String, into text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            // Line separators break JavaScript that embeds JSON; control signs break terminals.
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
