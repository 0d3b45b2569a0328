import Foundation
import Tensors

/// Follows positions from one input through every node of a network (formats.md, "Where a CNN's feature voxel sits";
/// Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, for windows).
struct Tracer {
    let network: Network
    /// Tensors as far as shapes determine them.
    let values: [Value?]

    /// The placing of every tensor, by number.
    func trace(from input: Int) -> [Placing] {
        var placings = [Placing](repeating: .free, count: values.count)
        placings[input] = .placed(Trace(input: values[input]!.shape))
        for node in network.nodes {
            let inputs = node.inputIDs.map { id -> Placing in
                guard let id, network.carriesData[id] else { return .free }
                return placings[id]
            }
            let lost = inputs.compactMap { if case .lost(let reason) = $0 { reason } else { nil } }
            if inputs.allSatisfy({ $0.trace == nil }) {
                if let reason = lost.first { for id in node.outputIDs { if let id { placings[id] = .lost(reason) } } }
                continue
            }
            let step = Step(tracer: self, node: node, inputs: inputs)
            for (position, id) in node.outputIDs.enumerated() {
                guard let id, let shape = values[id]?.shape else { continue }
                placings[id] = step.output(position, shape)
            }
        }
        return placings
    }

    /// One node's part.
    private struct Step {
        let tracer: Tracer
        let node: Node
        let inputs: [Placing]

        private var attributes: Attributes { node.description.attributes }

        private func shape(_ position: Int) -> [Int]? {
            guard position < node.inputIDs.count, let id = node.inputIDs[position] else { return nil }
            return tracer.values[id]?.shape
        }

        private func integers(_ position: Int) -> [Int]? {
            guard position < node.inputIDs.count, let id = node.inputIDs[position],
                case .integer(let tensor)? = tracer.values[id]
            else { return nil }
            return tensor.values.map(Int.init)
        }

        private func floats(_ position: Int) -> [Float]? {
            guard position < node.inputIDs.count, let id = node.inputIDs[position],
                case .float(let tensor)? = tracer.values[id]
            else { return nil }
            return tensor.values
        }

        private func lost(_ why: String) -> Placing { .lost("node '\(node.name)' (\(node.type)) \(why)") }

        func output(_ position: Int, _ shape: [Int]) -> Placing {
            switch node.type {
            case "Conv": return window(shape, keepsChannels: false)
            case "MaxPool", "AveragePool", "LpPool": return window(shape, keepsChannels: true)
            case "ConvTranspose": return transposedWindow(shape)
            case "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool":
                return edit { trace in
                    for axis in 2..<max(2, trace.axes.count) { trace.blank(axis, extent: 1) }
                }
            case "InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization":
                return edit { trace in
                    for axis in trace.axes.dropFirst(2) { trace.whole.formUnion(axis.digits.compactMap(\.axis)) }
                }
            case "Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "LayerNormalization", "RMSNormalization":
                return normalised(shape)
            case "Transpose": return transposed(shape)
            case "Reshape", "Flatten", "Squeeze", "Unsqueeze":
                return editOrLose { trace in
                    trace.reshape(from: self.shape(0)!, to: shape) ? nil : "cuts an axis where no voxel ends"
                }
            case "Pad": return padded(shape)
            case "Slice": return sliced(shape)
            case "Split": return split(position, shape)
            case "Gather": return gathered(shape)
            case "Concat": return concatenated(shape)
            case "Resize", "Upsample": return resized(shape)
            case "DepthToSpace", "SpaceToDepth": return shuffled(shape)
            case "MatMul": return product(shape)
            case "Gemm": return generalProduct(shape)
            case "Einsum": return einsum(shape)
            case "Attention":
                // Every token keeps its place and sees all others.
                guard position == 0, shape == self.shape(0) else { return lost("is not followed to this output") }
                return edit { trace in
                    for axis in trace.axes { trace.whole.formUnion(axis.digits.compactMap(\.axis)) }
                }
            case "Expand": return elementwise(shape, operands: [0])
            case "Tile": return tiled(shape)
            case let type where type.hasPrefix("Reduce") || type == "ArgMax" || type == "ArgMin": return reduced(shape)
            case let type where Self.elementwiseTypes.contains(type):
                return elementwise(shape, operands: Array(inputs.indices))
            default: return lost("moves voxels in a way that is not followed")
            }
        }

        /// One output element from the elements at its own place, broadcast.
        private static let elementwiseTypes: Set<String> = [
            "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "Cast",
            "CastLike",
            "Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu",
            "Greater",
            "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LRN", "LeakyRelu", "Less",
            "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow",
            "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign",
            "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
        ]

        /// The first input's trace, changed; a text from `body` says why it is lost.
        private func editOrLose(_ body: (inout Trace) -> String?) -> Placing {
            guard case .placed(var trace) = inputs[0] else { return inputs[0] }
            if let why = body(&trace) { return lost(why) }
            return .placed(trace)
        }

        private func edit(_ body: (inout Trace) -> Void) -> Placing {
            editOrLose { trace in
                body(&trace)
                return nil
            }
        }

        // MARK: Windows

        private struct Window {
            var kernel: [Int]
            var strides: [Int]
            var dilations: [Int]
        }

        private func window(weights: [Int]?, rank: Int) -> Window {
            let kernel = attributes.ints("kernel_shape") ?? weights.map { Array($0.dropFirst(2)) } ?? []
            let ones = [Int](repeating: 1, count: rank)
            return Window(
                kernel: kernel.count == rank ? kernel : ones, strides: attributes.ints("strides") ?? ones,
                dilations: attributes.ints("dilations") ?? ones)
        }

        private func window(_ output: [Int], keepsChannels: Bool) -> Placing {
            guard let input = shape(0), input.count == output.count, input.count >= 2 else {
                return lost("has no shape")
            }
            let window = window(weights: keepsChannels ? nil : shape(1), rank: input.count - 2)
            let pads = attributes.ints("pads")
            return edit { trace in
                if !keepsChannels { trace.blank(1, extent: output[1]) }
                for spatial in 0..<input.count - 2 {
                    let (k, s, d) = (window.kernel[spatial], window.strides[spatial], window.dilations[spatial])
                    let total = max(0, (output[spatial + 2] - 1) * s + (k - 1) * d + 1 - input[spatial + 2])
                    let pad =
                        switch attributes.string("auto_pad") ?? "NOTSET" {
                        case "SAME_UPPER": total / 2
                        case "SAME_LOWER": total - total / 2
                        case "VALID": 0
                        default: pads.map { $0[spatial] } ?? 0
                        }
                    trace.slide(spatial + 2, kernel: k, stride: s, dilation: d, pad: pad, extent: output[spatial + 2])
                }
            }
        }

        private func transposedWindow(_ output: [Int]) -> Placing {
            guard let input = shape(0), input.count == output.count, input.count >= 2 else {
                return lost("has no shape")
            }
            let window = window(weights: shape(1), rank: input.count - 2)
            let pads = attributes.ints("pads")
            let extra = attributes.ints("output_padding")
            let mode = attributes.string("auto_pad") ?? "NOTSET"
            let automatic = attributes.ints("output_shape") != nil || mode.hasPrefix("SAME")
            return edit { trace in
                trace.blank(1, extent: output[1])
                for spatial in 0..<input.count - 2 {
                    let (k, s, d) = (window.kernel[spatial], window.strides[spatial], window.dilations[spatial])
                    var pad = pads.map { $0[spatial] } ?? 0
                    if automatic {
                        let full = s * (input[spatial + 2] - 1) + (extra.map { $0[spatial] } ?? 0) + (k - 1) * d + 1
                        let total = full - output[spatial + 2]
                        pad = mode == "SAME_UPPER" ? total / 2 : total - total / 2
                    }
                    trace.unslide(spatial + 2, kernel: k, stride: s, dilation: d, pad: pad, extent: output[spatial + 2])
                }
            }
        }

        /// Resampling: the line of best fit through where output elements read (onnx "Resize").
        private func resized(_ output: [Int]) -> Placing {
            guard let input = shape(0), input.count == output.count else { return lost("has no shape") }
            let isUpsample = node.type == "Upsample"
            let mode = attributes.string("mode") ?? "nearest"
            let transformation =
                attributes.string("coordinate_transformation_mode")
                ?? (isUpsample || node.description.opset < 11 ? "asymmetric" : "half_pixel")
            if transformation == "tf_crop_and_resize" { return lost("crops while it resizes") }
            let axes = attributes.ints("axes")?.map { $0 < 0 ? $0 + input.count : $0 } ?? Array(input.indices)
            let scalesAt = isUpsample || node.description.opset < 11 ? 1 : 2
            let scales = attributes.floats("scales") ?? floats(scalesAt)
            return edit { trace in
                for axis in input.indices {
                    var scale = Double(output[axis]) / Double(max(1, input[axis]))
                    if let scales, scales.count == axes.count, let place = axes.firstIndex(of: axis) {
                        scale = Double(scales[place])
                    }
                    if scale == 1, output[axis] == input[axis] { continue }
                    let line = ResizeLine(
                        mode: mode,
                        nearest: attributes.string("nearest_mode") ?? (isUpsample ? "floor" : "round_prefer_floor"),
                        transformation: transformation, scale: scale, input: input[axis], output: output[axis])
                    let antialias = attributes.int("antialias") == 1 ? max(1, 1 / scale) : 1
                    let reach = mode == "nearest" ? 0 : (mode == "cubic" ? 3 : 1) * antialias
                    trace.rescale(axis, step: line.step, offset: line.offset, reach: reach, extent: output[axis])
                }
            }
        }

        private func shuffled(_ output: [Int]) -> Placing {
            let block = attributes.int("blocksize") ?? 1
            return edit { trace in
                guard trace.axes.count == 4 else { return }
                trace.blank(1, extent: output[1])
                for axis in 2..<4 {
                    let half = Double(block - 1) / 2
                    if node.type == "DepthToSpace" {
                        let step = 1 / Double(block)
                        trace.rescale(axis, step: step, offset: -half * step, reach: 0, extent: output[axis])
                    } else {
                        trace.rescale(
                            axis, step: Double(block), offset: half, reach: Double(block - 1), extent: output[axis])
                    }
                }
            }
        }

        // MARK: Rearrangements

        private func transposed(_ output: [Int]) -> Placing {
            edit { trace in
                let order = attributes.ints("perm") ?? Array(trace.axes.indices.reversed())
                let axes = trace.axes
                trace.axes = order.map { axes[$0] }
            }
        }

        private func padded(_ output: [Int]) -> Placing {
            guard let input = shape(0), let pads = attributes.ints("pads") ?? integers(1) else {
                return lost("pads by amounts that are not known")
            }
            let axes = integers(3)?.map { $0 < 0 ? $0 + input.count : $0 } ?? Array(input.indices)
            guard pads.count == 2 * axes.count else { return lost("has malformed pads") }
            return edit { trace in
                for (place, axis) in axes.enumerated() where pads[place] != 0 || output[axis] != input[axis] {
                    trace.slice(axis, start: -pads[place], step: 1, extent: output[axis])
                }
            }
        }

        private func sliced(_ output: [Int]) -> Placing {
            guard let input = shape(0), let starts = attributes.ints("starts") ?? integers(1) else {
                return lost("slices at places that are not known")
            }
            let axes = attributes.ints("axes") ?? integers(3) ?? Array(starts.indices)
            let steps = integers(4) ?? [Int](repeating: 1, count: starts.count)
            return edit { trace in
                for (place, given) in axes.enumerated() where place < starts.count && place < steps.count {
                    let axis = given < 0 ? given + input.count : given
                    var start = starts[place] < 0 ? starts[place] + input[axis] : starts[place]
                    start = max(0, min(start, steps[place] < 0 ? input[axis] - 1 : input[axis]))
                    if start == 0, steps[place] == 1, output[axis] == input[axis] { continue }
                    trace.slice(axis, start: start, step: steps[place], extent: output[axis])
                }
            }
        }

        private func split(_ position: Int, _ output: [Int]) -> Placing {
            guard let input = shape(0) else { return lost("has no shape") }
            var axis = attributes.int("axis") ?? 0
            if axis < 0 { axis += input.count }
            let before = node.outputIDs.prefix(position).reduce(0) { sum, id in
                sum + (id.flatMap { tracer.values[$0]?.shape[axis] } ?? 0)
            }
            return edit { trace in trace.slice(axis, start: before, step: 1, extent: output[axis]) }
        }

        private func gathered(_ output: [Int]) -> Placing {
            guard let input = shape(0), let indexShape = shape(1), let indices = integers(1) else {
                return lost("picks elements that are not known")
            }
            var axis = attributes.int("axis") ?? 0
            if axis < 0 { axis += input.count }
            let wrapped = indices.map { $0 < 0 ? $0 + input[axis] : $0 }
            return edit { trace in
                if indexShape.isEmpty { return trace.pick(axis, index: wrapped[0]) }
                let steps = Set(zip(wrapped.dropFirst(), wrapped).map { $0 - $1 })
                if indexShape.count == 1, steps.count <= 1, !wrapped.isEmpty {
                    trace.slice(axis, start: wrapped[0], step: steps.first ?? 1, extent: output[axis])
                } else {
                    trace.blank(axis, extent: 1)
                    trace.axes.replaceSubrange(axis...axis, with: indexShape.map(Trace.Axis.blank))
                }
            }
        }

        private func concatenated(_ output: [Int]) -> Placing {
            var axis = attributes.int("axis") ?? 0
            if axis < 0 { axis += output.count }
            var start = 0
            var parts: [(trace: Trace, start: Int)] = []
            var reasons: [String] = []
            for (position, input) in inputs.enumerated() {
                if case .placed(let trace) = input { parts.append((trace, start)) }
                if case .lost(let reason) = input { reasons.append(reason) }
                start += shape(position)?[axis] ?? 0
            }
            guard !parts.isEmpty else { return .lost(reasons.first ?? "") }
            let alongPlaces = parts.contains { !$0.trace.axes[axis].isBlank }
            if !alongPlaces {
                var blanked = parts.map(\.trace)
                for index in blanked.indices { blanked[index].axes[axis] = .blank(output[axis]) }
                return joined(blanked)
            }
            // Elements put before or after places: a class token, padding. Places put after places are a rearrangement.
            guard parts.count == 1, reasons.isEmpty else { return lost("puts places behind one another") }
            var trace = parts[0].trace
            trace.slice(axis, start: -parts[0].start, step: 1, extent: output[axis])
            return .placed(trace)
        }

        private func tiled(_ output: [Int]) -> Placing {
            guard let input = shape(0), input.count == output.count else { return lost("has no shape") }
            return edit { trace in
                for axis in input.indices where output[axis] != input[axis] { trace.blank(axis, extent: output[axis]) }
            }
        }

        private func reduced(_ output: [Int]) -> Placing {
            guard let input = shape(0) else { return lost("has no shape") }
            var axes: [Int]
            if node.type.hasPrefix("Arg") {
                axes = [attributes.int("axis") ?? 0]
            } else {
                axes = attributes.ints("axes") ?? integers(1) ?? []
                if axes.isEmpty, attributes.int("noop_with_empty_axes") != 1 { axes = Array(input.indices) }
            }
            let gone = Set(axes.map { $0 < 0 ? $0 + input.count : $0 })
            return edit { trace in
                for axis in gone where axis < trace.axes.count { trace.blank(axis, extent: 1) }
                if attributes.int("keepdims") == 0 {
                    trace.axes = trace.axes.enumerated().filter { !gone.contains($0.offset) }.map(\.element)
                }
            }
        }

        private func normalised(_ output: [Int]) -> Placing {
            let rank = output.count
            let isLayer = node.type == "LayerNormalization" || node.type == "RMSNormalization"
            var axis =
                attributes.int("axis")
                ?? (isLayer || node.description.opset >= 13 || node.type == "LpNormalization" ? -1 : 1)
            if axis < 0 { axis += rank }
            let several = isLayer || (node.description.opset < 13 && node.type != "LpNormalization")
            return edit { trace in
                for index in axis..<max(axis, several ? rank : axis + 1) where index < trace.axes.count {
                    trace.whole.formUnion(trace.axes[index].digits.compactMap(\.axis))
                }
            }
        }

        // MARK: Branches and products

        private func elementwise(_ output: [Int], operands: [Int]) -> Placing {
            var traces: [Trace] = []
            var reasons: [String] = []
            for position in operands {
                if case .lost(let reason) = inputs[position] { reasons.append(reason) }
                guard case .placed(var trace) = inputs[position], let shape = shape(position) else { continue }
                let missing = output.count - trace.axes.count
                trace.axes = output.prefix(max(0, missing)).map(Trace.Axis.blank) + trace.axes
                for axis in max(0, missing)..<output.count where shape[axis - missing] != output[axis] {
                    trace.blank(axis, extent: output[axis])
                }
                traces.append(trace)
            }
            guard !traces.isEmpty else { return .lost(reasons.first ?? "") }
            guard case .placed(var trace) = joined(traces) else { return joined(traces) }
            for reason in reasons { trace.note("a branch that meets at '\(node.name)' is not followed: \(reason)") }
            return .placed(trace)
        }

        /// Branches that meet: the one with the most places and, of these, the one that sees least, is the measure.
        private func joined(_ traces: [Trace]) -> Placing {
            func rank(_ trace: Trace) -> (Int, Double) { (-trace.tracked.count, trace.size.reduce(0, +)) }
            let order = traces.indices.sorted { a, b in
                let (x, y) = (rank(traces[a]), rank(traces[b]))
                return x == y ? a < b : x < y
            }
            var first = traces[order[0]]
            for index in order.dropFirst() { first.merge(traces[index], at: node.name) }
            return .placed(first)
        }

        private func product(_ output: [Int]) -> Placing {
            guard let left = shape(0), let right = shape(1), left.count >= 2, right.count >= 2 else {
                return lost("multiplies vectors")
            }
            func operand(_ position: Int, rows: Bool) -> Trace? {
                guard case .placed(var trace) = inputs[position] else { return nil }
                let last = trace.axes.count - 1
                trace.blank(rows ? last : last - 1, extent: output[output.count - (rows ? 1 : 2)])
                let missing = output.count - trace.axes.count
                trace.axes = output.prefix(max(0, missing)).map(Trace.Axis.blank) + trace.axes
                for axis in 0..<max(0, output.count - 2) {
                    let extent = axis < missing ? 1 : (position == 0 ? left : right)[axis - missing]
                    if extent != output[axis] { trace.axes[axis] = .blank(output[axis]) }
                }
                return trace
            }
            let traces = [operand(0, rows: true), operand(1, rows: false)].compactMap { $0 }
            return joinedProduct(traces)
        }

        private func generalProduct(_ output: [Int]) -> Placing {
            guard case .placed(var trace) = inputs[0], trace.axes.count == 2 else {
                return lost("multiplies by what it reads")
            }
            if attributes.int("transA") == 1 { trace.axes.reverse() }
            trace.blank(1, extent: output[1])
            return .placed(trace)
        }

        private func einsum(_ output: [Int]) -> Placing {
            let equation = (attributes.string("equation") ?? "").filter { $0 != " " }
            let sides = equation.components(separatedBy: "->")
            guard sides.count == 2, !equation.contains(".") else { return lost("has an equation that is not followed") }
            let terms = sides[0].split(separator: ",", omittingEmptySubsequences: false).map(Array.init)
            let result = Array(sides[1])
            guard result.count == output.count, terms.count == inputs.count else {
                return lost("has a malformed equation")
            }
            var traces: [Trace] = []
            for (term, input) in zip(terms, inputs) {
                guard case .placed(var trace) = input, term.count == trace.axes.count else { continue }
                let axes = trace.axes
                for (index, label) in term.enumerated() where !result.contains(label) {
                    trace.whole.formUnion(axes[index].digits.compactMap(\.axis))
                }
                trace.axes = result.enumerated().map { place, label in
                    term.firstIndex(of: label).map { axes[$0] } ?? .blank(output[place])
                }
                traces.append(trace)
            }
            return joinedProduct(traces)
        }

        /// In a product of two placed operands (attention) the left one's rows are what the result is about.
        private func joinedProduct(_ traces: [Trace]) -> Placing {
            guard var first = traces.first else {
                return inputs.first { if case .lost = $0 { true } else { false } } ?? .free
            }
            for other in traces.dropFirst() {
                first.whole.formUnion(other.whole)
                for index in first.axes.indices where first.axes[index].isBlank && !other.axes[index].isBlank {
                    // Scores of attention have places on both axes; only one can hold each input axis.
                    let axes = Set(other.axes[index].digits.compactMap(\.axis))
                    if axes.isDisjoint(with: first.tracked) {
                        first.axes[index] = other.axes[index]
                        for a in axes { (first.centre[a], first.size[a]) = (other.centre[a], other.size[a]) }
                    }
                }
            }
            return .placed(first)
        }
    }
}

/// The line `input = output · step + offset` along which a Resize reads.
struct ResizeLine: Equatable {
    let step: Double
    let offset: Double

    init(mode: String, nearest: String, transformation: String, scale: Double, input: Int, output: Int) {
        let (inputLength, outputLength) = (Double(input), Double(output))
        func original(_ o: Double) -> Double {
            switch transformation {
            case "asymmetric": return o / scale
            case "align_corners": return output > 1 ? o * (inputLength - 1) / (outputLength - 1) : 0
            case "pytorch_half_pixel": return output > 1 ? (o + 0.5) / scale - 0.5 : 0
            case "half_pixel_symmetric":
                let adjustment = outputLength / (scale * inputLength)
                return inputLength / 2 * (1 - adjustment) + (o + 0.5) / scale - 0.5
            default: return (o + 0.5) / scale - 0.5
            }
        }
        step = output > 1 ? original(1) - original(0) : 1 / scale
        guard mode == "nearest" else {
            offset = original(0)
            return
        }
        // Rounding shifts by an amount that repeats; its mean over all outputs is what the eye sees.
        var sum = 0.0
        for o in 0..<max(1, output) {
            let x = original(Double(o))
            let index =
                switch nearest {
                case "floor": x.rounded(.down)
                case "ceil": x.rounded(.up)
                case "round_prefer_ceil": (x + 0.5).rounded(.down)
                default: (x - 0.5).rounded(.up)
                }
            sum += index - Double(o) * step
        }
        offset = sum / Double(max(1, output))
    }
}
