import COpenBLAS

/// Products in double precision: of rows with each other, as principal components need them, and of square matrices.
public enum Scatter {
    /// Columns that go into one product: so many doubles of a row stay in the processor's cache.
    private static let block = 2048

    /// `Σ_n (x[a, n] − means[a]) · (x[b, n] − means[b])` for every pair of rows, in double precision, row-major.
    ///
    /// - Parameter rows: `[rows, columns]`.
    public static func matrix(of rows: Tensor<Float>, around means: [Double]) -> [Double] {
        precondition(rows.rank == 2 && means.count == rows.shape[0], "a mean for each row of \(rows.shape)")
        let (height, width) = (rows.shape[0], rows.shape[1])
        precondition(height <= Int(blasint.max), "as many rows as OpenBLAS counts with")
        var sums = [Double](repeating: 0, count: height * height)
        guard height > 0, width > 0 else { return sums }
        var centred = [Double](repeating: 0, count: height * min(block, width))
        rows.withUnsafeBuffer { values in
            for start in stride(from: 0, to: width, by: block) {
                let count = min(block, width - start)
                for row in 0..<height {
                    let source = row * width + start
                    for column in 0..<count {
                        centred[row * count + column] = Double(values[source + column]) - means[row]
                    }
                }
                cblas_dsyrk(
                    CblasRowMajor, CblasUpper, CblasNoTrans, blasint(height), blasint(count), 1, centred,
                    blasint(count),
                    1, &sums, blasint(height))
            }
        }
        for row in 0..<height {
            for column in 0..<row { sums[row * height + column] = sums[column * height + row] }
        }
        return sums
    }

    /// The product of two square matrices, row-major.
    public static func product(_ a: [Double], _ b: [Double], size: Int) -> [Double] {
        precondition(a.count == size * size && b.count == size * size && size <= Int(blasint.max))
        var product = [Double](repeating: 0, count: size * size)
        guard size > 0 else { return product }
        let extent = blasint(size)
        cblas_dgemm(
            CblasRowMajor, CblasNoTrans, CblasNoTrans, extent, extent, extent, 1, a, extent, b, extent, 0, &product,
            extent)
        return product
    }
}
