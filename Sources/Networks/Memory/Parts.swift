import Tensors

/// One stage that computes a box of its result from boxes of what it reads.
struct PartStep {
    /// The tensor that it computes, and where.
    let result: Int
    let box: Box
    /// The tensors of which it reads a box only, and which; one tensor may be read twice.
    let reads: [(id: Int, box: Box)]
    /// Bytes of what exists for a while besides (see ``ConvolutionChain/bytesBetween(_:)``).
    var between = 0
    /// The result, from exactly those boxes.
    let forward: ([Value]) throws -> Value
}

extension Network {
    /// A stage for a box of its result; nil where it needs more than a box of what it reads, or where that isn't known.
    ///
    /// - Parameter shapes: of all tensors, by number.
    func partStep(_ stage: Stage, _ box: Box, shapes: [[Int]?]) throws -> PartStep? {
        let head = nodes[stage.nodes[0]]
        guard let result = nodes[stage.nodes.last!].outputIDs[0], let shape = shapes[result],
            shape.count == box.ranges.count + 2, (3...5).contains(shape.count)
        else { return nil }
        let inputs = head.inputIDs
        func shapesOf(_ ids: [Int?]) -> [[Int]?] { ids.map { $0.flatMap { shapes[$0] } } }
        func isConstant(_ id: Int?) -> Bool { id.map { constantValues[$0] != nil } ?? true }
        /// The inputs: what was read for the first, constants for the others.
        func values(_ first: Value) -> [Value?] {
            [first] + inputs.dropFirst().map { $0.flatMap { constantValues[$0] } }
        }
        switch stage {
        case .chain(let placed):
            guard let source = inputs[0], !isConstant(source), inputs.dropFirst().allSatisfy(isConstant),
                let part = try placed.chain.part(box, shapes: shapesOf(inputs))
            else { return nil }
            var reads = [(id: source, box: part.box)]
            if let addend = placed.addend {
                guard shapes[addend] == shape, !isConstant(addend) else { return nil }
                reads.append((addend, box))
            }
            var partShapes = shapesOf(inputs)
            partShapes[0] = shapes[source]!.prefix(2) + part.box.extents
            let between = try part.chain.bytesBetween(partShapes)
            return PartStep(result: result, box: box, reads: reads, between: between) { read in
                guard let value = try part.chain.forward(values(read[0]), addend: read.count > 1 ? read[1] : nil)
                else { preconditionFailure("an addend of the result's shape") }
                return value
            }
        case .node:
            guard head.outputIDs.compactMap({ $0 }).count == 1 else { return nil }
            if let operation = head.operation as? any PartialOperator {
                guard let source = inputs[0], !isConstant(source), inputs.dropFirst().allSatisfy(isConstant),
                    let part = try operation.part(box, shapes: shapesOf(inputs))
                else { return nil }
                return PartStep(result: result, box: box, reads: [(source, part.box)]) { read in
                    try part.operation.forward(values(read[0]))[0]
                }
            }
            let joins = head.type == "Concat" && [1, 1 - shape.count].contains(head.description.attributes.int("axis"))
            guard joins || Self.placeByPlace.contains(head.type) else { return nil }
            var reads: [(id: Int, box: Box)] = []
            // For each input its place among what is read.
            var places = [Int?](repeating: nil, count: inputs.count)
            for (position, id) in inputs.enumerated() {
                guard let id else { continue }
                guard let own = shapes[id] else { return nil }
                if own.count == shape.count, own[2...] == shape[2...], !isConstant(id) {
                    places[position] = reads.count
                    reads.append((id, box))
                } else {
                    // The same at every place: a number, one a channel.
                    let spatial = own.suffix(min(own.count, shape.count - 2))
                    guard !joins, isConstant(id),
                        head.type == "BatchNormalization" || spatial.allSatisfy({ $0 == 1 })
                    else { return nil }
                }
            }
            guard !reads.isEmpty else { return nil }
            let order = places
            return PartStep(result: result, box: box, reads: reads) { read in
                let values = inputs.indices.map { position in
                    order[position].map { read[$0] } ?? inputs[position].flatMap { self.constantValues[$0] }
                }
                return try head.operation.forward(values)[0]
            }
        }
    }

    /// Operators that compute every element from those in its place.
    private static let placeByPlace: Set<String> = [
        "Abs", "Add", "BatchNormalization", "Celu", "Clip", "Div", "Dropout", "Elu", "Erf", "Exp", "Gelu",
        "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Mish", "Mul", "Neg", "PRelu", "Relu", "Selu", "Sigmoid",
        "Softplus", "Softsign", "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu",
    ]

    /// The stages, each for the box that `box` of the last one's result needs; nil where one of them cannot.
    func partSteps(_ stages: [Stage], _ box: Box, shapes: [[Int]?]) throws -> [PartStep]? {
        guard let last = stages.last.flatMap({ nodes[$0.nodes.last!].outputIDs[0] }) else { return nil }
        var needed = [last: box]
        var steps: [PartStep] = []
        for stage in stages.reversed() {
            guard let result = nodes[stage.nodes.last!].outputIDs[0], let box = needed[result],
                let step = try partStep(stage, box, shapes: shapes)
            else { return nil }
            for (id, box) in step.reads { needed[id] = needed[id]?.hull(box) ?? box }
            steps.append(step)
        }
        return steps.reversed()
    }
}

/// A part of a schedule that is run a tile of its result at a time.
struct Segment {
    let stages: [Stage]
    let result: Int
    /// Extents of the result at once.
    let tile: [Int]

    /// The result, whole.
    ///
    /// - Parameters:
    ///   - source: tensors from before the segment.
    ///   - holding: told the bytes of the tensors that exist beside the sources and the result, after each step.
    func run(
        _ network: Network, shapes: [[Int]?], source: (Int) -> Value?, interruption: () throws -> Void,
        holding: ((Int) -> Void)? = nil
    ) throws -> Value {
        let shape = shapes[result]!
        let extents = Array(shape[2...])
        return .float(
            try Tensor<Float>(shape: shape) { whole in
                for tile in Box.tiles(tile, of: extents) {
                    let steps = try network.partSteps(stages, tile, shapes: shapes)!
                    var left: [Int: Int] = [:]
                    for step in steps { for read in step.reads { left[read.id, default: 0] += 1 } }
                    var parts: [Int: (box: Box, value: Value)] = [:]
                    for step in steps {
                        try interruption()
                        var read: [Value] = []
                        for (id, box) in step.reads {
                            if let part = parts[id] {
                                read.append(part.value.part(box.relative(to: part.box)))
                            } else {
                                read.append(source(id)!.part(box))
                            }
                            left[id]! -= 1
                            if left[id] == 0 { parts[id] = nil }
                        }
                        let value = try step.forward(read)
                        precondition(Array(value.shape[2...]) == step.box.extents, "the box that was asked for")
                        parts[step.result] = (step.box, value)
                        holding?(Self.bytes(parts.values.map(\.value) + read, except: step.reads.map { source($0.id) }))
                    }
                    guard case .float(let part)? = parts[result]?.value else { preconditionFailure("floats") }
                    part.write(at: tile, of: extents, to: whole)
                }
            })
    }
}

extension Segment {
    /// Bytes of tensors, each counted once however often it is named.
    private static func bytes(_ values: [Value], except known: [Value?]) -> Int {
        func identity(_ value: Value?) -> ObjectIdentifier? {
            if case .float(let tensor)? = value { tensor.identity } else { nil }
        }
        var seen = Set(known.compactMap(identity))
        return values.reduce(0) { sum, value in
            guard let identity = identity(value), seen.insert(identity).inserted else { return sum }
            return sum + 4 * value.shape.elementCount
        }
    }
}

extension Value {
    func part(_ box: Box) -> Value {
        guard case .float(let tensor) = self else { preconditionFailure("floats") }
        return .float(tensor.part(box))
    }
}
