"""TensorBoard's own reader reads the event file that the writer's test holds byte-equal (Tests/Reference/data/reports)."""

import pathlib
import unittest

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2
except ImportError:
    EventAccumulator = None

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
