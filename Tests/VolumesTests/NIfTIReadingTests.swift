import CNIfTI
import Failures
import Foundation
import TestSupport
import Testing
import Volumes

@Suite struct NIfTIReadingTests {
    static func file(_ name: String) -> URL { Fixtures.reference("volumes/\(name)") }

    @Test("voxels, affine, issues and extensions are nibabel's", arguments: Expectation.all.keys.sorted())
    func agreesWithNibabel(name: String) throws {
        let expected = try #require(Expectation.all[name])
        for (index, values) in expected.volumes.enumerated() {
            let image = try NIfTIFile.read(Self.file(name), volume: expected.volumes.count > 1 ? index : nil)
            let shape = image.volume.grid.shape
            #expect([shape.x, shape.y, shape.z] == expected.shape)
            #expect(image.volume.grid.affine.distance(to: expected.affine) < 1e-5)
            let differing = zip(image.volume.voxels, values).count { $0 != $1.value && !($0.isNaN && $1.value.isNaN) }
            #expect(differing == 0)
            #expect(image.volume.voxels.count == values.count)
            #expect(image.issues.map(\.field) == expected.issues)
            if let extensions = expected.extensions {
                #expect(image.extensions.map(\.code) == extensions.map(\.code))
                #expect(image.extensions.map(\.text) == extensions.map(\.text))
            }
        }
    }

    @Test("a 4D file names how many volumes it holds when none is chosen")
    func fourDimensions() throws {
        let failure = try #require(throws: Failure.self) { try NIfTIFile.read(Self.file("rank4.nii")) }
        #expect(failure.found == "3 volumes (5 × 4 × 3, 3 of them)")
        #expect(failure.remedy == "Choose a volume from 0 to 2")
        let tooFar = try #require(throws: Failure.self) { try NIfTIFile.read(Self.file("rank4.nii"), volume: 3) }
        #expect(tooFar.expected == "a volume from 0 to 2")
    }

    /// What is wrong with each broken file must be said in these words.
    static let broken: [(name: String, kind: Failure.Kind, words: String)] = [
        ("empty.nii", .scan, "an empty file"),
        ("three_bytes.nii", .scan, "expected a NIfTI header, found 3 bytes"),
        ("short_header.nii", .scan, "expected a NIfTI-1 header of 348 bytes, found 200 bytes"),
        ("header_only.nii", .scan, "expected voxels from byte 352 on (vox_offset), found a file of 348 bytes"),
        (
            "cut_voxels.nii", .scan,
            "expected 472 bytes for 5 × 4 × 3 voxels of INT16, found 452. The file was cut short"
        ),
        ("gzip_cut.nii.gz", .scan, "expected a complete gzip stream, found a file that ends"),
        ("gzip_cut_trailer.nii.gz", .scan, "expected a complete gzip stream, found a file that ends"),
        ("gzip_crc.nii.gz", .scan, "expected a gzip stream whose CRC-32 matches its content, found a wrong checksum"),
        ("gzip_length.nii.gz", .scan, "expected a gzip stream as long as its last field says, found 472 bytes"),
        ("gzip_corrupt.nii.gz", .scan, "expected a valid gzip stream, found corrupt data after"),
        ("gzip_method.nii.gz", .scan, "found corrupt data after 0 decompressed bytes (unknown compression method)"),
        (
            "gzip_short_content.nii.gz", .scan,
            "expected 472 bytes after decompression for 5 × 4 × 3 voxels of INT16, found 452"
        ),
        ("dim_negative.nii", .scan, "expected at least one voxel along every axis, found dim[3] = -3"),
        ("dim_zero.nii", .scan, "found dim[1] = 0"),
        ("rank_zero.nii", .scan, "expected 1 to 7 dimensions (dim[0]), found 0"),
        ("rank_eight.nii", .scan, "expected 1 to 7 dimensions (dim[0]), found 8"),
        ("dim_huge.nii", .scan, "found 472. The dimensions in the header cannot be right"),
        ("dim_huge.nii.gz", .scan, "The dimensions in the header cannot be right"),
        ("dim_overflow.nii", .scan, "expected dimensions that a file can hold"),
        ("dim_overflow_volumes.nii", .scan, "expected dimensions that a file can hold"),
        (
            "vox_offset_past_end.nii", .scan,
            "expected voxels from byte 1000000000 on (vox_offset), found a file of 472 bytes"
        ),
        ("vox_offset_negative.nii", .scan, "expected a whole, positive vox_offset, found -352.0"),
        ("vox_offset_fraction.nii", .scan, "expected a whole, positive vox_offset, found 352.5"),
        ("vox_offset_nan.nii", .scan, "expected a whole, positive vox_offset, found nan"),
        ("vox_offset_huge.nii", .scan, "expected a vox_offset inside the file"),
        ("magic.nii", .scan, #"expected the NIfTI magic 'n+1' or 'ni1', found "n+7""#),
        ("analyze.nii", .scan, "found none: an ANALYZE 7.5 header, which does not record which side is left"),
        ("signature.nii", .scan, "expected a NIfTI-2 signature ending in CR LF ^Z LF"),
        ("datatype_0.nii", .scan, "found datatype 0 (UNKNOWN)"),
        ("datatype_1.nii", .scan, "One-bit voxels are not read"),
        ("datatype_32.nii", .scan, "found datatype 32 (COMPLEX64). Complex voxels are no intensities"),
        ("datatype_1536.nii", .scan, "found datatype 1536 (FLOAT128). 128-bit floats mean different bytes"),
        ("datatype_1792.nii", .scan, "COMPLEX128"),
        ("datatype_2048.nii", .scan, "COMPLEX256"),
        ("datatype_9999.nii", .scan, "found datatype 9999 (no datatype of the standard)"),
        ("cifti.nii", .scan, "expected a volume of voxels, found a CIFTI-2 matrix"),
        ("hdr_without_img.hdr", .scan, "named .img or .img.gz, found no such file"),
        (
            "img_without_hdr.img", .scan,
            "broken_img_without_hdr.hdr: expected a readable file, found no file of this name"
        ),
        ("pair_cut.hdr", .scan, "broken_pair_cut.img: expected 120 bytes for 5 × 4 × 3 voxels of INT16, found 119"),
        ("all_nan.nii", .scan, "expected finite voxels, found 8 voxels, every one NaN or infinite"),
        ("dicom.nii", .scan, "found a DICOM file. Convert the series with dcm2niix"),
        ("png.nii", .scan, "found a PNG image"),
        ("html.nii.gz", .scan, "found a web page or XML. The download failed"),
        ("zip.nii", .scan, "found a zip archive"),
        ("lfs.nii.gz", .scan, "found a Git LFS pointer"),
        ("text.nii", .scan, "expected a NIfTI header, whose first field is 348 or 540"),
        ("no_such_file.nii", .scan, "found no file of this name"),
    ]

    @Test("each broken file is refused with its own message", arguments: broken)
    func refuses(name: String, kind: Failure.Kind, words: String) throws {
        let failure = try #require(throws: Failure.self) { try NIfTIFile.read(Self.file("broken_\(name)")) }
        #expect(failure.kind == kind)
        #expect(failure.description.contains(words), "\(failure)")
        #expect(failure.subject.contains("broken_"))
    }

    @Test("every broken file of the folder is among those tried")
    func brokenFilesAreComplete() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Fixtures.reference("volumes").path)
            .filter { $0.hasPrefix("broken_") && $0 != "broken_pair_cut.img" }.map { String($0.dropFirst(7)) }
        #expect(Set(names).isSubset(of: Self.broken.map(\.name)))
    }

    @Test("a folder and a pipe are no scans")
    func notRegularFiles() throws {
        let folder = Fixtures.temporaryFolder("reading")
        let failure = try #require(throws: Failure.self) { try NIfTIFile.read(folder) }
        #expect(failure.found == "a folder")
        let pipe = folder.appendingPathComponent("pipe.nii")
        #expect(mkfifo(pipe.path, 0o600) == 0)
        let other = try #require(throws: Failure.self) { try NIfTIFile.read(pipe) }
        #expect(other.found == "a device, socket or pipe")
    }

    @Test("cutting a file at any byte is refused, never read as zeros", arguments: ["int16_le.nii", "gzip.nii.gz"])
    func everyTruncation(name: String) throws {
        let cut = Fixtures.temporaryFolder("cut").appendingPathComponent(name)
        try FileManager.default.copyItem(at: Self.file(name), to: cut)
        let handle = try FileHandle(forUpdating: cut)
        for length in try (0..<handle.seekToEnd()).reversed() {
            try handle.truncate(atOffset: length)
            #expect(throws: Failure.self) { try NIfTIFile.read(cut) }
        }
    }

    @Test("any single flipped bit of the header is read or refused, never a crash")
    func everyBitFlip() throws {
        let whole = try Data(contentsOf: Self.file("extensions.nii"))
        let flipped = Fixtures.temporaryFolder("flip").appendingPathComponent("flipped.nii")
        try whole.write(to: flipped)
        let handle = try FileHandle(forUpdating: flipped)
        func put(_ byte: UInt8, at offset: Int) throws {
            try handle.seek(toOffset: UInt64(offset))
            try handle.write(contentsOf: [byte])
        }
        for bit in 0..<8 * 400 {
            try put(whole[bit / 8] ^ UInt8(1 << (bit % 8)), at: bit / 8)
            defer { try? put(whole[bit / 8], at: bit / 8) }
            do {
                let image = try NIfTIFile.read(flipped, volume: 0)
                #expect(image.volume.grid.affine.inverse != nil)
            } catch is Failure {
                continue
            }
        }
    }

    @Test("voxels that are not finite are counted, kept, and replaced on request")
    func nonFinite() throws {
        var image = try NIfTIFile.read(Self.file("not_finite.nii"))
        #expect(image.statistics.nanCount == 1)
        #expect(image.statistics.infiniteCount == 2)
        #expect(image.volume[1, 1, 1].isNaN)
        image.replaceNonFinite()
        #expect(image.volume[1, 1, 1] == image.statistics.minimum)
        #expect(image.volume[2, 1, 1] == image.statistics.maximum)
        #expect(image.volume[3, 1, 1] == image.statistics.minimum)
        #expect(image.statistics.finiteCount == image.statistics.count)
        #expect(image.issues.last?.problem == "3 voxels are NaN or infinite")
    }

    @Test("values that hardly are HU are told")
    func notCT() throws {
        #expect(try NIfTIFile.read(Self.file("int32_le.nii")).statistics.notCTReason?.contains("far outside") == true)
        #expect(try NIfTIFile.read(Self.file("sform_only.nii")).ctIssue == nil)
        let eightBit = try NIfTIFile.read(Self.file("uint8_le.nii"))
        #expect(eightBit.ctIssue?.problem.contains("an eight-bit image or a label map") == true)
        let unit = VolumeStatistics([0, 0.5, 1])
        #expect(unit.notCTReason == "values from 0.0 to 1.0: already normalised, or a probability map")
        #expect(VolumeStatistics([7, 7]).notCTReason == "every voxel is 7.0")
    }

    @Test(
        "the qform is libnifti's single-precision one within its precision; its reader accepts our view of the header")
    func conformsToLibnifti() throws {
        for name in ["qform_only.nii", "qfac_negative.nii", "int16_be.nii"] {
            let header = try NIfTIFile.readHeader(Self.file(name)).header
            var swapped: Int32 = 0
            let other = try #require(nifti_read_n1_hdr(Self.file(name).path, &swapped, 1))
            defer { free(other) }
            let h = other.pointee
            #expect(nifti_hdr1_looks_good(other) == 1)
            #expect((swapped != 0) == header.isBigEndian)
            let matrix = nifti_quatern_to_mat44(
                h.quatern_b, h.quatern_c, h.quatern_d, h.qoffset_x, h.qoffset_y, h.qoffset_z, h.pixdim.1, h.pixdim.2,
                h.pixdim.3, h.pixdim.0)
            let m = matrix.m
            let rows = [m.0, m.1, m.2].map { [Double($0.0), Double($0.1), Double($0.2), Double($0.3)] }
            #expect(header.qformAffine.distance(to: rows) < 1e-5)
        }
    }

    @Test(
        "extents and codes are those that libnifti sees", arguments: ["int16_le.nii", "nifti2_be.nii", "rank5.nii.gz"])
    func headerFields(name: String) throws {
        let header = try NIfTIFile.readHeader(Self.file(name)).header
        let image = try #require(nifti_image_read(Self.file(name).path, 0))
        defer { nifti_image_free(image) }
        let other = image.pointee
        #expect(header.dim[1...3].map(Int64.init) == [other.nx, other.ny, other.nz])
        #expect(header.volumeCount == Int(other.nvox / (other.nx * other.ny * other.nz)))
        #expect(header.datatype == Int(other.datatype))
        #expect(header.qformCode == Int(other.qform_code))
        #expect(header.sformCode == Int(other.sform_code))
        #expect(header.pixdim[1...3].map { $0 } == [other.dx, other.dy, other.dz])
    }
}
