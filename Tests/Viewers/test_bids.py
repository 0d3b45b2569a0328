"""`tomolens bids` on a small dataset: what it writes is accepted by the BIDS validator (PyPI bids-validator-deno), and holds the
maps that it says.

TOMOLENS_PROGRAM names the program, TOMOLENS_BIDS_VALIDATOR the validator, TOMOLENS_BIDS_FOLDER where to work.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "Browser"))
import nifti

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = os.environ.get("TOMOLENS_PROGRAM", str(ROOT / ".build/release/tomolens"))
VALIDATOR = os.environ.get("TOMOLENS_BIDS_VALIDATOR") or shutil.which("bids-validator-deno")
PIPELINE = "pipelines/lung-nodule.json5"


def tomolens(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)


@unittest.skipIf(shutil.which(PROGRAM) is None, f"no program {PROGRAM}")
class BIDS(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tomolens-bids-", dir=os.environ.get("TOMOLENS_BIDS_FOLDER")))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.study = cls.folder / "study"
        scans = {
            "sub-01/ses-1/ct/sub-01_ses-1_ct.nii.gz": "phantom-01",
            "sub-01/ses-2/ct/sub-01_ses-2_acq-thin_ct.nii.gz": "phantom-02",
            "sub-02/anat/sub-02_ct.nii.gz": "phantom-05",
            "sub-02/anat/sub-02_T1w.nii.gz": "phantom-06",
        }
        for path, phantom in scans.items():
            place = cls.study / path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / f"volumes/{phantom}.nii.gz", place)
        (cls.study / "dataset_description.json").write_text(json.dumps({"Name": "Phantoms", "BIDSVersion": "1.10.0"}))

    def run_bids(self, out, *options):
        result = tomolens("bids", self.study, out, "participant", "--pipeline", PIPELINE, *options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return sorted(str(p.relative_to(out)) for p in out.rglob("*_desc-*") if "tomolens" not in p.relative_to(out).parts)

    @unittest.skipIf(VALIDATOR is None, "script/setup --with-browser installs what this needs")
    def validate(self, out):
        said = subprocess.run([VALIDATOR, out, "--format", "json"], capture_output=True, text=True)
        issues = json.loads(said.stdout)["issues"]["issues"]
        self.assertEqual([i for i in issues if i["severity"] == "error"], [])
        return {i["code"] for i in issues}

    def test_ct(self):
        out = self.study / "derivatives/heat"
        files = self.run_bids(out)
        names = []
        for path, stem in [
            ("sub-01/ses-1/ct", "sub-01_ses-1"), ("sub-01/ses-2/ct", "sub-01_ses-2_acq-thin"), ("sub-02/anat", "sub-02"),
        ]:
            for method in ["gradcamClass1", "hirescamClass1"]:
                for resolution in ["", "res-tap_"]:
                    names += [f"{path}/{stem}_{resolution}desc-{method}_ct{ending}" for ending in [".json", ".nii.gz"]]
        self.assertEqual(files, sorted(names))
        self.validate(out)
        description = json.loads((out / "dataset_description.json").read_text())
        self.assertEqual(description["DatasetType"], "derivative")
        self.assertEqual(description["DatasetLinks"], {"raw": "../../"})
        self.assertEqual((out / description["DatasetLinks"]["raw"]).resolve(), self.study.resolve())
        sidecar = json.loads((out / "sub-02/anat/sub-02_res-tap_desc-gradcamClass1_ct.json").read_text())
        self.assertEqual(sidecar["Sources"], ["bids:raw:sub-02/anat/sub-02_ct.nii.gz"])
        self.assertIn("tap", sidecar["Resolution"])
        self.assertEqual(sidecar["TomoLens"]["method"], "gradcam")
        # The map lies on the scan's voxels.
        scan = nifti.Volume(self.study / "sub-02/anat/sub-02_ct.nii.gz")
        heat = nifti.Volume(out / "sub-02/anat/sub-02_desc-gradcamClass1_ct.nii.gz")
        self.assertEqual((heat.shape, heat.affine), (scan.shape, scan.affine))
        labels = [line.split("\t")[0] for line in (out / "descriptions.tsv").read_text().splitlines()]
        self.assertEqual(labels, ["desc_id", "desc-gradcamClass1", "desc-hirescamClass1"])
        self.assertTrue((out / "tomolens/index.html").exists())
        # A second run has nothing to do, and leaves the same.
        result = tomolens("bids", self.study, out, "participant", "--pipeline", PIPELINE)
        self.assertIn("0 done, 3 unchanged", result.stderr)
        # Another method: maps of the old one go.
        files = self.run_bids(out, "--method", "layercam")
        self.assertTrue(files and all("desc-layercamClass1" in name for name in files))
        self.validate(out)

    def test_participants_sessions_and_suffixes(self):
        out = self.folder / "some"
        files = self.run_bids(out, "--participant-label", "01", "--session-label", "ses-2", "--method", "gradcam")
        self.assertEqual({name.split("/")[0] for name in files}, {"sub-01"})
        self.assertEqual({name.split("/")[1] for name in files}, {"ses-2"})
        files = self.run_bids(self.folder / "mr", "--suffix", "T1w", "--participant_label", "sub-02", "--method", "gradcam")
        self.assertEqual(
            files, [f"sub-02/anat/sub-02_{r}desc-gradcamClass1_T1w{e}" for r in ["", "res-tap_"] for e in [".json", ".nii.gz"]])
        self.validate(self.folder / "mr")

    def test_mistakes(self):
        wrong = tomolens("bids", self.study, self.folder / "x", "participant", "--pipeline", PIPELINE, "--participant-label", "03")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("a participant of the dataset", wrong.stderr)
        self.assertEqual(tomolens("bids", ROOT / "volumes", self.folder / "x", "participant", "-p", PIPELINE).returncode, 4)
        self.assertEqual(tomolens("bids", self.study, self.folder / "x", "group", "-p", PIPELINE).returncode, 2)
        none = tomolens("bids", self.study, self.folder / "x", "participant", "-p", PIPELINE, "--suffix", "bold")
        self.assertEqual(none.returncode, 4)
        self.assertIn("--suffix", none.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
