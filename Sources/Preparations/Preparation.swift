import Failures
import Tensors
import Volumes

/// Turns a scan into what a network wants, step by step, and keeps account of where its voxels lie.
///
///     let preparation = Preparation(
///         steps: [
///             try OrientationStep(axcodes: "RAS"), try SpacingStep(pixdim: [1.5, 1.5, 2]),
///             ScaleIntensityRangeStep(.lung), try ResizeWithPadOrCropStep(spatialSize: [96, 96, 96]),
///         ],
///         layout: try NetworkLayout(axes: "xyz"))
///     let input = try preparation.prepare(scan)
public struct Preparation: Sendable {
    public var steps: [any PreparationStep]
    public var layout: NetworkLayout

    public init(steps: [any PreparationStep] = [], layout: NetworkLayout = NetworkLayout()) {
        self.steps = steps
        self.layout = layout
    }

    /// One line a step, in order, the layout last: what a result depends on.
    public var summary: [String] { steps.map { "\($0.name): \($0.summary)" } + ["layout: \(layout)"] }

    /// The prepared volume, before it is laid out as a tensor, with a record of every step.
    ///
    /// An orientation that the layout asks for is made first, so that the parameters of the steps count along its axes, and
    /// made again at the end should a step have left it.
    ///
    /// - Throws: the step's `Failure`, with the step named.
    public func prepared(_ image: ChannelVolume) throws -> (image: ChannelVolume, records: [PreparationRecord]) {
        var image = image
        var records = [PreparationRecord(name: "scan", summary: "", image)]
        func orient() {
            guard let target = layout.orientation, Orientation(image.grid.affine) != target else { return }
            let step = OrientationStep(target)
            image = step.apply(image.take())
            records.append(PreparationRecord(name: step.name, summary: "\(step.summary), for the layout", image))
        }
        orient()
        for (index, step) in steps.enumerated() {
            do {
                image = try step.apply(image.take())
            } catch let failure as Failure {
                let named = failure.subject.hasPrefix(step.name) ? failure : failure.within(step.name)
                throw named.within("preparation step \(index + 1)")
            }
            records.append(PreparationRecord(name: step.name, summary: step.summary, image))
        }
        orient()
        return (image, records)
    }

    /// The prepared volume's first channel, with a record of every step.
    public func volume(from scan: Volume) throws -> (volume: Volume, records: [PreparationRecord]) {
        let (image, records) = try prepared(ChannelVolume(scan))
        return (image.volume(), records)
    }

    /// What a network of three spatial axes is given.
    ///
    /// - Precondition: the layout has three axes; ``prepareSlices(_:)-(ChannelVolume)`` is for two.
    public func prepare(_ image: ChannelVolume) throws -> PreparedInput {
        precondition(layout.sliceAxis == nil, "a layout of two axes gives slices")
        let (spatial, grid, records) = try laidOut(image)
        let tensor = pack(spatial.map { $0[...] }, layout.spatialShape(grid.shape))
        return PreparedInput(tensor: tensor, grid: grid, layout: layout, records: records)
    }

    public func prepare(_ volume: Volume) throws -> PreparedInput { try prepare(ChannelVolume(volume)) }

    /// What the network is given, one input after the other: the whole for three spatial axes, for two each slice along the
    /// axis that the layout leaves out, in stored order. A picture is one slice.
    ///
    /// The grid of a slice is one voxel thick; its maps, stacked in order, are a map of the volume.
    public func prepareSlices(_ image: ChannelVolume) throws -> [PreparedInput] {
        guard let sliceAxis = layout.sliceAxis else { return [try prepare(image)] }
        let (spatial, wholeGrid, records) = try laidOut(image)
        let shape = wholeGrid.shape
        let size = shape.x * shape.y * shape.z / shape[sliceAxis]
        return (0..<shape[sliceAxis]).map { slice in
            var grid = wholeGrid
            grid.shape[sliceAxis] = 1
            var start = Vector3.zero
            start[sliceAxis] = Double(slice)
            grid.affine.origin = wholeGrid.affine(start)
            let tensor = pack(spatial.map { $0[slice * size..<(slice + 1) * size] }, layout.spatialShape(shape))
            return PreparedInput(tensor: tensor, grid: grid, layout: layout, slice: slice, records: records)
        }
    }

    public func prepareSlices(_ volume: Volume) throws -> [PreparedInput] { try prepareSlices(ChannelVolume(volume)) }

    /// The prepared channels in the tensor's order; those in the volume's are gone when this returns: a large scan should not be held
    /// once more while it is packed.
    private func laidOut(
        _ image: ChannelVolume
    ) throws -> (channels: [[Float]], grid: Grid, records: [PreparationRecord]) {
        let (image, records) = try prepared(image)
        return (image.channels.map { layout.toTensor($0, shape: image.grid.shape) }, image.grid, records)
    }

    private func pack(_ channels: [ArraySlice<Float>], _ spatial: [Int]) -> Tensor<Float> {
        let count = spatial.elementCount
        let isLast = layout.isChannelsLast
        let shape = isLast ? [1] + spatial + [channels.count] : [1, channels.count] + spatial
        return Tensor(shape: shape) { out in
            for (channel, voxels) in channels.enumerated() {
                voxels.withUnsafeBufferPointer { voxels in
                    if isLast {
                        for index in 0..<count { out[index * channels.count + channel] = voxels[index] }
                    } else {
                        (out.baseAddress! + channel * count).initialize(from: voxels.baseAddress!, count: count)
                    }
                }
            }
        }
    }
}
