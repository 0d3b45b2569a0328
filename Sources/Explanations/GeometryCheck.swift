import Failures
import Networks
import Preparations
import Tensors
import Volumes

/// Proves for one network where its heat lies.
///
/// Tap voxels are pulled back to the input. The gradient they leave there has a centroid; the receptive field's arithmetic
/// predicts it as `centre + index · jump`. The difference, averaged over positions, is the bias of the map on that axis, in
/// input voxels. Rectifiers and maximum pooling let each gradient through where the input's values have it: single centroids
/// scatter, and only their mean over positions and inputs shows a bias. Inputs come in pairs, the second the mirror image of the
/// first and asked at the mirrored positions, so that what the input does cancels. Beside it stands the bias of the two habits
/// of other tools: corner-aligned zoom and half-pixel (`align_corners=False`) interpolation.
public struct GeometryCheck: Sendable {
    /// One tensor axis of one tap.
    public struct AxisError: Sendable {
        public let inputAxis: Int
        public let jump: Double
        public let centre: Double
        public let fieldSize: Double
        /// Mean of (centroid − predicted), in input voxels.
        public let bias: Double
        /// Mean of |centroid − predicted| over single positions.
        public let meanError: Double
        /// The same mean for corner-aligned and half-pixel upsampling.
        public let cornerAlignedError: Double
        public let halfPixelError: Double
        /// Those conventions' bias.
        public let cornerAlignedBias: Double
        public let halfPixelBias: Double
    }

    public struct TapReport: Sendable {
        public let tap: String
        public let shape: [Int]
        public let positions: Int
        /// True when no tested position has its whole receptive field inside the input, so that centroids are truncated
        /// by the border; positions then come in pairs that mirror each other about the input's middle.
        public let isTruncated: Bool
        public let axes: [AxisError]
        public var worstBias: Double { axes.map { abs($0.bias) }.max() ?? 0 }
    }

    public let network: Network
    public let inputName: String
    /// Tap voxels pulled back on each input.
    public let positions: Int
    /// Noise inputs, where no scan is given.
    public let draws: Int
    public let seed: UInt64

    public init(network: Network, inputName: String, positions: Int = 12, draws: Int = 8, seed: UInt64 = 1) {
        self.network = network
        self.inputName = inputName
        self.positions = max(2, positions)
        self.draws = max(1, draws)
        self.seed = seed
    }

    /// Checks `tap` on the network's inputs, a scan's for example, and on their mirror image.
    public func check(tap: String, inputs: [String: Value]) throws -> TapReport {
        let axes = try network.layout(of: inputName, inputShapes: inputs.mapValues(\.shape)).spatial
        return try check(tap: tap, draws: 2) { draw in
            guard draw == 1, case .float(let tensor)? = inputs[inputName] else { return inputs }
            return inputs.merging([inputName: .float(Self.mirrored(tensor, axes))]) { $1 }
        }
    }

    /// The tensor read backwards along some axes.
    static func mirrored(_ tensor: Tensor<Float>, _ axes: [Int]) -> Tensor<Float> {
        let (shape, strides) = (tensor.shape, tensor.shape.rowMajorStrides)
        return tensor.withUnsafeBuffer { source in
            Tensor(shape: shape) { target in
                for index in target.indices {
                    var from = index
                    for axis in axes {
                        let place = index / strides[axis] % shape[axis]
                        from += (shape[axis] - 1 - 2 * place) * strides[axis]
                    }
                    target[index] = source[from]
                }
            }
        }
    }

    /// Checks `tap` on uniform noise in 0…1 of `shape`; the network's other inputs as given.
    public func check(tap: String, noiseOfShape shape: [Int], otherInputs: [String: Value] = [:]) throws -> TapReport {
        try check(tap: tap, draws: draws) { draw in
            var random = RandomSource(seed: seed &+ UInt64(draw / 2) &* 7919)
            var inputs = otherInputs
            inputs[inputName] = .float(
                Tensor(shape: shape) { values in
                    // Reversed as a whole: mirrored on every axis, and exact for a single channel.
                    for index in values.indices {
                        values[draw % 2 == 0 ? index : values.count - 1 - index] = Float(random.uniform())
                    }
                })
            return inputs
        }
    }

    private func check(tap: String, draws: Int, _ draw: (Int) throws -> [String: Value]) throws -> TapReport {
        let inputs = try draw(0)
        let inputShapes = inputs.mapValues(\.shape)
        let field = try network.receptiveField(of: tap, input: inputName, inputShapes: inputShapes)
        let spatialAxes = try network.layout(of: inputName, inputShapes: inputShapes).spatial
        guard let inputShape = inputShapes[inputName], !field.axes.isEmpty else {
            throw Failure(.network, "tap '\(tap)'", expected: "a layer with spatial extent", found: "\(field.shape)")
        }
        let layout = FeatureLayout(field, inputSpatialAxes: spatialAxes, inputShape: inputShape)
        let inputLayout = FeatureLayout(
            try network.receptiveField(of: inputName, input: inputName, inputShapes: inputShapes),
            inputSpatialAxes: spatialAxes, inputShape: inputShape)
        let zeros = Tensor<Float>(shape: field.shape, repeating: 0)
        let shape = layout.spatial
        let extents = inputLayout.spatial
        let sizes = spatialAxes.map { axis in
            field.axes.first { $0.inputAxis == axis }?.size ?? Double(inputShape[axis])
        }
        let candidates = shape.indices.map { axis in
            inside(
                count: shape[axis], jump: layout.jump[axis], centre: layout.centre[axis], size: sizes[axis],
                extent: extents[axis])
        }

        var random = RandomSource(seed: seed)
        let truncated = candidates.contains { $0.truncated }
        var errors = [[Double]](repeating: [], count: shape.count)
        var corner = errors
        var half = errors
        var used = 0
        var before = random
        for number in 0..<draws {
            // The same positions for both of a pair.
            if number % 2 == 0 { before = random } else { random = before }
            let recording = try network.record(
                inputs: number == 0 ? inputs : try draw(number), targets: [tap], taps: [inputName])
            for _ in 0..<positions {
                let drawn = candidates.map { candidate in
                    let choice = Int(random.uniform() * Double(candidate.indices.count))
                    return candidate.indices[number % 2 == 0 ? choice : candidate.indices.count - 1 - choice]
                }
                // Where borders truncate, the mirrored position cancels what the border does to the centroid.
                let mirrored = zip(drawn, shape).map { $1 - 1 - $0 }
                for place in truncated ? [drawn, mirrored] : [drawn] {
                    let seed = layout.replacing(
                        zeros, by: Self.ones(at: place, channels: layout.channels, spatial: shape))
                    let pulled = try recording.pullback(seeds: [tap: seed], to: [inputName])
                    guard let centroid = Self.centroid(inputLayout.featureMap(pulled[inputName]!)) else { continue }
                    used += 1
                    for axis in shape.indices {
                        let (index, count) = (Double(place[axis]), Double(shape[axis]))
                        let extent = Double(extents[axis])
                        errors[axis].append(centroid[axis] - (layout.centre[axis] + index * layout.jump[axis]))
                        half[axis].append(centroid[axis] - ((index + 0.5) * extent / count - 0.5))
                        corner[axis].append(
                            centroid[axis] - (count > 1 ? index * (extent - 1) / (count - 1) : (extent - 1) / 2))
                    }
                }
            }
        }
        guard used > 0 else {
            throw Failure(
                .check, "tap '\(tap)'", expected: "a gradient that reaches the input", found: "zero everywhere",
                remedy: "A saturated or dead layer stands between; try another tap or a real scan as input.")
        }
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }
        return TapReport(
            tap: tap, shape: field.shape, positions: used, isTruncated: truncated,
            axes: shape.indices.map { axis in
                AxisError(
                    inputAxis: spatialAxes[axis], jump: layout.jump[axis], centre: layout.centre[axis],
                    fieldSize: sizes[axis], bias: mean(errors[axis]), meanError: mean(errors[axis].map(abs)),
                    cornerAlignedError: mean(corner[axis].map(abs)), halfPixelError: mean(half[axis].map(abs)),
                    cornerAlignedBias: mean(corner[axis]), halfPixelBias: mean(half[axis]))
            })
    }

    /// Tap indices whose whole receptive field lies inside the input; where there are none, the middle half of the axis.
    private func inside(
        count: Int, jump: Double, centre: Double, size: Double, extent: Int
    ) -> (indices: [Int], truncated: Bool) {
        let reach = (size - 1) / 2
        let whole = (0..<count).filter {
            let place = centre + Double($0) * jump
            return place - reach >= 0 && place + reach <= Double(extent - 1)
        }
        if !whole.isEmpty { return (whole, false) }
        return (Array(count / 4..<max(count / 4 + 1, count - count / 4)), true)
    }

    /// A feature map that is one in every channel at one place.
    private static func ones(at place: [Int], channels: Int, spatial: [Int]) -> Tensor<Float> {
        let size = spatial.elementCount
        let flat = zip(place, spatial).reduce(0) { $0 * $1.1 + $1.0 }
        var map = Tensor<Float>(shape: [1, channels] + spatial, repeating: 0)
        map.withUnsafeMutableBuffer { values in for channel in 0..<channels { values[channel * size + flat] = 1 } }
        return map
    }

    /// Centroid of |gradient| along each spatial axis of a feature map; nil for a zero gradient.
    private static func centroid(_ map: Tensor<Float>) -> [Double]? {
        let shape = map.shape
        let strides = shape.rowMajorStrides
        var moments = [Double](repeating: 0, count: shape.count - 2)
        var total = 0.0
        map.withUnsafeBuffer { values in
            for index in values.indices where values[index] != 0 {
                let weight = Double(abs(values[index]))
                total += weight
                for axis in moments.indices {
                    moments[axis] += weight * Double(index / strides[axis + 2] % shape[axis + 2])
                }
            }
        }
        return total > 0 ? moments.map { $0 / total } : nil
    }
}
