"""DICOM in and out: series made with pydicom become the volumes that their headers describe, what a grid cannot hold is refused,
and the heat comes back as a series that dciodvfy (dicom3tools) passes and pydicom reads in the CT's places.

Needs the program with its optional DICOM part (TOMOLENS_DICOM=1) and Python's pydicom, highdicom, numpy and nibabel; what is missing is
said, and the tests are skipped. TOMOLENS_PROGRAM names the program, TOMOLENS_DCIODVFY the checker.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

try:
    import highdicom
    import nibabel
    import numpy
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid
except ImportError:
    pydicom = None

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = os.environ.get("TOMOLENS_PROGRAM", str(ROOT / ".build/release/tomolens"))
CHECKER = os.environ.get("TOMOLENS_DCIODVFY") or shutil.which("dciodvfy")
WORK = os.environ.get("TOMOLENS_DICOM_FOLDER")


def tomolens(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)


def has_dicom():
    try:
        return "one without" not in tomolens("dicom-import", "/nowhere").stderr
    except OSError:
        return False


@unittest.skipIf(pydicom is None, "script/setup --with-browser installs what this needs")
@unittest.skipIf(not has_dicom(), "the program was built without TOMOLENS_DICOM=1")
class DICOM(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tomolens-dicom-", dir=WORK))
        self.addCleanup(shutil.rmtree, self.folder)

    def series(self, name="ct", count=9, shape=(24, 20), turn=True, change=None, compress=False, uid=None):
        """A CT series, oblique, with names in another order than its slices; gives stored values and the LPS affine."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        chance = numpy.random.default_rng(5)
        rows, columns = shape
        row = numpy.array([0.96, 0.28, 0.0]) if turn else numpy.array([1.0, 0, 0])
        column = numpy.array([-0.28, 0.96, 0.0]) if turn else numpy.array([0, 1.0, 0])
        if turn:
            tilt = 0.2
            column = column * numpy.cos(tilt) + numpy.array([0, 0, numpy.sin(tilt)])
        normal = numpy.cross(row, column)
        spacing = (0.7, 0.9)
        step = 2.5
        origin = numpy.array([-40.5, 12.25, -100.0])
        values = chance.integers(0, 4000, (count, rows, columns))
        study, series, frame = generate_uid(), uid or generate_uid(), generate_uid()
        order = chance.permutation(count)
        for index in range(count):
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID = CTImageStorage
            meta.MediaStorageSOPInstanceUID = generate_uid()
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
            data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
            data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "Phantom^Drawn", "P1", "", "O"
            data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
            data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20200102", "030405", "1", ""
            data.ReferringPhysicianName, data.Modality, data.SeriesDescription = "", "CT", "thin slices"
            data.ContentDate, data.ContentTime = "20200102", "030406"
            data.InstanceNumber, data.SeriesNumber = count - index, 2
            data.PositionReferenceIndicator = ""
            data.Rows, data.Columns, data.SamplesPerPixel = rows, columns, 1
            data.PhotometricInterpretation = "MONOCHROME2"
            data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
            data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, -1024, "HU"
            data.PixelSpacing = list(spacing)
            data.SliceThickness = step
            data.ImageOrientationPatient = [float(f"{v:.10g}") for v in [*row, *column]]
            place = origin + normal * step * index
            data.ImagePositionPatient = [float(f"{v:.10g}") for v in place]
            data.PixelData = values[index].astype("<u2").tobytes()
            if change:
                change(index, data, normal)
            if compress:
                data.compress(RLELossless)
            data.save_as(folder / f"im{order[index]:03}.dcm", enforce_file_format=True)
        affine = numpy.eye(4)
        affine[:3, 0], affine[:3, 1], affine[:3, 2], affine[:3, 3] = row * spacing[1], column * spacing[0], normal * step, origin
        return folder, values - 1024, affine

    def imported(self, folder, *options):
        output = self.folder / "out.nii.gz"
        result = tomolens("dicom-import", folder, "--output", output, *options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return nibabel.load(output)

    def check(self, image, values, affine):
        # LPS to RAS.
        expected = numpy.diag([-1, -1, 1, 1]) @ affine
        numpy.testing.assert_allclose(image.affine, expected, atol=2e-4)
        numpy.testing.assert_array_equal(numpy.asarray(image.dataobj), values.transpose(2, 1, 0))

    def test_oblique(self):
        folder, values, affine = self.series()
        (folder / "notes.txt").write_text("no image")
        self.check(self.imported(folder), values, affine)

    def test_compressed(self):
        folder, values, affine = self.series(compress=True)
        self.check(self.imported(folder), values, affine)

    def test_signed_values_and_slopes(self):
        def change(index, data, normal):
            stored = numpy.frombuffer(data.PixelData, "<u2").astype(int) - 2000
            data.PixelRepresentation = 1
            data.RescaleSlope, data.RescaleIntercept = 0.5, 3
            # Bits above those stored mean nothing, and may be set.
            data.PixelData = ((stored & 0xFFF) | 0x7000).astype("<u2").tobytes()

        folder, values, affine = self.series(change=change)
        image = self.imported(folder)
        numpy.testing.assert_allclose(
            numpy.asarray(image.dataobj), ((values + 1024 - 2000) * 0.5 + 3).transpose(2, 1, 0), atol=1e-3)

    def refused(self, text, **options):
        folder, _, _ = self.series(**options)
        result = tomolens("dicom-import", folder, "--output", self.folder / "never.nii.gz")
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn(text, result.stderr)
        self.assertFalse((self.folder / "never.nii.gz").exists())

    def test_what_a_grid_cannot_hold_is_refused(self):
        def tilt(index, data, normal):
            data.GantryDetectorTilt = 10
            place = numpy.array([-40.5, 12.25, -100.0]) + index * numpy.array([0, 0.4, 2.5])
            data.ImagePositionPatient = [float(v) for v in place]

        def gap(index, data, normal):
            if index >= 5:
                data.ImagePositionPatient = [float(v) for v in numpy.array(data.ImagePositionPatient, float) + normal * 2.5]

        def twice(index, data, normal):
            if index == 4:
                data.ImagePositionPatient = [float(v) for v in numpy.array(data.ImagePositionPatient, float) - normal * 2.5]

        def sizes(index, data, normal):
            if index == 3:
                data.Rows, data.Columns = data.Columns, data.Rows

        def no_rescale(index, data, normal):
            del data.RescaleSlope

        def no_place(index, data, normal):
            del data.ImagePositionPatient

        def cut(index, data, normal):
            if index == 2:
                data.PixelData = data.PixelData[:100]

        self.refused("a tilted gantry: 9.09° from square", turn=False, change=tilt, name="tilt")
        self.refused("slices at even distances of 2.5 mm, found 5 mm", change=gap, name="gap")
        self.refused("one image at each place", change=twice, name="twice")
        self.refused("pixels, as the others", change=sizes, name="sizes", shape=(20, 24))
        self.refused("which make Hounsfield units", change=no_rescale, name="rescale")
        self.refused("a place in the patient", change=no_place, name="place")
        self.refused("less pixel data", change=cut, name="cut")
        self.refused("at least two images", count=1, name="one")

    def test_several_series(self):
        (self.folder / "both").mkdir()
        self.series("both/a", uid="1.2.3")
        _, values, affine = self.series("both/b", uid="1.2.4", count=7)
        result = tomolens("dicom-import", self.folder / "both", "--output", self.folder / "x.nii.gz")
        self.assertEqual(result.returncode, 4)
        self.assertIn("1.2.3 (9 images, 'thin slices'); 1.2.4 (7 images", result.stderr)
        self.check(self.imported(self.folder / "both", "--series", "1.2.4"), values, affine)
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertIn("expected DICOM files, found none", tomolens("dicom-import", empty).stderr)

    # The series as scans of the other commands.

    def chest(self, name, phantom, **options):
        """A series of a sample scan, whose voxels run along the patient's axes."""
        image = nibabel.as_closest_canonical(nibabel.load(ROOT / f"volumes/{phantom}.nii.gz"))
        stored = numpy.asarray(image.dataobj).astype(int)
        # From RAS to LPS: rows run to the left, columns to the back.
        stored = stored[::-1, ::-1].transpose(2, 1, 0)
        spacing = [float(v) for v in image.header.get_zooms()[:3]]

        def change(index, data, normal):
            data.Rows, data.Columns = stored.shape[1:]
            data.PixelSpacing = [spacing[1], spacing[0]]
            data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            data.ImagePositionPatient = [-100, -90, round(index * spacing[2], 6)]
            data.SliceThickness = spacing[2]
            data.PixelData = (stored[index] + 1024).astype("<u2").tobytes()

        folder, _, _ = self.series(name, count=len(stored), turn=False, change=change, **options)
        return folder, stored

    def test_explain_takes_a_series(self):
        folder, stored = self.chest("CT", "phantom-01")
        output = self.folder / "explained"
        result = tomolens("explain", folder, "--pipeline", "pipelines/lung-nodule.json5", "--output", output)
        self.assertEqual(result.returncode, 0, result.stderr)
        scan = nibabel.load(output / "imported-from-dicom/CT.nii.gz")
        numpy.testing.assert_array_equal(numpy.asarray(scan.dataobj), stored.transpose(2, 1, 0))
        said = json.loads((output / "results.json").read_text())
        best = max(said["answer"]["classes"], key=lambda c: c["score"])
        self.assertEqual(best["label"], "nodule (1)")
        heat = nibabel.load(output / "CT_gradcam_class1.nii.gz")
        numpy.testing.assert_allclose(heat.affine, scan.affine, atol=1e-3)
        self.assertTrue((output / "index.html").exists())
        # And the heat goes back onto the series.
        back = self.folder / "back"
        result = tomolens("dicom-export", output / "CT_gradcam_class1.nii.gz", folder, "--output", back)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(list(back.glob("*.dcm"))), len(stored))

    def test_run_takes_folders_of_series(self):
        def gap(index, data, normal):
            data.ImagePositionPatient = [0, 0, float(index * 2 + (index > 4))]

        (self.folder / "study/p1").mkdir(parents=True)
        self.chest("study/p1/CT", "phantom-01", uid="1.2.3.1")
        self.chest("study/p2", "phantom-06", uid="1.2.3.2")
        self.series("study/p3", turn=False, change=gap)
        (self.folder / "study/README").write_text("no image")
        output = self.folder / "results"
        command = ["run", "pipelines/lung-nodule.json5", "--input", self.folder / "study", "--output", output]
        result = tomolens(*command)
        # One of three failed, and says why.
        self.assertEqual(result.returncode, 1, result.stderr)
        summary = json.loads((output / "summary.json").read_text())
        found = {scan["scan"]: scan for scan in summary["scans"]}
        self.assertEqual(list(found), ["p1/CT", "p2", "p3"])
        answers = {}
        for path in ["p1/CT", "p2"]:
            classes = found[path]["results"]["answer"]["classes"]
            answers[path] = max(classes, key=lambda c: c["score"])["label"]
        self.assertEqual(answers, {"p1/CT": "nodule (1)", "p2": "no nodule (0)"})
        self.assertIn("slices at even distances", json.dumps(found["p3"]))
        self.assertTrue((output / "p1__CT/index.html").exists())
        again = tomolens(*command)
        self.assertEqual(again.returncode, 1)
        self.assertIn("2 unchanged", again.stderr)

    def exported(self):
        folder, values, affine = self.series(shape=(25, 21))
        image = self.imported(folder)
        heat = numpy.zeros(image.shape, "f4")
        heat[4:9, 10:14, 3:6] = numpy.linspace(0.2, 2, 5 * 4 * 3).reshape(5, 4, 3)
        nibabel.save(nibabel.Nifti1Image(heat, image.affine), self.folder / "heat.nii.gz")
        output = self.folder / "heat"
        result = tomolens("dicom-export", self.folder / "heat.nii.gz", folder, "--output", output, "--view", "-1000,1000",
            "--colormap", "gray", "--opacity", "1", "--threshold", "0.1", "--parametric-map")
        self.assertEqual(result.returncode, 0, result.stderr)
        return folder, output, values, heat

    def test_heat_lies_where_the_ct_does(self):
        folder, output, values, heat = self.exported()
        originals = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, folder.glob("*.dcm"))}
        files = sorted(output.glob("0*.dcm"))
        self.assertEqual(len(files), len(values))
        identifiers = set()
        for index, file in enumerate(files):
            made = pydicom.dcmread(file)
            original = originals[made.SourceImageSequence[0].ReferencedSOPInstanceUID]
            for key in ["StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "ImagePositionPatient",
                        "ImageOrientationPatient", "PixelSpacing", "StudyDate"]:
                self.assertEqual(made[key].value, original[key].value, key)
            self.assertNotEqual(made.SeriesInstanceUID, original.SeriesInstanceUID)
            self.assertRegex(made.SOPInstanceUID, r"^2\.25\.[1-9][0-9]{0,38}$")
            identifiers.add(made.SOPInstanceUID)
            self.assertEqual(original.pixel_array.astype(int).tolist(), (values[index] + 1024).tolist())
            grey = numpy.clip((values[index] + 1000) / 2000, 0, 1) * 255
            strength = numpy.clip(heat[:, :, index].T / 2, 0, 1)
            alpha = numpy.where(strength > 0.1, numpy.clip(strength - 0.1, 0, 1) / 0.9, 0)
            expected = grey * (1 - alpha) + 255 * strength * alpha
            found = made.pixel_array.astype(float)
            self.assertEqual(found.shape, (25, 21, 3))
            self.assertLessEqual(abs(found - expected[:, :, None]).max(), 1.5)
        self.assertEqual(len(identifiers), len(files))

    def test_the_map_holds_the_values_in_their_places(self):
        folder, output, _, heat = self.exported()
        made = pydicom.dcmread(output / "map.dcm")
        original = pydicom.dcmread(next(folder.glob("*.dcm")))
        self.assertEqual(made.SOPClassUID.name, "Parametric Map Storage")
        for key in ["StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"]:
            self.assertEqual(made[key].value, original[key].value, key)
        # As many values as voxels: nothing of the program's memory behind them.
        self.assertEqual(len(made.FloatPixelData), 4 * heat.size)
        # highdicom puts the frames together by itself, in LPS.
        volume = highdicom.imread(output / "map.dcm").get_volume(apply_real_world_transform=False)
        ras = numpy.diag([-1, -1, 1, 1]) @ volume.affine
        expected = nibabel.load(self.folder / "heat.nii.gz")
        self.assertEqual(volume.array.shape[::-1], heat.shape)
        inverse = numpy.linalg.inv(expected.affine)
        for corner in [(0, 0, 0), (8, 0, 0), (0, 24, 0), (0, 0, 20), (8, 24, 20), (4, 11, 6)]:
            voxel = inverse @ ras @ [*corner, 1]
            rounded = numpy.round(voxel[:3]).astype(int)
            self.assertLess(abs(voxel[:3] - rounded).max(), 1e-3)
            self.assertEqual(volume.array[corner], heat[tuple(rounded)])
        self.assertEqual(sorted(volume.array.ravel()), sorted(heat.ravel()))

    def test_the_same_work_gives_the_same_bytes(self):
        folder, output, _, _ = self.exported()
        before = {file.name: file.read_bytes() for file in output.glob("*.dcm")}
        self.assertEqual(len(before), 10)
        result = tomolens("dicom-export", self.folder / "heat.nii.gz", folder, "--output", output, "--view", "-1000,1000",
            "--colormap", "gray", "--opacity", "1", "--threshold", "0.1", "--parametric-map")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual({file.name: file.read_bytes() for file in output.glob("*.dcm")}, before)

    @unittest.skipIf(CHECKER is None, "apt-get install dicom3tools")
    def test_dciodvfy_passes(self):
        _, output, _, _ = self.exported()
        for file in sorted(output.glob("*.dcm")):
            said = subprocess.run([CHECKER, file], capture_output=True, text=True)
            lines = (said.stdout + said.stderr).splitlines()
            self.assertIn(lines[0], ["SCImage", "ParametricMap"])
            self.assertEqual([line for line in lines if line.startswith("Error")], [], file)

    def test_heat_of_another_scan_is_refused(self):
        folder, _, _ = self.series()
        other = nibabel.Nifti1Image(numpy.zeros((20, 24, 9), "f4"), numpy.eye(4))
        nibabel.save(other, self.folder / "other.nii.gz")
        result = tomolens("dicom-export", self.folder / "other.nii.gz", folder, "--output", self.folder / "never")
        self.assertEqual(result.returncode, 4)
        self.assertIn("the grid of the series", result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
