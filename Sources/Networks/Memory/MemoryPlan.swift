import Failures
import Tensors

/// How a schedule is run within a bound: as it is, or parts of it slab by slab.
struct MemoryPlan {
    enum Piece {
        case whole(Stage)
        case slabs(Segment)
    }

    private(set) var pieces: [Piece] = []
    /// The most bytes of tensors at once, as the plan expects.
    private(set) var peak = 0

    private let network: Network
    private let stages: [Stage]
    private let shapes: [[Int]?]
    private let given: Set<Int>
    private let kept: Set<Int>
    /// By tensor, the last stage that reads it.
    private let lastReader: [Int: Int]

    /// - Parameters:
    ///   - shapes: of all tensors, by number.
    ///   - given: tensors that exist anyway.
    ///   - kept: tensors that must exist afterwards.
    ///   - limit: bytes of tensors at once; nil for no bound.
    /// - Throws: a ``Failure`` of kind `.resources` where no plan stays within the limit.
    init(
        _ network: Network, stages: [Stage], shapes: [[Int]?], given: Set<Int>, kept: Set<Int>, limit: Int?
    ) throws {
        self.network = network
        self.stages = stages
        self.shapes = shapes
        self.given = given
        self.kept = kept
        var lastReader: [Int: Int] = [:]
        for (place, stage) in stages.enumerated() {
            for index in stage.nodes { for case let id? in network.nodes[index].inputIDs { lastReader[id] = place } }
        }
        self.lastReader = lastReader
        var live = 0
        var place = 0
        while place < stages.count {
            let rest = wholePeak(from: place, live: live)
            guard let limit, rest > limit else {
                peak = max(peak, rest)
                pieces += stages[place...].map { .whole($0) }
                break
            }
            let (end, segment, most) = try segment(from: place, live: live, limit: limit)
            peak = max(peak, most)
            pieces.append(.slabs(segment))
            live += bytes(segment.result)
            for id in Set(read(place..<end)) where lastReader[id]! < end && lives(id, before: place) {
                live -= bytes(id)
            }
            place = end
        }
    }

    var isWhole: Bool { !pieces.contains { if case .slabs = $0 { true } else { false } } }

    /// How much is computed in the parts that are run slab by slab, margins and all, against computing them at once: 1 and more.
    func repetition() throws -> Double {
        var (once, cut) = (0.0, 0.0)
        for case .slabs(let segment) in pieces {
            let extent = shapes[segment.result]![2]
            for start in stride(from: 0, to: extent, by: segment.thickness) {
                let planes = start..<min(extent, start + segment.thickness)
                guard let steps = try network.slabSteps(segment.stages, planes, shapes: shapes) else { continue }
                for (stage, step) in zip(segment.stages, steps) {
                    let work = workOfAPlane(stage, step.result)
                    cut += work * Double(step.planes.count)
                    if start == 0 { once += work * Double(shapes[step.result]![2]) }
                }
            }
        }
        return once > 0 ? cut / once : 1
    }

    /// Additions and multiplications for one plane of a stage's result, about.
    private func workOfAPlane(_ stage: Stage, _ result: Int) -> Double {
        let shape = shapes[result]!
        let head = network.nodes[stage.nodes[0]]
        let places = Double(shape.reduce(1, *)) / Double(max(1, shape[2]))
        guard head.type == "Conv", head.inputIDs.count > 1, let id = head.inputIDs[1],
            let weight = network.constantValues[id]
        else { return places }
        return places * Double(weight.shape.dropFirst().reduce(1, *))
    }

    /// Whether every part that is run slab by slab takes several stages at once.
    var slabsJoinStages: Bool {
        pieces.allSatisfy { if case .slabs(let segment) = $0 { segment.stages.count > 1 } else { true } }
    }

    /// "7 slabs to 'pool2', 5 to 'pool3'"
    var summary: String {
        pieces.compactMap { piece -> String? in
            guard case .slabs(let segment) = piece else { return nil }
            let extent = shapes[segment.result]![2]
            let count = (extent + segment.thickness - 1) / segment.thickness
            return "\(count) slab\(count == 1 ? "" : "s") to '\(network.tensorNames[segment.result])'"
        }.joined(separator: ", ")
    }

    // MARK: What lives when

    private func bytes(_ id: Int) -> Int { 4 * (shapes[id]?.reduce(1, *) ?? 0) }

    private func result(_ place: Int) -> Int? { network.nodes[stages[place].nodes.last!].outputIDs[0] }

    /// Tensors that stages read and that are neither constants nor within a chain.
    private func read(_ places: Range<Int>) -> [Int] {
        places.flatMap { place -> [Int] in
            let nodes = stages[place].nodes.map { network.nodes[$0] }
            let inside = Set(nodes.dropLast().flatMap { $0.outputIDs.compactMap { $0 } })
            return nodes.flatMap { $0.inputIDs.compactMap { $0 } }
                .filter { network.constantValues[$0] == nil && !inside.contains($0) }
        }
    }

    /// Whether a tensor was computed before a stage and is given up after its last use.
    private func lives(_ id: Int, before place: Int) -> Bool {
        !given.contains(id) && !kept.contains(id) && (0..<place).contains { result($0) == id }
    }

    private func wholePeak(from first: Int, live: Int) -> Int {
        var live = live
        var peak = live
        for place in first..<stages.count {
            let made = stages[place].nodes.last.map { network.nodes[$0].outputIDs.compactMap { $0 } } ?? []
            live += made.reduce(0) { $0 + bytes($1) }
            peak = max(peak, live)
            for id in Set(read(place..<place + 1))
            where lastReader[id] == place && !given.contains(id) && !kept.contains(id) {
                live -= bytes(id)
            }
            for id in made where lastReader[id] == nil && !kept.contains(id) { live -= bytes(id) }
        }
        return peak
    }

    // MARK: Segments

    /// The next part to run slab by slab: to the first tensor that is no larger than what it is made from, or else to the
    /// smallest that can be reached.
    private func segment(from first: Int, live: Int, limit: Int) throws -> (end: Int, segment: Segment, peak: Int) {
        let sources = Set(read(first..<first + 1)).reduce(0) { $0 + bytes($1) }
        var best: (end: Int, size: Int)?
        var least = Int.max
        var obstacle = ""
        for end in first + 1...stages.count {
            guard let id = result(end - 1), let shape = shapes[id], shape.count >= 3 else { break }
            let part = Array(stages[first..<end])
            let middle = shape[2] / 2
            guard let steps = try network.slabSteps(part, middle..<middle + 1, shapes: shapes) else {
                let node = network.nodes[stages[end - 1].nodes[0]]
                // A branch whose other end comes later is no obstacle yet.
                if try network.slabStep(stages[end - 1], middle..<middle + 1, shapes: shapes) == nil {
                    obstacle = "; '\(node.name)' (\(node.type)) needs the whole of what it reads"
                    break
                }
                continue
            }
            guard isOnlyWayOut(id, first..<end) else { continue }
            let most = live + bytes(id) + peak(of: steps)
            least = min(least, most)
            guard most <= limit else { continue }
            if best == nil || bytes(id) < best!.size { best = (end, bytes(id)) }
            if bytes(id) <= sources { break }
        }
        guard let best else {
            let needed = least == .max ? wholePeak(from: first, live: live) : least
            throw Failure(
                .resources, "graph '\(network.name)'",
                expected: "\(MemoryLimit.text(limit)) for its tensors to suffice",
                found: "\(MemoryLimit.text(needed)) at least\(obstacle)",
                remedy: "Raise --max-memory, resample to larger voxels, or crop the scan")
        }
        let id = result(best.end - 1)!
        let part = Array(stages[first..<best.end])
        let extent = shapes[id]![2]
        var chosen = (thickness: 1, peak: least)
        // The fewest slabs that fit: margins are computed twice.
        for count in 1...extent {
            let thickness = (extent + count - 1) / count
            let start = (extent - thickness) / 2
            guard let steps = try network.slabSteps(part, start..<start + thickness, shapes: shapes) else { continue }
            let most = live + bytes(id) + peak(of: steps)
            chosen = (thickness, most)
            if most <= limit { break }
        }
        return (best.end, Segment(stages: part, result: id, thickness: chosen.thickness), chosen.peak)
    }

    /// Whether nothing but `id` that the stages compute is read after them or kept.
    private func isOnlyWayOut(_ id: Int, _ places: Range<Int>) -> Bool {
        places.allSatisfy { place in
            network.nodes[stages[place].nodes.last!].outputIDs.allSatisfy { output in
                guard let output, output != id else { return true }
                return !kept.contains(output) && (lastReader[output] ?? 0) < places.upperBound
            }
        }
    }

    /// The most bytes that one slab's tensors take at once.
    private func peak(of steps: [SlabStep]) -> Int {
        var left: [Int: Int] = [:]
        for step in steps { for read in step.reads { left[read.id, default: 0] += 1 } }
        var planes: [Int: Range<Int>] = [:]
        func size(_ id: Int, _ count: Int) -> Int { bytes(id) / max(1, shapes[id]![2]) * count }
        var live = 0
        var peak = 0
        for step in steps {
            // Planes of a larger slab or of a whole tensor are copied out.
            let copied = step.reads.reduce(0) { sum, read in
                planes[read.id] == read.planes || read.planes.count == shapes[read.id]![2]
                    ? sum : sum + size(read.id, read.planes.count)
            }
            live += size(step.result, step.planes.count)
            peak = max(peak, live + copied)
            planes[step.result] = step.planes
            for (id, _) in step.reads {
                left[id]! -= 1
                if left[id] == 0, let gone = planes[id] { live -= size(id, gone.count) }
            }
        }
        return peak
    }
}
