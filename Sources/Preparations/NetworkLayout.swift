import Failures
import Volumes

/// How a prepared volume is laid out in a network's input tensor.
///
/// The letters x, y, z name the stored axes i, j, k of the prepared volume, slowest tensor axis first: MONAI's networks
/// want "xyz" in RAS, networks fed from ITK or NumPy arrays of DICOM "zyx" in LPS. Two letters are a network of two spatial
/// axes that sees the volume slice by slice along the axis left out.
public struct NetworkLayout: Sendable, Hashable, CustomStringConvertible {
    /// The volume axis of each spatial axis of the tensor: [2, 1, 0] for "zyx".
    public let axes: [Int]
    /// Channels are the last axis of the tensor, as TensorFlow's exports have it, not the second.
    public var isChannelsLast: Bool
    /// The prepared volume is stored along these directions, whatever the steps do; nil leaves that to the steps.
    public var orientation: Orientation?

    /// - Precondition: two or three different ones of 0, 1, 2.
    public init(axes: [Int] = [0, 1, 2], orientation: Orientation? = nil, channelsLast: Bool = false) {
        precondition((2...3).contains(axes.count) && Set(axes).count == axes.count && axes.allSatisfy((0..<3).contains))
        self.axes = axes
        self.orientation = orientation
        isChannelsLast = channelsLast
    }

    /// - Throws: a `Failure` of kind `pipeline` for anything but two or three different letters of x, y, z.
    public init(axes letters: String, orientation: Orientation? = nil, channelsLast: Bool = false) throws {
        let found = letters.lowercased().compactMap { "xyz".firstIndex(of: $0)?.utf16Offset(in: "xyz") }
        guard (2...3).contains(found.count), found.count == letters.count, Set(found).count == found.count else {
            throw Failure(
                .pipeline, "axes", expected: "two or three different letters of x, y, z, slowest first, such as zyx",
                found: "'\(letters)'")
        }
        self.init(axes: found, orientation: orientation, channelsLast: channelsLast)
    }

    /// Spatial axes of the tensor: 2 or 3.
    public var spatialRank: Int { axes.count }

    /// The volume axis along which slices follow each other; nil for a network that sees the whole.
    public var sliceAxis: Int? { axes.count == 2 ? 3 - axes[0] - axes[1] : nil }

    public var description: String {
        String(axes.map { Array("xyz")[$0] }) + (orientation.map { " \($0)" } ?? "")
            + (isChannelsLast ? ", channels last" : "")
    }

    /// The volume's axes in the order in which they lie in the tensor's memory, fastest first.
    private var storedAxes: [Int] { axes.reversed() + (sliceAxis.map { [$0] } ?? []) }

    /// From volume order to the memory order of the tensor's spatial part (slices follow each other at the end).
    var toTensor: Rearrangement { Rearrangement(axes: storedAxes) }

    /// The tensor's spatial extents for a volume of extents `shape`.
    public func spatialShape(_ shape: Index3) -> [Int] { axes.map { shape[$0] } }
}
