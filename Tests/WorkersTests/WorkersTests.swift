import Failures
import Synchronization
import Testing
import Workers

@Suite struct WorkersTests {
    @Test(arguments: [1, 2, 8]) func everyPieceRunsOnce(width: Int) throws {
        let workers = Workers(width: width)
        let doubled = try workers.map(1000) { $0 * 2 }
        #expect(doubled == (0..<1000).map { $0 * 2 })
    }

    @Test func nestedCallsEnd() throws {
        let workers = Workers(width: 4)
        let total = Mutex(0)
        workers.forEach(16) { _ in
            workers.forEach(16) { piece in total.withLock { $0 += piece } }
        }
        #expect(total.withLock { $0 } == 16 * 120)
    }

    @Test func theFirstFailureIsThrown() {
        let workers = Workers(width: 2)
        #expect(throws: Failure(.scan, "3", expected: "", found: "")) {
            try workers.forEachThrowing(8) { piece in
                if piece >= 3 { throw Failure(.scan, "\(piece)", expected: "", found: "") }
            }
        }
    }

    @Test("a call returns only when no thread holds its closure any more: many short calls do not trap")
    func manyShortCalls() {
        let workers = Workers(width: 8)
        for _ in 0..<20000 {
            let total = Atomic(0)
            workers.forEach(3) { piece in total.add(piece, ordering: .relaxed) }
            #expect(total.load(ordering: .relaxed) == 3)
        }
    }
}
