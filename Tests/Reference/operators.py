#!/usr/bin/env python3
"""Reference tensors for all operators but convolutions and pools, by PyTorch: outputs, and gradients by its autograd.

    python Tests/Reference/operators.py

writes data/operators/operators.safetensors. Each case is named; what an ONNX node would say of it is JSON in the metadata
under its name: type, opset, attributes (each as {"i": 1}, {"f": 0.5}, {"s": "x"}, {"is": […]} or {"fs": […]}), and the
kind of each input ("f", "i", "b" or null). Its tensors are CASE.in0 …, CASE.out0 …, and for float ones CASE.gout0 … (the
gradient of a scalar with respect to an output) and CASE.gin0 … (with respect to an input). Computed in double precision
from float32 inputs and rounded once.
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

generator = torch.Generator().manual_seed(7)
tensors, metadata = {}, {}


def rand(*shape):
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def positive(*shape):
    return torch.rand(shape, generator=generator, dtype=torch.float32) + 0.5


def ints(*values):
    return torch.tensor(values, dtype=torch.int64)


def attribute(value):
    if isinstance(value, bool) or isinstance(value, int):
        return {"i": int(value)}
    if isinstance(value, float):
        return {"f": value}
    if isinstance(value, str):
        return {"s": value}
    return {"is": list(value)} if all(isinstance(v, int) for v in value) else {"fs": list(value)}


def case(name, kind, function, *inputs, opset=23, grads=True, **attributes):
    """`function` gets the float inputs in double precision, the others as they are, the omitted ones as None."""
    assert name not in metadata, name
    leaves = []
    for value in inputs:
        if value is not None and value.is_floating_point():
            leaves.append(value.double().requires_grad_())
        else:
            leaves.append(value)
    results = function(*leaves)
    results = list(results) if isinstance(results, (tuple, list)) else [results]
    kinds = []
    for index, value in enumerate(inputs):
        kinds.append(None if value is None else "f" if value.is_floating_point() else
                     "b" if value.dtype == torch.bool else "i")
        if value is not None:
            tensors[f"{name}.in{index}"] = value.clone().contiguous()
    scalar = 0
    for index, result in enumerate(results):
        tensors[f"{name}.out{index}"] = (
            result.detach().float() if result.is_floating_point() else result).contiguous()
        if grads and result.is_floating_point():
            weight = rand(*result.shape)
            tensors[f"{name}.gout{index}"] = weight
            scalar = scalar + (result * weight.double()).sum()
    if grads:
        scalar.backward()
        for index, leaf in enumerate(leaves):
            if leaf is not None and leaf.is_floating_point() and leaf.grad is not None:
                tensors[f"{name}.gin{index}"] = leaf.grad.float().contiguous()
    metadata[name] = json.dumps({
        "type": kind, "opset": opset, "attributes": {key: attribute(value) for key, value in attributes.items()},
        "inputs": kinds, "outputs": len(results)})


# --- one input, element by element (kinks and their PyTorch derivatives included)
ends = torch.tensor([-30.0, -6.0, -3.0, -1.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 1.0, 3.0, 6.0, 30.0])
wide = torch.cat([ends, 3 * rand(20)])
case("relu", "Relu", F.relu, wide)
case("leaky_relu", "LeakyRelu", lambda x: F.leaky_relu(x, 0.1), wide, alpha=0.1)
case("elu", "Elu", lambda x: F.elu(x, 1.5), wide, alpha=1.5)
case("selu", "Selu", F.selu, wide)
case("celu", "Celu", lambda x: F.celu(x, 1.5), wide, alpha=1.5)
case("hard_sigmoid", "HardSigmoid", F.hardsigmoid, wide, alpha=1 / 6, beta=0.5)
case("hard_swish", "HardSwish", F.hardswish, 2 * rand(30))
case("silu", "Swish", F.silu, wide)
case("mish", "Mish", F.mish, wide)
case("gelu", "Gelu", F.gelu, wide)
case("gelu_tanh", "Gelu", lambda x: F.gelu(x, approximate="tanh"), wide, approximate="tanh")
case("softplus", "Softplus", lambda x: F.softplus(x, threshold=40), wide)
case("softsign", "Softsign", F.softsign, wide)
case("threshold", "ThresholdedRelu", lambda x: F.threshold(x, 0.7, 0.0), wide, alpha=0.7)
case("shrink", "Shrink", lambda x: F.softshrink(x, 0.5), wide, lambd=0.5, bias=0.5)
case("sigmoid", "Sigmoid", torch.sigmoid, wide)
case("tanh", "Tanh", torch.tanh, wide)
case("erf", "Erf", torch.erf, wide)
case("exp", "Exp", torch.exp, rand(20))
case("log", "Log", torch.log, positive(20))
case("sqrt", "Sqrt", torch.sqrt, positive(20))
case("reciprocal", "Reciprocal", torch.reciprocal, positive(20))
case("abs", "Abs", torch.abs, wide)
case("neg", "Neg", torch.neg, wide)
case("sign", "Sign", torch.sign, wide)
case("floor", "Floor", torch.floor, wide)
case("ceil", "Ceil", torch.ceil, wide)
case("round", "Round", torch.round, torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.3, 1.7]))
for name in ["sin", "cos", "tan", "atan", "sinh", "cosh", "asinh"]:
    case(name, name.capitalize(), getattr(torch, name), rand(12))
for name in ["asin", "acos", "atanh"]:
    case(name, name.capitalize(), getattr(torch, name), torch.rand(12, generator=generator) * 1.6 - 0.8)
case("acosh", "Acosh", torch.acosh, positive(12) + 1)
case("clip", "Clip", lambda x, a, b: torch.clamp(x, a.item(), b.item()), wide, torch.tensor(-1.0), torch.tensor(3.0))

# --- several inputs, broadcast
for name, function in [("add", torch.add), ("sub", torch.sub), ("mul", torch.mul), ("div", torch.div)]:
    case(f"{name}_channels", name.capitalize(), function, rand(2, 3, 4, 5), positive(3, 1, 1))
    case(f"{name}_gate", name.capitalize(), function, rand(2, 3, 4, 5), positive(2, 3, 1, 1))
    case(f"{name}_both", name.capitalize(), function, rand(2, 1, 5), positive(4, 1))
    case(f"{name}_scalar", name.capitalize(), function, rand(), positive(3, 4))
case("pow", "Pow", torch.pow, positive(2, 3), rand(3))
case("pow_square", "Pow", torch.pow, positive(2, 3), torch.tensor(2.0))
case("fmod", "Mod", torch.fmod, rand(12) * 3, positive(12), fmod=1)
case("max", "Max", torch.maximum, torch.tensor([1.0, 2, 3, 2]), torch.tensor([2.0, 2, 1, 2]))
case("min", "Min", torch.minimum, torch.tensor([1.0, 2, 3, 2]), torch.tensor([2.0, 2, 1, 2]))
case("prelu", "PRelu", lambda x, w: F.prelu(x, w.reshape(-1)), rand(2, 3, 4), positive(3, 1))
case("where", "Where", torch.where, rand(3, 1) > 0, rand(1, 4), rand(3, 4))

# --- places
case("transpose", "Transpose", lambda x: x.permute(2, 0, 3, 1), rand(3, 4, 5, 6), perm=[2, 0, 3, 1])
case("slice", "Slice", lambda x, *_: x[1:3, :, 1::2], rand(4, 3, 6), ints(1, 1), ints(3, 99), ints(0, 2), ints(1, 2))
case("roll", "Slice", lambda x, *_: x.flip(1), rand(2, 5), ints(-1), ints(-9), ints(1), ints(-1))
case("pad", "Pad", lambda x, *_: F.pad(x, (1, 2, 0, 3), value=0.5), rand(1, 2, 3, 4), ints(0, 0, 0, 1, 0, 0, 3, 2),
     torch.tensor(0.5))
case("pad_reflect", "Pad", lambda x, *_: F.pad(x, (1, 2, 2, 1), mode="reflect"), rand(1, 2, 3, 4),
     ints(0, 0, 2, 1, 0, 0, 1, 2), mode="reflect")
case("pad_edge", "Pad", lambda x, *_: F.pad(x, (1, 2, 2, 1), mode="replicate"), rand(1, 2, 3, 4),
     ints(0, 0, 2, 1, 0, 0, 1, 2), mode="edge")
case("pad_wrap", "Pad", lambda x, *_: F.pad(x, (1, 2, 2, 1), mode="circular"), rand(1, 2, 3, 4),
     ints(0, 0, 2, 1, 0, 0, 1, 2), mode="wrap")
case("tile", "Tile", lambda x, _: x.repeat(2, 3, 1), rand(2, 2, 3), ints(2, 3, 1))
case("expand", "Expand", lambda x, _: x.expand(2, 3, 4), rand(3, 1), ints(2, 3, 4))
case("pixel_shuffle", "DepthToSpace", lambda x: F.pixel_shuffle(x, 2), rand(1, 8, 2, 3), blocksize=2, mode="CRD")
case("tril", "Trilu", lambda x, _: torch.tril(x, 1), rand(2, 4, 5), torch.tensor(1), upper=0)
case("gather", "Gather", lambda x, i: x[:, i], rand(3, 4, 2), torch.tensor([[0, 3], [3, 1]]), axis=1)
case("gather_elements", "GatherElements", lambda x, i: torch.gather(x, 1, i), rand(3, 4),
     torch.tensor([[0, 3], [1, 1], [2, 0]]), axis=1)
case("scatter_elements", "ScatterElements", lambda x, i, u: torch.scatter(x, 1, i, u), rand(3, 4),
     torch.tensor([[0, 3], [1, 2], [2, 0]]), rand(3, 2), axis=1)
case("scatter_add", "ScatterElements", lambda x, i, u: torch.scatter_add(x, 1, i, u), rand(3, 4),
     torch.tensor([[0, 3], [1, 1], [2, 0]]), rand(3, 2), axis=1, reduction="add")
case("topk", "TopK", lambda x, _: torch.topk(x, 3, dim=1), rand(2, 6, 2), ints(3), axis=1)
case("cumsum", "CumSum", lambda x, _: torch.cumsum(x, 1), rand(2, 50), torch.tensor(1))
case("argmax", "ArgMax", lambda x: torch.argmax(x, 1), rand(3, 7, 2), axis=1, keepdims=0, grads=False)

# --- reductions
for name, function in [
    ("ReduceSum", lambda x, d: x.sum(d, keepdim=True)), ("ReduceMean", lambda x, d: x.mean(d, keepdim=True)),
    ("ReduceL1", lambda x, d: x.abs().sum(d, keepdim=True)), ("ReduceL2", lambda x, d: x.square().sum(d, keepdim=True).sqrt()),
    ("ReduceSumSquare", lambda x, d: x.square().sum(d, keepdim=True)),
    ("ReduceLogSumExp", lambda x, d: x.logsumexp(d, keepdim=True)),
    ("ReduceMax", lambda x, d: x.amax(d, keepdim=True)), ("ReduceMin", lambda x, d: x.amin(d, keepdim=True)),
]:
    case(f"{name}_spatial", name, lambda x, _, f=function: f(x, (2, 3, 4)), rand(2, 3, 3, 4, 2), ints(2, 3, 4))
    case(f"{name}_channels", name, lambda x, _, f=function: f(x, 1), rand(2, 5, 6), ints(1))
case("max_ties", "ReduceMax", lambda x, _: x.amax(1, keepdim=True), torch.tensor([[1.0, 3, 3], [2, 2, 2]]), ints(1))
case("prod", "ReduceProd", lambda x, _: x.prod(1, keepdim=True), torch.tensor([[0.5, 0, 3], [1, 2, 3], [0, 0, 1]]), ints(1))

# --- products
case("matmul", "MatMul", torch.matmul, rand(5, 7), rand(7, 3))
case("matmul_stack", "MatMul", torch.matmul, rand(2, 3, 5, 7), rand(2, 3, 7, 4))
case("matmul_broadcast", "MatMul", torch.matmul, rand(2, 1, 5, 7), rand(3, 7, 4))
case("matmul_weights", "MatMul", torch.matmul, rand(2, 5, 7), rand(7, 4))
case("matmul_vector", "MatMul", torch.matmul, rand(7), rand(2, 7, 4))
case("linear", "Gemm", lambda x, w, b: F.linear(x, w, b), rand(3, 40), rand(10, 40), rand(10), transB=1)
case("linear_one", "Gemm", lambda x, w, b: F.linear(x, w, b), rand(1, 40), rand(10, 40), rand(10), transB=1)
case("gemm", "Gemm", lambda a, b, c: 0.5 * (a.T @ b) + 2 * c, rand(4, 3), rand(4, 5), rand(3, 1), transA=1, alpha=0.5, beta=2.0)
for index, (equation, *shapes) in enumerate([
    ("bhxy,bhyd->bhxd", (2, 2, 3, 4), (2, 2, 4, 5)), ("blxd,blyd->blxy", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("bij,jk,ck->bic", (2, 3, 4), (4, 5), (2, 5)), ("...ij,...jk->...ik", (2, 1, 3, 4), (3, 4, 2)), ("ii->i", (4, 4)),
    ("bchw,bkhw->bck", (2, 3, 4, 4), (2, 5, 4, 4)), ("ab,cd->bd", (2, 3), (4, 5)),
]):
    case(f"einsum_{index}", "Einsum", lambda *x, e=equation: torch.einsum(e, *x), *[rand(*s) for s in shapes], equation=equation)

# --- normalizations
case("softmax", "Softmax", lambda x: F.softmax(x, -1), 10 * rand(3, 7))
case("softmax_channels", "Softmax", lambda x: F.softmax(x, 1), rand(2, 4, 3, 3), axis=1)
case("log_softmax", "LogSoftmax", lambda x: F.log_softmax(x, 1), 10 * rand(2, 4, 3), axis=1)
case("layer_norm", "LayerNormalization", lambda x, w, b: F.layer_norm(x, (16,), w, b, 1e-6), 5 + 2 * rand(2, 3, 16), positive(16),
     rand(16), epsilon=1e-6)
case("rms_norm", "RMSNormalization", lambda x, w: F.rms_norm(x, (16,), w, 1e-5), rand(2, 3, 16), positive(16))
case("instance_norm", "InstanceNormalization", lambda x, w, b: F.instance_norm(x, weight=w, bias=b), 100 + rand(2, 3, 3, 4, 2),
     positive(3), rand(3))
case("group_norm", "GroupNormalization", lambda x, w, b: F.group_norm(x, 2, w, b), 3 + rand(2, 4, 3, 3), positive(4), rand(4),
     num_groups=2)
def batch_norm(x, w, b, m, v):
    # By its formula: F.batch_norm has no gradient for the mean and the variance.
    w, b, m, v = (t.reshape(1, -1, 1, 1, 1) for t in (w, b, m, v))
    return (x - m) / (v + 1e-5).sqrt() * w + b


case("batch_norm", "BatchNormalization", batch_norm, rand(2, 3, 2, 2, 2), positive(3), rand(3),
     rand(3), positive(3))
case("lp_norm", "LpNormalization", lambda x: F.normalize(x, dim=1), rand(2, 5, 3), axis=1)
case("l1_norm", "LpNormalization", lambda x: F.normalize(x, p=1, dim=1), rand(2, 5, 3), axis=1, p=1)
case("lrn", "LRN", lambda x: F.local_response_norm(x, 5, 0.5, 0.75, 2.0), rand(2, 7, 3, 3), size=5, alpha=0.5, beta=0.75, bias=2.0)

# --- resampling
spatial = {1: ("linear", (9,)), 2: ("bilinear", (7, 9)), 3: ("trilinear", (5, 7, 9))}
for rank, (mode, extents) in spatial.items():
    for corners in (False, True):
        for factor, name in ((2, "up"), (0.5, "down")):
            size = [max(1, int(e * factor)) for e in extents]
            case(f"{mode}_{name}_{int(corners)}", "Resize",
                 lambda x, *_, s=size, m=mode, c=corners: F.interpolate(x, s, mode=m, align_corners=c),
                 rand(1, 2, *extents), None, None, ints(1, 2, *size), mode="linear",
                 coordinate_transformation_mode="align_corners" if corners else "half_pixel")
case("nearest_up", "Resize", lambda x, *_: F.interpolate(x, scale_factor=2.0), rand(1, 2, 3, 4, 5), None,
     torch.tensor([1.0, 1, 2, 2, 2]), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
case("nearest_down", "Resize", lambda x, *_: F.interpolate(x, (2, 3)), rand(1, 2, 5, 7), None, None, ints(1, 2, 2, 3), mode="nearest",
     coordinate_transformation_mode="asymmetric", nearest_mode="floor")
for corners in (False, True):
    case(f"bicubic_{int(corners)}", "Resize",
         lambda x, *_, c=corners: F.interpolate(x, (8, 5), mode="bicubic", align_corners=c), rand(1, 2, 5, 7), None, None,
         ints(1, 2, 8, 5), mode="cubic", coordinate_transformation_mode="align_corners" if corners else "pytorch_half_pixel")
case("bilinear_antialias", "Resize", lambda x, *_: F.interpolate(x, (3, 4), mode="bilinear", antialias=True), rand(1, 2, 8, 11), None,
     None, ints(1, 2, 3, 4), mode="linear", antialias=1, exclude_outside=1)
case("bicubic_antialias", "Resize", lambda x, *_: F.interpolate(x, (3, 4), mode="bicubic", antialias=True), rand(1, 2, 8, 11), None,
     None, ints(1, 2, 3, 4), mode="cubic", antialias=1, exclude_outside=1, cubic_coeff_a=-0.5)
for rank, shape, grid in ((2, (2, 2, 4, 5), (2, 3, 3, 2)), (3, (1, 2, 3, 4, 5), (1, 2, 3, 2, 3))):
    for mode, padding, corners in ((m, p, c) for m in ("bilinear", "nearest", "bicubic")
                                   for p in ("zeros", "border", "reflection") for c in (False, True)):
        if mode == "bicubic" and rank == 3:
            continue
        case(f"grid_{rank}_{mode}_{padding}_{int(corners)}", "GridSample",
             lambda x, g, m=mode, p=padding, c=corners: F.grid_sample(x, g, m, p, c), rand(*shape), 0.9 * rand(*grid),
             mode={"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode), padding_mode=padding, align_corners=int(corners))

for rank, size in ((2, (2, 3, 4, 5)), (3, (2, 1, 3, 4, 5))):
    for corners in (False, True):
        case(f"affine_grid_{rank}_{int(corners)}", "AffineGrid", lambda t, s, c=corners: F.affine_grid(t, s.tolist(), align_corners=c),
             rand(2, rank, rank + 1), ints(*size), align_corners=int(corners))

# --- attention
for name, causal in (("attention", False), ("attention_causal", True)):
    case(name, "Attention", lambda q, k, v, c=causal: F.scaled_dot_product_attention(q, k, v, is_causal=c), rand(2, 3, 5, 8),
         rand(2, 3, 5, 8), rand(2, 3, 5, 6), is_causal=int(causal))
case("attention_mask", "Attention", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m), rand(2, 3, 4, 8), rand(2, 3, 6, 8),
     rand(2, 3, 6, 8), rand(4, 6))
case("attention_grouped", "Attention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True), rand(1, 4, 5, 8),
     rand(1, 2, 5, 8), rand(1, 2, 5, 8))

folder = Path(__file__).parent / "data" / "operators"
folder.mkdir(parents=True, exist_ok=True)
save_file(tensors, folder / "operators.safetensors", metadata=metadata)
print(f"{len(metadata)} cases, {(folder / 'operators.safetensors').stat().st_size} bytes")
