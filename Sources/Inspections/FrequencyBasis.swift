import Foundation
import Tensors
import Workers

/// The separable Hartley transform: the real Fourier basis, `cas(2πkn/N) = cos + sin`, along every axis.
///
/// With the factor `1/√N` a matrix along each axis is symmetric and its own inverse, so one function brings coefficients to
/// voxels, voxels to coefficients, and gradients either way (Bracewell, J. Opt. Soc. Am. 1983). Coefficient k along an axis of
/// N has `min(k, N − k) / N` cycles a voxel.
public struct FrequencyBasis: Sendable {
    /// Spatial extents, in row-major order.
    public let shape: [Int]
    private let matrices: [[Float]]

    public init(shape: [Int]) {
        self.shape = shape
        matrices = shape.map { extent in
            (0..<extent * extent).map { entry in
                // The product is taken modulo the extent first: the sine of a large angle loses digits.
                let angle = 2 * Double.pi * Double(entry / extent * (entry % extent) % extent) / Double(extent)
                return Float((cos(angle) + sin(angle)) / Double(extent).squareRoot())
            }
        }
    }

    /// The transform of one channel, `shape.elementCount` values; its own inverse and its own adjoint.
    public func callAsFunction(_ values: [Float]) -> [Float] {
        precondition(values.count == shape.elementCount)
        var current = values
        for axis in shape.indices where shape[axis] > 1 { current = along(axis, current) }
        return current
    }

    private func along(_ axis: Int, _ values: [Float]) -> [Float] {
        let extent = shape[axis]
        let inner = shape[(axis + 1)...].reduce(1, *)
        let outer = values.count / (extent * inner)
        let matrix = matrices[axis]
        return [Float](unsafeUninitializedCapacity: values.count) { target, initialized in
            let out = UncheckedFloats(target.baseAddress!)
            values.withUnsafeBufferPointer { source in
                matrix.withUnsafeBufferPointer { matrix in
                    let source = UncheckedFloats(UnsafeMutablePointer(mutating: source.baseAddress!))
                    let matrix = UncheckedFloats(UnsafeMutablePointer(mutating: matrix.baseAddress!))
                    // One piece makes one line of outputs along the inner axes.
                    Workers.shared.forEachRange(outer * extent, grain: max(1, 65536 / (extent * inner))) { pieces in
                        for piece in pieces {
                            let (block, row) = (piece / extent, piece % extent)
                            let to = out.base + (block * extent + row) * inner
                            to.update(repeating: 0, count: inner)
                            for column in 0..<extent {
                                let weight = matrix.base[row * extent + column]
                                let from = source.base + (block * extent + column) * inner
                                for index in 0..<inner { to[index] += weight * from[index] }
                            }
                        }
                    }
                }
            }
            initialized = values.count
        }
    }

    /// Cycles a voxel of every coefficient: the length of the vector of its frequencies along the axes.
    public var frequencies: [Double] {
        let strides = shape.rowMajorStrides
        return (0..<shape.elementCount).map { index in
            var sum = 0.0
            for (axis, extent) in shape.enumerated() {
                let place = index / strides[axis] % extent
                let frequency = Double(min(place, extent - place)) / Double(extent)
                sum += frequency * frequency
            }
            return sum.squareRoot()
        }
    }
}

/// A pointer that pieces of one parallel call share; each writes places of its own.
struct UncheckedFloats: @unchecked Sendable {
    let base: UnsafeMutablePointer<Float>
    init(_ base: UnsafeMutablePointer<Float>) { self.base = base }
}

/// The discrete Fourier transform of real data over one to three axes, by sums along each axis.
enum Fourier {
    /// Real and imaginary parts in row-major order of `shape`.
    struct Spectrum {
        var real: [Double]
        var imaginary: [Double]
    }

    static func forward(_ values: [Double], shape: [Int]) -> Spectrum {
        transform(Spectrum(real: values, imaginary: [Double](repeating: 0, count: values.count)), shape, sign: -1)
    }

    /// The inverse, with its factor 1/N.
    static func inverse(_ spectrum: Spectrum, shape: [Int]) -> Spectrum {
        var result = transform(spectrum, shape, sign: 1)
        let factor = 1 / Double(max(1, spectrum.real.count))
        for index in result.real.indices {
            result.real[index] *= factor
            result.imaginary[index] *= factor
        }
        return result
    }

    private static func transform(_ spectrum: Spectrum, _ shape: [Int], sign: Double) -> Spectrum {
        precondition(spectrum.real.count == shape.elementCount)
        var current = spectrum
        for axis in shape.indices where shape[axis] > 1 {
            let extent = shape[axis]
            let inner = shape[(axis + 1)...].reduce(1, *)
            let outer = current.real.count / (extent * inner)
            let cosines = (0..<extent).map { cos(2 * Double.pi * Double($0) / Double(extent)) }
            let sines = (0..<extent).map { sign * sin(2 * Double.pi * Double($0) / Double(extent)) }
            let source = current
            let lines = try! Workers.shared.map(outer * extent) { piece -> ([Double], [Double]) in
                let (block, row) = (piece / extent, piece % extent)
                var real = [Double](repeating: 0, count: inner)
                var imaginary = real
                for column in 0..<extent {
                    let turn = row * column % extent
                    let (c, s) = (cosines[turn], sines[turn])
                    let from = (block * extent + column) * inner
                    for index in 0..<inner {
                        let (a, b) = (source.real[from + index], source.imaginary[from + index])
                        real[index] += c * a - s * b
                        imaginary[index] += c * b + s * a
                    }
                }
                return (real, imaginary)
            }
            current.real = lines.flatMap(\.0)
            current.imaginary = lines.flatMap(\.1)
        }
        return current
    }

    /// The data with its own amplitudes at every frequency and the phases of white noise: the same texture, no shape.
    static func phaseScrambled(_ values: [Float], shape: [Int], noise: [Double]) -> [Float] {
        let own = forward(values.map(Double.init), shape: shape)
        let other = forward(noise, shape: shape)
        var mixed = own
        for index in own.real.indices {
            let amplitude = (own.real[index] * own.real[index] + own.imaginary[index] * own.imaginary[index])
                .squareRoot()
            let length = (other.real[index] * other.real[index] + other.imaginary[index] * other.imaginary[index])
                .squareRoot()
            // The mean keeps its sign: it is brightness, not structure.
            if index == 0 || length == 0 { continue }
            mixed.real[index] = amplitude * other.real[index] / length
            mixed.imaginary[index] = amplitude * other.imaginary[index] / length
        }
        return inverse(mixed, shape: shape).real.map { Float($0) }
    }
}
