import Failures
import Foundation
import Workers

/// Scaled dot-product attention (Vaswani et al. 2017): softmax(scale · Q Kᵀ + bias) V, head by head.
///
/// Q, K and V are `[batch, heads, length, size]` or `[batch, length, heads · size]`. K and V may have fewer heads, each then
/// serving a group of Q's. The bias is a mask (float: added; boolean: false forbids), with causal, window and padding
/// limits on top; a row with nothing allowed becomes 0. A cache of past keys and values is put before K and V.
struct Attention: Operator {
    static let types = ["Attention"]
    private let node: NodeDescription
    private let queryHeads: Int?
    private let keyHeads: Int?
    private let scale: Float?
    private let cap: Float
    private let isCausal: Bool
    private let left: Int
    private let right: Int
    private let scoreOutput: Int

    init(_ node: NodeDescription) throws {
        self.node = node
        queryHeads = try node.int("q_num_heads")
        keyHeads = try node.int("kv_num_heads")
        scale = try node.float("scale")
        cap = try node.float("softcap", default: 0)
        isCausal = try node.flag("is_causal", default: false)
        left = try node.int("left_window_size", default: -1)
        right = try node.int("right_window_size", default: -1)
        scoreOutput = try node.int("qk_matmul_output_mode", default: 0)
        guard (0...3).contains(scoreOutput), cap >= 0, left >= -1, right >= -1 else {
            throw node.failure(
                expected: "an output mode of 0 to 3, softcap of at least 0 and windows of at least −1",
                found: "\(scoreOutput), \(cap), \(left) and \(right)")
        }
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let form = try form(inputs)
        let shapes = [form.outputShape, form.keyShape, form.valueShape, form.scoreShape]
        guard let operands = try operands(inputs, form) else {
            return shapes.prefix(max(1, node.outputs.count)).map { .pending($0) }
        }
        let scores = try scores(inputs, operands, form)
        let y = try MatrixProduct.stacked(scores.weights, operands.v, node)
        let results = [
            form.joined(y, form.queryHeads, form.outputShape), operands.k, operands.v,
            scores.reported.reshaped(form.scoreShape),
        ]
        return results.prefix(max(1, node.outputs.count)).map { .float($0) }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let form = try form(call.inputs)
        guard let operands = try operands(call.inputs, form) else { preconditionFailure("numbers are known") }
        if call.gradients.count > 3, call.gradients[3] != nil {
            throw node.failure(
                expected: "a gradient of the attended values", found: "one of the scores",
                remedy: "Choose a target that does not depend on the scores that this node reports")
        }
        let weights = try scores(call.inputs, operands, form)
        var q: Tensor<Float>?
        var k = call.gradients.count > 1 ? call.gradients[1] : nil
        var v = call.gradients.count > 2 ? call.gradients[2] : nil
        var bias: Tensor<Float>?
        if let gradient = call.gradients[0] {
            let y = form.split(gradient, form.queryHeads).reshaped(
                [form.batch, form.keyHeads, form.group * form.queries, form.valueSize])
            let flow = try MatrixProduct.stacked(y, operands.v, transposedB: true, node)
            let last = Reduction(shape: flow.shape, axes: [3])
            let scores = last.mapRows(weights.weights, flow) { Softmax.gradient($1, $2, into: $3) }
            bias = scores.reshaped(form.scoreShape)
            var raw = scores
            if cap > 0 {
                let cap = cap
                raw = raw.map(weights.capped) { $0 * (1 - ($1 / cap) * ($1 / cap)) }
            }
            let factor = form.scale
            raw = raw.map { $0 * factor }
            q = try MatrixProduct.stacked(raw, operands.k, node)
            let keys = try MatrixProduct.stacked(raw, operands.q, transposedA: true, node)
            let values = try MatrixProduct.stacked(weights.weights, y, transposedA: true, node)
            k = k.map { $0.map(keys) { $0 + $1 } } ?? keys
            v = v.map { $0.map(values) { $0 + $1 } } ?? values
        }
        return call.results { index in
            switch index {
            case 0: return q.map { form.joined($0, form.queryHeads, call.shape(0)) }
            case 1: return k.map { form.joined(form.part($0, past: false), form.keyHeads, call.shape(1)) }
            case 2: return v.map { form.joined(form.part($0, past: false), form.keyHeads, call.shape(2)) }
            case 3:
                // The part of the keys that the mask speaks of.
                return bias.map { bias in
                    let told = call.shape(3).last ?? bias.shape[3]
                    return StridedView(bias.shape).sliced(3, from: 0, step: 1, count: told)(bias).summed(
                        to: call.shape(3))
                }
            case 4: return k.map { form.part($0, past: true) }
            case 5: return v.map { form.part($0, past: true) }
            default: return nil
            }
        }
    }

    // MARK: - Shapes

    private struct Form {
        var batch = 0
        var queryHeads = 0
        var keyHeads = 0
        /// Query heads that one key head serves.
        var group: Int { queryHeads / keyHeads }
        var queries = 0
        var past = 0
        /// Keys, past ones included.
        var keys = 0
        var size = 0
        var valueSize = 0
        var scale: Float = 1
        /// Whether Q is `[batch, length, heads · size]`.
        var isFlat = false

        var outputShape: [Int] {
            isFlat ? [batch, queries, queryHeads * valueSize] : [batch, queryHeads, queries, valueSize]
        }
        var keyShape: [Int] { [batch, keyHeads, keys, size] }
        var valueShape: [Int] { [batch, keyHeads, keys, valueSize] }
        var scoreShape: [Int] { [batch, queryHeads, queries, keys] }

        /// As `[batch, heads, length, size]`.
        func split(_ tensor: Tensor<Float>, _ heads: Int) -> Tensor<Float> {
            guard isFlat else { return tensor }
            let (length, width) = (tensor.shape[1], tensor.shape[2])
            return StridedView([batch, length, heads, width / heads]).permuted([0, 2, 1, 3])(tensor)
        }

        /// The inverse of ``split(_:_:)``, to the shape of an input or output.
        func joined(_ tensor: Tensor<Float>, _ heads: Int, _ shape: [Int]) -> Tensor<Float> {
            guard isFlat else { return tensor.reshaped(shape) }
            return StridedView([batch, heads, shape[1], shape[2] / heads]).permuted([0, 2, 1, 3])(tensor).reshaped(
                shape)
        }

        /// The gradient of the past keys or values, or of the new ones.
        func part(_ tensor: Tensor<Float>, past isPast: Bool) -> Tensor<Float> {
            StridedView(tensor.shape)
                .sliced(2, from: isPast ? 0 : past, step: 1, count: isPast ? past : keys - past)(tensor)
        }
    }

    private func form(_ inputs: [Value?]) throws -> Form {
        let values = [try node.input(inputs, 0, "Q"), try node.input(inputs, 1, "K"), try node.input(inputs, 2, "V")]
        let (q, k, v) = (values[0].shape, values[1].shape, values[2].shape)
        var form = Form()
        guard q.count == k.count, q.count == v.count, q.count == 3 || q.count == 4, q[0] == k[0], q[0] == v[0] else {
            throw node.mismatch("Q, K and V of rank 3 or 4 and of one batch", values)
        }
        form.batch = q[0]
        form.isFlat = q.count == 3
        let keys: Int
        if form.isFlat {
            guard let queryHeads, let keyHeads, queryHeads > 0, keyHeads > 0, q[2] % queryHeads == 0,
                k[2] % keyHeads == 0, v[2] % keyHeads == 0, k[1] == v[1]
            else {
                throw node.mismatch(
                    "widths divisible by q_num_heads \(queryHeads ?? 0) and kv_num_heads \(keyHeads ?? 0)", values)
            }
            (form.queryHeads, form.keyHeads) = (queryHeads, keyHeads)
            (form.queries, keys) = (q[1], k[1])
            (form.size, form.valueSize) = (q[2] / queryHeads, v[2] / keyHeads)
            guard k[2] / keyHeads == form.size else { throw node.mismatch("heads of one size in Q and K", values) }
        } else {
            guard k[1] == v[1], k[2] == v[2], q[3] == k[3], k[1] > 0 else {
                throw node.mismatch("K and V of one length and Q and K of one head size", values)
            }
            (form.queryHeads, form.keyHeads) = (q[1], k[1])
            (form.queries, keys) = (q[2], k[2])
            (form.size, form.valueSize) = (q[3], v[3])
        }
        guard form.queryHeads % form.keyHeads == 0 else {
            throw node.mismatch("heads of Q that the heads of K can share", values)
        }
        let pasts = (node.optional(inputs, 4), node.optional(inputs, 5))
        if let (pastKeys, pastValues) = pasts.0.flatMap({ key in pasts.1.map { (key, $0) } }) {
            let past = pastKeys.shape.count == 4 ? pastKeys.shape[2] : 0
            guard pastKeys.shape == [form.batch, form.keyHeads, past, form.size],
                pastValues.shape == [form.batch, form.keyHeads, past, form.valueSize]
            else { throw node.mismatch("past keys and values like K and V", [pastKeys, pastValues]) }
            form.past = past
        } else if pasts.0 != nil || pasts.1 != nil {
            throw node.failure(expected: "past keys and past values together", found: "one of them")
        }
        form.keys = keys + form.past
        form.scale = scale ?? 1 / Float(max(1, form.size)).squareRoot()
        for shape in [form.outputShape, form.keyShape, form.valueShape, form.scoreShape] {
            _ = try node.possible(shape)
        }
        return form
    }

    // MARK: - Numbers

    private struct Operands {
        /// Heads grouped by the key head that serves them: `[batch, keyHeads, group · queries, size]`.
        let q: Tensor<Float>
        let k: Tensor<Float>
        let v: Tensor<Float>
    }

    private func operands(_ inputs: [Value?], _ form: Form) throws -> Operands? {
        var known = true
        func number(_ index: Int, _ role: String) throws -> Tensor<Float>? {
            guard let value = node.optional(inputs, index) else { return nil }
            let tensor = try node.float(value, role)
            if tensor == nil { known = false }
            return tensor
        }
        let q = try number(0, "Q")
        let k = try number(1, "K")
        let v = try number(2, "V")
        let pastKeys = try number(4, "the past keys")
        let pastValues = try number(5, "the past values")
        if node.optional(inputs, 3)?.isPending == true { known = false }
        guard known, let q, let k, let v else { return nil }
        func cached(_ past: Tensor<Float>?, _ new: Tensor<Float>, _ shape: [Int]) -> Tensor<Float> {
            let new = form.split(new, form.keyHeads)
            return past.map { Concat.joined([$0, new], shape, 2) } ?? new
        }
        return Operands(
            q: form.split(q, form.queryHeads)
                .reshaped([form.batch, form.keyHeads, form.group * form.queries, form.size]),
            k: cached(pastKeys, k, form.keyShape), v: cached(pastValues, v, form.valueShape))
    }

    private struct Scores {
        /// After the softmax.
        let weights: Tensor<Float>
        /// Before the bias.
        let capped: Tensor<Float>
        /// What the node's fourth output asks for.
        let reported: Tensor<Float>
    }

    private func scores(_ inputs: [Value?], _ operands: Operands, _ form: Form) throws -> Scores {
        let factor = form.scale
        let raw = try MatrixProduct.stacked(operands.q, operands.k, transposedB: true, node).map { $0 * factor }
        let cap = cap
        let capped = cap > 0 ? raw.map { cap * tanh($0 / cap) } : raw
        let bias = try bias(inputs, form)
        // Grouped heads stand in the order of the query heads, so that both shapes hold the same rows.
        let full = capped.reshaped(form.scoreShape)
        let biased = bias.map { Broadcast([full.shape, $0.shape], to: full.shape).map(full, $0) { $0 + $1 } } ?? full
        let rows = Reduction(shape: form.scoreShape, axes: [3])
        var weights = rows.mapRows(biased) { Softmax.normalize($1, into: $2) }
        if let bias {
            let spread = StridedView(bias.shape).expanded(to: form.scoreShape)(bias)
            weights = rows.mapRows(weights, spread) { _, row, bias, result in
                let isForbidden = bias.allSatisfy { $0 == -.infinity }
                result.fill(from: row) { isForbidden ? 0 : $0 }
            }
        }
        let reported = [raw, capped, biased, weights][scoreOutput]
        return Scores(weights: weights.reshaped(capped.shape), capped: capped, reported: reported)
    }

    /// What is added to the scores, −∞ where attention is forbidden; broadcasts to the scores' shape. Nil for nothing.
    private func bias(_ inputs: [Value?], _ form: Form) throws -> Tensor<Float>? {
        var bias: Tensor<Float>?
        if let mask = node.optional(inputs, 3) {
            switch mask {
            case .boolean(let allowed): bias = allowed.map { $0 ? 0 : -.infinity }
            case .float(let tensor): bias = tensor
            case .integer, .pending: throw node.mismatch("a mask of floats or booleans", [mask])
            }
            if let told = mask.shape.last, told < form.keys, let short = bias {
                // A mask of the first keys forbids the rest.
                let shape = Array(mask.shape.dropLast()) + [form.keys]
                bias = Tensor(shape: shape) { result in
                    result.initialize(repeating: -.infinity)
                    StridedView(shape).sliced(shape.count - 1, from: 0, step: 1, count: told)
                        .write(short, to: result.baseAddress!)
                }
            }
            guard let bias, Broadcast.shape([bias.shape, form.scoreShape]) == form.scoreShape else {
                throw node.mismatch("a mask that broadcasts to \(form.scoreShape)", [mask])
            }
        }
        var lengths: [Int]?
        if let value = node.optional(inputs, 6) {
            let list = try node.list(value, "the lengths")
            guard list.count == form.batch, form.past == 0, list.allSatisfy({ $0 >= 0 && $0 < 1 << 40 }) else {
                throw node.failure(expected: "a length for each of \(form.batch) samples and no past", found: "\(list)")
            }
            lengths = list
        }
        guard isCausal || left >= 0 || right >= 0 || lengths != nil else { return bias }
        let shape = [form.batch, 1, form.queries, form.keys]
        let limits = Tensor<Float>(shape: shape) { result in
            for row in 0..<form.batch * form.queries {
                let (sample, query) = (row / form.queries, row % form.queries)
                // Where the query stands among the keys.
                let place = query + (lengths.map { $0[sample] - form.queries } ?? form.past)
                for key in 0..<form.keys {
                    let forbidden =
                        (isCausal && key > place) || (left >= 0 && key < place - left)
                        || (right >= 0 && key > place + right) || (lengths.map { key >= $0[sample] } ?? false)
                    result[row * form.keys + key] = forbidden ? -.infinity : 0
                }
            }
        }
        guard let bias else { return limits }
        let joined = Broadcast.shape([bias.shape, shape])!
        return Broadcast([bias.shape, shape], to: joined).map(bias, limits) { $0 + $1 }
    }
}
