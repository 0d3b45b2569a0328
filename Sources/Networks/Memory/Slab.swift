import Tensors

/// One stage that computes some planes of its result from some planes of what it reads.
struct SlabStep {
    /// The tensor that it computes, and its planes.
    let result: Int
    let planes: Range<Int>
    /// The tensors of which it reads planes only, and which; one tensor may be read twice.
    let reads: [(id: Int, planes: Range<Int>)]
    /// The result, from exactly those planes.
    let forward: ([Value]) throws -> Value
}

extension Network {
    /// A stage for `planes` of its result; nil where it needs more than some planes, or where that isn't known.
    ///
    /// - Parameter shapes: of all tensors, by number.
    func slabStep(_ stage: Stage, _ planes: Range<Int>, shapes: [[Int]?]) throws -> SlabStep? {
        let head = nodes[stage.nodes[0]]
        guard let result = nodes[stage.nodes.last!].outputIDs[0], let shape = shapes[result], shape.count >= 3 else {
            return nil
        }
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
                let slab = try placed.chain.slab(planes, shapes: shapesOf(inputs))
            else { return nil }
            var reads = [(id: source, planes: slab.planes)]
            if let addend = placed.addend {
                guard shapes[addend] == shape, !isConstant(addend) else { return nil }
                reads.append((addend, planes))
            }
            return SlabStep(result: result, planes: planes, reads: reads) { read in
                guard let value = try slab.chain.forward(values(read[0]), addend: read.count > 1 ? read[1] : nil)
                else { preconditionFailure("an addend of the result's shape") }
                return value
            }
        case .node:
            guard head.outputIDs.compactMap({ $0 }).count == 1 else { return nil }
            if let operation = head.operation as? any SlabOperator {
                guard let source = inputs[0], !isConstant(source), inputs.dropFirst().allSatisfy(isConstant),
                    let slab = try operation.slab(planes, shapes: shapesOf(inputs))
                else { return nil }
                return SlabStep(result: result, planes: planes, reads: [(source, slab.planes)]) { read in
                    try slab.operation.forward(values(read[0]))[0]
                }
            }
            let joins = head.type == "Concat" && [1, 1 - shape.count].contains(head.description.attributes.int("axis"))
            guard joins || Self.planeByPlane.contains(head.type) else { return nil }
            var reads: [(id: Int, planes: Range<Int>)] = []
            // For each input its place among what is read.
            var places = [Int?](repeating: nil, count: inputs.count)
            for (position, id) in inputs.enumerated() {
                guard let id else { continue }
                guard let own = shapes[id] else { return nil }
                if own.count == shape.count, own[2] == shape[2], !isConstant(id) {
                    places[position] = reads.count
                    reads.append((id, planes))
                } else {
                    // The same for every plane: a number, one a channel.
                    let axis = 2 - (shape.count - own.count)
                    guard !joins, isConstant(id), head.type == "BatchNormalization" || axis < 0 || own[axis] == 1
                    else { return nil }
                }
            }
            guard !reads.isEmpty else { return nil }
            let order = places
            return SlabStep(result: result, planes: planes, reads: reads) { read in
                let values = inputs.indices.map { position in
                    order[position].map { read[$0] } ?? inputs[position].flatMap { self.constantValues[$0] }
                }
                return try head.operation.forward(values)[0]
            }
        }
    }

    /// Operators that compute every element from those in its place.
    private static let planeByPlane: Set<String> = [
        "Abs", "Add", "BatchNormalization", "Celu", "Clip", "Div", "Dropout", "Elu", "Erf", "Exp", "Gelu",
        "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Mish", "Mul", "Neg", "PRelu", "Relu", "Selu", "Sigmoid",
        "Softplus", "Softsign", "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu",
    ]

    /// The stages, each for the planes that `planes` of the last one's result need; nil where one of them cannot.
    func slabSteps(_ stages: [Stage], _ planes: Range<Int>, shapes: [[Int]?]) throws -> [SlabStep]? {
        guard let last = stages.last.flatMap({ nodes[$0.nodes.last!].outputIDs[0] }) else { return nil }
        var needed = [last: planes]
        var steps: [SlabStep] = []
        for stage in stages.reversed() {
            guard let result = nodes[stage.nodes.last!].outputIDs[0], let planes = needed[result],
                let step = try slabStep(stage, planes, shapes: shapes)
            else { return nil }
            for (id, planes) in step.reads {
                needed[id] =
                    needed[id].map {
                        min($0.lowerBound, planes.lowerBound)..<max($0.upperBound, planes.upperBound)
                    } ?? planes
            }
            steps.append(step)
        }
        return steps.reversed()
    }
}

/// A part of a schedule that is run a few planes of its result at a time.
struct Segment {
    let stages: [Stage]
    let result: Int
    /// Planes of the result at once.
    let thickness: Int

    /// The result, whole.
    ///
    /// - Parameter source: tensors from before the segment.
    func run(
        _ network: Network, shapes: [[Int]?], source: (Int) -> Value?, interruption: () throws -> Void
    ) throws -> Value {
        let shape = shapes[result]!
        return .float(
            try Tensor<Float>(shape: shape) { whole in
                for start in stride(from: 0, to: shape[2], by: thickness) {
                    let planes = start..<min(shape[2], start + thickness)
                    let steps = try network.slabSteps(stages, planes, shapes: shapes)!
                    var left: [Int: Int] = [:]
                    for step in steps { for read in step.reads { left[read.id, default: 0] += 1 } }
                    var slabs: [Int: (planes: Range<Int>, value: Value)] = [:]
                    for step in steps {
                        try interruption()
                        var read: [Value] = []
                        for (id, planes) in step.reads {
                            if let slab = slabs[id] {
                                let (begin, end) = (planes.lowerBound, planes.upperBound)
                                let first = slab.planes.lowerBound
                                read.append(try slab.value.planes(begin - first..<end - first))
                            } else {
                                read.append(try source(id)!.planes(planes))
                            }
                            left[id]! -= 1
                            if left[id] == 0 { slabs[id] = nil }
                        }
                        let value = try step.forward(read)
                        precondition(value.shape[2] == step.planes.count, "as many planes as asked for")
                        slabs[step.result] = (step.planes, value)
                    }
                    guard case .float(let slab)? = slabs[result]?.value else { preconditionFailure("floats") }
                    slab.writePlanes(planes, of: shape[2], to: whole)
                }
            })
    }
}

extension Value {
    fileprivate func planes(_ range: Range<Int>) throws -> Value {
        guard case .float(let tensor) = self else { preconditionFailure("floats") }
        return .float(tensor.planes(range))
    }
}
