"""TensorBoard's own reader reads the event file that the writer's test holds byte-equal (Tests/Reference/data/reports), and
what `tomolens run --tensorboard` writes, held against the results beside it (script/test-browser makes the run), and what the
commands that look at the network write, held against their tables and pictures.

TOMOLENS_PROGRAM names the program.
"""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2
except ImportError:
    EventAccumulator = None

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "Browser"))
import nifti

PAGES = pathlib.Path(os.environ.get("TOMOLENS_PAGES", "."))
ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = os.environ.get("TOMOLENS_PROGRAM", str(ROOT / ".build/release/tomolens"))
FILE = next((pathlib.Path(__file__).parents[1] / "Reference/data/reports").glob("events.out.tfevents.*"))


@unittest.skipIf(EventAccumulator is None, "script/setup --with-browser installs what this needs")
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


@unittest.skipIf(EventAccumulator is None, "script/setup --with-browser installs what this needs")
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


@unittest.skipIf(EventAccumulator is None, "script/setup --with-browser installs what this needs")
@unittest.skipIf(shutil.which(PROGRAM) is None, f"no program {PROGRAM}")
class Looking(unittest.TestCase):
    """kernels, features, maximize and diagnose."""

    PIPELINE = ["--pipeline", "pipelines/lung-nodule.json5"]

    def look(self, command, *arguments):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{command}-", dir=PAGES))
        self.addCleanup(shutil.rmtree, self.folder)
        out, events = self.folder / "out", self.folder / "events"
        for _ in range(2):  # The second time in place of the first.
            said = subprocess.run(
                [PROGRAM, command, *arguments, "--output", out, "--tensorboard", events, "--quiet"],
                capture_output=True, text=True, cwd=ROOT)
            self.assertEqual(said.returncode, 0, said.stderr)
        (run,) = events.iterdir()
        self.assertEqual(len(list(run.iterdir())), 1)
        self.events = EventAccumulator(
            str(run), size_guidance={"tensors": 0, "images": 0, "histograms": 0, "scalars": 0})
        self.events.Reload()
        return run.name, out

    def scalars(self, tag):
        return {event.step: event.value for event in self.events.Scalars(tag)}

    def check_image(self, tag, file, step=0):
        (image,) = [event for event in self.events.Images(tag) if event.step == step]
        self.assertEqual(image.encoded_image_string, file.read_bytes())

    def check_scalars(self, tag, expected):
        found = self.scalars(tag)
        self.assertEqual(set(found), set(expected), tag)
        for step, value in expected.items():
            self.assertAlmostEqual(found[step], value, delta=2e-6 * max(abs(value), 1e-3), msg=f"{tag} {step}")

    def hyperparameters(self):
        content = self.events.PluginTagToContent("hparams")
        read = plugin_data_pb2.HParamsPluginData.FromString
        for metric in read(content["_hparams_/experiment"]).experiment.metric_infos:
            self.assertEqual(len(self.events.Scalars(metric.name.tag)), 1, metric.name.tag)
        values = read(content["_hparams_/session_start_info"]).session_start_info.hparams
        return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}

    def text(self, tag):
        (event,) = self.events.Tensors(f"{tag}/text_summary")
        return event.tensor_proto.string_val[0].decode()

    def table(self, file):
        return list(csv.DictReader(file.read_text().splitlines()))

    def test_kernels(self):
        name, out = self.look("kernels", "pipelines/lung-nodule.onnx", "--sort", "norm")
        rows = self.table(out / "first-conv_kernels.csv")
        (tag,) = self.events.Tags()["images"]
        layer = tag.removesuffix("/kernels")
        self.assertTrue(name.startswith("kernels-lung-nodule-"), name)
        self.check_image(tag, out / "first-conv_kernels.png")
        self.check_scalars(f"{layer}/norm", {int(row["kernel"]): float(row["norm"]) for row in rows})
        self.check_scalars(
            f"{layer}/cosine_to_most_like", {int(row["kernel"]): float(row["cosine"]) for row in rows if row["cosine"]})
        value = self.events.Histograms(f"{layer}/weights")[0].histogram_value
        self.assertAlmostEqual(value.min, min(float(row["minimum"]) for row in rows), delta=1e-6)
        self.assertAlmostEqual(value.max, max(float(row["maximum"]) for row in rows), delta=1e-6)
        self.assertAlmostEqual(value.sum_squares, sum(float(row["norm"]) ** 2 for row in rows), delta=1e-4)
        self.assertEqual(sum(value.bucket), value.num)
        self.assertEqual(value.num % len(rows), 0)
        said = self.hyperparameters()
        self.assertEqual((said["network"], said["sort"], said["kernels"]), ("lung-nodule.onnx", "norm", len(rows)))
        self.assertIn("Norms", self.text("summary"))

    def test_features(self):
        name, out = self.look(
            "features", "volumes/phantom-01.nii.gz", *self.PIPELINE, "--layer", "first-conv,last-conv", "--volumes", "all",
            "--count", "3")
        self.assertEqual(name, "features-phantom-01-lung-nodule")
        self.assertEqual(len(self.events.Tags()["images"]), 2)
        for file in ["first-conv", "last-conv"]:
            rows = self.table(out / f"phantom-01_{file}.csv")
            picture = out / f"phantom-01_{file}.png"
            (layer,) = [
                tag.removesuffix("/activations") for tag in self.events.Tags()["images"]
                if self.events.Images(tag)[0].encoded_image_string == picture.read_bytes()]
            for tag in ["root_mean_square", "maximum", "zeros"]:
                self.check_scalars(f"{layer}/{tag}", {int(row["channel"]): float(row[tag]) for row in rows})
            strongest = sorted(rows, key=lambda row: -float(row["root_mean_square"]))[:3]
            found = {event.step: event.histogram_value for event in self.events.Histograms(f"{layer}/activations")}
            self.assertEqual(set(found), {int(row["channel"]) for row in strongest})
            for row in strongest:
                value = found[int(row["channel"])]
                self.assertAlmostEqual(value.max, float(row["maximum"]), delta=1e-5 * abs(value.max))
                mean_square = float(row["root_mean_square"]) ** 2
                self.assertAlmostEqual(value.sum_squares / value.num, mean_square, delta=1e-4 * mean_square)
            silent = sum(1 for row in rows if float(row["minimum"]) == float(row["maximum"]) == 0)
            self.check_scalars(f"{layer}/channels_zero_everywhere", {0: silent})
        said = self.hyperparameters()
        self.assertEqual((said["scan"], said["layers"]), ("phantom-01", "first-conv, last-conv"))
        self.assertIn("channels of", self.text("summary"))

    def test_maximize(self):
        name, out = self.look(
            "maximize", "pipelines/slice-nodule-2d.onnx", "--pipeline", "pipelines/slice-nodule-2d.json5", "--channel", "1",
            "--steps", "6", "--seeds", "2", "--compare", "volumes/phantom-06.nii.gz")
        self.assertEqual(name, "maximize-slice-nodule-2d-logits_channel1")
        self.check_image("inputs", out / "logits_channel1.png")
        self.check_image("curves", out / "logits_channel1_curve.png")
        rows = self.table(out / "logits_channel1_curve.csv")
        for seed in ["0", "1"]:
            self.check_image("input", out / f"logits_channel1_seed{seed}_plain.png", int(seed))
            for tag in ["activation", "total_variation", "l2", "loss"]:
                self.check_scalars(
                    f"{tag}/seed{seed}", {int(row["step"]): float(row[tag]) for row in rows if row["seed"] == seed})
        said = json.loads((out / "logits_channel1.json").read_text())
        for tag, key in [("start", "start"), ("reached", "reached")]:
            self.check_scalars(tag, {run["seed"]: run[key] for run in said["runs"]})
        self.check_scalars("summary/best_real_input", {0: said["realInputs"][0]["activation"]})
        for event, seed in zip(self.events.Histograms("input"), [0, 1]):
            image = nifti.Volume(out / f"logits_channel1_seed{seed}.nii.gz")
            value = event.histogram_value
            self.assertEqual((event.step, value.num), (seed, len(image.voxels)))
            self.assertAlmostEqual(value.sum, sum(image.voxels), delta=1e-4 * sum(map(abs, image.voxels)))
        found = self.hyperparameters()
        self.assertEqual((found["steps"], found["basis"], found["channel"]), (6, "fourier", 1))
        self.assertEqual(json.loads(self.text("summary").strip("`").removeprefix("json")), said)
        self.assertIn("phantom", self.text("real inputs"))

    def test_diagnose(self):
        name, out = self.look("diagnose", "pipelines/lung-nodule.onnx", *self.PIPELINE, "--input", "volumes", "--limit", "2")
        self.assertEqual(name, "diagnose-lung-nodule")
        for picture in ["gradient_flow", "activations", "channels", "kernels"]:
            self.check_image(picture, out / f"{picture}.png")
        said = json.loads((out / "diagnosis.json").read_text())
        layers = said["layers"]
        for tag, key in [("mean", "mean"), ("deviation", "deviation"), ("zeros", "zeros"), ("gradient_norm", "gradientNorm")]:
            self.check_scalars(
                f"layers/{tag}", {n: layer[key] for n, layer in enumerate(layers) if layer[key] is not None})
        self.check_scalars("layers/dead_channels", {n: len(layer["deadChannels"]) for n, layer in enumerate(layers)})
        self.assertEqual(len(self.events.Tags()["histograms"]), len(layers))
        for layer in layers:
            (event,) = self.events.Histograms(f"activations/{layer['layer']}")
            value = event.histogram_value
            self.assertEqual(list(value.bucket), layer["histogram"]["counts"])
            self.assertAlmostEqual(value.sum / value.num, layer["mean"], delta=1e-9 * max(1, abs(layer["mean"])))
            self.assertAlmostEqual(value.min, layer["minimum"], delta=1e-6 * abs(layer["minimum"]))
        for tag, key in [("kept_under_blur", "keptUnderBlur"), ("kept_scrambled", "keptScrambled")]:
            self.check_scalars(f"texture/{tag}", {0: said["texture"][key]})
        for tag in ["outside", "table", "border"]:
            scalar = {"outside": "heat/outside_body"}.get(tag, f"heat/{tag}")
            self.check_scalars(scalar, {n: scan[tag] for n, scan in enumerate(said["heat"])})
        self.check_scalars("findings/severe", {0: sum(f["severity"] == "severe" for f in said["findings"])})
        self.assertEqual(self.hyperparameters()["inputs"], said["inputs"])
        self.assertEqual(self.text("layers").count("\n") + 1, len(layers))
        self.text("findings")


if __name__ == "__main__":
    unittest.main(verbosity=2)
