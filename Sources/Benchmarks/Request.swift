import Foundation

/// One line of standard input: what to load, to time or to forget.
struct Request: Decodable {
    enum Action: String, Decodable { case about, load, time, drop }

    var action: Action
    var name: String?
    var threads: Int?
    var convolution: ConvolutionRequest?
    var network: NetworkRequest?
    var changes: ChangesRequest?
    var nifti: NIfTIRequest?
}

/// A convolution of random numbers.
struct ConvolutionRequest: Decodable {
    enum Direction: String, Decodable { case forward, backward }
    enum Engine: String, Decodable { case ours, oneDNN }

    /// `[batch, channels, spatial…]`
    var input: [Int]
    /// `[output channels, input channels, kernel…]`
    var weight: [Int]
    var stride: Int
    var padding: Int
    var direction: Direction
    var engine: Engine
    /// fast, balanced or precise.
    var accuracy: String
}

/// A network on random numbers between 0 and 1.
struct NetworkRequest: Decodable {
    enum Measure: String, Decodable { case forward, gradcam }

    var file: String
    /// The input's.
    var shape: [Int]
    /// A layer's name or alias.
    var tap: String
    var measure: Measure
    var accuracy: String
}

/// A network on one input of random numbers, with a cube or square of it covered, at several places.
struct ChangesRequest: Decodable {
    var file: String
    /// The input's.
    var shape: [Int]
    /// Voxels along each edge of what is covered.
    var window: Int
    /// So many inputs go through the network together; 1 is one by one.
    var batch: Int
    /// Whether only what a window reaches is computed.
    var isRegional: Bool
    var accuracy: String
}

/// A scan read from a compressed NIfTI file, or its voxels written to one.
struct NIfTIRequest: Decodable {
    enum Action: String, Decodable { case read, write }

    var action: Action
    /// The scan.
    var file: String
    /// Where to write, and how voxels are stored there.
    var target: String?
    var encoding: String?
}

/// One line of standard output.
struct Reply: Encodable {
    var milliseconds: Double?
    /// The most memory the process has had in use so far.
    var peakMegabytes: Double?
    var about: [String: String]?
    var failure: String?
}
