import CKernels
import TestSupport
import Testing

@testable import Tensors

/// A row times a matrix against sums in double precision, on every kind of processor that runs here.
@Suite struct RowSumsTests {
    @Test(arguments: ConvolutionFilteringTests.processors, [0, 1, 3, 4, 5, 9, 130])
    func addsWeightedRows(_ processor: Int32, _ rows: Int) {
        var random = SeededNumbers(UInt64(rows))
        for columns in [1, 15, 16, 17, 100] {
            let stride = columns + 3
            var matrix = random.tensor([rows * stride]).values
            var factors = random.tensor([rows]).values
            let before = random.tensor([columns]).values
            // What counts nothing is not read.
            for row in 0..<rows where row % 3 == 1 {
                factors[row] = 0
                matrix[row * stride] = .nan
            }
            var sums = before
            tomo_add_rows(processor, matrix, Int64(stride), Int64(rows), Int64(columns), factors, 0.5, &sums)
            for column in 0..<columns {
                var sum = Double(before[column])
                for row in 0..<rows where factors[row] != 0 {
                    sum += 0.5 * Double(factors[row]) * Double(matrix[row * stride + column])
                }
                #expect(abs(Double(sums[column]) - sum) < 1e-5, "\(rows) rows, column \(column) of \(columns)")
            }
        }
    }
}
