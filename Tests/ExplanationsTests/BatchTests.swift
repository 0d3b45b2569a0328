import Foundation
import Networks
import Preparations
import Synchronization
import Tensors
import TestSupport
import Testing
import Volumes

@testable import Explanations

/// Many masked inputs in one forward pass give what they give one by one.
@Suite struct BatchTests {
    /// The network of a reference, and the same with its open batch closed to one.
    private static func networks(_ name: String) throws -> (open: Network, closed: Network) {
        let url = Fixtures.reference("inspections/\(name).onnx")
        var bytes = [UInt8](try Data(contentsOf: url))
        // A dimension called "n"; in its place the number 1, written in as many bytes.
        let (named, one): ([UInt8], [UInt8]) = ([0x0A, 0x03, 0x12, 0x01, 0x6E], [0x0A, 0x03, 0x08, 0x81, 0x00])
        var closed = 0
        for start in 0..<bytes.count - 5 where Array(bytes[start..<start + 5]) == named {
            bytes.replaceSubrange(start..<start + 5, with: one)
            closed += 1
        }
        try #require(closed >= 2)
        let file = Fixtures.temporaryFolder("batch").appendingPathComponent("closed.onnx")
        try Data(bytes).write(to: file)
        return (try Network(contentsOf: url), try Network(contentsOf: file))
    }

    @Test(
        arguments: ["small2d", "small3d"],
        ["occlusion", "rise", "feature-ablation", "lime", "kernelshap", "shapley-sampling"])
    func batchedScoresAreTheSame(_ name: String, _ method: String) throws {
        let networks = try Self.networks(name)
        let reference = try SafeTensors(contentsOf: Fixtures.reference("inspections/ascents.safetensors"))
        let tensor = reference.float("\(name)|input")!
        let input = PreparedInput(testing: tensor)
        let spatial = Array(tensor.shape.dropFirst(2))
        let parts = (0..<spatial.reduce(1, *)).map { Float($0 / 4 % 9) }
        let ones = spatial.map { _ in 1.0 }
        let labels = try input.volume(
            fromTensorSpatial: parts, shape: spatial, jump: ones, centre: ones.map { _ in 0 })
        var options: [String: OptionValue] = [:]
        switch method {
        case "occlusion": options = ["size": .number(3), "stride": .number(2)]
        case "rise": options = ["masks": .number(50), "cells": .number(3)]
        case "lime", "kernelshap": options = ["segments": .word("labels"), "samples": .number(60)]
        case "shapley-sampling": options = ["segments": .word("labels"), "orders": .number(5)]
        default: options = ["segments": .word("labels")]
        }
        func map(_ network: Network) throws -> (values: [Float], score: Double, asked: Int) {
            let asked = Mutex(0)
            let found = try Explainer(network: network).explain(
                input, .init(methods: [MethodChoice(method, options: options)], targets: [.index(1)]),
                regions: ScanRegions(labels: labels)
            ) {
                asked.withLock { $0 += 1 }
                return false
            }
            let explanation = found.explanations[0]
            return (explanation.maps[0].values.values, explanation.target.score, asked.withLock { $0 })
        }
        let (together, single) = (try map(networks.open), try map(networks.closed))
        #expect(together.values.contains { $0 != 0 })
        // Answers agree to rounding, for another shape may take another kernel; a map is made of differences of answers.
        let largest = zip(together.values, single.values).map { abs(Double($0) - Double($1)) }.max()!
        let difference = largest / abs(single.score)
        #expect(difference < 5e-6, "\(largest) at a score of \(single.score)")
        // The network really ran fewer times: it is asked between its nodes whether to stop.
        #expect(together.asked * 2 < single.asked, "\(together.asked) of \(single.asked)")
    }
}
