import Foundation
import Pipelines
import Volumes

/// What `tomolens inspect` says of a scan.
struct ScanInspection {
    let url: URL
    let image: NIfTIImage

    init(_ url: URL, volume: Int?) throws {
        self.url = url
        let header = try NIfTIFile.readHeader(url).header
        // Looking at a 4D file should not need an option: the first volume stands for the others.
        image = try NIfTIFile.read(url, volume: volume ?? (header.volumeCount > 1 ? 0 : nil))
    }

    private var grid: Grid { image.volume.grid }
    private var header: NIfTIHeader { image.header }
    private var datatype: String { NIfTIDatatype.name(ofCode: header.datatype) }
    private var issues: [HeaderIssue] { image.issues + (image.ctIssue.map { [$0] } ?? []) }

    /// Millimetres from the first to the last voxel's far faces, along each stored axis.
    private var extent: Vector3 {
        grid.spacing * Vector3(Double(grid.shape.x), Double(grid.shape.y), Double(grid.shape.z))
    }

    /// Degrees by which the stored axes lean from the anatomical ones, the largest of the three.
    private var tilt: Double {
        let code = image.volume.orientation
        let columns = [grid.affine.i, grid.affine.j, grid.affine.k]
        return (0..<3).map { axis -> Double in
            let column = columns[axis]
            let cosine = abs(column[code.directions[axis].worldAxis]) / (column * column).sum().squareRoot()
            return acos(min(1, cosine)) * 180 / .pi
        }.max()!
    }

    /// Values below which 1, 50 and 99 percent of the finite voxels lie, to a 65536th of the range.
    private var percentiles: [Double] {
        let low = Double(image.statistics.minimum)
        let width = Double(image.statistics.maximum) - low
        guard width > 0, width.isFinite else { return [low, low, low] }
        var counts = [Int](repeating: 0, count: 65536)
        for value in image.volume.voxels where value.isFinite {
            counts[min(65535, Int((Double(value) - low) / width * 65535 + 0.5))] += 1
        }
        return [0.01, 0.5, 0.99].map { part in
            var left = Int((Double(image.statistics.finiteCount) * part).rounded(.up))
            let bin = counts.firstIndex { count in
                left -= count
                return left <= 0
            }
            return low + Double(bin ?? 65535) / 65535 * width
        }
    }

    func lines() -> [String] {
        var table = Table([.left, .left])
        let ending = header.isPair ? "header and image files" : "one file"
        table.add([
            "format",
            "NIfTI-\(header.version.rawValue), \(ending), \(header.isBigEndian ? "big" : "little")-endian, \(datatype)",
        ])
        table.add(["voxels", "\(grid.shape.x) × \(grid.shape.y) × \(grid.shape.z) (i × j × k)"])
        if header.volumeCount > 1 {
            table.add([
                "volumes", "\(header.volumeCount) (looking at volume \(image.volumeIndex); choose one with --volume)",
            ])
        }
        table.add(["spacing", "\(Self.mm(grid.spacing)) mm"])
        table.add(["extent", "\(Self.mm(extent)) mm"])
        let names = image.volume.orientation.directions.map { String(describing: $0).capitalized }
        var orientation = "\(image.volume.orientation) (i toward \(names[0]), j \(names[1]), k \(names[2]))"
        if tilt > 0.05 { orientation += ", oblique by up to \(Self.number(tilt, 1))°" }
        table.add(["orientation", orientation])
        let middle = Vector3(Double(grid.shape.x - 1), Double(grid.shape.y - 1), Double(grid.shape.z - 1)) / 2
        table.add(["centre", "\(Self.point(grid.affine(middle))) mm (RAS+)"])
        table.add([
            "affine",
            "from \(image.geometry.source.rawValue) (qform code \(header.qformCode), sform code \(header.sformCode))",
        ])
        for row in grid.affine.rows.prefix(3) {
            table.add(["", row.map { Self.padded(Self.number($0, 4), 11) }.joined(separator: " ")])
        }
        let scale =
            header.sclSlope == 0 || (header.sclSlope == 1 && header.sclInter == 0)
            ? "stored as they are" : "stored × \(Self.number(header.sclSlope, 6)) + \(Self.number(header.sclInter, 6))"
        table.add([
            "values",
            "\(Self.number(Double(image.statistics.minimum), 4)) … \(Self.number(Double(image.statistics.maximum), 4)), \(scale)",
        ])
        table.add([
            "",
            "mean \(Self.number(image.statistics.mean, 2)), standard deviation \(Self.number(image.statistics.standardDeviation, 2))",
        ])
        let percentiles = percentiles.map { Self.number($0, 1) }
        table.add(["", "1 % below \(percentiles[0]), half below \(percentiles[1]), 99 % below \(percentiles[2])"])
        table.add(["looks like CT", image.statistics.notCTReason.map { "no: \($0)" } ?? "yes, in HU"])
        if !header.descrip.isEmpty { table.add(["description", header.descrip]) }
        for item in image.extensions {
            table.add(["extension", "code \(item.code), \(item.payload.count) bytes"])
        }
        var lines = [url.lastPathComponent] + table.lines()
        if issues.isEmpty {
            lines.append("  header       no problems")
        } else {
            lines.append("  header problems")
            for issue in issues { lines.append("    \(issue)") }
        }
        return lines
    }

    var json: JSON {
        let percentiles = percentiles
        return .object([
            ("file", .text(url.lastPathComponent)), ("kind", .text("scan")),
            ("format", .text("NIfTI-\(header.version.rawValue)")), ("isPair", .bool(header.isPair)),
            ("isBigEndian", .bool(header.isBigEndian)), ("datatype", .text(datatype)),
            ("shape", .numbers([grid.shape.x, grid.shape.y, grid.shape.z].map(Double.init))),
            ("volumes", .number(header.volumeCount)), ("volume", .number(image.volumeIndex)),
            ("spacing", .numbers([grid.spacing.x, grid.spacing.y, grid.spacing.z])),
            ("orientation", .text(image.volume.orientation.code)), ("tiltDegrees", .number(tilt)),
            ("affine", .array(grid.affine.rows.map { .numbers($0) })),
            ("affineSource", .text(image.geometry.source.rawValue)),
            ("qformCode", .number(header.qformCode)), ("sformCode", .number(header.sformCode)),
            ("slope", .number(header.sclSlope)), ("intercept", .number(header.sclInter)),
            (
                "values",
                .object([
                    ("minimum", .number(image.statistics.minimum)), ("maximum", .number(image.statistics.maximum)),
                    ("mean", .number(image.statistics.mean)),
                    ("standardDeviation", .number(image.statistics.standardDeviation)),
                    ("percentile1", .number(percentiles[0])), ("median", .number(percentiles[1])),
                    ("percentile99", .number(percentiles[2])),
                    ("notFinite", .number(image.statistics.count - image.statistics.finiteCount)),
                ])
            ),
            ("looksLikeCT", .bool(image.statistics.notCTReason == nil)),
            (
                "issues",
                .array(
                    issues.map {
                        .object([
                            ("level", .text($0.level.rawValue)), ("field", .text($0.field)),
                            ("problem", .text($0.problem)),
                            ("handling", .text($0.handling)),
                        ])
                    })
            ),
        ])
    }

    private static func mm(_ v: Vector3) -> String {
        [v.x, v.y, v.z].map { number($0, 3) }.joined(separator: " × ")
    }

    private static func point(_ v: Vector3) -> String {
        "(" + [v.x, v.y, v.z].map { number($0, 1) }.joined(separator: ", ") + ")"
    }

    /// At most `digits` decimals, without trailing zeros.
    static func number(_ value: Double, _ digits: Int) -> String {
        guard abs(value) < 1e15 else { return "\(value)" }
        var text = String(format: "%.\(digits)f", value)
        if text.contains(".") {
            while text.hasSuffix("0") { text.removeLast() }
            if text.hasSuffix(".") { text.removeLast() }
        }
        return text == "-0" ? "0" : text
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
