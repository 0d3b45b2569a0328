import CVoxels
import Foundation
import TestSupport
import Testing

@testable import Volumes

/// The loops in C against the formulas their documentation states, bit for bit: what a processor's vectors make faster they
/// must not make different.
@Suite struct VoxelLoopTests {
    private static func random(_ count: Int, _ seed: UInt64) -> [Float] {
        var numbers = SeededNumbers(seed)
        return (0..<count).map { _ in numbers.float(-1000...1000) }
    }

    private static func lerp(_ a: Float, _ b: Float, _ weight: Float) -> Float { a + (b - a) * weight }

    @Test("a line through a volume: every sample is the trilinear formula", arguments: [false, true], [false, true])
    func lines(nearest: Bool, bounded: Bool) {
        let shape = [7, 5, 4]
        let voxels = Self.random(shape.reduce(1, *), 1)
        let starts: [[Double]] = [[-1.7, 2.1, 0.4], [6.5, -0.5, 3.5], [3, 2, 1], [0.25, 4.5, 3.4999]]
        let steps: [[Double]] = [[0.031, 0.01, 0.007], [-0.03, 0.02, -0.0131], [0.5, -0.25, 0.125], [0, 0, 0]]
        // Not a multiple of any vector's length, and more than one block.
        let count = 389
        for (start, step) in zip(starts, steps) {
            var result = [Float](repeating: .nan, count: count)
            voxels.withUnsafeBufferPointer { voxels in
                var line = tomo_line(
                    voxels: voxels.baseAddress, shape: (7, 5, 4), start: (start[0], start[1], start[2]),
                    step: (step[0], step[1], step[2]), is_bounded: bounded ? 1 : 0, outside: -7)
                if nearest {
                    tomo_sample_nearest(&line, &result, Int64(count))
                } else {
                    tomo_sample_trilinear(&line, &result, Int64(count))
                }
            }
            let expected = (0..<count).map { n -> Float in
                let places = (0..<3).map { axis in
                    ((start[axis] + step[axis] * Double(n)) * 0x1p30).rounded(.toNearestOrEven) / 0x1p30
                }
                if bounded, zip(places, shape).contains(where: { $0 < -0.5 || $0 > Double($1) - 0.5 }) { return -7 }
                let held = zip(places, shape).map { min(max($0, 0), Double($1 - 1)) }
                func voxel(_ i: Int, _ j: Int, _ k: Int) -> Float {
                    voxels[min(i, 6) + 7 * (min(j, 4) + 5 * min(k, 3))]
                }
                if nearest {
                    let near = held.map { Int($0.rounded(.toNearestOrEven)) }
                    return voxel(near[0], near[1], near[2])
                }
                let low = held.map { Int($0.rounded(.down)) }
                let weight = zip(held, low).map { Float($0 - Double($1)) }
                func plane(_ k: Int) -> Float {
                    let (i, j) = (low[0], low[1])
                    return Self.lerp(
                        Self.lerp(voxel(i, j, k), voxel(i + 1, j, k), weight[0]),
                        Self.lerp(voxel(i, j + 1, k), voxel(i + 1, j + 1, k), weight[0]), weight[1])
                }
                return Self.lerp(plane(low[2]), plane(low[2] + 1), weight[2])
            }
            #expect(result == expected)
        }
    }

    @Test("stored numbers are rounded half away from zero and held within their limits")
    func stores() {
        let values = Self.random(301, 3) + [0.5, -0.5, 1.5, -2.5, 0.499_999_97, 40000, -40000, 0]
        func expected(_ slope: Double, _ inter: Double, _ low: Double, _ high: Double) -> [Double] {
            values.map { min(max(((Double($0) - inter) / slope).rounded(), low), high) }
        }
        let count = Int64(values.count)
        for (slope, inter) in [(1.0, 0.0), (0.37, -11.5)] {
            var words = [Int16](repeating: 0, count: values.count)
            tomo_store_int16(values, slope, inter, -32767, 32767, &words, count)
            #expect(words.map(Double.init) == expected(slope, inter, -32767, 32767))
            var unsigned = [UInt16](repeating: 0, count: values.count)
            tomo_store_uint16(values, slope, inter, 0, 65535, &unsigned, count)
            #expect(unsigned.map(Double.init) == expected(slope, inter, 0, 65535))
            var bytes = [UInt8](repeating: 0, count: values.count)
            tomo_store_uint8(values, slope, inter, 0, 255, &bytes, count)
            #expect(bytes.map(Double.init) == expected(slope, inter, 0, 255))
        }
    }

    @Test("one fraction anywhere makes values not whole")
    func whole() {
        var values = (0..<300).map { Float($0 * 7 - 1000) }
        #expect(tomo_are_whole(values, 300) != 0)
        for place in [0, 127, 128, 299] {
            values[place] += 0.5
            #expect(tomo_are_whole(values, 300) == 0)
            values[place] -= 0.5
        }
        for value in [Float.infinity, -.infinity, .nan] {
            values[128] = value
            #expect(tomo_are_whole(values, 300) == 0)
        }
    }

    /// Large enough for several rounds on all threads and a rest, in every size of voxel; read in one go from the compressed
    /// file, piece by piece from the plain one.
    @Test("a compressed file gives the same voxels as a plain one", arguments: NIfTIWriter.Encoding.allCases)
    func compressed(encoding: NIfTIWriter.Encoding) throws {
        let folder = Fixtures.temporaryFolder("whole")
        let grid = Grid(shape: [131, 90, 61], affine: NIfTIWritingTests.oblique)
        var numbers = SeededNumbers(9)
        let voxels = (0..<grid.count).map { _ in
            encoding.isLabel ? Float(Int.random(in: 0...200, using: &numbers)) : numbers.float(-100...100)
        }
        var writer = NIfTIWriter()
        writer.encoding = encoding
        writer.extensions = [NIfTIExtension(comment: "so that the voxels begin at no round place")]
        let urls = ["plain.nii", "compressed.nii.gz"].map(folder.appendingPathComponent)
        for url in urls { try writer.write(Volume(grid: grid, voxels: voxels), to: url) }
        let images = try urls.map { try NIfTIFile.read($0) }
        #expect(images[0].volume.voxels == images[1].volume.voxels)
        #expect(images[1].issues.isEmpty && images[1].volume.voxels.count == grid.count)
        // And in one go it was.
        let file = try PlainStream(urls[1])
        let content = UnsafeMutableRawBufferPointer.allocate(byteCount: try PlainStream(urls[0]).size, alignment: 16)
        defer { content.deallocate() }
        #expect(WholeGzip.decompress(file, into: content))
        #expect(try Data(contentsOf: urls[0]).elementsEqual(content))
        // Never on the word of a wrong size.
        #expect(!WholeGzip.decompress(file, into: UnsafeMutableRawBufferPointer(rebasing: content.dropLast())))
    }
}
