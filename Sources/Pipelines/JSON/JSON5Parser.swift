import Failures
import Foundation

/// Reads JSON5 (json5.org): JSON with comments, trailing commas, unquoted keys, single quotes, and friendlier numbers.
///
/// Written here because a pipeline's mistakes are to be reported by line and by key, and because a key that stands twice
/// must be refused and not silently lose one of its values.
public struct JSON5Parser {
    /// Deeper nesting is no pipeline, and would exhaust the stack.
    static let deepest = 64
    /// Larger files are no pipelines.
    static let largest = 8 << 20

    private let bytes: [UInt8]
    private let subject: String
    private let kind: Failure.Kind
    private var position = 0
    private var line = 1
    private var lineStart = 0

    /// - Throws: ``Failure`` with line and column of the first thing that is not JSON5.
    public static func parse(_ data: Data, named subject: String, kind: Failure.Kind = .pipeline) throws -> JSON {
        guard data.count <= largest else {
            throw Failure(
                kind, subject, expected: "a text of at most \(largest >> 20) MB", found: "\(data.count) bytes",
                remedy: "Is this the right file?")
        }
        guard String(validating: data, as: UTF8.self) != nil else {
            throw Failure(
                kind, subject, expected: "UTF-8 text", found: "bytes that are not UTF-8",
                remedy: "Is this the right file? Save it as UTF-8.")
        }
        var parser = JSON5Parser(bytes: [UInt8](data), subject: subject, kind: kind)
        if parser.bytes.starts(with: [0xEF, 0xBB, 0xBF]) { parser.position = 3 }
        try parser.skipSpace()
        let value = try parser.value(depth: 0)
        try parser.skipSpace()
        if parser.position < parser.bytes.count {
            throw parser.failure(expected: "the end of the file", remedy: "One value makes the whole file.")
        }
        return value
    }

    private init(bytes: [UInt8], subject: String, kind: Failure.Kind) {
        self.bytes = bytes
        self.subject = subject
        self.kind = kind
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }
    private var column: Int { position - lineStart + 1 }

    private func failure(expected: String, found: String? = nil, remedy: String = "") -> Failure {
        Failure(
            kind, "\(subject), line \(line), column \(column)", expected: expected, found: found ?? here, remedy: remedy
        )
    }

    /// The character at the reading position, for messages.
    private var here: String {
        guard let current else { return "the end of the file" }
        if current == UInt8(ascii: "\n") { return "the end of the line" }
        let rest = String(decoding: bytes[position..<min(bytes.count, position + 8)], as: UTF8.self)
        return rest.first.map { "'\($0)'" } ?? "an unreadable byte"
    }

    private mutating func advance() {
        if bytes[position] == UInt8(ascii: "\n") {
            line += 1
            lineStart = position + 1
        }
        position += 1
    }

    private func starts(with text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard position + count <= bytes.count else { return false }
        return (0..<count).allSatisfy { bytes[position + $0] == text.utf8Start[$0] }
    }

    private mutating func skipSpace() throws {
        while let byte = current {
            switch byte {
            case 0x20, 0x09, 0x0A, 0x0B, 0x0C, 0x0D: advance()
            case 0xC2 where starts(with: "\u{A0}"): position += 2
            case 0xE2 where starts(with: "\u{2028}") || starts(with: "\u{2029}"): position += 3
            case 0xEF where starts(with: "\u{FEFF}"): position += 3
            case UInt8(ascii: "/") where starts(with: "//"):
                while let byte = current, byte != UInt8(ascii: "\n") { _ = byte; advance() }
            case UInt8(ascii: "/") where starts(with: "/*"):
                let opening = failure(expected: "a comment that ends with */", found: "one that does not end")
                position += 2
                while !starts(with: "*/") {
                    guard current != nil else { throw opening }
                    advance()
                }
                position += 2
            default: return
            }
        }
    }

    private mutating func value(depth: Int) throws -> JSON {
        guard depth < Self.deepest else {
            throw failure(expected: "at most \(Self.deepest) levels of nesting", found: "more")
        }
        let (line, column) = (line, column)
        let content: JSON.Content
        switch current {
        case UInt8(ascii: "{"): content = try object(depth: depth)
        case UInt8(ascii: "["): content = try array(depth: depth)
        case UInt8(ascii: "\""), UInt8(ascii: "'"): content = .text(try string())
        case let byte? where isNumberStart(byte): content = .number(try number())
        default:
            let start = position
            let word = identifier()
            switch word {
            case "true": content = .bool(true)
            case "false": content = .bool(false)
            case "null": content = .null
            case "Infinity", "NaN":
                position = start
                throw failure(expected: "a finite number", found: word)
            default:
                position = start
                throw failure(
                    expected: "a value (text in quotes, a number, true, false, null, a list or an object)",
                    found: word.isEmpty ? nil : "the word '\(word)'",
                    remedy: word.isEmpty ? "" : "Text needs quotes: \"\(word)\".")
            }
        }
        return JSON(content, line: line, column: column)
    }

    private mutating func object(depth: Int) throws -> JSON.Content {
        advance()
        var members: [JSON.Member] = []
        var seen: [String: Int] = [:]
        while true {
            try skipSpace()
            if current == UInt8(ascii: "}") { break }
            let keyLine = line
            let keyFailure = failure(expected: "a key or '}'")
            let key: String
            if current == UInt8(ascii: "\"") || current == UInt8(ascii: "'") {
                key = try string()
            } else {
                key = identifier()
                if key.isEmpty { throw keyFailure }
            }
            if let earlier = seen.updateValue(keyLine, forKey: key) {
                var failure = keyFailure
                failure.expected = "every key once"
                failure.found = "'\(key)' again, first on line \(earlier)"
                throw failure
            }
            try skipSpace()
            guard current == UInt8(ascii: ":") else { throw failure(expected: "':' after the key '\(key)'") }
            advance()
            try skipSpace()
            members.append(JSON.Member(key, try value(depth: depth + 1)))
            try skipSpace()
            if current == UInt8(ascii: ",") {
                advance()
            } else if current != UInt8(ascii: "}") {
                throw failure(expected: "',' or '}' after the value of '\(key)'")
            }
        }
        advance()
        return .object(members)
    }

    private mutating func array(depth: Int) throws -> JSON.Content {
        advance()
        var values: [JSON] = []
        while true {
            try skipSpace()
            if current == UInt8(ascii: "]") { break }
            values.append(try value(depth: depth + 1))
            try skipSpace()
            if current == UInt8(ascii: ",") {
                advance()
            } else if current != UInt8(ascii: "]") {
                throw failure(expected: "',' or ']' in the list")
            }
        }
        advance()
        return .array(values)
    }

    private mutating func string() throws -> String {
        let quote = bytes[position]
        let opening = failure(expected: "text that ends with the quote it began with", found: "text that does not end")
        advance()
        var text: [UInt8] = []
        while true {
            guard let byte = current else { throw opening }
            switch byte {
            case quote:
                advance()
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\n"): throw opening
            case UInt8(ascii: "\\"): try escape(into: &text)
            default:
                text.append(byte)
                advance()
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws {
        advance()
        guard let byte = current else { throw failure(expected: "a sign after the backslash") }
        switch byte {
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "v"): text.append(0x0B)
        case UInt8(ascii: "0"): text.append(0)
        case UInt8(ascii: "\n"): break
        case UInt8(ascii: "\r"):
            if position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "\n") { advance() }
        case UInt8(ascii: "x"), UInt8(ascii: "u"):
            let first = try hexadecimal(byte == UInt8(ascii: "x") ? 2 : 4)
            var scalar = Unicode.Scalar(first)
            if scalar == nil, first < 0xDC00, starts(with: "\\u") {
                advance()
                let second = try hexadecimal(4)
                if (0xDC00..<0xE000).contains(second) {
                    scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
                }
            }
            guard let scalar else { throw failure(expected: "a Unicode scalar", found: "half of a surrogate pair") }
            text += Array(String(Character(scalar)).utf8)
            return
        default:
            text.append(byte)
        }
        advance()
    }

    /// The digits after `\x` or `\u`; the position is left behind them.
    private mutating func hexadecimal(_ count: Int) throws -> UInt32 {
        advance()
        let digits = bytes[position..<min(bytes.count, position + count)]
        guard digits.count == count, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw failure(expected: "\(count) hexadecimal digits") }
        position += count
        return value
    }

    private func isNumberStart(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".")
    }

    private mutating func number() throws -> Double {
        let start = position
        let wrong = failure(expected: "a number")
        while let byte = current, isNumberStart(byte) || isIdentifierPart(byte) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        var digits = Substring(text)
        var sign = 1.0
        if digits.first == "-" || digits.first == "+" {
            if digits.removeFirst() == "-" { sign = -1 }
        }
        var value: Double?
        if digits.hasPrefix("0x") || digits.hasPrefix("0X") {
            value = digits.dropFirst(2).first == "-" ? nil : UInt64(digits.dropFirst(2), radix: 16).map { Double($0) }
        } else if digits.allSatisfy({ "0123456789.eE+-".contains($0) }), digits.contains(where: \.isNumber),
            digits.first != "-", digits.first != "+"
        {
            // JSON5 allows ".5" and "5."; Double reads neither everywhere.
            var padded = digits.hasPrefix(".") ? "0" + digits : String(digits)
            if padded.hasSuffix(".") { padded.removeLast() }
            padded = padded.replacing(".e", with: "e").replacing(".E", with: "E")
            value = Double(padded)
        }
        guard let value, value.isFinite else {
            var failure = wrong
            failure.found = "'\(text)'"
            if text.hasSuffix("NaN") || text.hasSuffix("Infinity") || value != nil {
                failure.expected = "a finite number"
            }
            throw failure
        }
        return sign * value
    }

    private func isIdentifierPart(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "_")
            || byte == UInt8(ascii: "$") || byte >= 0x80
    }

    /// A bare word; empty where none stands.
    private mutating func identifier() -> String {
        let start = position
        while let byte = current, isIdentifierPart(byte) {
            // Spaces beyond ASCII end a word.
            if starts(with: "\u{A0}") || starts(with: "\u{2028}") || starts(with: "\u{2029}") { break }
            position += 1
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }
}
