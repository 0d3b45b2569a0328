import CKernels
import TestSupport
import Testing

@testable import Tensors

/// Maximum pools by vectors against the definition, bit for bit, on every kind of processor that runs here.
@Suite struct MaxPoolKernelTests {
    @Test(arguments: ConvolutionFilteringTests.processors)
    func agreesWithDefinition(_ processor: Int32) {
        var numbers = SeededNumbers(7)
        func random(_ count: Int) -> Int { Int.random(in: 0..<count, using: &numbers) }
        for _ in 0..<400 {
            var window = SpatialWindow(
                rank: 3, input: .one, output: .one, kernel: .one, stride: .one, dilation: .one, padBegin: .zero,
                padEnd: .zero)
            for axis in 0..<3 {
                window.kernel[axis] = 1 + random(4)
                window.stride[axis] = 1 + random(3)
                window.dilation[axis] = 1 + random(2)
                window.padBegin[axis] = random(window.kernel[axis])
                window.padEnd[axis] = random(window.kernel[axis])
                window.input[axis] = 1 + random(axis == 2 ? 90 : 7)
                let room = window.input[axis] + window.padBegin[axis] + window.padEnd[axis] - window.reach[axis]
                window.output[axis] = room < 0 ? 0 : room / window.stride[axis] + 1
            }
            guard window.outputCount > 0 else { continue }
            let input = (0..<window.inputCount).map { _ -> Float in
                switch random(20) {
                case 0: .nan
                case 1: -.infinity
                default: Float(random(200) - 100)
                }
            }
            var description = window.description
            // The places of the largest, one by one, are the definition written another way.
            var expected = [Float](repeating: 0, count: window.outputCount)
            var places = [Int64](repeating: 0, count: window.outputCount)
            tomo_max_pool_indices(&description, input, &expected, &places)
            // One more, to see that nothing is written behind the end.
            var found = [Float](repeating: 42, count: window.outputCount + 1)
            var scratch = [Float](repeating: 0, count: Int(tomo_max_pool_scratch(&description)))
            tomo_max_pool(&description, processor, input, &found, &scratch)
            #expect(found.last == 42)
            #expect(zip(found, expected).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) }, "\(window)")
        }
    }
}
