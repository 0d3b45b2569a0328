import Failures
import Volumes

/// What stands in voxels that a pad adds.
public enum Fill: Sendable, Hashable, CustomStringConvertible {
    /// MONAI's mode `constant`.
    case constant(Float)
    /// MONAI's modes `edge` and `replicate`: the nearest voxel goes on.
    case edge

    public var description: String {
        switch self {
        case .constant(let value): "constant \(value)"
        case .edge: "edge"
        }
    }
}

/// On which sides a pad adds voxels.
public enum PadMethod: String, Sendable, CaseIterable {
    /// Half on each side, the odd one behind.
    case symmetric
    case end
}

extension ChannelVolume {
    /// The box from index `start` (which may be negative) with extents `shape` (which may reach beyond the image); what the
    /// image does not have is filled. Every voxel keeps its place in the world.
    func framed(start: Index3, shape: Index3, fill: Fill) -> ChannelVolume {
        if start == Index3(0, 0, 0), shape == grid.shape { return self }
        var affine = grid.affine
        affine.origin = affine(Vector3(Double(start.x), Double(start.y), Double(start.z)))
        let source = grid.shape
        return moved(to: Grid(shape: shape, affine: affine)) { voxels in
            var out: [Float] = []
            out.reserveCapacity(shape.x * shape.y * shape.z)
            // The part of a row that the image has.
            let from = min(max(start.x, 0), source.x)
            let to = max(from, min(start.x + shape.x, source.x))
            let before = min(max(0, -start.x), shape.x)
            let after = shape.x - before - (to - from)
            for k in start.z..<start.z + shape.z {
                for j in start.y..<start.y + shape.y {
                    switch fill {
                    case .constant(let value):
                        guard (0..<source.y).contains(j), (0..<source.z).contains(k), to > from else {
                            out.append(contentsOf: repeatElement(value, count: shape.x))
                            continue
                        }
                        let row = source.x * (j + source.y * k)
                        out.append(contentsOf: repeatElement(value, count: before))
                        out.append(contentsOf: voxels[row + from..<row + to])
                        out.append(contentsOf: repeatElement(value, count: after))
                    case .edge:
                        let row = source.x * (min(max(j, 0), source.y - 1) + source.y * min(max(k, 0), source.z - 1))
                        out.append(contentsOf: repeatElement(voxels[row], count: before))
                        out.append(contentsOf: voxels[row + from..<row + to])
                        out.append(contentsOf: repeatElement(voxels[row + source.x - 1], count: after))
                    }
                }
            }
            return out
        }
    }

    func padded(to size: Index3, method: PadMethod, fill: Fill) -> ChannelVolume {
        let shape = pointwiseMax(size, grid.shape)
        let before = method == .symmetric ? (shape &- grid.shape) / 2 : Index3(0, 0, 0)
        return framed(start: Index3(0, 0, 0) &- before, shape: shape, fill: fill)
    }

    func croppedAtCentre(to size: Index3) -> ChannelVolume {
        let start = pointwiseMax(grid.shape / 2 &- size / 2, Index3(0, 0, 0))
        let end = pointwiseMin(start &+ size, grid.shape)
        return framed(start: start, shape: end &- start, fill: .constant(0))
    }
}

/// MONAI's `CenterSpatialCrop`. An axis shorter than asked for stays as it is.
public struct CenterSpatialCropStep: PreparationStep {
    public let roiSize: Index3
    public let name = "CenterSpatialCrop"
    public var summary: String { "roi_size \(Parameter.text(roiSize))" }

    /// - Parameter roiSize: One number for all axes or one for each; zero or less keeps the scan's extent.
    public init(roiSize: [Int]) throws { self.roiSize = try Parameter.sizes(roiSize, "roi_size") }

    public func apply(_ image: ChannelVolume) -> ChannelVolume {
        image.croppedAtCentre(to: Parameter.filled(roiSize, from: image.grid.shape))
    }
}

/// MONAI's `SpatialPad`. An axis longer than asked for stays as it is.
public struct SpatialPadStep: PreparationStep {
    public let spatialSize: Index3
    public let method: PadMethod
    public let fill: Fill
    public let name = "SpatialPad"
    public var summary: String { "spatial_size \(Parameter.text(spatialSize)), \(method), \(fill)" }

    /// - Parameter spatialSize: One number for all axes or one for each; zero or less keeps the scan's extent.
    public init(spatialSize: [Int], method: PadMethod = .symmetric, fill: Fill = .constant(0)) throws {
        self.spatialSize = try Parameter.sizes(spatialSize, "spatial_size")
        self.method = method
        self.fill = fill
    }

    public func apply(_ image: ChannelVolume) throws -> ChannelVolume {
        try Parameter.check(pointwiseMax(spatialSize, image.grid.shape), step: name)
        return image.padded(to: Parameter.filled(spatialSize, from: image.grid.shape), method: method, fill: fill)
    }
}

/// MONAI's `DivisiblePad`: the next multiple of `k` along each axis.
public struct DivisiblePadStep: PreparationStep {
    public let k: Index3
    public let method: PadMethod
    public let fill: Fill
    public let name = "DivisiblePad"
    public var summary: String { "k \(Parameter.text(k)), \(method), \(fill)" }

    /// - Parameter k: One number for all axes or one for each; zero or less leaves an axis alone.
    public init(k: [Int], method: PadMethod = .symmetric, fill: Fill = .constant(0)) throws {
        self.k = try Parameter.sizes(k, "k")
        self.method = method
        self.fill = fill
    }

    public func apply(_ image: ChannelVolume) -> ChannelVolume {
        image.padded(to: image.grid.shape.roundedUp(toMultiplesOf: k), method: method, fill: fill)
    }
}

/// MONAI's `ResizeWithPadOrCrop`: a given shape by cropping at the centre what is too long and padding what is too short.
public struct ResizeWithPadOrCropStep: PreparationStep {
    public let spatialSize: Index3
    public let method: PadMethod
    public let fill: Fill
    public let name = "ResizeWithPadOrCrop"
    public var summary: String { "spatial_size \(Parameter.text(spatialSize)), \(method), \(fill)" }

    /// - Parameter spatialSize: One number for all axes or one for each; zero or less keeps the scan's extent.
    public init(spatialSize: [Int], method: PadMethod = .symmetric, fill: Fill = .constant(0)) throws {
        self.spatialSize = try Parameter.sizes(spatialSize, "spatial_size")
        self.method = method
        self.fill = fill
    }

    public func apply(_ image: ChannelVolume) throws -> ChannelVolume {
        let size = Parameter.filled(spatialSize, from: image.grid.shape)
        try Parameter.check(size, step: name)
        return image.croppedAtCentre(to: size).padded(to: size, method: method, fill: fill)
    }
}

/// MONAI's `CropForeground`: the box around all voxels above a threshold (MONAI's default `select_fn`: above 0).
public struct CropForegroundStep: PreparationStep {
    public let threshold: Float
    /// Only these channels are looked at; all of them when nil.
    public let channelIndices: [Int]?
    public let margin: Index3
    /// Let the margin end at the image's edge instead of padding beyond it.
    public let allowSmaller: Bool
    public let kDivisible: Index3
    public let fill: Fill
    public let name = "CropForeground"
    public var summary: String {
        "above \(threshold), margin \(Parameter.text(margin)), k_divisible \(Parameter.text(kDivisible)), "
            + "\(allowSmaller ? "allow_smaller" : "\(fill)")"
    }

    public init(
        threshold: Float = 0, channelIndices: [Int]? = nil, margin: [Int] = [0], allowSmaller: Bool = false,
        kDivisible: [Int] = [1], fill: Fill = .constant(0)
    ) throws {
        self.threshold = threshold
        self.channelIndices = channelIndices
        self.margin = try Parameter.sizes(margin, "margin")
        if let bad = margin.first(where: { $0 < 0 }) {
            throw Failure(.pipeline, "margin", expected: "zero or more voxels", found: "\(bad)")
        }
        self.allowSmaller = allowSmaller
        self.kDivisible = try Parameter.sizes(kDivisible, "k_divisible")
        self.fill = fill
    }

    public func apply(_ image: ChannelVolume) throws -> ChannelVolume {
        let indices = channelIndices ?? Array(image.channels.indices)
        guard indices.allSatisfy(image.channels.indices.contains) else {
            throw Failure(
                .pipeline, "channel_indices", expected: "channels from 0 to \(image.channels.count - 1)",
                found: "\(indices)")
        }
        var isForeground = [Bool](repeating: false, count: image.grid.count)
        for channel in indices {
            for (index, value) in image.channels[channel].enumerated() where value > threshold {
                isForeground[index] = true
            }
        }
        guard let box = Mask(grid: image.grid, isSet: isForeground).boundingBox else {
            throw Failure(
                .scan, name, expected: "foreground: voxels above \(threshold)", found: "none",
                remedy: "Lower the threshold, or check the steps before it")
        }
        var start = box.start &- margin
        var end = box.end &+ margin
        if allowSmaller {
            start = pointwiseMax(start, Index3(0, 0, 0))
            end = pointwiseMin(end, image.grid.shape)
        }
        let size = (end &- start).roundedUp(toMultiplesOf: kDivisible)
        start = start &- (size &- (end &- start)) / 2
        try Parameter.check(size, step: name)
        return image.framed(start: start, shape: size, fill: fill)
    }
}

/// The box around the patient: without the air around and without the table. MONAI has no such step.
public struct CropToBodyStep: PreparationStep {
    public let body: BodyMask
    /// Millimetres kept around the body, as far as the scan has them.
    public let margin: Double
    public let name = "CropToBody"
    public var summary: String { "above \(body.threshold) HU, margin \(margin) mm" }

    public init(threshold: Float = -300, margin: Double = 5) throws {
        guard margin >= 0, margin.isFinite, threshold.isFinite else {
            throw Failure(.pipeline, "margin", expected: "zero or more mm", found: "\(margin)")
        }
        body = BodyMask(threshold: threshold)
        self.margin = margin
    }

    public func apply(_ image: ChannelVolume) throws -> ChannelVolume {
        guard let box = body(image.volume()).boundingBox else {
            throw Failure(
                .scan, name, expected: "a body: voxels above \(body.threshold) HU", found: "none",
                remedy: "Put the step before any scaling of intensities, or lower its threshold")
        }
        let spacing = image.grid.spacing
        // Beyond the largest extent a margin changes nothing any more.
        let wide = (0..<3).map { Int(min((margin / spacing[$0]).rounded(.up), Double(image.grid.shape[$0]))) }
        let voxels = Index3(wide[0], wide[1], wide[2])
        let start = pointwiseMax(box.start &- voxels, Index3(0, 0, 0))
        let end = pointwiseMin(box.end &+ voxels, image.grid.shape)
        return image.framed(start: start, shape: end &- start, fill: .constant(0))
    }
}

extension Index3 {
    fileprivate func roundedUp(toMultiplesOf k: Index3) -> Index3 {
        func up(_ extent: Int, _ k: Int) -> Int { k > 0 ? (extent + k - 1) / k * k : extent }
        return Index3(up(x, k.x), up(y, k.y), up(z, k.z))
    }
}
