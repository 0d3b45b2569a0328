import Failures
import Volumes

/// MONAI's `Orientation`: stores the voxels along axes that run as the codes say. Nothing is interpolated.
public struct OrientationStep: PreparationStep {
    public let target: Orientation
    public let name = "Orientation"
    public var summary: String { "axcodes \(target)" }

    public init(_ target: Orientation) { self.target = target }

    /// - Throws: a `Failure` of kind `pipeline` for anything but three letters of R/L, A/P and S/I.
    public init(axcodes: String) throws {
        guard let target = Orientation(axcodes) else {
            throw Failure(
                .pipeline, "axcodes", expected: "three letters, one from each of R/L, A/P and S/I, such as RAS",
                found: "'\(axcodes)'")
        }
        self.init(target)
    }

    public func apply(_ image: ChannelVolume) -> ChannelVolume {
        let turn = Orientation(image.grid.affine).rearrangement(to: target)
        return image.moved(to: turn(image.grid)) { turn($0, shape: image.grid.shape) }
    }
}
