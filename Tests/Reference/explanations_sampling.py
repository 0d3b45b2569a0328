"""Reference maps for methods that draw at random or cover windows: Captum's NoiseTunnel (SmoothGrad, VarGrad), its
InputBaselineXGradient (expected gradients) and its Occlusion, and RISE written down anew in NumPy and SciPy, on the networks of
explanations.py and the vision transformers of explanations_rules.py.

The random numbers are those that TomoLens draws (random_numbers.py) and are fed to Captum in the
place of its own, so that both libraries must agree to rounding and not only within sampling error.

Writes Tests/Reference/data/explanations/<case>.sampling.safetensors.
"""
import math
from unittest import mock
import numpy as np
import torch
from scipy.ndimage import map_coordinates
from safetensors.numpy import save_file
from captum.attr import NoiseTunnel, Occlusion, Saliency
from captum.attr._core.gradient_shap import InputBaselineXGradient
from explanations import OUT, networks
from explanations_rules import transformers
from random_numbers import Random


def noisy(model, x, target, samples, seed, share=0.15):
    random = Random(seed)
    deviation = share * float(x.max() - x.min())
    noise = torch.tensor([deviation * random.normal() for _ in range(samples * x.numel())], dtype=torch.float64)
    noise = noise.float().reshape(samples, *x.shape[1:])
    maps = {}
    for kind in ("smoothgrad", "vargrad"):
        with mock.patch.object(torch, "normal", lambda *a, **k: noise):
            found = NoiseTunnel(Saliency(model)).attribute(
                x, nt_type=kind, nt_samples=samples, stdevs=1.0, target=target, abs=False)[0].detach()
        # Captum divides the variance by n, TomoLens by n - 1, as a variance estimated from a sample is.
        maps[kind] = found.abs().amax(0) if kind == "smoothgrad" else found.sum(0) * samples / (samples - 1)
    return {f"{kind} samples={samples} seed={seed}": m.numpy() for kind, m in maps.items()}


def expected(model, x, target, samples, seed):
    random = Random(seed)
    values = x.flatten().tolist()
    greys, places = [], []
    for _ in range(samples):
        greys.append(values[random.next() % len(values)])
        places.append(random.uniform())
    grey = torch.tensor(greys).reshape(-1, *[1] * (x.ndim - 1)).expand(samples, *x.shape[1:])
    with mock.patch("numpy.random.uniform", lambda *a, **k: np.array(places)):
        shares = InputBaselineXGradient(model).attribute(x.expand(samples, *x.shape[1:]), baselines=grey, target=target)
    return {f"expected-gradients samples={samples} seed={seed}": shares.detach().mean(0).sum(0).numpy()}


def covered(model, x, target):
    base = float(x.min())
    maps = {}
    for size, stride, fill in ((8, 4, base), (4, 4, 0.0)):
        found = Occlusion(model).attribute(
            x, (x.shape[1],) + (size,) * (x.ndim - 2), strides=(x.shape[1],) + (stride,) * (x.ndim - 2), baselines=fill,
            target=target, perturbations_per_eval=16)
        word = "minimum" if fill == base else "zero"
        # One window covers all channels, so that they have one value.
        maps[f"occlusion size={size} stride={stride} fill={word}"] = found[0, 0].numpy()
    # Where windows do not fit, Captum cuts the last one off; TomoLens moves it back to the edge, so that all are of one size.
    size, stride = 7, 5
    whole = float(model(x)[0, target])
    starts = [sorted({min(s, n - size) for s in range(0, n - size + stride, stride)}) for n in x.shape[2:]]
    fall, covers = np.zeros(x.shape[2:]), np.zeros(x.shape[2:])
    for corner in np.ndindex(*map(len, starts)):
        window = tuple(slice(s[i], s[i] + size) for s, i in zip(starts, corner))
        hidden = x.clone()
        hidden[(0, slice(None)) + window] = base
        fall[window] += whole - float(model(hidden)[0, target])
        covers[window] += 1
    maps[f"occlusion size={size} stride={stride}"] = fall / np.maximum(covers, 1)
    return maps


def rise(model, x, target, masks, seed, cells=4, keep=0.4):
    random = Random(seed)
    extents = x.shape[2:]
    cell = max(extents) / cells
    counts = [math.ceil(n / cell) + 2 for n in extents]
    base = float(x.min())
    scores, seen = [], []
    for _ in range(masks):
        coarse = np.array([float(random.uniform() < keep) for _ in range(int(np.prod(counts)))]).reshape(counts)
        shift = [random.uniform() * cell for _ in extents]
        places = np.meshgrid(*[(np.arange(n) + s) / cell for n, s in zip(extents, shift)], indexing="ij")
        mask = map_coordinates(coarse, places, order=1, mode="nearest")
        masked = torch.from_numpy(base + (x.numpy() - base) * mask).float()
        scores.append(float(model(masked)[0, target]))
        seen.append(mask)
    scores = np.array(scores)
    found = sum((s - scores.mean()) * m for s, m in zip(scores, seen)) / (masks * keep * (1 - keep))
    return {f"rise masks={masks} cells={cells} keep={keep} seed={seed}": found}


if __name__ == "__main__":
    for name, model, x, target in [*networks(), *transformers()]:
        if name == "vggflat3d": continue
        # These hardly hear their input: a louder one, so that what covering it changes is not lost in the score's rounding.
        if name.startswith("vgg"): x = 50 * x
        with torch.no_grad(): maps = covered(model, x, target) | rise(model, x, target, 30, 5)
        maps |= noisy(model, x, target, 5, 3) | expected(model, x, target, 6, 4)
        tensors = {"input": x.numpy(), "target": np.array([target], np.int64)}
        tensors |= {f"map {k}": np.ascontiguousarray(v, dtype=np.float32) for k, v in maps.items()}
        save_file(tensors, str(OUT / f"{name}.sampling.safetensors"))
        print(name, [(k, v.shape, float(np.abs(v).max().round(5))) for k, v in maps.items()])
