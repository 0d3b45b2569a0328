import Testing

@testable import Tensors

@Suite struct TensorMemoryTests {
    /// A block is handed on to a tensor of about its size, and not to one much smaller.
    @Test func blocksAreHandedOn() {
        let memory = TensorMemory()
        let bytes = 37 << 20
        let first = memory.take(bytes)
        memory.giveBack(first)
        let second = memory.take(bytes - 1000)
        #expect(second.base == first.base)
        let small = memory.take(bytes / 2 - 4096)
        #expect(small.base != first.base)
        memory.giveBack(small)
        memory.giveBack(second)
    }

    @Test func waitingBlocksNeverRaiseThePeak() {
        let memory = TensorMemory()
        for round in 0..<40 {
            var blocks = (1...4).map { memory.take(($0 * 3 + round % 5) << 20) }
            while let block = blocks.popLast() {
                block.base.storeBytes(of: UInt8(round), as: UInt8.self)
                memory.giveBack(block)
                let usage = memory.usage
                #expect(usage.live + usage.idle <= usage.peak)
            }
        }
    }

    @Test func writtenTensorsKeepTheirValues() {
        let large = 3 << 20
        var tensors = (0..<6).map { Tensor<Float>(shape: [large + $0], repeating: Float($0)) }
        tensors.removeSubrange(1..<4)
        let others = (0..<3).map { Tensor<Float>(shape: [large], repeating: Float(10 + $0)) }
        #expect(tensors.map { $0[flat: large - 1] } == [0, 4, 5])
        #expect(others.map { $0[flat: large - 1] } == [10, 11, 12])
    }
}
