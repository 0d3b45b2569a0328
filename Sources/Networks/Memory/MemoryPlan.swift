import Failures
import Tensors

/// How a schedule is run within a bound: as it is, or parts of it tile by tile.
struct MemoryPlan {
    enum Piece {
        case whole(Stage)
        case tiles(Segment)
    }

    /// Which tiles are weighed against each other.
    enum Search {
        /// Slabs along the first spatial axis, which are copied in one stretch a channel.
        case slabs
        /// Tiles along one, two or three axes.
        case everything

        /// Of how many stages a part may be. More of them in slabs have margins that cost what the caches give, and are long looked for.
        fileprivate var mostStages: Int { self == .slabs ? 8 : .max / 2 }
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
        _ network: Network, stages: [Stage], shapes: [[Int]?], given: Set<Int>, kept: Set<Int>, limit: Int?,
        search: Search = .everything
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
        guard let limit, wholePeak(from: 0) > limit else {
            peak = wholePeak(from: 0)
            pieces = stages.map { .whole($0) }
            return
        }
        var cheapest = Cheapest(search: search)
        guard let best = try tiles(from: 0, limit, &cheapest) else {
            throw refusal(limit, cheapest.obstacle, cheapest.least)
        }
        (pieces, peak) = (best.pieces, best.peak)
    }

    private func refusal(_ limit: Int, _ obstacle: String, _ least: Int?) -> Failure {
        MemoryLimit.refusal(network, limit, found: least ?? wholePeak(from: 0), obstacle)
    }

    var isWhole: Bool { !pieces.contains { if case .tiles = $0 { true } else { false } } }

    /// How much is computed in the parts that are run tile by tile, margins and all, against computing them at once: 1 and more.
    func repetition() throws -> Double {
        var (once, cut) = (0.0, 0.0)
        for case .tiles(let segment) in pieces {
            cut += try work(segment) ?? 0
            once += segment.stages.reduce(0) { $0 + work($1) }
        }
        return once > 0 ? cut / once : 1
    }

    /// Whether every part that is run tile by tile takes several stages at once.
    var tilesJoinStages: Bool {
        pieces.allSatisfy { if case .tiles(let segment) = $0 { segment.stages.count > 1 } else { true } }
    }

    /// "7 slabs to 'pool2', 4 × 3 × 3 tiles to 'pool3'"
    var summary: String {
        pieces.compactMap { piece -> String? in
            guard case .tiles(let segment) = piece else { return nil }
            let counts = zip(extents(segment.result), segment.tile).map { ($0 + $1 - 1) / $1 }
            let name = network.tensorNames[segment.result]
            if counts.dropFirst().allSatisfy({ $0 == 1 }) {
                return "\(counts[0]) slab\(counts[0] == 1 ? "" : "s") to '\(name)'"
            }
            return "\(counts.map(String.init).joined(separator: " × ")) tiles to '\(name)'"
        }.joined(separator: ", ")
    }

    // MARK: What lives when

    private func bytes(_ id: Int) -> Int { 4 * (shapes[id]?.reduce(1, *) ?? 0) }

    private func extents(_ id: Int) -> [Int] { Array(shapes[id]![2...]) }

    private func result(_ place: Int) -> Int? { network.nodes[stages[place].nodes.last!].outputIDs[0] }

    private func made(_ place: Int) -> [Int] {
        stages[place].nodes.last.map { network.nodes[$0].outputIDs.compactMap { $0 } } ?? []
    }

    /// Tensors that stages read and that are neither constants nor within a chain.
    private func read(_ places: Range<Int>) -> [Int] {
        places.flatMap { place -> [Int] in
            let nodes = stages[place].nodes.map { network.nodes[$0] }
            let inside = Set(nodes.dropLast().flatMap { $0.outputIDs.compactMap { $0 } })
            return nodes.flatMap { $0.inputIDs.compactMap { $0 } }
                .filter { network.constantValues[$0] == nil && !inside.contains($0) }
        }
    }

    /// Bytes of what earlier stages made and what is read from here on, or kept.
    private func live(before place: Int) -> Int {
        (0..<place).reduce(0) { sum, earlier in
            made(earlier).reduce(sum) { sum, id in
                kept.contains(id) || (lastReader[id] ?? -1) >= place ? sum + bytes(id) : sum
            }
        }
    }

    private func wholePeak(from first: Int, to end: Int? = nil) -> Int {
        var live = live(before: first)
        var peak = live
        for place in first..<(end ?? stages.count) {
            let made = made(place)
            live += made.reduce(0) { $0 + bytes($1) }
            peak = max(peak, live + between(place))
            for id in Set(read(place..<place + 1))
            where lastReader[id] == place && !given.contains(id) && !kept.contains(id) {
                live -= bytes(id)
            }
            for id in made where lastReader[id] == nil && !kept.contains(id) { live -= bytes(id) }
        }
        return peak
    }

    /// Bytes of what a stage makes on the way and gives up again.
    private func between(_ place: Int) -> Int {
        guard case .chain(let placed) = stages[place] else { return 0 }
        let inputs = network.nodes[placed.nodes[0]].inputIDs
        return (try? placed.chain.bytesBetween(inputs.map { $0.flatMap { shapes[$0] } })) ?? 0
    }

    // MARK: What costs how much

    /// Additions and multiplications for one place of a stage's result, about.
    private func workOfAPlace(_ stage: Stage) -> Double {
        let channels = network.nodes[stage.nodes.last!].outputIDs[0].flatMap { shapes[$0] }?.prefix(2).reduce(1, *) ?? 1
        let head = network.nodes[stage.nodes[0]]
        guard head.type == "Conv", head.inputIDs.count > 1, let id = head.inputIDs[1],
            let weight = network.constantValues[id]
        else { return Double(channels) }
        var places = 1
        if case .chain(let placed) = stage { places = placed.chain.placesOfAResult }
        return Double(channels * places) * Double(weight.shape.dropFirst().reduce(1, *))
    }

    private func work(_ stage: Stage) -> Double {
        guard let id = network.nodes[stage.nodes.last!].outputIDs[0], let shape = shapes[id] else { return 0 }
        return workOfAPlace(stage) * Double(shape.dropFirst(2).reduce(1, *))
    }

    /// A byte of a tensor that is written whole and read again costs as much as so many multiplications.
    private static let workOfAByte = 20.0

    /// All that a segment's tiles compute; nil where one of them cannot be.
    private func work(_ segment: Segment) throws -> Double? {
        let extents = extents(segment.result)
        let counts = zip(extents, segment.tile).map { ($0 + $1 - 1) / $1 }
        // Axes don't meet: what the tiles along each of them read is found on the way along a diagonal.
        var sums = [[Double]](repeating: [Double](repeating: 0, count: extents.count), count: segment.stages.count)
        for number in 0..<(counts.max() ?? 0) {
            let box = Box(
                extents.indices.map { axis in
                    let start = min(number, counts[axis] - 1) * segment.tile[axis]
                    return start..<min(extents[axis], start + segment.tile[axis])
                })
            guard let steps = try network.partSteps(segment.stages, box, shapes: shapes) else { return nil }
            for (place, step) in steps.enumerated() {
                for axis in extents.indices where number < counts[axis] {
                    sums[place][axis] += Double(step.box.ranges[axis].count)
                }
            }
        }
        return zip(segment.stages, sums).reduce(0) { $0 + workOfAPlace($1.0) * $1.1.reduce(1, *) }
    }

    private func work(_ pieces: [Piece]) throws -> Double {
        try pieces.reduce(0) { sum, piece in
            switch piece {
            case .whole(let stage): sum + work(stage)
            case .tiles(let segment): sum + traffic(segment.result) + (try work(segment) ?? .infinity)
            }
        }
    }

    private func traffic(_ id: Int) -> Double { Self.workOfAByte * Double(bytes(id)) }

    // MARK: Parts

    private enum Reach {
        /// Its result is the only thing that is needed afterwards.
        case out(Int)
        /// Something else is, too.
        case inside
    }

    /// Whether stages can be run part by part; nil where they cannot, and no longer part from there can.
    private func reach(_ places: Range<Int>) throws -> Reach? {
        guard let id = result(places.upperBound - 1), let shape = shapes[id], (3...5).contains(shape.count),
            shape.allSatisfy({ $0 > 0 })
        else { return nil }
        let middle = Box(shape[2...].map { $0 / 2..<$0 / 2 + 1 })
        guard try network.partStep(stages[places.upperBound - 1], middle, shapes: shapes) != nil else { return nil }
        guard isOnlyWayOut(id, places), try network.partSteps(Array(stages[places]), middle, shapes: shapes) != nil
        else { return .inside }
        return .out(id)
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

    /// The fewest tiles along these axes that stay within the limit: margins are computed twice. Of several axes that is cut whose tiles
    /// are longest.
    private func tile(
        _ places: Range<Int>, live: Int, limit: Int, axes: [Int]
    ) throws -> (segment: Segment, peak: Int)? {
        let id = result(places.upperBound - 1)!
        let extents = extents(id)
        var counts = [Int](repeating: 1, count: extents.count)
        while true {
            let tile = zip(extents, counts).map { ($0 + $1 - 1) / $1 }
            if let most = try most(places, tile), live + bytes(id) + most <= limit {
                return (Segment(stages: Array(stages[places]), result: id, tile: tile), live + bytes(id) + most)
            }
            guard let axis = axes.filter({ tile[$0] > 1 }).max(by: { tile[$0] < tile[$1] }) else { return nil }
            // The next count that makes a thinner tile.
            counts[axis] = (extents[axis] + tile[axis] - 2) / (tile[axis] - 1)
        }
    }

    /// The most bytes that a tile of so many places in the middle of a part's result takes, beside the result; nil where it cannot be.
    private func most(_ places: Range<Int>, _ tile: [Int]) throws -> Int? {
        let id = result(places.upperBound - 1)!
        let box = Box(
            zip(extents(id), tile).map {
                let start = ($0 - $1) / 2
                return start..<start + $1
            })
        return try network.partSteps(Array(stages[places]), box, shapes: shapes).map(peak(of:))
    }

    /// The most bytes that one tile's tensors take at once.
    private func peak(of steps: [PartStep]) -> Int {
        var left: [Int: Int] = [:]
        for step in steps { for read in step.reads { left[read.id, default: 0] += 1 } }
        var boxes: [Int: Box] = [:]
        func size(_ id: Int, _ box: Box) -> Int { 4 * shapes[id]!.prefix(2).reduce(1, *) * box.count }
        var live = 0
        var peak = 0
        for step in steps {
            // A box of a larger part or of a whole tensor is copied out.
            let copied = step.reads.reduce(0) { sum, read in
                boxes[read.id] == read.box || read.box.isWhole(of: shapes[read.id]![2...])
                    ? sum : sum + size(read.id, read.box)
            }
            live += size(step.result, step.box)
            peak = max(peak, live + copied + step.between)
            boxes[step.result] = step.box
            for (id, _) in step.reads {
                left[id]! -= 1
                if left[id] == 0, let gone = boxes[id] { live -= size(id, gone) }
            }
        }
        return peak
    }

    // MARK: Tiles

    private typealias Found = (pieces: [Piece], peak: Int, work: Double)

    private struct Cheapest {
        let search: Search
        /// By the stage from which on; nil where nothing stays within the limit.
        var known: [Int: Found?] = [:]
        /// The least that any part would have taken, where none fitted.
        var least: Int?
        var obstacle = ""
    }

    /// So many places at which a part may end are tried from each start.
    private static let mostEnds = 8

    /// The plan of least work for the stages from `first` on; nil where none stays within the limit.
    private func tiles(from first: Int, _ limit: Int, _ cheapest: inout Cheapest) throws -> Found? {
        if let known = cheapest.known[first] { return known }
        let rest = wholePeak(from: first)
        if rest <= limit {
            let pieces = stages[first...].map { Piece.whole($0) }
            return (pieces, rest, try work(pieces))
        }
        let live = live(before: first)
        var best: Found?
        var smallest = Int.max
        var tried = 0
        for end in first + 1...min(stages.count, first + cheapest.search.mostStages) {
            guard let reach = try reach(first..<end) else {
                if tried == 0 {
                    let node = network.nodes[stages[end - 1].nodes[0]]
                    cheapest.obstacle = "; '\(node.name)' (\(node.type)) needs the whole of what it reads"
                }
                break
            }
            guard case .out(let id) = reach, bytes(id) < smallest || kept.contains(id) else { continue }
            guard live + bytes(id) < limit else {
                cheapest.least = min(cheapest.least ?? .max, live + bytes(id))
                continue
            }
            smallest = min(smallest, bytes(id))
            tried += 1
            guard let found = try cheapestTile(first..<end, live: live, limit: limit, cheapest.search) else {
                let ones = [Int](repeating: 1, count: extents(id).count)
                let most = try most(first..<end, ones).map { live + bytes(id) + $0 }
                cheapest.least = min(cheapest.least ?? .max, most ?? .max)
                continue
            }
            if let after = try tiles(from: end, limit, &cheapest) {
                let total = found.work + traffic(id) + after.work
                if total < best?.work ?? .infinity {
                    best = ([.tiles(found.segment)] + after.pieces, max(found.peak, after.peak), total)
                }
            }
            if tried == Self.mostEnds { break }
        }
        // What cannot be cut may fit as it is.
        if best == nil, wholePeak(from: first, to: first + 1) <= limit,
            let after = try tiles(from: first + 1, limit, &cheapest)
        {
            let peak = max(wholePeak(from: first, to: first + 1), after.peak)
            best = ([.whole(stages[first])] + after.pieces, peak, work(stages[first]) + after.work)
        }
        cheapest.known[first] = .some(best)
        return best
    }

    /// Tiles along one, two or three axes: the fewer the longer the stretches that are copied, the more the less margin.
    private func cheapestTile(
        _ places: Range<Int>, live: Int, limit: Int, _ search: Search
    ) throws -> (segment: Segment, peak: Int, work: Double)? {
        var best: (segment: Segment, peak: Int, work: Double)?
        for axes in 1...(search == .slabs ? 1 : extents(result(places.upperBound - 1)!).count) {
            guard let found = try tile(places, live: live, limit: limit, axes: Array(0..<axes)),
                let work = try work(found.segment)
            else { continue }
            // More axes have to bring something.
            if best == nil || work < 0.95 * best!.work { best = (found.segment, found.peak, work) }
        }
        return best
    }
}
