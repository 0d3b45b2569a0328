import Failures
import Foundation
import Networks
import Preparations
import Rendering
import Tensors
import Volumes

/// A scan or picture as read and as the network is given it.
public struct PreparedScan: Sendable {
    public let url: URL
    /// The file's name without its ending.
    public let stem: String
    /// What was read: HU for CT, the luminance of a picture.
    public let scan: Volume
    /// The picture, where it was one.
    public let picture: Picture?
    /// The header whose geometry files on the same grid copy.
    public let header: NIfTIHeader?
    /// One for a network that sees the whole, one a slice for a 2D network.
    public let inputs: [PreparedInput]
    public let warnings: [String]
    let source: ScanSource
}

extension Plan {
    /// Reads a scan and prepares it for the network.
    ///
    /// - Throws: a `Failure` about the file or the preparation.
    public func prepare(_ url: URL) throws -> PreparedScan {
        let source = try ScanSource.read(url, volume: words.input.volume)
        let inputs = try preparation.prepare(source)
        let stem = ScanFinder.stem(ofFile: url.lastPathComponent)
        switch source {
        case .volume(let image):
            return PreparedScan(
                url: url, stem: stem, scan: image.volume, picture: nil, header: image.header, inputs: inputs,
                warnings: source.warnings, source: source)
        case .picture(let picture):
            return PreparedScan(
                url: url, stem: stem, scan: picture.luminanceVolume, picture: picture, header: nil, inputs: inputs,
                warnings: source.warnings, source: source)
        }
    }
}

/// What the network is given of nothing: a uniform scan.
public struct BlankInput: Sendable {
    public let input: PreparedInput
    /// How far each channel's values can go after the preparation; nil where it does not hold them.
    public let range: [ClosedRange<Float>]?
}

extension Plan {
    /// The shape, grid and range of values that the preparation gives, found by preparing two uniform scans: the darkest and
    /// the brightest that files hold (−1024 and 3071 HU; 0 and 255 for pictures).
    ///
    /// - Parameter size: extents of the uniform scan, in voxels of 1 mm; they stay where neither network nor preparation fixes
    ///   others. nil: 64 (a picture: 256).
    /// - Throws: a `Failure` where neither the preparation nor the network's file tells a shape.
    public func blank(size: [Int]? = nil, forPictures: Bool) throws -> BlankInput {
        let rank = preparation.preparation.layout.spatialRank
        func prepared(_ value: Float) throws -> PreparedInput {
            if forPictures {
                let grey = UInt8(max(0, min(255, value)))
                let picture = Picture(
                    width: size?.first ?? 256, height: size?.dropFirst().first ?? size?.first ?? 256,
                    filledWith: Colour(grey, grey, grey))
                return try preparation.prepare(.picture(picture))[0]
            }
            var extents = size ?? [64]
            while extents.count < 3 { extents.append(extents.count == 2 && rank == 2 ? 1 : extents[0]) }
            let grid = Grid(
                shape: Index3(extents[0], extents[1], rank == 2 ? 1 : extents[2]),
                affine: Affine(i: [1, 0, 0], j: [0, 1, 0], k: [0, 0, 1], origin: .zero))
            let image = ChannelVolume(Volume(grid: grid, repeating: value))
            return try preparation.preparation.prepareSlices(image)[0]
        }
        do {
            let dark = try prepared(forPictures ? 0 : -1024)
            let bright = try prepared(forPictures ? 255 : 3071)
            let channels = dark.tensor.count / dark.grid.count
            let ranges = (0..<channels).map { channel -> (Float, Float) in
                let values = dark.volume(channel: channel).voxels + bright.volume(channel: channel).voxels
                return (values.min()!, values.max()!)
            }
            guard ranges.allSatisfy({ $0.0.isFinite && $0.1.isFinite && $0.0 < $0.1 }) else {
                return BlankInput(input: dark, range: nil)
            }
            return BlankInput(input: dark, range: ranges.map { $0.0...$0.1 })
        } catch let failure as Failure {
            // Some steps find nothing to hold on to in a uniform scan: then the file's own shape has to do.
            guard let shape = try? network.usualShapes()[explainer.inputName] else { throw failure }
            let layout = preparation.preparation.layout
            let axes = try network.layout(of: explainer.inputName).spatial
            var extents = Index3(1, 1, 1)
            for (axis, target) in zip(axes, layout.axes) { extents[target] = shape[axis] }
            return BlankInput(
                input: PreparedInput(
                    tensor: Tensor(shape: shape, repeating: 0), grid: Grid(shape: extents, affine: .identity),
                    layout: layout), range: nil)
        }
    }
}

/// What a prepared value is worth in the scan's own unit, voxel by voxel.
public struct PreparedUnits: Sendable {
    /// Prepared value a HU (or grey level), for each channel.
    public let scale: [Float]
    /// Whether all channels come from the same voxel.
    public let isShared: Bool
    /// In the order of the tensor's places: whether the value follows the scan's there, and is not clipped or padding.
    public let follows: [Bool]
    /// The scan's values at the places; channel after channel for a picture.
    public let original: [Float]
    /// How far the scan's values go.
    public let limits: ClosedRange<Float>
    /// "HU", "grey levels", or nothing.
    public let unit: String
}

extension Plan {
    /// How the preparation changes values, found by preparing the scan once more with a ramp of ±10 units laid over it: a ramp
    /// passes through resampling as it is, so that its change at each voxel is the preparation's slope there.
    ///
    /// - Throws: a `Failure` where values do not follow the scan's in proportion.
    public func units(of scan: PreparedScan, input number: Int) throws -> PreparedUnits {
        let input = scan.inputs[number]
        let places = input.grid.count
        let channels = input.tensor.count / places
        if let picture = scan.picture {
            func flat(_ grey: UInt8) throws -> PreparedInput {
                let size = (picture.width, picture.height)
                return try preparation.prepare(
                    .picture(Picture(width: size.0, height: size.1, filledWith: Colour(grey, grey, grey))))[number]
            }
            let (black, white) = (try flat(0), try flat(255))
            var scale: [Float] = []
            var original: [Float] = []
            for channel in 0..<channels {
                let low = black.volume(channel: channel).voxels[0]
                let high = white.volume(channel: channel).voxels[0]
                guard low != high, low.isFinite, high.isFinite else { throw disproportionate(scan) }
                scale.append((high - low) / 255)
                original += input.tensorSpatial(from: input.volume(channel: channel)).map {
                    ($0 - low) / (high - low) * 255
                }
            }
            return PreparedUnits(
                scale: scale, isShared: channels == 1, follows: [Bool](repeating: true, count: places),
                original: original, limits: 0...255, unit: "grey levels")
        }
        guard case .volume(var image) = scan.source else { preconditionFailure("a scan or a picture") }
        let shape = image.volume.grid.shape
        let extent = Vector3(Double(max(1, shape.x - 1)), Double(max(1, shape.y - 1)), Double(max(1, shape.z - 1)))
        // From −1 at the first voxel to 1 at the last, along the diagonal of the axes that have extent.
        let active = (0..<3).filter { shape[$0] > 1 }
        func ramp(_ index: Vector3) -> Double {
            let sum = active.reduce(0.0) { $0 + 2 * index[$1] / extent[$1] - 1 }
            return active.isEmpty ? 0 : sum / Double(active.count)
        }
        var at = 0
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    image.volume.voxels[at] += Float(10 * ramp(Vector3(Double(i), Double(j), Double(k))))
                    at += 1
                }
            }
        }
        let raised = try preparation.prepare(.volume(image))
        guard let inverse = scan.scan.grid.affine.inverse, raised.indices.contains(number),
            raised[number].grid == input.grid
        else { throw disproportionate(scan) }
        let map = inverse.composed(with: input.grid.affine)
        var heights = [Float](repeating: 0, count: places)
        let grid = input.grid.shape
        at = 0
        for k in 0..<grid.z {
            for j in 0..<grid.y {
                for i in 0..<grid.x {
                    let place = map(Vector3(Double(i), Double(j), Double(k)))
                    let isInside = (0..<3).allSatisfy { place[$0] > -0.5 && place[$0] < Double(shape[$0]) - 0.5 }
                    // Beyond the scan is padding: marked by a height of exactly 0.
                    heights[at] = isInside ? Float(10 * ramp(place)) : 0
                    at += 1
                }
            }
        }
        var scale: [Float] = []
        var follows = [Bool](repeating: true, count: places)
        for channel in 0..<channels {
            let before = input.volume(channel: channel).voxels
            let after = raised[number].volume(channel: channel).voxels
            let (low, high) = (before.min() ?? 0, before.max() ?? 0)
            let steep = (0..<places).filter { abs(heights[$0]) > 2 && before[$0] > low && before[$0] < high }
            let slopes = steep.map { (after[$0] - before[$0]) / heights[$0] }.filter { $0 != 0 }.sorted()
            guard !slopes.isEmpty, slopes[slopes.count / 2].isFinite else { throw disproportionate(scan) }
            let slope = slopes[slopes.count / 2]
            scale.append(slope)
            let isWindowed = before.filter { $0 == low }.count > 1
            let isCapped = before.filter { $0 == high }.count > 1
            for index in 0..<places {
                let isAtEnd = (isWindowed && before[index] == low) || (isCapped && before[index] == high)
                if heights[index] == 0 {
                    follows[index] = false
                } else if abs(heights[index]) > 2 {
                    let own = (after[index] - before[index]) / heights[index]
                    if abs(own - slope) > 0.5 * abs(slope) { follows[index] = false }
                } else if isAtEnd {
                    // The ramp is too low here to tell.
                    follows[index] = false
                }
            }
        }
        let resampled = Resampler(.linear, outside: .border).resample(scan.scan, onto: input.grid)
        // From volume order to the tensor's.
        let ordered = input.tensorSpatial(
            from: Volume(grid: input.grid, voxels: follows.map { $0 ? 1 : 0 })
        ).map { $0 > 0.5 }
        let values = scan.scan.voxels
        let isCT = image.ctIssue == nil
        return PreparedUnits(
            scale: scale, isShared: true, follows: ordered, original: input.tensorSpatial(from: resampled),
            limits: isCT ? -1024...3071 : (values.min() ?? 0)...(values.max() ?? 1), unit: isCT ? "HU" : "units")
    }

    private func disproportionate(_ scan: PreparedScan) -> Failure {
        Failure(
            .scan, scan.url.path, expected: "prepared values that follow the scan's in proportion",
            found: "a preparation that does not let them",
            remedy: "Prepare with ScaleIntensityRange or NormalizeIntensity.")
    }
}
