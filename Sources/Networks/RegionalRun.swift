import Failures
import Tensors

/// A network's run on one input, of which enough is kept to run again on inputs that differ from it in a region only.
///
/// Of each layer only what the region reaches is computed again, with the margin that windows read, and the rest is as it was: an
/// answer to rounding that of a whole run, for a fraction of its work. Where a layer needs the whole of what it reads (a global pool,
/// a classifier), or where the region has spread over most of a layer, it is computed whole from there on.
public final class RegionalRun: Sendable {
    private let network: Network
    private let stages: [Stage]
    private let shapes: [[Int]?]
    /// What the stages gave for the input, and the inputs.
    private let values: [Value?]
    private let input: Int
    private let target: Int
    /// By tensor, the last stage that reads it.
    private let lastReader: [Int: Int]

    /// A layer of which more than this is reached is computed whole.
    private static let most = 0.6
    /// What may be kept of a run, in bytes.
    private static let mostKept = 1 << 30

    /// Runs the network; nil where too much would have to be kept.
    ///
    /// - Parameters:
    ///   - input: which of the inputs will change.
    ///   - target: the tensor that will be asked for.
    /// - Throws: as ``Network/run(inputs:wanting:interrupted:)``.
    public init?(
        _ network: Network, inputs: [String: Value], changing input: String, target: String,
        interrupted: Interruption? = nil
    ) throws {
        guard let id = network.tensorIDs[input], (3...5).contains(inputs[input]?.shape.count ?? 0) else { return nil }
        let target = try network.tensorID(target)
        var execution = Execution(network, interrupted: interrupted)
        try execution.supply(inputs)
        let stages = try execution.stages(for: [target])
        let shapes = try network.interpret(inputs.mapValues(\.shape)).map { $0?.shape }
        let results = Set(stages.flatMap { network.nodes[$0.nodes.last!].outputIDs.compactMap { $0 } })
        let bytes = results.reduce(0) { $0 + 4 * (shapes[$1]?.elementCount ?? 0) }
        guard bytes <= Self.mostKept else { return nil }
        do {
            try execution.compute([target], keeping: results)
        } catch let failure as Failure where failure.kind == .resources {
            // Within a bound on memory there is no room for it.
            return nil
        }
        self.network = network
        self.stages = stages
        self.shapes = shapes
        self.input = id
        self.target = target
        values = execution.values
        var lastReader: [Int: Int] = [:]
        for (place, stage) in stages.enumerated() {
            for index in stage.nodes { for case let id? in network.nodes[index].inputIDs { lastReader[id] = place } }
        }
        self.lastReader = lastReader
    }

    /// What another input makes of a tensor.
    private enum Change {
        /// It differs here, and nowhere else.
        case part(Box, Value)
        case whole(Value)
    }

    /// The target for an input that differs from the first one within `box` only.
    ///
    /// - Parameter reaching: told of each stage's result what of it was computed; nil is the whole.
    /// - Throws: as ``Network/run(inputs:wanting:interrupted:)``.
    public func target(
        for changed: Tensor<Float>, differingIn box: Box, interrupted: Interruption? = nil,
        reaching: ((_ tensor: String, _ box: Box?) -> Void)? = nil
    ) throws -> Value {
        precondition(changed.shape == shapes[input], "an input of the first one's shape")
        var changes = [input: Change.part(box, .float(changed.part(box)))]
        for (place, stage) in stages.enumerated() {
            if let interrupted, interrupted() { throw Failure.interruption }
            let inside = Set(stage.nodes.dropLast().flatMap { network.nodes[$0].outputIDs.compactMap { $0 } })
            let read = Set(stage.nodes.flatMap { network.nodes[$0].inputIDs.compactMap { $0 } }).subtracting(inside)
            guard read.contains(where: { changes[$0] != nil }) else { continue }
            let last = network.nodes[stage.nodes.last!]
            switch try reach(stage, changes, of: read) {
            case .nothing: break
            case .part(let step):
                let value = try step.forward(step.reads.map { part($0.id, $0.box, changes) })
                changes[step.result] = .part(step.box, value)
                reaching?(network.tensorNames[step.result], step.box)
            case .everything:
                var known: [Int: Value] = [:]
                for id in read where network.constantValues[id] == nil { known[id] = whole(id, changes) }
                var execution = Execution(network, known: known, interrupted: interrupted)
                try execution.perform(stage)
                for case let id? in last.outputIDs {
                    if let value = execution.value(id) { changes[id] = .whole(value) }
                }
                if let id = last.outputIDs[0] { reaching?(network.tensorNames[id], nil) }
            }
            for id in read where lastReader[id] == place && id != target { changes[id] = nil }
        }
        return whole(target, changes)
    }

    private enum Reach {
        case nothing
        case part(PartStep)
        case everything
    }

    /// What of a stage's result the changes reach.
    private func reach(_ stage: Stage, _ changes: [Int: Change], of read: Set<Int>) throws -> Reach {
        var boxes: [Int: Box] = [:]
        for id in read {
            switch changes[id] {
            case .part(let box, _): boxes[id] = box
            case .whole: return .everything
            case nil: continue
            }
        }
        guard let id = network.nodes[stage.nodes.last!].outputIDs[0], let shape = shapes[id],
            (3...5).contains(shape.count)
        else { return .everything }
        let extents = Array(shape[2...])
        // Windows move on with the result's places: the first that has come to the change, and the first that is past it.
        guard
            let low = try first(
                stage, extents,
                where: { axis, read in
                    boxes[read.id].map { read.box.ranges[axis].upperBound > $0.ranges[axis].lowerBound } ?? false
                }, ofAll: false),
            let high = try first(
                stage, extents,
                where: { axis, read in
                    boxes[read.id].map { read.box.ranges[axis].lowerBound >= $0.ranges[axis].upperBound } ?? true
                }, ofAll: true)
        else { return .everything }
        if zip(low, high).contains(where: { $0 >= $1 }) { return .nothing }
        let box = Box(zip(low, high).map { $0..<$1 })
        guard Double(box.count) <= Self.most * Double(extents.elementCount),
            let step = try network.partStep(stage, box, shapes: shapes)
        else { return .everything }
        return .part(step)
    }

    /// On each axis the first place of a stage's result for which one of its reads (or all of them) meets the condition, by bisection; nil
    /// where the stage cannot be computed place by place.
    private func first(
        _ stage: Stage, _ extents: [Int], where condition: (_ axis: Int, _ read: (id: Int, box: Box)) -> Bool,
        ofAll: Bool
    ) throws -> [Int]? {
        var low = extents.map { _ in 0 }
        var high = extents
        while zip(low, high).contains(where: { $0 < $1 }) {
            let middle = extents.indices.map { min((low[$0] + high[$0]) / 2, extents[$0] - 1) }
            guard let step = try network.partStep(stage, Box(middle.map { $0..<$0 + 1 }), shapes: shapes) else {
                return nil
            }
            for axis in extents.indices where low[axis] < high[axis] {
                let meets =
                    ofAll
                    ? step.reads.allSatisfy { condition(axis, $0) } : step.reads.contains { condition(axis, $0) }
                if meets { high[axis] = middle[axis] } else { low[axis] = middle[axis] + 1 }
            }
        }
        return low
    }

    private func first(_ id: Int) -> Value { values[id] ?? network.constantValues[id]! }

    /// A box of a tensor, with what has changed of it.
    private func part(_ id: Int, _ box: Box, _ changes: [Int: Change]) -> Value {
        guard case .part(let place, let value)? = changes[id], let common = place.intersection(box) else {
            if case .whole(let value)? = changes[id] { return value.part(box) }
            return first(id).part(box)
        }
        if common == box { return value.part(box.relative(to: place)) }
        guard case .float(var tensor) = first(id).part(box), case .float(let own) = value else {
            preconditionFailure("floats")
        }
        tensor.withUnsafeMutableBuffer {
            own.write(common.relative(to: place), at: common.relative(to: box), of: box.extents, to: $0)
        }
        return .float(tensor)
    }

    private func whole(_ id: Int, _ changes: [Int: Change]) -> Value {
        switch changes[id] {
        case .whole(let value): value
        case .part: part(id, Box(whole: Array(shapes[id]![2...])), changes)
        case nil: first(id)
        }
    }
}
