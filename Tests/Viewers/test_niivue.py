"""NiiVue itself (the copy inside the PyPI package ipyniivue) opens the document that the scene writer makes, in headless
Chromium, and shows scan and heat where the NIfTI files say they are.

Run by script/test-browser, which writes the scenes first.
"""

import importlib.util
import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "Browser"))
import chromium
import nifti

PAGES = pathlib.Path(os.environ.get("TOMOLENS_PAGES", "."))
SHOTS = pathlib.Path(os.environ.get("TOMOLENS_SCREENSHOTS", PAGES / "screenshots"))
PACKAGE = importlib.util.find_spec("ipyniivue")


def module_text():
    """ipyniivue's widget with NiiVue's two classes, which it keeps to itself, exported."""
    text = (pathlib.Path(PACKAGE.origin).parent / "static/widget.js").read_text()

    def class_around(place):
        declared = re.finditer(r"([A-Za-z0-9_$]+)=class(?: [A-Za-z0-9_$]+)?(?: extends [A-Za-z0-9_$.]+)?\{", text[:place])
        return list(declared)[-1].group(1)

    viewer = class_around(text.index("async attachToCanvas("))
    document = class_around(text.index("static loadFromJSON(I)"))
    return text + f"\nexport {{ {viewer} as Niivue, {document} as NVDocument }};\n"


@unittest.skipIf(chromium.find() is None, "no Chromium")
@unittest.skipIf(PACKAGE is None, "script/setup --with-browser installs what this needs")
class NiiVue(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = chromium.Browser(chromium.find())
        cls.addClassCleanup(cls.browser.close)
        cls.module = PAGES / "scenes/niivue-module.js"
        cls.module.write_text(module_text())

    def open(self, name):
        page = self.browser.page()
        self.addCleanup(page.close)
        page.call("Page.navigate", url=(PAGES / "scenes" / f"{name}_niivue.html").resolve().as_uri())
        page.wait("document.readyState === 'complete'")
        self.assertFalse(page.run("document.querySelector('#missing').hidden"))
        root = page.call("DOM.getDocument")["root"]["nodeId"]
        node = page.call("DOM.querySelector", nodeId=root, selector="#choose")["nodeId"]
        page.call("DOM.setFileInputFiles", nodeId=node, files=[str(self.module.resolve())])
        page.wait("document.documentElement.dataset.state === 'ready' || !document.querySelector('#problem').hidden", 60)
        self.assertEqual(page.run("document.querySelector('#problem').textContent"), "")
        return page

    def check(self, name, signed=False):
        scan = nifti.Volume(PAGES / "scenes/scan.nii.gz")
        heat = nifti.Volume(PAGES / "scenes" / ("signed.nii.gz" if signed else "heat.nii.gz"))
        page = self.open(name)
        outside = [r for r in page.requests if not r.startswith(("file:", "blob:", "data:"))]
        self.assertEqual(outside, [])
        layers = page.run("niivue.volumes.map((v) => [v.colormap, v.colormapNegative, v.opacity, v.cal_min, v.cal_max, v.hdr.dims.slice(1, 4)])")
        self.assertEqual(len(layers), 2)
        self.assertEqual(layers[0][0], "gray")
        self.assertEqual(layers[0][3:5], [-1350, 150])
        self.assertEqual([layer[5] for layer in layers], [list(scan.shape)] * 2)
        self.assertEqual(layers[1][:2], ["warm", "winter"] if signed else ["inferno", ""])
        self.assertAlmostEqual(layers[1][2], 0.6)
        top = max(map(abs, heat.voxels)) if signed else max(heat.voxels)
        self.assertAlmostEqual(layers[1][4], top, delta=1e-5 * top)
        self.assertAlmostEqual(layers[1][3], 0.05 * top, delta=1e-5 * top)

        # The scan's value, and the heat's, at places given in millimetres.
        peak = heat.peak()
        cold = min(
            ((i, j, k) for i in range(4, 40, 9) for j in range(4, 54, 10) for k in [peak[2]]), key=lambda v: abs(heat[v])
        )
        for voxel in [peak, cold, (7, 11, 3)]:
            world = scan.world(voxel)
            found = page.run(
                f"niivue.volumes.map((v) => v.getValue(...v.mm2vox({world})))"
            )
            for value, volume in zip(found, [scan, heat]):
                # NiiVue counts voxels along its own, reoriented, axes: the value tells the place.
                self.assertAlmostEqual(value, volume[voxel], delta=1e-4 * max(1, abs(volume[voxel])))

        # In the axial picture, colour where the heat is and grey where it is not.
        def pixel(voxel):
            return page.run(
                f"(() => {{ niivue.setSliceType(0); niivue.opts.crosshairWidth = 0; niivue.opts.isColorbar = false; const at = niivue.mm2frac({scan.world(voxel)}, 0, true);"
                "niivue.scene.crosshairPos = at; niivue.updateGLVolume(); niivue.drawScene();"
                "const place = niivue.frac2canvasPos(at); const gl = niivue.gl; const p = new Uint8Array(4);"
                "gl.readPixels(Math.round(place[0]), gl.drawingBufferHeight - 1 - Math.round(place[1]), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, p);"
                "return [...p].slice(0, 3); })()"
            )

        hot = pixel(peak)
        self.assertGreater(max(hot) - min(hot), 40, hot)
        grey = pixel(cold)
        self.assertLessEqual(max(grey) - min(grey), 2, grey)
        page.run("niivue.setSliceType(3); niivue.scene.crosshairPos = niivue.mm2frac(%s, 0, true); niivue.drawScene()" % scan.world(peak))
        page.screenshot(SHOTS / f"niivue-{name}.png")

    def test_rectified(self):
        self.check("phantom")

    def test_signed(self):
        self.check("signed", signed=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
