"""Writes the event file that the test of the TensorBoard writer compares with, byte by byte, by TensorBoard's own messages.

    pip install tensorboard; python Tests/Reference/tensorboard_events.py
"""

import pathlib
import struct
import sys

from google.protobuf import struct_pb2
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

WALL_TIME = 1700000000
PLACE = pathlib.Path(__file__).parent / "data/reports/events.out.tfevents.1700000000.tomolens.0"
PNG = bytes(range(64))


def records():
    yield event_pb2.Event(wall_time=WALL_TIME, file_version="brain.Event:2")

    def event(value, step=0):
        return event_pb2.Event(wall_time=WALL_TIME, step=step, summary=summary_pb2.Summary(value=[value]))

    Value = summary_pb2.Summary.Value
    yield event(Value(tag="score/nodule", simple_value=2.5), 3)
    yield event(Value(tag="score/nodule", simple_value=0.0), 4)
    image = summary_pb2.Summary.Image(height=5, width=7, colorspace=3, encoded_image_string=PNG)
    yield event(Value(tag="overlay", image=image), 1)
    histogram = summary_pb2.HistogramProto(
        min=-1, max=3, num=5, sum=4, sum_squares=14, bucket_limit=[0, 1, 2, sys.float_info.max], bucket=[1, 2, 0, 2]
    )
    yield event(Value(tag="heat", histo=histogram), 2)
    text = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)]),
        string_val=["# notes\n热图 <b>".encode()],
    )
    metadata = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="text"))
    yield event(Value(tag="notes/text_summary", tensor=text, metadata=metadata), 0)

    def hparams(tag, **content):
        data = plugin_data_pb2.HParamsPluginData(**content).SerializeToString(deterministic=True)
        plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="hparams", content=data)
        return event(Value(tag=tag, metadata=summary_pb2.SummaryMetadata(plugin_data=plugin)))

    Info = api_pb2.HParamInfo
    yield hparams(
        "_hparams_/experiment",
        experiment=api_pb2.Experiment(
            hparam_infos=[
                Info(name="folds", type=api_pb2.DATA_TYPE_FLOAT64),
                Info(name="method", type=api_pb2.DATA_TYPE_STRING),
                Info(name="signed", type=api_pb2.DATA_TYPE_BOOL),
            ],
            metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag="score/nodule"))],
        ),
    )
    start = plugin_data_pb2.SessionStartInfo()
    start.hparams["folds"].CopyFrom(struct_pb2.Value(number_value=0))
    start.hparams["method"].CopyFrom(struct_pb2.Value(string_value="gradcam"))
    start.hparams["signed"].CopyFrom(struct_pb2.Value(bool_value=False))
    yield hparams("_hparams_/session_start_info", session_start_info=start)
    yield hparams("_hparams_/session_end_info", session_end_info=plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS))


def main():
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    with open(PLACE, "wb") as file:
        for event in records():
            data = event.SerializeToString(deterministic=True)
            length = struct.pack("<Q", len(data))
            file.write(length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data)))
    print(PLACE, PLACE.stat().st_size)


if __name__ == "__main__":
    main()
