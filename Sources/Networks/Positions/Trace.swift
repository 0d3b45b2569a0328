/// Where the elements of a tensor lie in one of the network's inputs.
///
/// The position along input axis `a` is affine in the element's index: `centre[a] + Σ jump · digit`, summed over the
/// digits that run along `a`. Usually each tensor axis is one digit. Reshapes merge several digits in one axis (tokens) or
/// split one into two (windows); digits therefore are kept apart from axes, and windows that are put together again
/// become the axis that they were.
struct Trace: Sendable, Equatable {
    /// One digit of a mixed-radix index.
    struct Digit: Sendable, Equatable {
        /// The input axis it runs along; nil for channels and whatever else has no place.
        var axis: Int?
        /// Input voxels from one value of the digit to the next.
        var jump: Double
        var extent: Int

        static func blank(_ extent: Int) -> Digit { Digit(axis: nil, jump: 0, extent: extent) }
    }

    struct Axis: Sendable, Equatable {
        /// Most significant first.
        var digits: [Digit]
        /// Elements before the first that has a place: a class token in front of the patches.
        var shift = 0

        /// The only digit, where there is one and it has a place.
        var single: Digit? { digits.count == 1 && shift == 0 && digits[0].axis != nil ? digits[0] : nil }
        var isBlank: Bool { digits.allSatisfy { $0.axis == nil } }
        static func blank(_ extent: Int) -> Axis { Axis(digits: [.blank(extent)]) }
    }

    var axes: [Axis]
    /// By input axis: the position of the element whose digits are all zero, in input voxel indices.
    var centre: [Double]
    /// By input axis: how many input voxels an element depends on, by way of windows (kernels) alone.
    var size: [Double]
    /// Input axes of which every element sees the whole: normalisation over the volume, attention, gates.
    var whole: Set<Int> = []
    var notes: [String] = []

    /// A network's input: every axis is its own.
    init(input shape: [Int]) {
        axes = shape.enumerated().map { Axis(digits: [Digit(axis: $0.offset, jump: 1, extent: $0.element)]) }
        centre = [Double](repeating: 0, count: shape.count)
        size = [Double](repeating: 1, count: shape.count)
    }

    var tracked: Set<Int> { Set(axes.flatMap { $0.digits.compactMap(\.axis) }) }

    mutating func note(_ text: String) { if !notes.contains(text) { notes.append(text) } }

    /// Forgets where tensor axis `axis` runs.
    mutating func blank(_ axis: Int, extent: Int) {
        whole.formUnion(axes[axis].digits.compactMap(\.axis))
        axes[axis] = .blank(extent)
    }

    /// A window of `kernel` taps, `dilation` apart, that starts `pad` before the axis and moves by `stride`.
    mutating func slide(_ axis: Int, kernel: Int, stride: Int, dilation: Int, pad: Int, extent: Int) {
        guard var digit = axes[axis].single, let a = digit.axis else { return blank(axis, extent: extent) }
        let reach = Double((kernel - 1) * dilation)
        centre[a] += (reach / 2 - Double(pad)) * digit.jump
        size[a] += reach * abs(digit.jump)
        digit.jump *= Double(stride)
        digit.extent = extent
        axes[axis].digits = [digit]
    }

    /// The transpose of a window: output index o gathers from the inputs `(o + pad - t · dilation) / stride`.
    mutating func unslide(_ axis: Int, kernel: Int, stride: Int, dilation: Int, pad: Int, extent: Int) {
        guard var digit = axes[axis].single, let a = digit.axis else { return blank(axis, extent: extent) }
        let reach = Double((kernel - 1) * dilation)
        centre[a] += (Double(pad) - reach / 2) / Double(stride) * digit.jump
        size[a] += reach / Double(stride) * abs(digit.jump)
        digit.jump /= Double(stride)
        digit.extent = extent
        axes[axis].digits = [digit]
    }

    /// Output index o reads from around `o · step + offset`, over a further `reach` input elements.
    mutating func rescale(_ axis: Int, step: Double, offset: Double, reach: Double, extent: Int) {
        guard var digit = axes[axis].single, let a = digit.axis else { return blank(axis, extent: extent) }
        centre[a] += offset * digit.jump
        size[a] += reach * abs(digit.jump)
        digit.jump *= step
        digit.extent = extent
        axes[axis].digits = [digit]
    }

    /// Every `step`th element from `start` on; a negative start is padding in front.
    mutating func slice(_ axis: Int, start: Int, step: Int, extent: Int) {
        if axes[axis].isBlank { return axes[axis] = .blank(extent) }
        if var digit = axes[axis].single, let a = digit.axis {
            centre[a] += Double(start) * digit.jump
            digit.jump *= Double(step)
            digit.extent = extent
            axes[axis].digits = [digit]
        } else if step == 1 {
            axes[axis].shift -= start
        } else {
            blank(axis, extent: extent)
        }
    }

    /// A single element of an axis, which goes away.
    mutating func pick(_ axis: Int, index: Int) {
        if let digit = axes[axis].single, let a = digit.axis { centre[a] += Double(index) * digit.jump }
        axes.remove(at: axis)
    }

    /// The same elements in row-major order under another shape.
    ///
    /// - Returns: false where an axis would have to be cut at a place that no digit has.
    mutating func reshape(from old: [Int], to shape: [Int]) -> Bool {
        var queue: [Digit] = []
        // An axis that is more than its digits (tokens with a class token before them) can only be passed on whole.
        let whole = axes
        for (index, axis) in axes.enumerated() {
            let extent = axis.digits.reduce(1) { $0 * $1.extent }
            if axis.shift != 0 || extent != old[index] {
                queue.append(Digit(axis: -1 - index, jump: 0, extent: old[index]))
            } else if extent > 1 || !axis.isBlank {
                queue += axis.digits
            }
        }
        queue.reverse()
        var result: [Axis] = []
        for extent in shape {
            var digits: [Digit] = []
            var rest = extent
            if extent == 1 {
                // An axis of one element keeps its place where one is left over at this point.
                if let next = queue.last, next.extent == 1 {
                    digits.append(next)
                    queue.removeLast()
                }
            } else {
                while rest > 1 {
                    guard let next = queue.popLast() else { return false }
                    if next.extent > 0, rest % next.extent == 0 {
                        digits.append(next)
                        rest /= next.extent
                    } else if next.extent % rest == 0 {
                        if let axis = next.axis, axis < 0 { return false }
                        let inner = next.extent / rest
                        digits.append(Digit(axis: next.axis, jump: next.jump * Double(inner), extent: rest))
                        queue.append(Digit(axis: next.axis, jump: next.jump, extent: inner))
                        rest = 1
                    } else {
                        return false
                    }
                }
            }
            if let kept = digits.first(where: { ($0.axis ?? 0) < 0 }) {
                guard digits.allSatisfy({ $0.extent == 1 || $0 == kept }) else { return false }
                result.append(whole[-1 - kept.axis!])
            } else {
                result.append(Axis(digits: digits.isEmpty ? [.blank(extent)] : digits))
            }
        }
        axes = result
        for index in axes.indices where axes[index].shift == 0 { join(index) }
        return true
    }

    /// Joins neighbouring digits that together run evenly along one input axis.
    private mutating func join(_ index: Int) {
        var joined: [Digit] = []
        for digit in axes[index].digits {
            guard let last = joined.last else {
                joined.append(digit)
                continue
            }
            if last.axis == nil, digit.axis == nil {
                joined[joined.count - 1].extent *= digit.extent
            } else if last.axis == digit.axis,
                abs(last.jump - digit.jump * Double(digit.extent)) < 1e-9 * abs(last.jump)
            {
                joined[joined.count - 1] = Digit(axis: digit.axis, jump: digit.jump, extent: last.extent * digit.extent)
            } else if digit.extent == 1, digit.axis == nil {
                continue
            } else if last.extent == 1, last.axis == nil {
                joined[joined.count - 1] = digit
            } else {
                joined.append(digit)
            }
        }
        // Channels shuffled in between voxels (sub-pixel upsampling): each voxel becomes `f` finer ones about its centre.
        if joined.count == 2, let a = joined[0].axis, joined[1].axis == nil, joined[1].extent <= 8 {
            let factor = Double(joined[1].extent)
            let jump = joined[0].jump / factor
            centre[a] -= jump * (factor - 1) / 2
            joined = [Digit(axis: a, jump: jump, extent: joined[0].extent * joined[1].extent)]
        }
        axes[index].digits = joined
    }

    /// Brings in another branch of the network that meets this one, element by element.
    ///
    /// Where both have a place for an axis and the places differ, this one's holds: it is the one that sees less, and
    /// its gradient is the most concentrated. The difference goes into the notes.
    mutating func merge(_ other: Trace, at node: String) {
        for index in axes.indices where axes[index].isBlank && !other.axes[index].isBlank {
            let free = Set(other.axes[index].digits.compactMap(\.axis)).isDisjoint(with: tracked)
            if free {
                axes[index] = other.axes[index]
                for a in Set(other.axes[index].digits.compactMap(\.axis)) {
                    (centre[a], size[a]) = (other.centre[a], other.size[a])
                }
            }
        }
        for a in tracked.intersection(other.tracked).sorted() {
            let apart = abs(centre[a] - other.centre[a])
            if apart > 1e-3 {
                note(
                    "branches that meet at '\(node)' lie \(Self.number(apart)) input voxels apart on axis \(a); the finer one counts"
                )
            }
            size[a] = max(size[a], other.size[a] + 2 * apart)
        }
        for index in axes.indices where !axes[index].isBlank && !other.axes[index].isBlank {
            let same =
                axes[index].digits.count == other.axes[index].digits.count
                && zip(axes[index].digits, other.axes[index].digits).allSatisfy {
                    $0.axis == $1.axis && (abs($0.jump - $1.jump) < 1e-6 || $0.extent == 1)
                }
            if !same {
                note("branches that meet at '\(node)' run differently along axis \(index); the finer one counts")
            }
        }
        whole.formUnion(other.whole)
        for text in other.notes { note(text) }
    }

    /// "7.5", "16": no more digits than needed.
    static func number(_ value: Double) -> String {
        value == value.rounded() ? "\(Int(value))" : "\((value * 1000).rounded() / 1000)"
    }
}

/// What is known of a tensor's place.
enum Placing: Sendable {
    /// It does not depend on the input: weights, shapes, other inputs.
    case free
    case placed(Trace)
    case lost(String)

    var trace: Trace? { if case .placed(let trace) = self { trace } else { nil } }
}
