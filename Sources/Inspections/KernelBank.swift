import Failures
import Foundation
import Networks
import Tensors
import Workers

/// The kernels of one convolution: what it looks for, kernel by kernel.
public struct KernelBank: Sendable {
    public enum Sorting: String, Sendable, CaseIterable {
        /// As the file has them.
        case stored
        /// The largest Euclidean norm first.
        case norm
        /// Each next to the one most like it: a chain by cosine similarity that begins with the largest norm.
        case similarity
    }

    /// The node that holds them.
    public let layer: String
    /// The same as people know it: the module it was exported from, where the file tells.
    public let name: String
    public let isTransposed: Bool
    /// Number of kernels: the layer's output channels.
    public let count: Int
    /// Input channels that each kernel sees: all of them, or those of its group.
    public let channels: Int
    public let groups: Int
    /// Extents along the spatial axes, in the tensor's order.
    public let spatial: [Int]
    /// `[count, channels, spatial…]`.
    public let weights: Tensor<Float>

    /// Weights of a kernel on one channel.
    public var places: Int { spatial.elementCount }

    /// The kernels of the convolution named `layer`: a node, a module, its output tensor, or an alias such as `first-conv`.
    ///
    /// - Throws: a `Failure` that names the layers that have kernels, where this one has none.
    public init(_ network: Network, layer: String) throws {
        let tap = try network.tap(layer)
        guard let nodeName = tap.node, let node = network.nodes.first(where: { $0.name == nodeName }),
            Self.types.contains(node.type), node.inputs.count >= 2,
            case .float(let stored)? = network.constant(node.inputs[1]), stored.rank >= 3, stored.count > 0
        else { throw Self.refusal(network, layer, tap) }
        let groups = node.description.attributes.int("group") ?? 1
        let spatial = Array(stored.shape.dropFirst(2))
        let places = spatial.elementCount
        self.layer = node.name
        name = node.modulePath ?? node.name
        self.groups = groups
        self.spatial = spatial
        isTransposed = node.type == "ConvTranspose"
        guard isTransposed else {
            (count, channels, weights) = (stored.shape[0], stored.shape[1], stored)
            return
        }
        // Stored [inputs, outputs of a group, …]: an output's kernel gathers over the inputs of its group.
        let (inputs, outputs) = (stored.shape[0], stored.shape[1])
        let (count, channels) = (outputs * groups, inputs / max(1, groups))
        self.count = count
        self.channels = channels
        weights = stored.withUnsafeBuffer { source in
            Tensor(shape: [count, channels] + spatial) { target in
                for kernel in 0..<count {
                    let first = kernel / outputs * channels
                    for channel in 0..<channels {
                        let from = ((first + channel) * outputs + kernel % outputs) * places
                        let to = (kernel * channels + channel) * places
                        for place in 0..<places { target[to + place] = source[from + place] }
                    }
                }
            }
        }
    }

    private static let types: Set<String> = ["Conv", "ConvTranspose"]

    /// Names of the layers that have kernels, in the order of computation: the module where the file tells, else the node.
    public static func layers(of network: Network) -> [String] {
        network.nodes.filter { node in
            types.contains(node.type) && node.inputs.count >= 2 && network.constant(node.inputs[1]) != nil
        }.map { $0.modulePath ?? $0.name }
    }

    private static func refusal(_ network: Network, _ layer: String, _ tap: Tap) -> Failure {
        let type = tap.node.flatMap { name in network.nodes.first { $0.name == name }?.type }
        let known = layers(of: network)
        let shown = known.prefix(12).joined(separator: ", ") + (known.count > 12 ? ", …" : "")
        return Failure(
            .network, "layer '\(layer)'", expected: "a convolution with constant weights",
            found: type.map { "a node of type \($0)" } ?? "an input of the network",
            remedy: known.isEmpty
                ? "This network has no convolution; 'tomolens features' shows any layer's activations"
                : "Layers with kernels: \(shown)")
    }

    /// One kernel on one channel, row-major over ``spatial``.
    public func values(_ kernel: Int, channel: Int) -> [Float] {
        let start = (kernel * channels + channel) * places
        return weights.withUnsafeBuffer { Array($0[start..<start + places]) }
    }

    /// All weights of one kernel.
    public func values(_ kernel: Int) -> [Float] {
        let size = channels * places
        return weights.withUnsafeBuffer { Array($0[kernel * size..<(kernel + 1) * size]) }
    }

    /// At every place the Euclidean norm over the channels, row-major over ``spatial``.
    public func channelNorm(_ kernel: Int) -> [Float] {
        var sums = [Double](repeating: 0, count: places)
        for (index, value) in values(kernel).enumerated() { sums[index % places] += Double(value) * Double(value) }
        return sums.map { Float($0.squareRoot()) }
    }

    /// The Euclidean norm of each kernel.
    public var norms: [Double] {
        (0..<count).map { values($0).reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
    }

    /// Cosine of the angle between two kernels; 0 where one of them is zero.
    public func cosine(_ a: Int, _ b: Int) -> Double {
        var (product, first, second) = (0.0, 0.0, 0.0)
        for (x, y) in zip(values(a), values(b)) {
            product += Double(x) * Double(y)
            first += Double(x) * Double(x)
            second += Double(y) * Double(y)
        }
        return first > 0 && second > 0 ? product / (first * second).squareRoot() : 0
    }

    /// For each kernel the one most like it, and how much (cosine); nil where there is only one.
    public var nearest: [(kernel: Int, cosine: Double)?] {
        let matrix = cosines
        return (0..<count).map { kernel in
            (0..<count).filter { $0 != kernel }.map { (kernel: $0, cosine: matrix[kernel * count + $0]) }
                .max { $0.cosine < $1.cosine || ($0.cosine == $1.cosine && $0.kernel > $1.kernel) }
        }
    }

    /// All pairs, `count × count`.
    private var cosines: [Double] {
        let size = channels * places
        let norms = norms
        let rows = try! Workers.shared.map(count) { a -> [Double] in
            weights.withUnsafeBuffer { weights -> [Double] in
                (0...a).map { b -> Double in
                    if a == b { return 1 }
                    guard norms[a] > 0, norms[b] > 0 else { return 0 }
                    var sum = 0.0
                    for index in 0..<size {
                        sum += Double(weights[a * size + index]) * Double(weights[b * size + index])
                    }
                    return sum / (norms[a] * norms[b])
                }
            }
        }
        var matrix = [Double](repeating: 1, count: count * count)
        for (a, row) in rows.enumerated() {
            for (b, value) in row.enumerated() {
                matrix[a * count + b] = value
                matrix[b * count + a] = value
            }
        }
        return matrix
    }

    /// Kernel numbers in the order asked for; ties keep the stored order.
    public func order(_ sorting: Sorting) -> [Int] {
        let stored = Array(0..<count)
        switch sorting {
        case .stored: return stored
        case .norm:
            let norms = norms
            return stored.sorted { norms[$0] == norms[$1] ? $0 < $1 : norms[$0] > norms[$1] }
        case .similarity:
            let norms = norms
            let matrix = cosines
            var open = Set(stored)
            guard var last = stored.max(by: { norms[$0] < norms[$1] || (norms[$0] == norms[$1] && $0 > $1) })
            else { return [] }
            var chain = [last]
            open.remove(last)
            while let next = open.max(by: { a, b in
                let (x, y) = (matrix[last * count + a], matrix[last * count + b])
                return x < y || (x == y && a > b)
            }) {
                chain.append(next)
                open.remove(next)
                last = next
            }
            return chain
        }
    }

    /// A kernel's channel cut in slices along one spatial axis, each as rows of values.
    ///
    /// - Parameters:
    ///   - across: the spatial axis that runs to the right.
    ///   - down: the one that runs down; nil for one row.
    ///   - through: the one that slices follow each other on; nil for a single slice.
    public func slices(_ values: [Float], across: Int, down: Int?, through: Int?) -> [[Float]] {
        precondition(values.count == places)
        let strides = spatial.rowMajorStrides
        let (depth, depthStride) = through.map { (spatial[$0], strides[$0]) } ?? (1, 0)
        let (height, rowStride) = down.map { (spatial[$0], strides[$0]) } ?? (1, 0)
        let (width, columnStride) = (spatial[across], strides[across])
        var slices: [[Float]] = []
        for slice in 0..<depth {
            var rows: [Float] = []
            rows.reserveCapacity(width * height)
            for row in 0..<height {
                let start = slice * depthStride + row * rowStride
                for column in 0..<width { rows.append(values[start + column * columnStride]) }
            }
            slices.append(rows)
        }
        return slices
    }
}
