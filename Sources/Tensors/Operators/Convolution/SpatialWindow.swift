import CKernels
import Failures

/// A sliding window over the spatial axes of a tensor, resolved for given extents.
///
/// Output `o` and kernel index `k` of one axis meet input `o * stride + k * dilation - padBegin`. Always three axes
/// (depth, height, width): with fewer, the leading ones have extent 1.
struct SpatialWindow: Hashable, Sendable {
    /// Spatial axes of the tensors themselves: 1, 2 or 3.
    var rank: Int
    var input: SIMD3<Int>
    var output: SIMD3<Int>
    var kernel: SIMD3<Int>
    var stride: SIMD3<Int>
    var dilation: SIMD3<Int>
    var padBegin: SIMD3<Int>
    var padEnd: SIMD3<Int>

    /// The output extents over the tensor's own spatial axes.
    var outputShape: [Int] { (3 - rank..<3).map { output[$0] } }

    /// Input positions from the first tap to the last, both counted.
    var reach: SIMD3<Int> { (kernel &- 1) &* dilation &+ 1 }

    var inputCount: Int { input.product }
    var outputCount: Int { output.product }

    /// As the C kernels take it.
    var description: tomo_window {
        var window = tomo_window()
        window.input = input.tuple
        window.output = output.tuple
        window.kernel = kernel.tuple
        window.stride = stride.tuple
        window.dilation = dilation.tuple
        window.pad_begin = padBegin.tuple
        window.pad_end = padEnd.tuple
        return window
    }
}

extension SIMD3<Int> {
    var product: Int { self[0] * self[1] * self[2] }
    var tuple: (Int64, Int64, Int64) { (Int64(self[0]), Int64(self[1]), Int64(self[2])) }

    /// Extents of one to three axes, led by `filler` where there are fewer than three.
    init(lifting values: [Int], filler: Int = 1) {
        self.init(repeating: filler)
        for (index, value) in values.enumerated() { self[3 - values.count + index] = value }
    }
}

/// The attributes that Conv, ConvTranspose and the pools share, checked as far as they can be without extents.
struct WindowAttributes: Sendable {
    enum Padding: String, CaseIterable, Sendable {
        case explicit = "NOTSET"
        case valid = "VALID"
        case sameUpper = "SAME_UPPER"
        case sameLower = "SAME_LOWER"
    }

    let node: NodeDescription
    let kernel: [Int]?
    let strides: [Int]?
    let dilations: [Int]?
    private(set) var pads: [Int]?
    private(set) var padding: Padding
    private(set) var ceilMode: Bool

    /// No real network comes near; keeps every product of an extent and a stride far from overflow.
    static let largestExtent = 1 << 30

    init(_ node: NodeDescription) throws {
        self.node = node
        kernel = try node.extents("kernel_shape", atLeast: 1)
        strides = try node.extents("strides", atLeast: 1)
        dilations = try node.extents("dilations", atLeast: 1)
        pads = try node.extents("pads", atLeast: 0)
        padding = try node.choice("auto_pad", default: .explicit)
        ceilMode = try node.flag("ceil_mode", default: false)
    }

    /// The spatial extents of an input `[batch, channels, spatial…]`.
    func spatialExtents(of shape: [Int]) throws -> [Int] {
        guard (3...5).contains(shape.count) else {
            throw node.failure(
                expected: "an input [batch, channels, spatial…] with one to three spatial axes", found: "shape \(shape)"
            )
        }
        guard shape.allSatisfy({ $0 >= 0 && $0 <= Self.largestExtent }), shape[1] > 0 else {
            throw node.failure(expected: "extents of 1 to \(Self.largestExtent)", found: "shape \(shape)")
        }
        return Array(shape[2...])
    }

    /// The values of one attribute on every spatial axis, lifted to three.
    func lifted(_ name: String, _ values: [Int]?, rank: Int, fallback: Int) throws -> SIMD3<Int> {
        guard let values else { return SIMD3(repeating: fallback) }
        guard values.count == rank else {
            throw node.failure(expected: "\(name) with \(rank) values", found: "\(values)")
        }
        return SIMD3(lifting: values, filler: fallback)
    }

    /// Explicit pads, begin and end, lifted to three axes; zeros where the attribute is absent.
    func liftedPads(rank: Int) throws -> (begin: SIMD3<Int>, end: SIMD3<Int>) {
        guard let pads else { return (.zero, .zero) }
        guard pads.count == 2 * rank else {
            throw node.failure(expected: "pads with \(2 * rank) values", found: "\(pads)")
        }
        return (
            SIMD3(lifting: Array(pads[..<rank]), filler: 0), SIMD3(lifting: Array(pads[rank...]), filler: 0)
        )
    }

    /// The window of a convolution or pool over an input of these spatial extents.
    ///
    /// Output extents follow the ONNX specification; with `ceil_mode` a last window that would begin beyond the input
    /// and its leading padding is dropped, as PyTorch and onnxruntime do.
    func window(over spatial: [Int], kernel kernelShape: [Int]) throws -> SpatialWindow {
        let rank = spatial.count
        let kernel = try lifted("kernel_shape", kernelShape, rank: rank, fallback: 1)
        let stride = try lifted("strides", strides, rank: rank, fallback: 1)
        let dilation = try lifted("dilations", dilations, rank: rank, fallback: 1)
        var (begin, end) = try liftedPads(rank: rank)
        let input = SIMD3(lifting: spatial)
        var output = SIMD3<Int>(repeating: 1)
        for axis in 0..<3 {
            let reach = (kernel[axis] - 1) * dilation[axis] + 1
            switch padding {
            case .explicit: break
            case .valid: (begin[axis], end[axis]) = (0, 0)
            case .sameUpper, .sameLower:
                let extent = (input[axis] + stride[axis] - 1) / stride[axis]
                let total = max(0, (extent - 1) * stride[axis] + reach - input[axis])
                begin[axis] = padding == .sameUpper ? total / 2 : total - total / 2
                end[axis] = total - begin[axis]
            }
            let room = input[axis] + begin[axis] + end[axis] - reach
            guard room >= 0, input[axis] > 0 else {
                throw node.failure(
                    expected: "a kernel (\(reach) with its dilation) no larger than the padded input",
                    found: "spatial extents \(spatial) padded by \(pads ?? [])",
                    remedy: "Give the network a larger input")
            }
            output[axis] = room / stride[axis] + 1
            if ceilMode, room % stride[axis] != 0, output[axis] * stride[axis] < input[axis] + begin[axis] {
                output[axis] += 1
            }
        }
        return SpatialWindow(
            rank: rank, input: input, output: output, kernel: kernel, stride: stride, dilation: dilation,
            padBegin: begin, padEnd: end)
    }
}

extension WindowAttributes {
    /// What a box of outputs reads of the input, and the attributes that give just these outputs from just that box; nil where they
    /// read padding only.
    func part(
        _ outputs: Box, over spatial: [Int], kernel: [Int]
    ) throws -> (box: Box, attributes: WindowAttributes)? {
        let whole = try window(over: spatial, kernel: kernel)
        let first = 3 - whole.rank
        var begin = whole.padBegin
        var end = whole.padEnd
        var ranges: [Range<Int>] = []
        for (axis, wanted) in zip(first..<3, outputs.ranges) {
            let low = wanted.lowerBound * whole.stride[axis] - whole.padBegin[axis]
            let high = (wanted.upperBound - 1) * whole.stride[axis] - whole.padBegin[axis] + whole.reach[axis]
            if wanted == 0..<whole.output[axis] {
                // What the last window doesn't reach is given all the same: an axis that isn't cut need not be copied.
                end[axis] = max(end[axis], high - whole.input[axis])
                ranges.append(0..<whole.input[axis])
                continue
            }
            let read = max(0, low)..<max(0, low, min(whole.input[axis], high))
            guard !read.isEmpty else { return nil }
            begin[axis] = read.lowerBound - low
            end[axis] = high - read.upperBound
            ranges.append(read)
        }
        var attributes = self
        attributes.pads = (first..<3).map { begin[$0] } + (first..<3).map { end[$0] }
        attributes.padding = .explicit
        attributes.ceilMode = false
        return (Box(ranges), attributes)
    }
}

extension NodeDescription {
    /// A list of extents from `atLeast` up, or nil where the attribute is absent.
    func extents(_ name: String, atLeast least: Int) throws -> [Int]? {
        guard let values = try ints(name) else { return nil }
        guard values.allSatisfy({ $0 >= least && $0 <= WindowAttributes.largestExtent }) else {
            throw failure(expected: "\(name) from \(least) to \(WindowAttributes.largestExtent)", found: "\(values)")
        }
        return values
    }
}
