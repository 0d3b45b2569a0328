import Failures
import Workers

/// Up to four tensors read together under NumPy's broadcasting rule: axes are aligned from the back, and an extent of 1
/// (or a missing axis) repeats.
struct Broadcast {
    /// The shape of the result.
    let shape: [Int]
    /// Merged axes, outermost first; the innermost has stride 0 or 1 in every operand.
    private let extents: [Int]
    private let strides: [SIMD4<Int>]

    init(_ values: [Value], _ node: NodeDescription) throws {
        guard let shape = Broadcast.shape(values.map(\.shape)) else {
            throw node.mismatch("shapes that broadcast to one", values)
        }
        self.init(values.map(\.shape), to: try node.possible(shape))
    }

    /// - Precondition: every one of `shapes` broadcasts to `shape`.
    init(_ shapes: [[Int]], to shape: [Int]) {
        precondition(shapes.count <= 4)
        self.shape = shape
        var extents: [Int] = []
        var strides: [SIMD4<Int>] = []
        let operands = shapes.map { StridedView($0).expanded(to: shape).strides }
        for axis in shape.indices where shape[axis] != 1 {
            var stride = SIMD4<Int>.zero
            for (operand, own) in operands.enumerated() { stride[operand] = own[axis] }
            if let last = strides.last, last == stride &* SIMD4(repeating: shape[axis]) {
                extents[extents.count - 1] *= shape[axis]
                strides[strides.count - 1] = stride
            } else {
                extents.append(shape[axis])
                strides.append(stride)
            }
        }
        self.extents = extents
        self.strides = strides
    }

    /// The common shape, or nil where there is none.
    static func shape(_ shapes: [[Int]]) -> [Int]? {
        var result: [Int] = []
        for shape in shapes {
            if shape.count > result.count {
                result.insert(contentsOf: repeatElement(1, count: shape.count - result.count), at: 0)
            }
            for (axis, extent) in zip(result.indices.suffix(shape.count), shape) where extent != 1 {
                if result[axis] == 1 { result[axis] = extent }
                if result[axis] != extent { return nil }
            }
        }
        return result
    }

    /// Calls `body` for runs of the result that together cover it: where the run starts in the result, its length, where it
    /// starts in each operand, and each operand's step (0 or 1) along it.
    @inline(__always)
    func forEachRun(_ body: (_ output: Int, _ count: Int, _ starts: SIMD4<Int>, _ steps: SIMD4<Int>) -> Void) {
        let total = shape.elementCount
        if total == 0 { return }
        let length = extents.last ?? 1
        let steps = strides.last ?? .zero
        let grain = 1 << 15
        let pieces = (length + grain - 1) / grain
        let rows = total / length
        let outer = Array(zip(extents, strides).dropLast().reversed())
        Workers.shared.forEachRange(rows * pieces, grain: max(1, grain / length)) { range in
            for index in range {
                let row = index / pieces
                let first = index % pieces * grain
                var starts = steps &* SIMD4(repeating: first)
                var rest = row
                for (extent, stride) in outer {
                    starts &+= stride &* SIMD4(repeating: rest % extent)
                    rest /= extent
                }
                body(row * length + first, min(grain, length - first), starts, steps)
            }
        }
    }

    /// result = f(a, b), element by element.
    @inline(__always)
    func map<A, B, Result>(_ a: Tensor<A>, _ b: Tensor<B>, _ f: (A, B) -> Result) -> Tensor<Result> {
        Tensor(shape: shape) { result in
            a.withUnsafeBuffer { a in
                b.withUnsafeBuffer { b in
                    forEachRun { output, count, starts, steps in
                        let y = result.baseAddress! + output
                        let a = a.baseAddress! + starts[0]
                        let b = b.baseAddress! + starts[1]
                        switch (steps[0], steps[1]) {
                        case (0, 0): y.initialize(repeating: f(a[0], b[0]), count: count)
                        case (0, _):
                            let left = a[0]
                            for i in 0..<count { y[i] = f(left, b[i]) }
                        case (_, 0):
                            let right = b[0]
                            for i in 0..<count { y[i] = f(a[i], right) }
                        default:
                            for i in 0..<count { y[i] = f(a[i], b[i]) }
                        }
                    }
                }
            }
        }
    }

    /// result = f(a, b, c), element by element.
    @inline(__always)
    func map<A, B, C, Result>(
        _ a: Tensor<A>, _ b: Tensor<B>, _ c: Tensor<C>, _ f: (A, B, C) -> Result
    ) -> Tensor<Result> {
        Tensor(shape: shape) { result in
            a.withUnsafeBuffer { a in
                b.withUnsafeBuffer { b in
                    c.withUnsafeBuffer { c in
                        forEachRun { output, count, starts, steps in
                            let y = result.baseAddress! + output
                            let a = a.baseAddress! + starts[0]
                            let b = b.baseAddress! + starts[1]
                            let c = c.baseAddress! + starts[2]
                            // The usual patterns apart, so that each is a loop that can be vectorized.
                            switch (steps[0], steps[1], steps[2]) {
                            case (1, 1, 1): for i in 0..<count { y[i] = f(a[i], b[i], c[i]) }
                            case (1, 1, 0):
                                let third = c[0]
                                for i in 0..<count { y[i] = f(a[i], b[i], third) }
                            case (1, 0, 1):
                                let second = b[0]
                                for i in 0..<count { y[i] = f(a[i], second, c[i]) }
                            case (1, 0, 0):
                                let (second, third) = (b[0], c[0])
                                for i in 0..<count { y[i] = f(a[i], second, third) }
                            default:
                                let (p, q, r) = (steps[0], steps[1], steps[2])
                                for i in 0..<count { y[i] = f(a[i * p], b[i * q], c[i * r]) }
                            }
                        }
                    }
                }
            }
        }
    }
}

extension Tensor {
    /// f of every element.
    @inline(__always)
    func map<Result>(_ f: (Scalar) -> Result) -> Tensor<Result> {
        Tensor<Result>(shape: shape) { result in
            withUnsafeBuffer { x in
                guard let x = x.baseAddress, let y = result.baseAddress else { return }
                Workers.shared.forEachRange(count, grain: 1 << 15) { range in
                    for i in range { y[i] = f(x[i]) }
                }
            }
        }
    }

    /// f of the elements of tensors of one shape.
    @inline(__always)
    func map<Other, Result>(_ other: Tensor<Other>, _ f: (Scalar, Other) -> Result) -> Tensor<Result> {
        Broadcast([shape, other.shape], to: shape).map(self, other, f)
    }

    /// f of the elements of tensors of one shape.
    @inline(__always)
    func map<B, C, Result>(_ b: Tensor<B>, _ c: Tensor<C>, _ f: (Scalar, B, C) -> Result) -> Tensor<Result> {
        Broadcast([shape, b.shape, c.shape], to: shape).map(self, b, c, f)
    }
}
