"""What `tomolens run` writes, in a real browser: the folder's page and every scan's, held against the files beside them.

Run by script/test-browser, which runs pipelines/lung-nodule.json5 on the sample scans first.
"""

import json
import pathlib
import random
import unittest

import chromium
import nifti
import test_pages
from test_pages import PAGES, SHOTS, SLICES, PageCase, numbers

RUN = PAGES / "run"
SCANS = pathlib.Path(__file__).parents[2] / "volumes"
NAMES = [f"phantom-0{n}" for n in range(1, 7)]


def setUpModule():
    test_pages.setUpModule()


def tearDownModule():
    test_pages.tearDownModule()


def results(name):
    return json.loads((RUN / name / "results.json").read_text())


class FolderOfTheRun(PageCase):
    page_name = "run"

    def rows(self):
        return self.page.run(
            "[...document.querySelectorAll('#rows .body .entry')].map((row) => [...row.children].map((cell) => cell.innerText.trim()))"
        )

    def test_lists_what_results_say(self):
        rows = self.rows()
        self.assertEqual([row[1] for row in rows], [f"{name}.nii.gz" for name in NAMES])
        for name, row in zip(NAMES, rows):
            said = results(name)
            best = max(said["answer"]["classes"], key=lambda c: c["score"])
            self.assertEqual(row[3], best["label"])
            self.assertAlmostEqual(numbers(row[4])[0], best["probability"], delta=6e-5)
            target = said["maps"][0]["target"]
            self.assertAlmostEqual(numbers(row[5])[0], target["score"], delta=6e-4 * abs(target["score"]))
            labels = said["maps"][0]["labels"]
            self.assertEqual(row[6], "no mask" if labels is None else "yes" if labels["peakInside"] else "no")
            self.assertAlmostEqual(numbers(row[7])[0], said["maps"][0]["highest"], delta=6e-4 * said["maps"][0]["highest"])
        # The pictures are shown, not only named.
        widths = self.page.run("[...document.querySelectorAll('.entry img')].map((image) => image.naturalWidth)")
        self.assertEqual(len(widths), 6)
        self.assertGreater(min(widths), 100)
        self.check_quiet()
        self.page.screenshot(SHOTS / "run-folder.png")

    def test_leads_to_the_scans_and_back(self):
        for name in NAMES:
            address = self.page.run(f"[...document.querySelectorAll('.entry a')].find((a) => a.innerText.startsWith('{name}')).getAttribute('href')")
            self.assertEqual(address, f"./{name}/index.html")
        self.page.run("document.querySelector('#rows').focus()")
        self.page.key("ArrowDown")
        self.page.key("Enter")
        self.page.wait("document.querySelector('#view-axial') && document.documentElement.dataset.state === 'ready'")
        self.assertEqual(self.page.run("document.title"), NAMES[0])
        self.page.run("document.querySelector('a[href=\"../index.html\"]').click()")
        self.page.wait("document.querySelector('#rows') && document.documentElement.dataset.state === 'ready'")


class ScansOfTheRun(PageCase):
    def test_values_are_those_of_the_files(self):
        """Six ways to store a scan; at each place HU, heat and mask as in the NIfTI files, and the place itself."""
        chance = random.Random(7)
        for name in NAMES:
            with self.subTest(name):
                self.open(f"run/{name}")
                scan = nifti.Volume(SCANS / f"{name}.nii.gz")
                mask_file = SCANS / f"{name}_mask.nii.gz"
                mask = nifti.Volume(mask_file) if mask_file.exists() else None
                for number, method in enumerate(["gradcam", "hirescam"]):
                    heat = nifti.Volume(RUN / name / f"{name}_{method}_class1.nii.gz")
                    if number == 1:
                        self.page.set("#method", "hirescam")
                        self.page.wait("document.querySelector('#method').value === 'hirescam'")
                        self.settle()
                    peak = results(name)["maps"][number]["peak"]
                    self.page.key("h")
                    self.assertEqual(list(self.voxel()), peak["voxel"])
                    step = (max(heat.voxels) - min(heat.voxels)) / 254
                    counts = {plane: int(self.page.run(f"document.querySelector('#view-{plane} input').max")) for plane in SLICES}
                    for _ in range(12):
                        for plane in SLICES:
                            self.page.set(f"#view-{plane} input", chance.randrange(counts[plane]) + 1)
                        self.settle()
                        readout = self.readout()
                        self.assertEqual(readout["at"], "Crosshair")
                        voxel = self.voxel()
                        for found, expected in zip(numbers(readout["place"]), scan.world(voxel)):
                            self.assertAlmostEqual(found, expected, delta=0.051)
                        self.assertEqual(numbers(readout["HU"])[0], scan[voxel], readout)
                        raw = numbers(readout["heat"])[0]
                        self.assertLessEqual(abs(raw - heat[voxel]), step * 0.5001 + 6e-4 * abs(heat[voxel]), (voxel, readout))
                        if mask:
                            self.assertEqual(readout["mask"], "yes" if mask[voxel] > 0 else "no")
                self.wait_for_space()
                self.check_quiet()
                self.page.key("h")
                self.settle_space()
                self.page.screenshot(SHOTS / f"run-{name}.png")

    def test_a_cold_scan_is_dark_on_the_folders_scale(self):
        self.open("run/phantom-05")
        self.page.run("document.querySelector('#c-hasCross').click()")

        def colourful():
            self.settle()
            return self.page.run(
                "(() => { const c = document.querySelector('#view-axial canvas.picture'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
                " let n = 0; for (let i = 0; i < d.length; i += 4) n += Math.max(d[i], d[i + 1], d[i + 2]) - Math.min(d[i], d[i + 1], d[i + 2]) > 24; return n; })()"
            )

        self.assertEqual(self.page.run("document.querySelector('#c-scale').value"), "folder")
        dark = colourful()
        self.page.key("s")
        self.assertEqual(self.page.run("document.querySelector('#c-scale').value"), "own")
        self.assertEqual(dark, 0)
        self.assertGreater(colourful(), 300)

    def test_offers_the_networks_window_and_existing_files(self):
        self.open("run/phantom-01")
        self.page.run("[...document.querySelectorAll('#s-display button')].find((b) => b.innerText === 'As the network saw it').click()")
        self.assertEqual(self.page.run("[document.querySelector('#c-level').value, document.querySelector('#c-width').value]"), ["-300", "1400"])
        addresses = self.page.run("[...document.querySelectorAll('#s-provenance a')].map((a) => decodeURIComponent(a.getAttribute('href')))")
        self.assertGreaterEqual(len(addresses), 5)
        for address in addresses:
            self.assertTrue((RUN / "phantom-01" / address).exists(), address)
        # Long names break instead of widening the panel.
        self.page.run("document.querySelector('#s-provenance a').textContent = 'x'.repeat(300)")
        self.assertTrue(self.page.run("(() => { const p = document.querySelector('#panel'); return p.scrollWidth <= p.clientWidth; })()"))
        text = self.page.run("document.querySelector('#s-provenance').innerText")
        for entry in results("phantom-01")["network"] + results("phantom-01")["scan"]["inputs"]:
            self.assertIn(entry["sha256"], text.replace("\n", ""))


class SpeedOfTheRun(test_pages.Speed):
    def test_small(self):
        self.measure("run/phantom-01")

    def test_chest(self):
        self.measure("run-real/lung1_chest")

    def test_large(self):
        self.measure("run-real/thin")


if __name__ == "__main__":
    unittest.main(verbosity=2)
