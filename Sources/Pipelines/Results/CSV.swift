/// Comma-separated values (RFC 4180) that spreadsheets can open without harm.
public struct CSV: Sendable {
    public enum Field: Sendable {
        case text(String)
        case number(Double)
        case integer(Int)
        case empty
    }

    public let columns: [String]
    public private(set) var rows: [[Field]] = []

    public init(columns: [String]) { self.columns = columns }

    public mutating func add(_ fields: [Field]) {
        precondition(fields.count == columns.count, "\(fields.count) fields in \(columns.count) columns")
        rows.append(fields)
    }

    public var text: String {
        ([columns.map(CSV.quoted)] + rows.map { $0.map(CSV.serialized) }).map { $0.joined(separator: ",") + "\n" }
            .joined()
    }

    static func serialized(_ field: Field) -> String {
        switch field {
        case .text(let text): quoted(text)
        case .number(let value): value.isFinite ? JSON.digits(value) : ""
        case .integer(let value): String(value)
        case .empty: ""
        }
    }

    /// Text with quotes where it needs them. What a spreadsheet would take for a formula gets an apostrophe in front, so
    /// that a file's name cannot make it compute or fetch anything.
    static func quoted(_ text: String) -> String {
        var text = text
        if let first = text.unicodeScalars.first, "=+-@\t\r\n＝＋－＠".unicodeScalars.contains(first) { text = "'" + text }
        guard text.unicodeScalars.contains(where: { "\",\n\r;\t".unicodeScalars.contains($0) }) || text.hasPrefix("'")
        else {
            return text
        }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}

extension CSV.Field {
    init(_ text: String?) { self = text.map { .text($0) } ?? .empty }
    init(_ value: Double?) { self = value.map { .number($0) } ?? .empty }
    init(_ value: Int?) { self = value.map { .integer($0) } ?? .empty }
    init(_ value: Bool?) { self = value.map { .text($0 ? "true" : "false") } ?? .empty }
}
