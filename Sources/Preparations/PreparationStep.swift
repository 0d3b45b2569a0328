import Failures
import Volumes

/// One step between a scan as stored and what a network wants; named and parametrized as the MONAI transform it equals.
///
/// A step never forgets where voxels lie: the grid of what it returns has the exact affine of its voxels, so that a map on
/// any later grid finds its way back by world coordinates alone.
public protocol PreparationStep: Sendable {
    /// MONAI's name where MONAI has the step: "Spacing".
    var name: String { get }
    /// The parameters, for people and for the ledger: "pixdim 1.5 1.5 2.0, bilinear, border".
    var summary: String { get }

    /// What changes voxels where they are does so in place if the image is held by nobody else.
    ///
    /// - Throws: a `Failure` of kind `scan` when the step makes no sense for this image (no foreground to crop to).
    func apply(_ image: consuming ChannelVolume) throws -> ChannelVolume
}

/// What one step did to the grid.
public struct PreparationRecord: Sendable, Hashable, Codable {
    public var name: String
    public var summary: String
    /// Extents along i, j, k after the step.
    public var shape: [Int]
    /// Millimetres along i, j, k after the step.
    public var spacing: [Double]
    /// Where i, j, k run after the step: "RAS".
    public var orientation: String
    public var channels: Int

    init(name: String, summary: String, _ image: ChannelVolume) {
        self.name = name
        self.summary = summary
        shape = (0..<3).map { image.grid.shape[$0] }
        spacing = (0..<3).map { image.grid.spacing[$0] }
        orientation = Orientation(image.grid.affine).code
        channels = image.channels.count
    }
}

extension PreparationRecord: CustomStringConvertible {
    public var description: String {
        let extent = shape.map(String.init).joined(separator: " × ")
        let steps = spacing.map { String(($0 * 1000).rounded() / 1000) }.joined(separator: " × ")
        let count = channels == 1 ? "" : "\(channels) channels of "
        return
            "\(name)\(summary.isEmpty ? "" : " (\(summary))"): \(count)\(extent) voxels of \(steps) mm, \(orientation)"
    }
}

/// Helpers that the steps share.
enum Parameter {
    /// One to three numbers for three axes: the last one goes on, as in MONAI.
    static func forAxes<Number>(_ numbers: [Number], _ name: String) throws -> [Number] {
        guard (1...3).contains(numbers.count) else {
            throw Failure(
                .pipeline, name, expected: "one number, or one for each of the axes i, j, k",
                found: "\(numbers.count) numbers")
        }
        return (0..<3).map { numbers[min($0, numbers.count - 1)] }
    }

    /// As ``forAxes(_:_:)`` where MONAI takes one number for all axes or exactly one for each.
    static func sizes(_ numbers: [Int], _ name: String) throws -> Index3 {
        guard numbers.count == 1 || numbers.count == 3 else {
            throw Failure(
                .pipeline, name, expected: "one extent, or one for each of the axes i, j, k",
                found: "\(numbers.count) numbers")
        }
        for size in numbers where size > 1 << 16 {
            throw Failure(.pipeline, name, expected: "extents up to \(1 << 16)", found: "\(size)")
        }
        return Index3(numbers[0], numbers[min(1, numbers.count - 1)], numbers[numbers.count - 1])
    }

    /// Non-positive sizes stand for the image's own extent.
    static func filled(_ sizes: Index3, from shape: Index3) -> Index3 {
        sizes.replacing(with: shape, where: sizes .<= 0)
    }

    static func text(_ sizes: Index3) -> String { "\(sizes.x) \(sizes.y) \(sizes.z)" }
    static func text(_ numbers: [Double]) -> String { numbers.map { "\($0)" }.joined(separator: " ") }

    /// Refuses a grid that memory cannot hold.
    static func check(_ shape: Index3, step: String) throws {
        let (plane, first) = shape.x.multipliedReportingOverflow(by: shape.y)
        let (count, second) = plane.multipliedReportingOverflow(by: shape.z)
        guard !first, !second, shape.min() >= 1, count < 1 << 33 else {
            throw Failure(
                .scan, step, expected: "a prepared volume of 1 to \(1 << 33) voxels",
                found: "\(shape.x) × \(shape.y) × \(shape.z)",
                remedy: "Check the scan's spacing and the step's parameters")
        }
    }
}
