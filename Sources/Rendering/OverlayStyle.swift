import Foundation
import Volumes

/// How overlays look. The defaults suit a rectified map over a CT scan.
public struct OverlayStyle: Sendable, Hashable {
    /// How the scan's values become grey.
    public enum Window: Sendable, Hashable {
        /// From black at `lower` to white at `upper`; `name` is printed.
        case hu(HUWindow, name: String)
        /// From the 1st to the 99th percentile of the scan's values: for images that are not CT.
        case automatic

        public static let lung = Window.hu(.lung, name: "lung")
        public static let mediastinum = Window.hu(.mediastinum, name: "mediastinum")
        public static let bone = Window.hu(.bone, name: "bone")
        public static let brain = Window.hu(.brain, name: "brain")
        public static let abdomen = Window.hu(.abdomen, name: "abdomen")
    }

    /// How opaque the heat is, from its strength s in 0…1 (see ``ScaleRange``):
    /// 0 for s ≤ threshold, otherwise opacity · ((s − threshold) / (1 − threshold))^exponent.
    public struct Alpha: Sendable, Hashable {
        /// At full strength, 0…1.
        public var opacity: Double
        /// Heat of this strength and less is not coloured, 0…1 (1 excluded).
        public var threshold: Double
        /// Below 1 shows weak heat more, above 1 less.
        public var exponent: Double

        public init(opacity: Double = 0.7, threshold: Double = 0.1, exponent: Double = 1) {
            precondition((0...1).contains(opacity), "an opacity from 0 to 1")
            precondition(threshold >= 0 && threshold < 1, "a threshold from 0 to below 1")
            precondition(exponent > 0, "an exponent above 0")
            self.opacity = opacity
            self.threshold = threshold
            self.exponent = exponent
        }

        public func callAsFunction(_ strength: Double) -> Double {
            if !(strength > threshold) { return 0 }
            let above = (min(strength, 1) - threshold) / (1 - threshold)
            return opacity * pow(above, exponent)
        }
    }

    public var window = Window.automatic
    /// nil: inferno for rectified maps, diverging for signed ones.
    public var colourMap: ColourMap?
    /// Whether evidence against the target is shown. Used when `scale` is nil; otherwise the scale says.
    public var isSigned = false
    /// nil: the map's own.
    public var scale: ScaleRange?
    public var alpha = Alpha()
    /// Whether heat is coloured; without it only contours show it.
    public var fillsHeat = true
    /// How heat is read between the voxel centres of its grid; `.nearest` shows the cells as the network's layer has them.
    public var interpolation = Resampler.Interpolation.linear
    /// Iso-lines at these fractions of the scale, each above 0 and below 1; on signed maps on both sides of zero.
    public var contours: [Double] = []
    /// Width of iso-lines and outlines in picture pixels.
    public var lineWidth = 1.5
    /// nil: the colour map's own colour at the line's level.
    public var contourColour: Colour?
    /// The outline of the mask, where there is one.
    public var outlineColour = Colour(hex: 0x39FF14)
    public var planes: [Plane] = [.axial]
    /// Patient right on the picture's left, as a radiologist sees it; false: neurological, as a surgeon does.
    public var isRadiological = true
    /// R, L, A, P, S, I at the edges.
    public var showsLetters = true
    public var showsColourBar = true
    /// Lines of text above the picture.
    public var showsHeader = true
    /// A bar of a round length in mm.
    public var showsScaleBar = true
    /// The scan without heat on the left of the overlay.
    public var isSideBySide = false
    /// The longer side of a slice is enlarged, by a whole factor, to at least so many pixels.
    public var minimumSize = 384
    /// The longer side of a slice is shrunk to at most so many pixels.
    public var maximumSize = 2048
    /// The longer side of a slice in a montage.
    public var montageTileSize = 320
    public var png = PNG.Options()

    public init() {}

    /// The colour map in use.
    func colourMap(for scale: ScaleRange) -> ColourMap { colourMap ?? (scale.isSigned ? .diverging : .inferno) }
}
