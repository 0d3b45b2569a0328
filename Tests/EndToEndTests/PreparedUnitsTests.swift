import Foundation
import Rendering
import TestSupport
import Testing
import Volumes

@testable import Pipelines

/// What a prepared value is worth in HU or grey levels, and what a preparation makes of nothing.
@Suite struct PreparedUnitsTests {
    func plan(_ sandbox: Sandbox, _ steps: String) throws -> Plan {
        let text = """
            { version: 1, network: { file: "model.onnx" }, layout: { axes: "xyz", orientation: "RAS" },
              preparation: [ \(steps) ] }
            """
        try Data(text.utf8).write(to: sandbox.pipeline)
        return try Plan(try PipelineFile.read(sandbox.pipeline), model: nil)
    }

    /// A smooth field of HU in which no two voxels are alike.
    static func field(_ shape: Index3 = [14, 12, 10], low: Double = -900, high: Double = 300) -> Volume {
        let grid = Grid(
            shape: shape, affine: Affine(i: [-2, 0, 0], j: [0, 2, 0], k: [0, 0, 3], origin: [9, -7, 30]))
        var volume = Volume(grid: grid, repeating: 0)
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    let wave = sin(Double(i) * 0.9) + cos(Double(j) * 0.7 + 1) + sin(Double(k) * 1.1 + Double(i) * 0.2)
                    volume[i, j, k] = Float((low + high) / 2 + (high - low) / 6 * wave)
                }
            }
        }
        return volume
    }

    func scan(_ sandbox: Sandbox, _ volume: Volume) throws -> URL {
        let url = sandbox.root.appendingPathComponent("field.nii.gz")
        try NIfTIWriter().write(volume, to: url)
        return url
    }

    static let slopes: [(String, Float)] = [
        (
            #"{ transform: "ScaleIntensityRange", a_min: -1000, a_max: 400, b_min: 0, b_max: 1, clip: true }"#,
            Float(1.0 / 1400)
        ),
        (
            #"{ transform: "ScaleIntensityRange", a_min: -1000, a_max: 1000, b_min: -1000, b_max: 1000, clip: true }"#,
            1
        ),
        (#"{ transform: "NormalizeIntensity", subtrahend: [-400], divisor: [250] }"#, 1.0 / 250),
        (
            #"{ transform: "Spacing", pixdim: [2.5, 1.6, 3] }, { transform: "ScaleIntensityRange", a_min: -1000, a_max: 1000, b_min: 0, b_max: 1, clip: true }"#,
            1.0 / 2000
        ),
    ]

    @Test(arguments: slopes) func theSlopeIsThatOfThePreparation(_ steps: String, _ slope: Float) throws {
        let sandbox = try Sandbox()
        let plan = try plan(sandbox, steps)
        let prepared = try plan.prepare(try scan(sandbox, Self.field()))
        let units = try plan.units(of: prepared, input: 0)
        #expect(units.scale.count == 1 && abs(units.scale[0] / slope - 1) < 1e-3, "\(units.scale)")
        #expect(units.isShared && units.unit == "HU" && units.limits == -1024...3071)
        // Nothing is clipped: nearly all follow.
        #expect(Double(units.follows.filter { $0 }.count) > 0.9 * Double(units.follows.count))
    }

    @Test func clippedVoxelsDoNotFollow() throws {
        let sandbox = try Sandbox()
        let window = #"{ transform: "ScaleIntensityRange", a_min: -400, a_max: 0, b_min: 0, b_max: 1, clip: true }"#
        let plan = try plan(sandbox, window)
        let prepared = try plan.prepare(try scan(sandbox, Self.field()))
        let units = try plan.units(of: prepared, input: 0)
        for (place, value) in units.original.enumerated() {
            if value < -415 || value > 15 { #expect(!units.follows[place], "\(value)") }
            if value > -380 && value < -20 { #expect(units.follows[place], "\(value)") }
        }
        #expect(units.follows.contains(true) && units.follows.contains(false))
        // The values beside it are the scan's own.
        let own = prepared.scan.closestCanonical
        #expect(relativeError(units.original, prepared.inputs[0].tensorSpatial(from: own)) < 1e-4)
    }

    @Test func paddingDoesNotFollow() throws {
        let sandbox = try Sandbox()
        let plan = try plan(
            sandbox,
            #"{ transform: "ScaleIntensityRange", a_min: -1000, a_max: 400, b_min: 0, b_max: 1, clip: true }, { transform: "SpatialPad", spatial_size: [20, 20, 20] }"#
        )
        let units = try plan.units(of: try plan.prepare(try scan(sandbox, Self.field())), input: 0)
        #expect(units.follows.count == 8000)
        #expect(units.follows.filter { $0 }.count <= 14 * 12 * 10)
    }

    @Test func aPictureIsMeasuredInGreyLevels() throws {
        let sandbox = try Sandbox(network: .brightness(rank: 2, channels: 3, size: [32, 32]))
        var picture = Picture(width: 40, height: 48, filledWith: Colour(90, 100, 110))
        for index in picture.pixels.indices where index % 5 == 0 { picture.pixels[index] = 30 }
        let url = sandbox.root.appendingPathComponent("dog.png")
        try picture.writePNG(to: url)
        let plan = try Plan(PipelineFile(), model: sandbox.model, forPictures: true)
        let units = try plan.units(of: try plan.prepare(url), input: 0)
        // ImageNet's deviations.
        for (scale, deviation) in zip(units.scale, [Float(0.229), 0.224, 0.225]) {
            #expect(abs(scale * 255 * deviation - 1) < 1e-3)
        }
        #expect(!units.isShared && units.original.count == 3 * 32 * 32 && units.limits == 0...255)
        #expect(units.original.allSatisfy { $0 > 20 && $0 < 120 })
    }

    @Test func theRangeOfAPreparation() throws {
        let sandbox = try Sandbox()
        let window =
            #"{ transform: "ScaleIntensityRange", a_min: -1000, a_max: 1000, b_min: -1, b_max: 1, clip: true }"#
        let blank = try plan(sandbox, window).blank(size: [10, 12, 14], forPictures: false)
        #expect(blank.range == [-1...1] && blank.input.grid.shape == [10, 12, 14])
        let sized = try plan(sandbox, window + #", { transform: "Resize", spatial_size: [8, 8, 6] }"#)
        #expect(try sized.blank(forPictures: false).input.grid.shape == [8, 8, 6])
        // A uniform scan has no deviation: nothing is known of the range.
        let normal = try plan(sandbox, #"{ transform: "NormalizeIntensity" }"#)
        #expect(try normal.blank(forPictures: false).range == nil)
        let pictures = try Sandbox(network: .brightness(rank: 2, channels: 3, size: [32, 32]))
        let range = try Plan(PipelineFile(), model: pictures.model, forPictures: true).blank(forPictures: true).range!
        #expect(range.count == 3)
        #expect(abs(range[0].lowerBound + 0.485 / 0.229) < 1e-4 && abs(range[0].upperBound - 0.515 / 0.229) < 1e-4)
    }
}
