import CZlib
import Failures
import Foundation
import TestSupport
import Testing
import Volumes

/// Files of other programs: what nibabel reads from them is kept as facts (shape, affine, checksum of the voxels), the files
/// themselves are not part of the project.
@Suite(.enabled(if: Fixtures.realData != nil, "set TOMOLENS_REAL_DATA to a folder that holds nifti/"))
struct NIfTIRealDataTests {
    struct Fact: Decodable {
        var shape: [Int]
        var affine: [[Double]]
        var volumes: Int
        var axcodes: String
        var crc32: UInt?
    }

    static let facts: [String: Fact] = {
        let data = try! Data(contentsOf: Fixtures.reference("volumes/real.json"))
        return try! JSONDecoder().decode([String: Fact].self, from: data)
    }()

    @Test("voxel for voxel and affine for affine as nibabel", arguments: facts.keys.sorted())
    func agreesWithNibabel(name: String) throws {
        let fact = try #require(Self.facts[name])
        let folder = try #require(Fixtures.realData).appendingPathComponent("nifti")
        let image = try NIfTIFile.read(folder.appendingPathComponent(name), volume: fact.volumes - 1)
        let shape = image.volume.grid.shape
        #expect([shape.x, shape.y, shape.z] == fact.shape)
        #expect(image.volume.grid.affine.distance(to: fact.affine) < 1e-5)
        if let expected = fact.crc32 {
            let checksum = image.volume.voxels.withUnsafeBytes {
                crc32_z(0, $0.baseAddress!.assumingMemoryBound(to: UInt8.self), $0.count)
            }
            #expect(checksum == expected)
        }
    }

    @Test(
        "what is damaged or no volume of numbers is refused",
        arguments: [
            ("variants/bad_magic.nii", "the NIfTI magic"), ("variants/complex64.nii.gz", "COMPLEX64"),
            ("variants/datatype_float128_unsupported.nii", "FLOAT128"),
            ("variants/dim_huge_small_file.nii", "cannot be right"), ("variants/dim_negative.nii", "dim[3] = -5"),
            ("variants/dim_zero.nii", "dim[1] = 0"), ("variants/empty.nii", "an empty file"),
            ("variants/gzip_crc_broken.nii.gz", "a wrong checksum"),
            ("variants/gzip_truncated.nii.gz", "in the middle of the stream"),
            ("variants/truncated_half.nii", "found 74080"), ("variants/vox_offset_past_end.nii", "(vox_offset)"),
            ("variants/4d_t2.nii.gz", "2 volumes"), ("wild/nb_analyze.hdr", "ANALYZE 7.5"),
            ("wild/nb_nifti1.hdr", "found no such file"), ("wild/nb_nifti2.hdr", "found no such file"),
            ("wild/nb_row_major.dconn.nii", "CIFTI-2"), ("wild/niivue_complex_image.nii.gz", "COMPLEX64"),
        ])
    func refuses(name: String, words: String) throws {
        let url = try #require(Fixtures.realData).appendingPathComponent("nifti").appendingPathComponent(name)
        let failure = try #require(throws: Failure.self) { try NIfTIFile.read(url) }
        #expect(failure.description.contains(words), "\(failure)")
    }

    @Test("one crop in many encodings is the same HU and the same place")
    func variants() throws {
        let folder = try #require(Fixtures.realData).appendingPathComponent("nifti/variants")
        let expected = try [Int16](npy: folder.appendingPathComponent("expected_hu_int16.npy"))
        let affine = try [Double](npy: folder.appendingPathComponent("expected_affine.npy"))
        let exact = [
            "int16_le.nii", "int16_be.nii", "int16_le.nii.gz", "nifti2_le.nii.gz", "nifti2_be.nii", "pair.hdr",
            "pair.img",
            "plain_named_but_gz.nii", "gz_named_but_plain.nii.gz", "gzip_two_members.nii.gz", "7d_singletons.nii.gz",
            "4d_t1.nii.gz", "extension_esize32_vox384.nii", "int32_slope1_inter0.nii.gz", "int64_slope1_inter0.nii.gz",
            "float32_slope1_inter0.nii.gz", "float64_slope1_inter0.nii.gz", "uint16_slope1_inter-1024.nii.gz",
            "uint32_slope1_inter-1024.nii.gz", "qform_only.nii", "sform_only.nii", "scl_slope_nan.nii",
            "scl_slope_zero_means_ignore.nii",
        ]
        for name in exact {
            let image = try NIfTIFile.read(folder.appendingPathComponent(name))
            #expect(image.volume.voxels == expected.map(Float.init), "\(name)")
            #expect(image.volume.grid.affine.distance(to: Affine(rows: affine).rows) < 1e-5, "\(name)")
        }
    }
}

extension Array where Element: BitwiseCopyable {
    /// The elements of a NumPy file in Fortran order, whichever order the file keeps them in.
    init(npy url: URL) throws {
        let data = try Data(contentsOf: url)
        let length = Int(data[8]) | Int(data[9]) << 8
        let head = String(decoding: data[10..<10 + length], as: UTF8.self)
        let elements = data.dropFirst(10 + length).withUnsafeBytes { raw in
            (0..<raw.count / MemoryLayout<Element>.size).map {
                raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Element>.size, as: Element.self)
            }
        }
        let shape = head.firstMatch(of: /\(([0-9, ]+)\)/)!.1.split(separator: ",").compactMap {
            Int($0.trimmingCharacters(in: .whitespaces))
        }
        guard shape.count == 3, head.contains("'fortran_order': False") else {
            self = elements
            return
        }
        self = []
        reserveCapacity(elements.count)
        for k in 0..<shape[2] {
            for j in 0..<shape[1] {
                for i in 0..<shape[0] { append(elements[(i * shape[1] + j) * shape[2] + k]) }
            }
        }
    }
}
