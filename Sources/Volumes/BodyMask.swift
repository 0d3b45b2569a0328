import Foundation

/// Finds the patient in a CT: what is denser than air, without the table, with lungs and other air inside. A piece cut out within the
/// chest has no outline: all of it is patient.
public struct BodyMask: Sendable, Hashable {
    /// HU above which a voxel may be body. Below fat, above air and the foam of table and cushions.
    public var threshold: Float
    /// Structures thinner than twice this, in mm within an axial slice, do not count as body: table tops, sheets, lines. They
    /// often touch the skin and would come with it.
    public var thinnest: Double

    public init(threshold: Float = -300, thinnest: Double = 4) {
        self.threshold = threshold
        self.thinnest = thinnest
    }

    /// The body's mask; nothing is set when no voxel is above the threshold.
    ///
    /// Threshold, opening by `thinnest` in the axial plane, largest connected component, its true outline within the
    /// threshold, and in each axial slice the holes that the outline closes. An opening that would leave nothing (a small or
    /// coarse crop) is left out. Where what remains outside is mostly lung and not air, everything is body.
    public func callAsFunction(_ volume: Volume) -> Mask {
        let found = outlined(volume)
        guard found.count > 0, Self.isLung(outside: found, volume) else { return found }
        return Mask(volume) { _ in true }
    }

    /// HU above which what is not dense is lung, not air: inflated lung lies around −850, and air keeps within noise of −1000.
    private static let lung: Float = -940

    /// Whether most of what lies outside of a mask is lung: clearly denser than air, and than the scan's own lowest value, which is its
    /// air where values were clipped.
    private static func isLung(outside mask: Mask, _ volume: Volume) -> Bool {
        let least = max(lung, (volume.voxels.min() ?? 0) + 40)
        var (denser, outside) = (0, 0)
        for (value, isInside) in zip(volume.voxels, mask.isSet) where !isInside {
            outside += 1
            if value > least { denser += 1 }
        }
        return 2 * denser > outside
    }

    private func outlined(_ volume: Volume) -> Mask {
        let dense = Mask(volume) { $0 > threshold }
        let axial = volume.orientation.storedAxis(alongWorld: 2)
        let spacing = volume.grid.spacing
        var radius = Index3(0, 0, 0)
        for axis in 0..<3 where axis != axial { radius[axis] = Int((thinnest / spacing[axis]).rounded()) }
        let core = dense.eroded(by: radius)
        guard let box = core.boundingBox, box.end != box.start else {
            return dense.largestComponent().holesFilled(across: axial)
        }
        // One voxel more than was taken off brings back the outline that a box blunts.
        let grown = core.largestComponent().dilated(
            by: radius &+ Index3(1, 1, 1).replacing(with: 0, where: radius .== 0))
        return grown.intersection(dense).holesFilled(across: axial)
    }
}
