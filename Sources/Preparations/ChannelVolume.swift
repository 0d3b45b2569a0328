import Volumes
import Workers

/// Several scalars per voxel of one grid: what MONAI calls a channel-first image. A CT has one channel, a picture three.
public struct ChannelVolume: Sendable {
    public var grid: Grid
    /// At least one; voxels of each with i fastest, as in a `Volume`.
    public var channels: [[Float]]

    public init(grid: Grid, channels: [[Float]]) {
        precondition(!channels.isEmpty, "an image has at least one channel")
        precondition(channels.allSatisfy { $0.count == grid.count }, "every channel fills the grid \(grid.shape)")
        self.grid = grid
        self.channels = channels
    }

    public init(_ volume: Volume) { self.init(grid: volume.grid, channels: [volume.voxels]) }

    /// One channel from each volume.
    ///
    /// - Precondition: at least one, all on the same grid.
    public init(_ volumes: [Volume]) {
        precondition(!volumes.isEmpty && volumes.allSatisfy { $0.grid == volumes[0].grid }, "channels on one grid")
        self.init(grid: volumes[0].grid, channels: volumes.map(\.voxels))
    }

    /// One channel as a volume.
    public func volume(_ channel: Int = 0) -> Volume { Volume(grid: grid, voxels: channels[channel]) }

    /// Every channel moved to another grid by the same rule.
    func moved(to grid: Grid, _ move: ([Float]) -> [Float]) -> ChannelVolume {
        ChannelVolume(grid: grid, channels: channels.map(move))
    }

    /// Every voxel of every channel through `change`; nothing moves.
    consuming func mapped(_ change: @Sendable (Float) -> Float) -> ChannelVolume {
        var image = self
        for channel in image.channels.indices { Self.change(&image.channels[channel], change) }
        return image
    }

    /// The image, of which nothing stays here: whoever takes it may change it in place.
    mutating func take() -> ChannelVolume {
        var taken = self
        taken.channels = []
        swap(&taken, &self)
        return taken
    }

    static func change(_ voxels: inout [Float], _ change: (Float) -> Float) {
        voxels.withUnsafeMutableBufferPointer { voxels in
            let voxels = voxels
            Workers.shared.forEachRange(voxels.count, grain: 1 << 16) { range in
                for index in range { voxels[index] = change(voxels[index]) }
            }
        }
    }

    static func mapped(_ voxels: [Float], _ change: (Float) -> Float) -> [Float] {
        [Float](unsafeUninitializedCapacity: voxels.count) { out, initialized in
            HugePages.advise(out)
            voxels.withUnsafeBufferPointer { source in
                let (from, to) = (source.baseAddress!, out.baseAddress!)
                Workers.shared.forEachRange(source.count, grain: 1 << 16) { range in
                    for index in range { to[index] = change(from[index]) }
                }
            }
            initialized = voxels.count
        }
    }
}
