"""Scenes against the rules of the programs that read them, where the program itself cannot be started here.

Each check states a rule of the reader: VolView's session schema (src/io/state-file/schema.ts), 3D Slicer's MRML reader
(vtkMRMLVolumeArchetypeStorageNode, vtkMRMLScalarVolumeDisplayNode), ITK-SNAP's workspace (Registry, WorkspaceAPI), FSLeyes'
command line. Run by script/test-browser, which writes the scenes first.
"""

import gzip
import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
import xml.etree.ElementTree as XML
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "Browser"))
import nifti

SCENES = pathlib.Path(os.environ.get("TOMOLENS_PAGES", ".")) / "scenes"
CASES = [("phantom", "heat.nii.gz", False), ("signed", "signed.nii.gz", True)]


def top(heat, signed):
    return max(map(abs, heat.voxels)) if signed else max(heat.voxels)


class VolView(unittest.TestCase):
    def read(self, name):
        archive = zipfile.ZipFile(SCENES / f"{name}.volview.zip")
        self.assertIsNone(archive.testzip())
        return archive, json.loads(archive.read("manifest.json"))

    def unpack(self, archive, member):
        with tempfile.NamedTemporaryFile(suffix=".nii.gz") as file:
            file.write(archive.read(member))
            file.flush()
            return nifti.Volume(file.name)

    def test_manifest(self):
        for name, _, signed in CASES:
            with self.subTest(name):
                archive, manifest = self.read(name)
                # Keys that the schema of 6.1.0 requires.
                required = {
                    "version", "datasets", "dataSources", "datasetFilePath", "labelMaps", "tools", "isActiveViewMaximized",
                    "viewByID", "layout", "layoutSlots", "parentToLayers",
                }
                self.assertLessEqual(required, set(manifest))
                self.assertEqual(manifest["version"], "6.1.0")
                self.assertEqual(set(manifest["tools"]), {"crosshairs", "paint", "crop", "current"})
                # A file source names a file of the archive by its number.
                sources = {source["id"]: source for source in manifest["dataSources"]}
                for source in sources.values():
                    self.assertEqual(source["type"], "file")
                    self.assertEqual(source["fileType"], "application/vnd.unknown.nifti-1")
                    self.assertEqual(len([n for n in archive.namelist() if n.startswith(f"data/{source['fileId']}/")]), 1)
                names = set(archive.namelist())
                for dataset in manifest["datasets"]:
                    self.assertIn(dataset["dataSourceId"], sources)
                    self.assertIn(manifest["datasetFilePath"][dataset["id"]], names)
                ids = {dataset["id"] for dataset in manifest["datasets"]}
                for layer in manifest["parentToLayers"]:
                    self.assertLessEqual({layer["selectionKey"], *layer["sourceSelectionKeys"]}, ids)
                # Every slot shows a view, every view a dataset.
                self.assertEqual(set(manifest["layoutSlots"]), set(manifest["viewByID"]))
                for identity, view in manifest["viewByID"].items():
                    self.assertEqual(view["id"], identity)
                    self.assertIn(view["dataID"], ids)
                    self.assertIn(view["type"], ["2D", "3D"])
                slots = [item["slotIndex"] for row in manifest["layout"]["items"] for item in row["items"]]
                self.assertEqual(slots, list(range(len(manifest["layoutSlots"]))))
                self.assertEqual(len(manifest["tools"]["crosshairs"]["position"]), 3)
                for group in manifest["labelMaps"]:
                    self.assertIn(group["path"], names)
                    self.assertIn(group["metadata"]["parentImage"], ids)
                    segments = group["metadata"]["segments"]
                    self.assertEqual(set(map(str, segments["order"])), set(segments["byValue"]))
                    for value, segment in segments["byValue"].items():
                        self.assertEqual(segment["value"], int(value))
                        self.assertTrue(all(isinstance(c, int) and 0 <= c <= 255 for c in segment["color"]))
                        self.assertEqual(len(segment["color"]), 4)
                    self.assertEqual(len(segments["order"]), 20 if signed else 10)

    def test_data(self):
        for name, heat_name, signed in CASES:
            with self.subTest(name):
                archive, manifest = self.read(name)
                self.assertEqual(archive.read("data/1/scan.nii.gz"), (SCENES / "scan.nii.gz").read_bytes())
                heat = nifti.Volume(SCENES / heat_name)
                layer = self.unpack(archive, manifest["datasetFilePath"]["2"])
                bands = self.unpack(archive, manifest["labelMaps"][0]["path"])
                self.assertEqual(layer.affine, heat.affine)
                self.assertEqual(bands.affine, heat.affine)
                highest = top(heat, signed)
                for raw, shown, band in zip(heat.voxels, layer.voxels, bands.voxels):
                    share = raw / highest if signed else max(0, raw / highest)
                    self.assertAlmostEqual(shown, share, delta=1e-4)
                    strength = abs(share)
                    if abs(strength - 0.05) < 1e-4:
                        continue
                    place = (strength - 0.05) / 0.95 * 10
                    if abs(place - round(place)) < 1e-3:
                        continue
                    expected = 0 if strength < 0.05 else 1 + min(9, int(place)) + (10 if signed and raw < 0 else 0)
                    self.assertEqual(band, expected)


class Slicer(unittest.TestCase):
    def test_scene(self):
        for name, heat_name, signed in CASES:
            with self.subTest(name):
                root = XML.parse(SCENES / f"{name}.mrml").getroot()
                self.assertEqual(root.tag, "MRML")
                nodes = {node.get("id"): node for node in root}
                self.assertEqual(len(nodes), len(root))
                files = []
                for volume in root.findall("Volume"):
                    references = dict(part.split(":") for part in volume.get("references").rstrip(";").split(";"))
                    self.assertEqual(nodes[references["display"]].tag, "VolumeDisplay")
                    storage = nodes[references["storage"]]
                    self.assertEqual(storage.tag, "VolumeArchetypeStorage")
                    # The reader undoes percent signs, and takes a relative name from the scene's folder.
                    file = SCENES / urllib.parse.unquote(storage.get("fileName"))
                    self.assertTrue(file.exists(), file)
                    files.append(file.name)
                self.assertEqual(files, ["scan.nii.gz", heat_name])
                heat = nifti.Volume(SCENES / heat_name)
                highest = top(heat, signed)
                scan_display, heat_display = root.findall("VolumeDisplay")
                self.assertEqual(float(scan_display.get("window")), 1500)
                self.assertEqual(float(scan_display.get("level")), -600)
                low, high = (-highest, highest) if signed else (0, highest)
                self.assertAlmostEqual(float(heat_display.get("window")), high - low, delta=1e-5 * highest)
                self.assertAlmostEqual(float(heat_display.get("level")), (high + low) / 2, delta=1e-5 * highest)
                self.assertEqual(heat_display.get("autoWindowLevel"), "0")
                self.assertEqual(heat_display.get("applyThreshold"), "0" if signed else "1")
                if not signed:
                    self.assertAlmostEqual(float(heat_display.get("lowerThreshold")), 0.05 * highest, delta=1e-5 * highest)
                    self.assertGreaterEqual(float(heat_display.get("upperThreshold")), highest * (1 - 1e-6))
                tags = {view.get("singletonTag") for view in root.findall("SliceComposite")}
                self.assertEqual(tags, {"Red", "Green", "Yellow"})
                for view in root.findall("SliceComposite"):
                    references = dict(part.split(":") for part in view.get("references").rstrip(";").split(";"))
                    self.assertEqual(references["backgroundVolume"], "vtkMRMLScalarVolumeNode1")
                    self.assertEqual(references["foregroundVolume"], "vtkMRMLScalarVolumeNode2")
                    self.assertEqual(float(view.get("foregroundOpacity")), 0.6)


class ITKSNAP(unittest.TestCase):
    @staticmethod
    def registry(folder):
        values = {entry.get("key"): entry.get("value") for entry in folder.findall("entry")}
        values.update({child.get("key"): ITKSNAP.registry(child) for child in folder.findall("folder")})
        return values

    def test_workspace(self):
        for name, heat_name, signed in CASES:
            with self.subTest(name):
                path = SCENES / f"{name}.itksnap"
                registry = self.registry(XML.parse(path).getroot())
                self.assertEqual(registry["Version"], "20151215")
                layers = [registry["Layers"][f"Layer[{n:03}]"] for n in range(2)]
                self.assertEqual([layer["Role"] for layer in layers], ["MainRole", "OverlayRole"])
                # A workspace that is not where it was saved: the way from there to the file, from here.
                for layer, expected in zip(layers, ["scan.nii.gz", heat_name]):
                    way = os.path.relpath(layer["AbsolutePath"], registry["SaveLocation"])
                    self.assertTrue(os.path.samefile(path.parent / way, SCENES / expected))
                self.assertEqual(layers[1]["LayerMetaData"]["Alpha"], "0.6")
                self.assertEqual(layers[1]["LayerMetaData"]["Sticky"], "1")
                # The contrast curve rises, within the image's own range.
                for layer, file, window in zip(layers, ["scan.nii.gz", heat_name], [(-1350, 150), None]):
                    curve = layer["LayerMetaData"]["DisplayMapping"]["Curve"]
                    points = [curve[f"ControlPoint[{n}]"] for n in range(int(curve["NumberOfControlPoints"]))]
                    places = [float(point["tValue"]) for point in points]
                    self.assertEqual([float(point["xValue"]) for point in points], [0, 0.5, 1])
                    self.assertEqual(places, sorted(places))
                    self.assertTrue(0 <= places[0] < places[-1] <= 1)
                    voxels = nifti.Volume(SCENES / file).voxels
                    low, high = min(voxels), max(voxels)
                    ends = window or ((-top(nifti.Volume(SCENES / file), True) if signed else 0), top(nifti.Volume(SCENES / file), signed))
                    for place, end in zip([places[0], places[-1]], ends):
                        self.assertAlmostEqual(place, min(1, max(0, (end - low) / (high - low))), delta=1e-3)


class FSLeyes(unittest.TestCase):
    def words(self, name):
        """What the program is called with, from a stand-in that prints it."""
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "fsleyes")
            program.write_text('#!/bin/sh\npwd\nfor word in "$@"; do printf "%s\\n" "$word"; done\n')
            program.chmod(program.stat().st_mode | stat.S_IEXEC)
            environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
            output = subprocess.run(
                ["sh", SCENES / f"{name}_fsleyes.sh"], env=environment, capture_output=True, text=True, check=True, cwd="/")
            return output.stdout.splitlines()

    def test_command(self):
        for name, heat_name, signed in CASES:
            with self.subTest(name):
                place, *words = self.words(name)
                self.assertEqual(os.path.realpath(place), os.path.realpath(SCENES))
                files = [word for word in words if word.endswith(".nii.gz")]
                self.assertEqual(files, ["./scan.nii.gz", f"./{heat_name}"])
                scan, heat = words[: words.index(files[1])], words[words.index(files[1]) :]
                at = scan.index("-dr")
                self.assertEqual(list(map(float, scan[at + 1 : at + 3])), [-1350, 150])
                highest = top(nifti.Volume(SCENES / heat_name), signed)
                at = heat.index("-dr")
                for found, expected in zip(map(float, heat[at + 1 : at + 3]), [0.05 * highest, highest]):
                    self.assertAlmostEqual(found, expected, delta=1e-5 * highest)
                self.assertEqual("-un" in heat, signed)
                self.assertEqual(heat[heat.index("-a") + 1], "60")


if __name__ == "__main__":
    unittest.main(verbosity=2)
