"""TensorBoard's own reader reads the event file that the writer's test holds byte-equal (Tests/Reference/data/reports), and
what `tomolens run --tensorboard` writes, held against the results beside it (script/test-browser makes the run).
"""

import json
import os
import pathlib
import sys
import unittest

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2
except ImportError:
    EventAccumulator = None

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "Browser"))
import nifti

PAGES = pathlib.Path(os.environ.get("TOMOLENS_PAGES", "."))
FILE = next((pathlib.Path(__file__).parents[1] / "Reference/data/reports").glob("events.out.tfevents.*"))


@unittest.skipIf(EventAccumulator is None, "pip install tensorboard")
class TensorBoard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.events = EventAccumulator(str(FILE), size_guidance={"tensors": 0, "images": 0, "histograms": 0})
        cls.events.Reload()

    def test_tags(self):
        tags = self.events.Tags()
        self.assertEqual(tags["scalars"], ["score/nodule"])
        self.assertEqual(tags["images"], ["overlay"])
        self.assertEqual(tags["histograms"], ["heat"])
        self.assertIn("notes/text_summary", tags["tensors"])

    def test_scalars(self):
        found = [(e.step, e.value, e.wall_time) for e in self.events.Scalars("score/nodule")]
        self.assertEqual(found, [(3, 2.5, 1700000000), (4, 0.0, 1700000000)])

    def test_image(self):
        (image,) = self.events.Images("overlay")
        self.assertEqual((image.step, image.width, image.height), (1, 7, 5))
        self.assertEqual(image.encoded_image_string, bytes(range(64)))

    def test_histogram(self):
        (event,) = self.events.Histograms("heat")
        value = event.histogram_value
        self.assertEqual((event.step, value.min, value.max, value.num, value.sum, value.sum_squares), (2, -1, 3, 5, 4, 14))
        self.assertEqual(list(value.bucket), [1, 2, 0, 2])
        self.assertEqual(list(value.bucket_limit)[:3], [0, 1, 2])

    def test_text(self):
        (event,) = self.events.Tensors("notes/text_summary")
        self.assertEqual(event.tensor_proto.string_val[0].decode(), "# notes\n热图 <b>")
        self.assertEqual(self.events.SummaryMetadata("notes/text_summary").plugin_data.plugin_name, "text")

    def test_hyperparameters(self):
        content = self.events.PluginTagToContent("hparams")
        start = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info
        self.assertEqual(start.hparams["method"].string_value, "gradcam")
        self.assertEqual(start.hparams["signed"].WhichOneof("kind"), "bool_value")
        self.assertEqual(start.hparams["folds"].WhichOneof("kind"), "number_value")
        experiment = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/experiment"]).experiment
        self.assertEqual([info.name for info in experiment.hparam_infos], ["folds", "method", "signed"])
        self.assertEqual(experiment.metric_infos[0].name.tag, "score/nodule")
        end = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/session_end_info"]).session_end_info
        self.assertEqual(end.status, 1)


@unittest.skipIf(EventAccumulator is None, "pip install tensorboard")
@unittest.skipIf(not (PAGES / "tensorboard").exists(), "no run to read: use script/test-browser")
class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        (folder,) = (PAGES / "tensorboard").iterdir()
        assert folder.name.startswith("lung-nodule-"), folder
        cls.events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0, "histograms": 0, "scalars": 0})
        cls.events.Reload()
        cls.summary = json.loads((PAGES / "run/summary.json").read_text())
        cls.scans = [(scan["name"], scan["results"]) for scan in cls.summary["scans"]]

    def scalars(self, tag):
        return {event.step: event.value for event in self.events.Scalars(tag)}

    def expect(self, tag, values):
        found = self.scalars(tag)
        expected = {step: value for step, value in enumerate(values) if value is not None}
        self.assertEqual(set(found), set(expected), tag)
        for step, value in expected.items():
            self.assertAlmostEqual(found[step], value, delta=1e-6 * abs(value), msg=tag)

    def test_scalars(self):
        for index, item in enumerate(self.scans[0][1]["answer"]["classes"]):
            for key in ["score", "probability"]:
                self.expect(f"{key}/{item['label']}", [r["answer"]["classes"][index][key] for _, r in self.scans])
        for number, stem in enumerate(["gradcam_class1", "hirescam_class1"]):
            maps = [r["maps"][number] for _, r in self.scans]
            self.assertEqual({m["stem"] for m in maps}, {stem})
            self.expect(f"{stem}/highest", [m["highest"] for m in maps])
            self.expect(f"{stem}/half_maximum_ml", [m["halfMaximumMl"] for m in maps])
            labels = [m["labels"] or {} for m in maps]
            self.expect(f"{stem}/energy_in_label", [x.get("energyInside") for x in labels])
            self.expect(f"{stem}/peak_in_label", [None if not x else float(x["peakInside"]) for x in labels])

    def test_images_are_the_montages(self):
        for number, stem in enumerate(["gradcam_class1", "hirescam_class1"]):
            images = {event.step: event for event in self.events.Images(f"{stem}/overlay")}
            self.assertEqual(len(images), len(self.scans))
            for step, (name, results) in enumerate(self.scans):
                file = next(p for p in results["maps"][number]["pictures"] if p.endswith("_montage.png"))
                data = (PAGES / "run" / name / file).read_bytes()
                self.assertEqual(images[step].encoded_image_string, data)
                size = (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
                self.assertEqual((images[step].width, images[step].height), size)

    def test_histograms_count_the_layers_cells(self):
        for number, stem in enumerate(["gradcam_class1", "hirescam_class1"]):
            histograms = {event.step: event.histogram_value for event in self.events.Histograms(f"{stem}/heat")}
            for step, (name, results) in enumerate(self.scans):
                heat = nifti.Volume(PAGES / "run" / name / f"{name}_{stem}_tap.nii.gz")
                value = histograms[step]
                self.assertEqual(value.num, len(heat.voxels))
                self.assertEqual((value.min, value.max), (min(heat.voxels), max(heat.voxels)))
                self.assertAlmostEqual(value.sum, sum(heat.voxels), delta=1e-9 * sum(map(abs, heat.voxels)))
                self.assertEqual(sum(value.bucket), len(heat.voxels))
                limits = list(value.bucket_limit)
                low = sum(1 for v in heat.voxels if v < limits[len(limits) // 2])
                self.assertAlmostEqual(sum(list(value.bucket)[: len(limits) // 2 + 1]), low, delta=2)

    def test_text_and_hyperparameters(self):
        texts = {e.step: e.tensor_proto.string_val[0].decode() for e in self.events.Tensors("scans/text_summary")}
        for step, (name, _) in enumerate(self.scans):
            self.assertIn(name.replace("-", "\\-"), texts[step])
        pipeline = self.events.Tensors("pipeline/text_summary")[0].tensor_proto.string_val[0].decode()
        self.assertEqual(json.loads(pipeline.strip("`").removeprefix("json")), self.summary["settings"])
        content = self.events.PluginTagToContent("hparams")
        start = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info
        self.assertEqual(start.hparams["methods"].string_value, "gradcam, hirescam")
        self.assertEqual(start.hparams["network"].string_value, "lung-nodule.onnx")
        self.assertEqual(start.hparams["scans"].number_value, 6)
        experiment = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/experiment"]).experiment
        for metric in experiment.metric_infos:
            self.assertEqual(len(self.events.Scalars(metric.name.tag)), 1)
        (share,) = self.events.Scalars("summary/peak_in_label")
        inside = [r["maps"][0]["labels"]["peakInside"] for _, r in self.scans if r["maps"][0]["labels"]]
        self.assertAlmostEqual(share.value, sum(inside) / len(inside), delta=1e-6)


if __name__ == "__main__":
    unittest.main(verbosity=2)
