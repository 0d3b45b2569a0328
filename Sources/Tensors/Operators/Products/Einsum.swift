import Failures

/// Einstein summation: products over all operands, summed over the labels that the output lacks.
///
/// Operands are contracted from left to right, each pair as one stack of matrix products.
struct Einsum: Operator {
    static let types = ["Einsum"]
    private let node: NodeDescription
    private let equation: Equation

    init(_ node: NodeDescription) throws {
        self.node = node
        guard let text = try node.string("equation") else {
            throw node.failure(expected: "attribute 'equation'", found: "none")
        }
        guard let equation = Equation(text) else {
            throw node.failure(expected: "an equation like 'bij,bjk->bik'", found: "'\(text)'")
        }
        self.equation = equation
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = try node.all(inputs, "operands")
        let plan = try resolved(values.map(\.shape))
        let shape = try node.possible(plan.output.map { plan.extents[$0]! })
        guard let tensors = try node.floats(values, "operands") else { return [.pending(shape)] }
        let operands = zip(tensors, plan.operands).map { Labelled($0, $1, plan.extents) }
        return [.float(try contract(operands, to: plan.output, plan.extents).tensor)]
    }

    /// The gradient of one operand is again a summation: of the output's gradient and all other operands.
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let shapes = call.inputs.indices.map { call.shape($0) }
        let plan = try resolved(shapes)
        let gradient = Labelled(tensor: call.gradient, labels: plan.output)
        return try call.results { index in
            var others = [gradient]
            for other in call.inputs.indices where other != index {
                others.append(Labelled(call.float(other), plan.operands[other], plan.extents))
            }
            let view = DiagonalView(shapes[index], plan.operands[index], plan.extents)
            // Labels that occur nowhere else were summed away alone: their gradient is the same everywhere.
            let known = view.labels.filter { label in others.contains { $0.labels.contains(label) } }
            let sum = try contract(others, to: known, plan.extents).tensor
            let spread = view.labels.map { known.contains($0) ? plan.extents[$0]! : 1 }
            let full = StridedView(spread).expanded(to: view.view.shape)(sum.reshaped(spread))
            return view.view.adjoint(full, of: shapes[index])
        }
    }

    // MARK: - Labels

    /// A letter of the equation, or an axis under its ellipsis, counted from the back.
    private enum Label: Hashable, Sendable {
        case letter(Character)
        case ellipsis(Int)
    }

    private struct Equation: Sendable {
        /// Per operand, letters with "." for an ellipsis.
        let operands: [[Character]]
        let output: [Character]?

        init?(_ text: String) {
            let text = text.filter { !$0.isWhitespace }.replacing("...", with: ".")
            let sides = text.split(separator: "->", omittingEmptySubsequences: false)
            guard (1...2).contains(sides.count) else { return nil }
            operands = sides[0].split(separator: ",", omittingEmptySubsequences: false).map(Array.init)
            output = sides.count == 2 ? Array(sides[1]) : nil
            let terms = operands + [output ?? []]
            let wellFormed = terms.allSatisfy { term in
                term.allSatisfy { ($0.isASCII && $0.isLetter) || $0 == "." } && term.filter { $0 == "." }.count <= 1
            }
            guard wellFormed, Set(output ?? []).count == (output ?? []).count else { return nil }
        }
    }

    private struct Resolved {
        var operands: [[Label]]
        var output: [Label]
        var extents: [Label: Int]
    }

    /// The equation's labels for operands of these shapes, and the extent of each.
    private func resolved(_ shapes: [[Int]]) throws -> Resolved {
        guard shapes.count == equation.operands.count else {
            throw node.failure(expected: "\(equation.operands.count) operands", found: "\(shapes.count)")
        }
        var extents: [Label: Int] = [:]
        var operands: [[Label]] = []
        var widest = 0
        for (term, shape) in zip(equation.operands, shapes) {
            let letters = term.filter { $0 != "." }.count
            let hidden = shape.count - letters
            guard hidden >= 0, hidden == 0 || term.contains(".") else {
                throw node.failure(expected: "a tensor with axes '\(String(term))'", found: "shape \(shape)")
            }
            widest = max(widest, hidden)
            let labels = expanded(term, hidden)
            for (label, extent) in zip(labels, shape) {
                let known = extents[label] ?? 1
                guard known == extent || known == 1 || extent == 1 else {
                    throw node.failure(expected: "one extent for each label", found: "\(known) and \(extent)")
                }
                extents[label] = known == 1 ? extent : known
            }
            operands.append(labels)
        }
        let output: [Label]
        if let term = equation.output {
            output = expanded(term, widest)
        } else {
            // Implicit: the ellipsis, then every letter that occurs once, in order.
            let letters = equation.operands.flatMap { $0 }.filter { $0 != "." }
            let single = letters.filter { letter in letters.filter { $0 == letter }.count == 1 }.sorted()
            output = expanded(["."], widest) + single.map(Label.letter)
        }
        guard output.allSatisfy({ extents[$0] != nil }) else {
            throw node.failure(
                expected: "an output whose labels occur in the operands", found: "\(equation.output ?? [])")
        }
        return Resolved(operands: operands, output: output, extents: extents)
    }

    private func expanded(_ term: [Character], _ hidden: Int) -> [Label] {
        term.flatMap { character -> [Label] in
            character == "." ? (0..<hidden).reversed().map(Label.ellipsis) : [.letter(character)]
        }
    }

    /// How an operand is read with one axis a label: repeated labels are diagonals, extents of 1 are stretched.
    private struct DiagonalView {
        var labels: [Label] = []
        var view: StridedView

        init(_ shape: [Int], _ axes: [Label], _ extents: [Label: Int]) {
            let dense = shape.rowMajorStrides
            var strides: [Int] = []
            for (axis, label) in axes.enumerated() {
                let stride = shape[axis] == 1 ? 0 : dense[axis]
                if let place = labels.firstIndex(of: label) {
                    strides[place] += stride
                } else {
                    labels.append(label)
                    strides.append(stride)
                }
            }
            view = StridedView(shape: labels.map { extents[$0]! }, strides: strides)
        }
    }

    /// A tensor with a label on each axis, no label twice.
    private struct Labelled {
        var tensor: Tensor<Float>
        var labels: [Label]

        init(tensor: Tensor<Float>, labels: [Label]) {
            self.tensor = tensor
            self.labels = labels
        }

        init(_ tensor: Tensor<Float>, _ axes: [Label], _ extents: [Label: Int]) {
            let view = DiagonalView(tensor.shape, axes, extents)
            self.init(tensor: view.view(tensor), labels: view.labels)
        }

        func summed(keeping kept: (Label) -> Bool) -> Labelled {
            let axes = labels.indices.filter { !kept(labels[$0]) }
            if axes.isEmpty { return self }
            return Labelled(
                tensor: Reduction(shape: tensor.shape, axes: axes).sum(tensor), labels: labels.filter(kept))
        }

        /// In groups of labels, each group one axis.
        func arranged(_ groups: [[Label]], _ extents: [Label: Int]) -> Tensor<Float> {
            let order = groups.flatMap { $0 }.map { labels.firstIndex(of: $0)! }
            return StridedView(tensor.shape).permuted(order)(tensor)
                .reshaped(groups.map { group in group.map { extents[$0]! }.elementCount })
        }
    }

    private func contract(_ operands: [Labelled], to output: [Label], _ extents: [Label: Int]) throws -> Labelled {
        var result = operands[0]
        for index in operands.indices.dropFirst() {
            let later = Set(operands[(index + 1)...].flatMap(\.labels)).union(output)
            result = try product(result, operands[index], keeping: later, extents)
        }
        result = result.summed { output.contains($0) }
        return Labelled(tensor: result.arranged(output.map { [$0] }, extents), labels: output)
    }

    /// The product of two, summed over the labels that nothing later needs.
    private func product(
        _ a: Labelled, _ b: Labelled, keeping later: Set<Label>, _ extents: [Label: Int]
    ) throws -> Labelled {
        let a = a.summed { later.contains($0) || b.labels.contains($0) }
        let b = b.summed { later.contains($0) || a.labels.contains($0) }
        let shared = a.labels.filter { b.labels.contains($0) }
        let batch = shared.filter { later.contains($0) }
        let inner = shared.filter { !later.contains($0) }
        let rows = a.labels.filter { !shared.contains($0) }
        let columns = b.labels.filter { !shared.contains($0) }
        _ = try node.possible((batch + rows + columns).map { extents[$0]! })
        let tensor = try MatrixProduct.stacked(
            a.arranged([batch, rows, inner], extents), b.arranged([batch, columns, inner], extents), transposedB: true,
            node)
        let labels = batch + rows + columns
        return Labelled(tensor: tensor.reshaped(labels.map { extents[$0]! }), labels: labels)
    }
}
