import Explanations
import Foundation
import TestSupport
import Tensors
import Testing
import Volumes

@testable import Inspections

/// Fourier transforms, motions and kernel textures against numpy and scipy (Tests/Reference/inspections.py).
@Suite struct TransformTests {
    let reference = try! SafeTensors(contentsOf: Fixtures.reference("inspections/transforms.safetensors"))

    @Test(arguments: ["6x5x4", "7x12"]) func hartleyEqualsNumpysFFT(_ key: String) {
        let data = reference.float("\(key)|data")!
        let basis = FrequencyBasis(shape: data.shape)
        #expect(relativeError(basis(data.values), reference.float("\(key)|hartley")!.values) < 1e-5)
        // Its own inverse.
        #expect(relativeError(basis(basis(data.values)), data.values) < 1e-5)
        let frequencies = reference.float("\(key)|frequencies")!.values
        #expect(relativeError(basis.frequencies.map(Float.init), frequencies) < 1e-6)
    }

    @Test(arguments: ["6x5x4", "7x12"]) func scrambledPhasesKeepTheAmplitudes(_ key: String) {
        let data = reference.float("\(key)|data")!
        let noise = reference.float("\(key)|noise")!.values.map(Double.init)
        let scrambled = Fourier.phaseScrambled(data.values, shape: data.shape, noise: noise)
        #expect(relativeError(scrambled, reference.float("\(key)|scrambled")!.values) < 1e-5)
    }

    @Test func fourierInvertsItself() {
        let data = reference.float("6x5x4|data")!
        let values = data.values.map(Double.init)
        let back = Fourier.inverse(Fourier.forward(values, shape: data.shape), shape: data.shape)
        #expect(zip(back.real, values).allSatisfy { abs($0 - $1) < 1e-12 })
        #expect(back.imaginary.allSatisfy { abs($0) < 1e-12 })
    }

    @Test func motionEqualsScipys() {
        let data = reference.float("motion|data")!
        let motion = SmallMotion(
            shape: data.shape, matrix: reference.float("motion|matrix")!.values.map(Double.init),
            shift: reference.float("motion|shift")!.values.map(Double.init))
        #expect(relativeError(motion.forward(data.values), reference.float("motion|moved")!.values) < 1e-5)
    }

    /// ⟨M x, y⟩ = ⟨x, Mᵀ y⟩, in two and three dimensions.
    @Test(arguments: [[9, 11], [5, 7, 6]]) func theAdjointOfAMotion(_ shape: [Int]) {
        var numbers = SeededNumbers(3)
        for seed in 0..<5 {
            var random = RandomSource(seed: UInt64(seed))
            let motion = SmallMotion(shape, jitter: 2, scale: 0.1, rotation: 12, using: &random)
            #expect(!motion.isIdentity)
            let x = numbers.tensor(shape).values
            let y = numbers.tensor(shape).values
            func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
            #expect(abs(dot(motion.forward(x), y) - dot(x, motion.adjoint(y))) < 1e-4)
        }
    }

    /// A 2D input is not turned out of its plane, and nothing asked for changes nothing.
    @Test func motionsKeepToTheirPlane() {
        var random = RandomSource(seed: 5)
        let motion = SmallMotion([8, 8], jitter: 3, scale: 0.1, rotation: 20, using: &random)
        #expect(motion.matrix[0] == 1 && motion.matrix[1] == 0 && motion.matrix[3] == 0 && motion.shift[0] == 0)
        #expect(SmallMotion([8, 8], jitter: 0, scale: 0, rotation: 0, using: &random).isIdentity)
    }

    @Test(arguments: [[3, 3, 3], [5, 5], [7, 7]]) func texturesOfKernelsEqualNumpys(_ shape: [Int]) throws {
        let reference = try SafeTensors(contentsOf: Fixtures.reference("inspections/textures.safetensors"))
        let key = shape.map(String.init).joined(separator: "x")
        let kernels = reference.float("\(key)|kernels")!
        let expected = reference.float("\(key)|measures")!
        let spectrum = PaddedSpectrum(shape, padded: 16)
        for kernel in 0..<5 {
            let size = shape.elementCount
            let values = Array(kernels.values[kernel * size..<(kernel + 1) * size])
            let found = try #require(KernelTexture.measure(values, shape, spectrum))
            #expect(abs(Float(found.highFrequencyShare) - expected[kernel, 0]) < 1e-5)
            #expect(abs(Float(found.spectralEntropy) - expected[kernel, 1]) < 1e-5)
            #expect(abs(Float(found.smoothness) - expected[kernel, 2]) < 1e-5)
        }
        // A constant kernel has no texture.
        #expect(KernelTexture.measure([Float](repeating: 0.3, count: shape.elementCount), shape, spectrum) == nil)
    }
}
