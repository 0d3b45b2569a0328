import Failures

/// A volume as read from a NIfTI file, with the header it came with.
public struct NIfTIImage: Sendable {
    /// Voxels scaled by slope and intercept, on their grid in millimetres. Voxels that are not finite are kept as they are.
    public var volume: Volume
    public var header: NIfTIHeader
    public var extensions: [NIfTIExtension]
    /// Which of the file's volumes this is; 0 for a 3D file.
    public var volumeIndex: Int
    public var geometry: NIfTIGeometry
    public var statistics: VolumeStatistics
    /// Everything about the file that is not as it should be, and what was done about it.
    public var issues: [HeaderIssue]

    /// A warning where the values hardly are Hounsfield units, for tools that expect CT; see
    /// ``VolumeStatistics/notCTReason``.
    public var ctIssue: HeaderIssue? {
        statistics.notCTReason.map {
            HeaderIssue(
                .warning, "voxels", problem: "the scan does not look like CT in HU (\($0))", handling: "used as it is")
        }
    }

    /// Replaces voxels that are not finite, and records how many: NaN and −∞ become the smallest finite value (air, in CT),
    /// +∞ the largest.
    public mutating func replaceNonFinite() {
        let bad = statistics.nanCount + statistics.infiniteCount
        guard bad > 0 else { return }
        let (low, high) = (statistics.minimum, statistics.maximum)
        for index in volume.voxels.indices where !volume.voxels[index].isFinite {
            volume.voxels[index] = volume.voxels[index] == .infinity ? high : low
        }
        statistics = VolumeStatistics(volume.voxels)
        issues.append(
            HeaderIssue(
                .warning, "voxels", problem: "\(bad) voxels are NaN or infinite",
                handling: "NaN and −∞ are replaced by the smallest finite value (\(low)), +∞ by the largest (\(high))"))
    }
}
