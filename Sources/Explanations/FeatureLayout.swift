import Networks
import Tensors

/// How a layer's tensor becomes a feature map `[1, channels, spatial…]`, whatever its own layout: channels first, channels
/// last, or tokens on one axis. Methods see only feature maps.
public struct FeatureLayout: Sendable {
    /// The tensor's own shape.
    public let shape: [Int]
    public let channels: Int
    /// Extents along the spatial axes of the network's input, in their order. An axis that the layer has pooled away has
    /// extent 1.
    public let spatial: [Int]
    /// Input voxels from one place to the next, along each spatial axis; for a pooled axis the input's extent.
    public let jump: [Double]
    /// Input index of the first place, along each spatial axis.
    public let centre: [Double]
    private let channelStride: Int
    private let spatialStrides: [Int]
    private let offset: Int
    private let isFeatureMapAlready: Bool

    /// - Parameters:
    ///   - field: where the layer's places lie.
    ///   - inputSpatialAxes: the spatial axes of the input's tensor, in order.
    ///   - inputShape: the input's shape.
    public init(_ field: ReceptiveField, inputSpatialAxes: [Int], inputShape: [Int]) {
        shape = field.shape
        let strides = shape.rowMajorStrides
        channels = field.channelAxis.map { field.shape[$0] } ?? 1
        channelStride = field.channelAxis.map { strides[$0] } ?? 0
        var spatial: [Int] = []
        var jump: [Double] = []
        var centre: [Double] = []
        var spatialStrides: [Int] = []
        // Tokens are one axis that runs over the grid row by row: a stride for each of the grid's axes.
        var tokenStrides: [Int: Int] = [:]
        if let tokens = field.tokens {
            var running = strides[tokens.axis]
            for axis in field.axes.reversed() where axis.tapAxis == tokens.axis {
                tokenStrides[axis.inputAxis] = running
                running *= axis.extent
            }
        }
        for inputAxis in inputSpatialAxes {
            if let axis = field.axes.first(where: { $0.inputAxis == inputAxis }) {
                spatial.append(axis.extent)
                jump.append(axis.jump)
                centre.append(axis.centre)
                spatialStrides.append(tokenStrides[inputAxis] ?? strides[axis.tapAxis])
            } else {
                let extent = Double(inputShape[inputAxis])
                spatial.append(1)
                jump.append(extent)
                centre.append((extent - 1) / 2)
                spatialStrides.append(0)
            }
        }
        self.spatial = spatial
        self.jump = jump
        self.centre = centre
        self.spatialStrides = spatialStrides
        offset = field.tokens.map { $0.first * strides[$0.axis] } ?? 0
        isFeatureMapAlready = shape == [1, channels] + spatial && offset == 0
    }

    /// `tensor` as `[1, channels, spatial…]`.
    public func featureMap(_ tensor: Tensor<Float>) -> Tensor<Float> {
        precondition(tensor.shape == shape, "a tensor \(tensor.shape) under a layout for \(shape)")
        if isFeatureMapAlready { return tensor }
        return Tensor(shape: [1, channels] + spatial) { result in
            tensor.withUnsafeBuffer { values in forEachPlace { result[$0] = values[$1] } }
        }
    }

    /// `tensor` with the places of `map` written back; tokens without a place keep their values.
    public func replacing(_ tensor: Tensor<Float>, by map: Tensor<Float>) -> Tensor<Float> {
        precondition(map.shape == [1, channels] + spatial, "a map \(map.shape) for [1, \(channels)] + \(spatial)")
        if isFeatureMapAlready { return map }
        var result = tensor
        result.withUnsafeMutableBuffer { result in
            map.withUnsafeBuffer { values in forEachPlace { result[$1] = values[$0] } }
        }
        return result
    }

    /// Calls `body` with the flat index in the feature map and in the tensor, for every channel and place.
    private func forEachPlace(_ body: (_ map: Int, _ tensor: Int) -> Void) {
        let size = spatial.elementCount
        var places = [Int](repeating: offset, count: size)
        let mapStrides = spatial.rowMajorStrides
        for place in 0..<size {
            for axis in spatial.indices {
                places[place] += place / mapStrides[axis] % spatial[axis] * spatialStrides[axis]
            }
        }
        for channel in 0..<channels {
            for place in 0..<size { body(channel * size + place, places[place] + channel * channelStride) }
        }
    }
}
