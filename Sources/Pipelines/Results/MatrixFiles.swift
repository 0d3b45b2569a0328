import Explanations
import Foundation
import Rendering
import Tensors
import Volumes

/// What an explanation holds besides maps: tables as CSV, matrices as NumPy arrays and as pictures.
enum MatrixFiles {
    /// - Parameter stem: path of the files up to the matrix's name.
    /// - Returns: the files written.
    static func write(_ matrix: NamedMatrix, in folder: URL, stem: String) throws -> [URL] {
        func url(_ suffix: String) -> URL { folder.appendingPathComponent("\(stem)_\(matrix.name).\(suffix)") }
        if !matrix.columns.isEmpty {
            var csv = CSV(columns: matrix.columns)
            let width = matrix.columns.count
            for row in 0..<matrix.values.count / width {
                csv.add((0..<width).map { .number(Double(matrix.values[flat: row * width + $0])) })
            }
            try AtomicFile.write(csv.text, to: url("csv"))
            return [url("csv")]
        }
        try AtomicFile.write(array(matrix.values), to: url("npy"))
        try AtomicFile.write(PNG.encode(picture(matrix.values)), to: url("png"))
        return [url("npy"), url("png")]
    }

    /// NumPy's file format, version 1.0: little-endian floats in C order.
    static func array(_ values: Tensor<Float>) -> Data {
        let shape = values.shape.map(String.init).joined(separator: ", ") + (values.rank == 1 ? "," : "")
        var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(shape)), }"
        while (10 + header.utf8.count + 1) % 64 != 0 { header += " " }
        header += "\n"
        var data = Data([0x93] + Array("NUMPY".utf8) + [1, 0])
        data.append(UInt8(header.utf8.count & 255))
        data.append(UInt8(header.utf8.count >> 8))
        data.append(contentsOf: header.utf8)
        for value in values.values {
            withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
        }
        return data
    }

    /// Rows from top to bottom; each entry a square, the largest one brightest.
    static func picture(_ values: Tensor<Float>) -> Picture {
        let (rows, columns) = (values.shape[0], values.shape[1])
        let edge = max(1, min(16, 512 / max(1, max(rows, columns))))
        let (low, high) = values.withUnsafeBuffer { ($0.min() ?? 0, $0.max() ?? 0) }
        let range = high > low ? Double(high - low) : 1
        var picture = Picture(width: columns * edge, height: rows * edge)
        for y in 0..<rows * edge {
            for x in 0..<columns * edge {
                let value = Double(values[flat: y / edge * columns + x / edge] - low) / range
                let colour = ColourMap.viridis.colour(at: value)
                let place = (y * columns * edge + x) * 3
                picture.pixels[place] = colour.red
                picture.pixels[place + 1] = colour.green
                picture.pixels[place + 2] = colour.blue
            }
        }
        return picture
    }
}
