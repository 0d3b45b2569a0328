import TestSupport
import Testing

@testable import Tensors

@Suite struct TensorMemoryTests {
    /// A block is handed on, whole or in pieces, and its pieces are one again when all are back.
    @Test func blocksAreHandedOn() {
        let memory = TensorMemory()
        let bytes = 37 << 20
        let first = memory.take(bytes)
        memory.giveBack(first)
        let second = memory.take(bytes - 1000)
        #expect(second.base == first.base)
        memory.giveBack(second)
        let parts = (0..<3).map { _ in memory.take(10 << 20) }
        #expect(parts.allSatisfy { $0.base >= first.base && $0.base + $0.bytes <= first.base + first.bytes })
        #expect(Set(parts.map(\.base)).count == 3)
        for part in [parts[1], parts[0], parts[2]] { memory.giveBack(part) }
        let third = memory.take(bytes)
        #expect(third.base == first.base)
        memory.giveBack(third)
    }

    /// Spans never overlap, whatever the order, and what was written stays.
    @Test func spansKeepApart() {
        let memory = TensorMemory()
        var numbers = SeededNumbers(11)
        var held: [(block: TensorMemory.Block, mark: UInt8)] = []
        for round in 0..<400 {
            let choice = numbers.float(0...1)
            if held.count > 7 || (choice < 0.4 && !held.isEmpty) {
                let (block, mark) = held.remove(at: min(held.count - 1, Int(numbers.float(0...1) * Float(held.count))))
                let bytes = UnsafeRawBufferPointer(start: block.base, count: block.bytes)
                #expect(bytes[0] == mark && bytes[block.bytes / 2] == mark && bytes[block.bytes - 1] == mark)
                memory.giveBack(block)
            } else {
                let block = memory.take((1 << 20) + Int(numbers.float(0...1) * Float(9 << 20)))
                let mark = UInt8(truncatingIfNeeded: round)
                for place in [0, block.bytes / 2, block.bytes - 1] {
                    block.base.storeBytes(of: mark, toByteOffset: place, as: UInt8.self)
                }
                #expect(
                    held.allSatisfy {
                        $0.block.base >= block.base + block.bytes || block.base >= $0.block.base + $0.block.bytes
                    })
                held.append((block, mark))
            }
            let usage = memory.usage
            #expect(usage.live + usage.idle <= usage.peak && usage.live == held.reduce(0) { $0 + $1.block.bytes })
            if round % 97 == 96 { memory.releaseIdle() }
        }
        for (block, _) in held { memory.giveBack(block) }
        memory.releaseIdle()
        #expect(memory.usage == (0, 0, 0))
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
