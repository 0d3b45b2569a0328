#!/usr/bin/env python3
"""Reference tensors for convolutions and pools, by PyTorch: outputs, and gradients by its autograd.

    python Tests/Reference/convolutions.py

writes data/convolutions/operators.safetensors. Each case is named; its attributes, as an ONNX node has them, are JSON in
the metadata under the case's name, its tensors CASE.x, .w, .b (inputs), .y (output), .gy (gradient of a scalar with
respect to y), .gx, .gw, .gb. Computed in double precision from float32 inputs and rounded once.
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

generator = torch.Generator().manual_seed(20)
tensors, metadata = {}, {}


def rand(*shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float32)


def record(name, attributes, function, **inputs):
    leaves = {key: value.double().requires_grad_() for key, value in inputs.items()}
    y = function(**leaves)
    gy = rand(*y.shape)
    y.backward(gy.double())
    tensors.update({f"{name}.{key}": value for key, value in inputs.items()})
    tensors.update({f"{name}.g{key}": value.grad.float() for key, value in leaves.items()})
    tensors.update({f"{name}.y": y.detach().float(), f"{name}.gy": gy})
    metadata[name] = json.dumps(attributes)


def pad(x, pads, value=0.0):
    """Pads as ONNX lists them: all begins, then all ends."""
    rank = len(pads) // 2
    flat = []
    for axis in reversed(range(rank)):
        flat += [pads[axis], pads[rank + axis]]
    return F.pad(x, flat, value=value)


def conv(name, batch, channels, out, spatial, kernel, strides=None, dilations=None, pads=None, group=1, bias=True):
    rank = len(spatial)
    strides, dilations, pads = strides or [1] * rank, dilations or [1] * rank, pads or [0] * 2 * rank
    function = [F.conv1d, F.conv2d, F.conv3d][rank - 1]
    inputs = {"x": rand(batch, channels, *spatial), "w": rand(out, channels // group, *kernel)}
    if bias:
        inputs["b"] = rand(out)
    record(
        name,
        {"type": "Conv", "kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads, "group": group},
        lambda x, w, b=None: function(pad(x, pads), w, b, strides, 0, dilations, group), **inputs)


def transpose(name, batch, channels, out, spatial, kernel, strides=None, dilations=None, padding=None, extra=None, group=1,
              bias=True):
    rank = len(spatial)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    padding, extra = padding or [0] * rank, extra or [0] * rank
    function = [F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d][rank - 1]
    inputs = {"x": rand(batch, channels, *spatial), "w": rand(channels, out // group, *kernel)}
    if bias:
        inputs["b"] = rand(out)
    record(
        name,
        {"type": "ConvTranspose", "kernel_shape": kernel, "strides": strides, "dilations": dilations,
         "pads": padding * 2, "output_padding": extra, "group": group},
        lambda x, w, b=None: function(x, w, b, strides, padding, extra, group, dilations), **inputs)


def max_pool(name, shape, kernel, strides, padding, dilations=None, ceil=False):
    rank = len(kernel)
    dilations = dilations or [1] * rank
    function = [F.max_pool1d, F.max_pool2d, F.max_pool3d][rank - 1]
    x = rand(*shape)
    attributes = {"type": "MaxPool", "kernel_shape": kernel, "strides": strides, "dilations": dilations,
                  "pads": padding * 2, "ceil_mode": int(ceil)}
    record(name, attributes, lambda x: function(x, kernel, strides, padding, dilations, ceil), x=x)
    _, indices = function(x, kernel, strides, padding, dilations, ceil, return_indices=True)
    planes = shape[0] * shape[1]
    plane = x[0, 0].numel()
    offsets = (torch.arange(planes) * plane).reshape(shape[0], shape[1], *[1] * rank)
    tensors[f"{name}.indices"] = indices + offsets


def average_pool(name, shape, kernel, strides, padding, ceil=False, include=False):
    rank = len(kernel)
    function = [F.avg_pool1d, F.avg_pool2d, F.avg_pool3d][rank - 1]
    attributes = {"type": "AveragePool", "kernel_shape": kernel, "strides": strides, "pads": padding * 2,
                  "ceil_mode": int(ceil), "count_include_pad": int(include)}
    record(name, attributes, lambda x: function(x, kernel, strides, padding, ceil, include), x=rand(*shape))


conv("conv1d", 2, 3, 5, [11], [3], [2], [1], [1, 1])
conv("conv1d-dilated", 1, 4, 4, [13], [3], [1], [3], [3, 3], group=2)
conv("conv2d-3x3", 2, 8, 16, [9, 10], [3, 3], pads=[1, 1, 1, 1])
conv("conv2d-no-bias", 1, 16, 32, [14, 14], [3, 3], pads=[1, 1, 1, 1], bias=False)
conv("conv2d-wide", 1, 24, 40, [13, 17], [3, 3], pads=[1, 1, 1, 1])
conv("conv2d-valid", 1, 16, 16, [12, 9], [3, 3])
conv("conv2d-strided", 1, 8, 16, [13, 11], [3, 3], [2, 2], pads=[1, 1, 1, 1])
conv("conv2d-7x7", 1, 3, 16, [23, 21], [7, 7], [2, 2], pads=[3, 3, 3, 3])
conv("conv2d-1x1", 2, 16, 24, [7, 6], [1, 1])
conv("conv2d-1x1-strided", 1, 8, 16, [9, 8], [1, 1], [2, 2])
conv("conv2d-patches", 1, 3, 32, [12, 16], [4, 4], [4, 4])
conv("conv2d-dilated", 1, 8, 8, [14, 13], [3, 3], dilations=[2, 3], pads=[2, 3, 2, 3])
conv("conv2d-grouped", 1, 12, 8, [9, 9], [3, 3], pads=[1, 1, 1, 1], group=4)
conv("conv2d-depthwise", 2, 16, 16, [10, 11], [5, 5], pads=[2, 2, 2, 2], group=16)
conv("conv2d-depthwise-multiplied", 1, 6, 18, [9, 9], [3, 3], [2, 2], pads=[1, 1, 1, 1], group=6)
conv("conv2d-asymmetric", 1, 5, 7, [9, 8], [3, 2], [2, 1], pads=[0, 1, 2, 0])
conv("conv2d-stride-beyond-kernel", 1, 4, 8, [13, 14], [2, 1], [3, 4], pads=[1, 0, 0, 1])
conv("conv2d-pad-beyond-kernel", 1, 4, 8, [5, 6], [2, 2], pads=[3, 4, 4, 3])
conv("conv2d-even-kernel", 1, 9, 10, [8, 8], [4, 2], pads=[1, 0, 2, 1])
conv("conv3d-3x3x3", 1, 8, 16, [7, 9, 6], [3, 3, 3], pads=[1] * 6)
conv("conv3d-channels", 1, 16, 32, [6, 6, 10], [3, 3, 3], pads=[1] * 6)
conv("conv3d-batch", 2, 4, 6, [5, 6, 7], [3, 3, 3], pads=[1] * 6)
conv("conv3d-valid", 1, 16, 16, [8, 7, 9], [3, 3, 3])
conv("conv3d-strided", 1, 8, 16, [9, 8, 10], [3, 3, 3], [2, 2, 2], pads=[1] * 6)
conv("conv3d-stem", 1, 1, 16, [14, 13, 12], [7, 7, 7], [2, 2, 2], pads=[3] * 6)
conv("conv3d-video", 1, 3, 8, [5, 12, 12], [3, 7, 7], [1, 2, 2], pads=[1, 3, 3, 1, 3, 3])
conv("conv3d-1x1x1", 1, 24, 16, [4, 5, 6], [1, 1, 1])
conv("conv3d-1x1x1-strided", 1, 8, 16, [6, 7, 8], [1, 1, 1], [2, 2, 2])
conv("conv3d-flat", 1, 8, 16, [5, 9, 9], [1, 3, 3], pads=[0, 1, 1, 0, 1, 1])
conv("conv3d-thin", 1, 8, 16, [9, 5, 5], [3, 1, 1], pads=[1, 0, 0, 1, 0, 0])
conv("conv3d-dilated", 1, 4, 8, [9, 9, 9], [3, 3, 3], dilations=[2, 2, 2], pads=[2] * 6)
conv("conv3d-grouped", 1, 8, 8, [6, 6, 6], [3, 3, 3], pads=[1] * 6, group=2)
conv("conv3d-depthwise", 1, 8, 8, [6, 7, 8], [3, 3, 3], pads=[1] * 6, group=8)
conv("conv3d-asymmetric", 1, 3, 5, [6, 7, 8], [3, 2, 3], [1, 2, 2], pads=[1, 0, 2, 0, 1, 0])
transpose("transpose1d", 2, 3, 5, [7], [4], [2], padding=[1])
transpose("transpose2d", 1, 8, 16, [6, 5], [2, 2], [2, 2])
transpose("transpose2d-overlapping", 1, 6, 4, [7, 6], [3, 3], [2, 2], padding=[1, 1], extra=[1, 1])
transpose("transpose2d-dilated", 1, 4, 4, [6, 6], [3, 3], [2, 1], [2, 2], [1, 0], [1, 0])
transpose("transpose2d-grouped", 2, 8, 12, [5, 6], [3, 3], [2, 2], padding=[1, 1], group=4)
transpose("transpose2d-unit-stride", 1, 16, 16, [9, 8], [3, 3], padding=[1, 1])
transpose("transpose3d", 1, 8, 4, [4, 5, 3], [2, 2, 2], [2, 2, 2])
transpose("transpose3d-overlapping", 1, 4, 8, [4, 5, 4], [3, 3, 3], [2, 2, 2], padding=[1] * 3, extra=[1] * 3)
transpose("transpose3d-no-bias", 1, 3, 2, [3, 4, 5], [3, 2, 3], [1, 2, 3], bias=False)
max_pool("max1d", [2, 3, 11], [3], [2], [1])
max_pool("max2d", [2, 3, 8, 10], [2, 2], [2, 2], [0, 0])
max_pool("max2d-padded", [1, 4, 9, 11], [3, 3], [2, 2], [1, 1])
max_pool("max2d-ceil", [1, 3, 8, 9], [3, 3], [2, 2], [1, 1], ceil=True)
max_pool("max2d-dilated", [1, 3, 11, 12], [3, 2], [1, 2], [1, 1], [2, 3])
max_pool("max3d", [1, 4, 6, 8, 10], [2, 2, 2], [2, 2, 2], [0, 0, 0])
max_pool("max3d-padded", [1, 3, 7, 8, 9], [3, 3, 3], [2, 2, 2], [1, 1, 1])
max_pool("max3d-ceil", [1, 2, 5, 6, 7], [2, 2, 2], [2, 2, 2], [0, 0, 0], ceil=True)
average_pool("average1d", [2, 3, 11], [3], [2], [1])
average_pool("average2d", [1, 3, 9, 10], [3, 3], [2, 2], [1, 1])
average_pool("average2d-include", [1, 3, 9, 10], [3, 3], [2, 2], [1, 1], include=True)
average_pool("average2d-ceil", [1, 3, 8, 9], [3, 2], [2, 2], [1, 1], ceil=True)
average_pool("average2d-ceil-include", [1, 3, 8, 9], [3, 2], [2, 2], [1, 1], ceil=True, include=True)
average_pool("average3d", [1, 2, 6, 7, 8], [2, 2, 2], [2, 2, 2], [0, 0, 0])
average_pool("average3d-ceil-include", [1, 2, 6, 7, 8], [3, 3, 3], [2, 2, 2], [1, 1, 1], ceil=True, include=True)
record("lp2d", {"type": "LpPool", "kernel_shape": [3, 2], "strides": [2, 1], "p": 3},
       lambda x: (F.avg_pool2d(x.abs() ** 3, [3, 2], [2, 1]) * 6) ** (1 / 3), x=rand(1, 3, 8, 7))
record("global-average", {"type": "GlobalAveragePool"}, lambda x: x.mean((2, 3, 4), keepdim=True), x=rand(2, 3, 4, 5, 6))
record("global-max", {"type": "GlobalMaxPool"}, lambda x: x.amax((2, 3), keepdim=True), x=rand(2, 3, 5, 6))
record("global-lp", {"type": "GlobalLpPool", "p": 2}, lambda x: x.pow(2).sum((2, 3), keepdim=True).sqrt(), x=rand(2, 3, 5, 6))

folder = Path(__file__).parent / "data" / "convolutions"
folder.mkdir(parents=True, exist_ok=True)
save_file({name: value.contiguous() for name, value in sorted(tensors.items())}, folder / "operators.safetensors", dict(sorted(metadata.items())))
print(f"{len(metadata)} cases, {(folder / 'operators.safetensors').stat().st_size} bytes")
