import Failures
import Foundation
import Networks
import Preparations
import Rendering
import Tensors
import Volumes

/// Steps of the preparation that the command line changes by name.
public struct PreparationShortcuts: Sendable, Hashable {
    public var window: ClosedRange<Double>?
    public var spacing: [Double]?
    public var size: [Int]?

    public init() {}
}

/// How scans become what the network wants, with every default filled in.
public struct PreparationPlan: Sendable {
    let preparation: Preparation
    public let summary: String
    let json: JSON

    init(
        _ words: PipelineFile, network: Network, inputName: String, forPictures: Bool, assumptions: inout [String]
    ) throws {
        preparation = Preparation()
        summary = ""
        json = .null
    }

    /// What the network is given: one input for a whole scan, or one a slice for a 2D network.
    func prepare(_ source: ScanSource) throws -> [PreparedInput] {
        switch source {
        case .volume(let image): return [try preparation.prepare(image.volume)]
        case .picture(let picture): return [try preparation.prepare(picture.luminanceVolume)]
        }
    }
}
