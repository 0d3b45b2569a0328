import CVoxels
import Failures
import Foundation
import Volumes
import Workers

/// One volume as a page carries it: in RAS order, perhaps in blocks of voxels, coded, predicted, deflated, in base64.
///
/// Every slice is predicted by itself with the median edge detector of LOCO-I (Weinberger, Seroussi and Sapiro 2000): from
/// left a, above b and corner c it foresees min(a, b) where c ≥ max(a, b), max(a, b) where c ≤ min(a, b), else a + b − c. The
/// first voxel is foreseen as 0, the first row from the left, the first column from above. Differences of bytes are kept modulo
/// 256; those of 16-bit values are folded (0, −1, 1, −2 … become 0, 1, 2, 3 …) and split in low and high bytes.
struct PageLayer: Sendable {
    /// What codes mean.
    enum Coding: Sendable {
        /// 16-bit values: value = code · slope + intercept.
        case values(slope: Double, intercept: Double, tolerance: Double)
        /// 8-bit codes for a scan, by a table.
        case levels(Codebook)
        /// 8-bit codes for heat: value = (code − zero) · step.
        case steps(zero: Int, step: Double)

        var bytes: Int { if case .values = self { 2 } else { 1 } }
    }

    /// How several voxels become one.
    enum Blending: Sendable { case mean, strongest }

    let id: String
    /// Voxels along Right, Anterior, Superior.
    let shape: Index3
    /// Scan voxels in one of the page's, along each axis; 1, 1, 1 where nothing is left out.
    let blocks: Index3
    let coding: Coding
    let parts: [Part]
    /// Cells that the page interpolates, and where they lie; the parts then only say which slices are made together.
    let cells: (placement: ReviewCells.Placement, text: Data)?

    struct Part: Sendable {
        let first: Int
        let slices: Int
        /// Base64; empty where there is nothing but background (masks, heat outside of what the network saw).
        let text: Data
    }

    /// Characters that the layer takes in the page.
    var size: Int { parts.reduce(cells?.text.count ?? 0) { $0 + $1.text.count } }

    init(id: String, shape: Index3, coding: Coding, placement: ReviewCells.Placement, cells: Data) {
        self.id = id
        self.shape = shape
        self.coding = coding
        self.cells = (placement, cells)
        blocks = [1, 1, 1]
        let slices = PageLayer.slices(shape)
        parts = stride(from: 0, to: shape.z, by: slices).map { first in
            Part(first: first, slices: min(slices, shape.z - first), text: Data())
        }
    }

    /// - Parameter order: from stored axes to RAS.
    init(
        id: String, _ volume: Volume, order: Rearrangement, blocks: Index3 = [1, 1, 1], blending: Blending,
        coding: Coding,
        content: Deflate.Content
    ) throws {
        let source = LayerSource(volume, order: order, blocks: blocks, blending: blending)
        self.id = id
        self.blocks = blocks
        self.coding = coding
        cells = nil
        shape = source.shape
        let slices = PageLayer.slices(source.shape)
        parts = try Workers.shared.map((source.shape.z + slices - 1) / slices) { index in
            let first = index * slices
            let count = min(slices, source.shape.z - first)
            let packed = try PageLayer.packed(source, first..<first + count, coding: coding, content: content)
            return Part(first: first, slices: count, text: Data(packed).base64EncodedData())
        }
    }

    /// About how many characters the layer would take, from four of its parts.
    static func estimatedSize(
        _ volume: Volume, order: Rearrangement, blocks: Index3, blending: Blending, coding: Coding,
        content: Deflate.Content
    ) throws -> Int {
        let source = LayerSource(volume, order: order, blocks: blocks, blending: blending)
        let depth = source.shape.z
        // Single slices spread over the whole: neighbours are much alike.
        let samples = Set((0..<12).map { (2 * $0 + 1) * depth / 24 }).sorted()
        let sizes = try Workers.shared.map(samples.count) { index in
            try packed(source, samples[index]..<samples[index] + 1, coding: coding, content: content).count
        }
        return Int(Double(sizes.reduce(0, +)) / Double(samples.count) * Double(depth) * 4 / 3)
    }

    /// As `<script>` elements that no browser runs.
    func write(to file: inout AtomicFile.Writer) throws {
        func write(_ text: Data, _ name: String) throws {
            try file.write(Array("<script type=\"text/plain\" id=\"\(id)-\(name)\">".utf8))
            try text.withUnsafeBytes { try file.write($0) }
            try file.write(Array("</script>\n".utf8))
        }
        if let cells { return try write(cells.text, "cells") }
        for (index, part) in parts.enumerated() where !part.text.isEmpty { try write(part.text, String(index)) }
    }

    /// Slices in a part: about two million voxels, so that a scan unpacks on several threads and in steps.
    private static func slices(_ shape: Index3) -> Int { max(1, (1 << 21) / (shape.x * shape.y)) }

    private static func packed(
        _ source: LayerSource, _ slices: Range<Int>, coding: Coding, content: Deflate.Content
    ) throws -> [UInt8] {
        let width = source.shape.x
        let height = source.shape.y
        let plane = width * height
        var bytes = [UInt8](repeating: 0, count: plane * slices.count * coding.bytes)
        var values = [Float](repeating: 0, count: plane)
        var isBackground = true
        for (position, slice) in slices.enumerated() {
            source.read(slice, into: &values)
            switch coding {
            case .values(let slope, let intercept, _):
                let codes = [Int16](unsafeUninitializedCapacity: plane) { codes, count in
                    tomo_store_int16(values, slope, intercept, -32768, 32767, codes.baseAddress!, Int64(plane))
                    count = plane
                }
                bytes.withUnsafeMutableBufferPointer { bytes in
                    let low = bytes.baseAddress! + position * plane
                    let high = low + slices.count * plane
                    eachRow(codes, width) { row, above, start in
                        tomo_predict_int16(row, above, low + start, high + start, Int64(width))
                    }
                }
            case .levels(let codebook):
                predict(values.map { codebook.code($0) }, width, into: &bytes, at: position * plane)
            case .steps(let zero, let step):
                let codes = values.map { value -> UInt8 in
                    value == 0 ? UInt8(zero) : UInt8(max(0, min(255, (Double(value) / step).rounded() + Double(zero))))
                }
                isBackground = isBackground && codes.allSatisfy { $0 == UInt8(zero) }
                predict(codes, width, into: &bytes, at: position * plane)
            }
        }
        if case .steps = coding, isBackground { return [] }
        return try Deflate.compress(bytes, as: content)
    }

    private static func predict(_ codes: [UInt8], _ width: Int, into bytes: inout [UInt8], at place: Int) {
        bytes.withUnsafeMutableBufferPointer { bytes in
            let to = bytes.baseAddress! + place
            eachRow(codes, width) { row, above, start in
                tomo_predict_uint8(row, above, to + start, Int64(width))
            }
        }
    }

    /// Each row of a slice with the one above it, if there is one, and where it begins.
    private static func eachRow<Code>(
        _ codes: [Code], _ width: Int, _ body: (UnsafePointer<Code>, UnsafePointer<Code>?, Int) -> Void
    ) {
        codes.withUnsafeBufferPointer { codes in
            for start in stride(from: 0, to: codes.count, by: width) {
                let row = codes.baseAddress! + start
                body(row, start > 0 ? row - width : nil, start)
            }
        }
    }
}

/// Reads slices of a volume in RAS order, blocks of voxels as one.
struct LayerSource: Sendable {
    let shape: Index3
    private let volume: Volume
    private let full: Index3
    private let strides: Index3
    private let base: Int
    private let blocks: Index3
    private let blending: PageLayer.Blending

    init(_ volume: Volume, order: Rearrangement, blocks: Index3, blending: PageLayer.Blending) {
        self.volume = volume
        self.blocks = blocks
        self.blending = blending
        let stored = volume.grid.shape
        let storedStrides = [1, stored.x, stored.x * stored.y]
        var full = Index3()
        var strides = Index3()
        var base = 0
        for axis in 0..<3 {
            let old = order.axes[axis]
            full[axis] = stored[old]
            strides[axis] = order.isFlipped[axis] ? -storedStrides[old] : storedStrides[old]
            if order.isFlipped[axis] { base += storedStrides[old] * (stored[old] - 1) }
        }
        self.full = full
        self.strides = strides
        self.base = base
        shape = Index3(
            (full.x + blocks.x - 1) / blocks.x, (full.y + blocks.y - 1) / blocks.y, (full.z + blocks.z - 1) / blocks.z)
    }

    /// The value of one of the page's voxels where blocks are single voxels.
    subscript(voxel: Index3) -> Float {
        finite(volume.voxels[base + voxel.x * strides.x + voxel.y * strides.y + voxel.z * strides.z])
    }

    /// Values that are not finite become 0 in heat, and the end of the range they point to in a scan (NaN the low end).
    func read(_ slice: Int, into values: inout [Float]) {
        volume.voxels.withUnsafeBufferPointer { voxels in
            values.withUnsafeMutableBufferPointer { values in
                if blocks == [1, 1, 1] {
                    let start = base + slice * strides.z
                    for y in 0..<shape.y {
                        var source = start + y * strides.y
                        for index in y * shape.x..<(y + 1) * shape.x {
                            values[index] = finite(voxels[source])
                            source += strides.x
                        }
                    }
                    return
                }
                let zs = slice * blocks.z..<min(full.z, (slice + 1) * blocks.z)
                for y in 0..<shape.y {
                    let ys = y * blocks.y..<min(full.y, (y + 1) * blocks.y)
                    for x in 0..<shape.x {
                        let xs = x * blocks.x..<min(full.x, (x + 1) * blocks.x)
                        var sum = 0.0
                        var strongest: Float = 0
                        for c in zs {
                            for b in ys {
                                for a in xs {
                                    let value = finite(voxels[base + a * strides.x + b * strides.y + c * strides.z])
                                    sum += Double(value)
                                    if abs(value) > abs(strongest) { strongest = value }
                                }
                            }
                        }
                        values[x + shape.x * y] =
                            blending == .mean ? Float(sum / Double(xs.count * ys.count * zs.count)) : strongest
                    }
                }
            }
        }
    }

    @inline(__always)
    private func finite(_ value: Float) -> Float {
        if value.isFinite { return value }
        if blending == .strongest { return 0 }
        return value == .infinity ? 32767 : -32768
    }
}
