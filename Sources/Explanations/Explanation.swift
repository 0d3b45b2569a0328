import Preparations
import Tensors
import Volumes

/// One map of one target by one method at one tap, on the tap's own grid.
public struct TapMap: Sendable {
    /// Tensor name of the tap.
    public let tap: String
    /// Signed raw attribution in the order of the tensor's spatial axes.
    public let values: Tensor<Float>
    /// The same on the tap's grid in the world, whose affine comes from the receptive field.
    public let volume: Volume
    /// Input voxels from one tap voxel to the next, along each tensor axis, and the input index of the first one's centre.
    public let jump: [Double]
    public let centre: [Double]

    public init(tap: String, values: Tensor<Float>, volume: Volume, jump: [Double], centre: [Double]) {
        self.tap = tap
        self.values = values
        self.volume = volume
        self.jump = jump
        self.centre = centre
    }
}

/// What a method says about one target of one scan.
public struct Explanation: Sendable {
    public let method: MethodDescriptor
    public let options: [String: OptionValue]
    public let target: ResolvedTarget
    /// One entry a tap; several are fused when placed on the scan.
    public let maps: [TapMap]
    /// Warnings and remarks: a blank map, a head that misleads the method.
    public let notes: [String]
    public let figures: [String: Double]
    /// Whether the method was stopped before it had done all it wanted: the best so far.
    public let isPartial: Bool
    /// What does not lie on a grid of places: attention from token to token.
    public let matrices: [NamedMatrix]

    public init(
        method: MethodDescriptor, options: [String: OptionValue], target: ResolvedTarget, maps: [TapMap],
        notes: [String], figures: [String: Double], isPartial: Bool = false, matrices: [NamedMatrix] = []
    ) {
        self.method = method
        self.options = options
        self.target = target
        self.maps = maps
        self.notes = notes
        self.figures = figures
        self.isPartial = isPartial
        self.matrices = matrices
    }

    /// The map on `scan`'s grid: placed by world coordinates, several taps fused.
    public func placed(on scan: Grid, seen: Grid) throws -> Volume {
        HeatPlacement.fuse(try maps.map { try HeatPlacement.place($0.volume, on: scan, seen: seen) })
    }
}

/// Everything about one scan.
public struct ScanExplanation: Sendable {
    public let answer: Answer
    public let explanations: [Explanation]
    /// The grid of what the network saw.
    public let seen: Grid
    public let notes: [String]
}

extension TapMap {
    /// The maps of one tap on all slices of a scan as one, in order.
    public static func stacked(_ maps: [TapMap]) throws -> TapMap {
        let first = maps[0]
        if maps.count == 1 { return first }
        let shape = [maps.count] + first.values.shape
        return TapMap(
            tap: first.tap, values: Tensor(shape: shape, values: maps.flatMap { $0.values.values }),
            volume: try SliceStack.stack(maps.map(\.volume)), jump: first.jump, centre: first.centre)
    }
}
