/// Columns of plain text, as wide as their contents.
struct Table {
    enum Alignment {
        case left
        case right
    }

    private var rows: [[String]] = []
    private let alignments: [Alignment]

    init(_ alignments: [Alignment], header: [String]? = nil) {
        self.alignments = alignments
        if let header { rows.append(header) }
    }

    mutating func add(_ cells: [String]) { rows.append(cells) }

    func lines(indent: Int = 2) -> [String] {
        let widths = alignments.indices.map { column in
            rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            var line = String(repeating: " ", count: indent)
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                line += alignments[column] == .left ? cell + padding : padding + cell
                if column < row.count - 1 { line += "  " }
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}
