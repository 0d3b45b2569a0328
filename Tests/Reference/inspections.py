#!/usr/bin/env python3
"""What numpy and PyTorch make of the questions that `tomolens kernels`, `maximize`, `attack`, `embed` and `diagnose` ask.

    python Tests/Reference/inspections.py

writes data/inspections/*.safetensors, about the networks in data/networks (Tests/Reference/networks.py).
"""
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from safetensors.numpy import save_file
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

here = Path(__file__).parent / "data"
out = here / "inspections"
out.mkdir(exist_ok=True)


def kernels():
    """Weights as [kernels, channels, ...], their norms, and the orders by norm and by similarity."""
    tensors, metadata = {}, {}

    def add(name, model, node):
        weights = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}[node.input[1]]
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        if node.op_type == "ConvTranspose":
            inputs, outputs = weights.shape[:2]
            parts = weights.reshape(groups, inputs // groups, outputs, *weights.shape[2:])
            weights = np.concatenate([np.swapaxes(part, 0, 1) for part in parts])
        flat = weights.reshape(len(weights), -1).astype(np.float64)
        norms = np.linalg.norm(flat, axis=1)
        unit = flat / norms[:, None]
        cosines = unit @ unit.T
        chain = [int(np.argmax(norms))]
        while len(chain) < len(flat):
            rest = [k for k in range(len(flat)) if k not in chain]
            chain.append(max(rest, key=lambda k: (cosines[chain[-1], k], -k)))
        metadata[f"{name}|layer"] = node.name
        tensors[f"{name}|weights"] = np.ascontiguousarray(weights)
        tensors[f"{name}|norms"] = norms
        tensors[f"{name}|channelNorms"] = np.linalg.norm(weights.astype(np.float64), axis=1)
        tensors[f"{name}|cosines"] = cosines
        tensors[f"{name}|byNorm"] = np.argsort(-norms, kind="stable").astype(np.int64)
        tensors[f"{name}|bySimilarity"] = np.array(chain, np.int64)

    def nodes(file, kind):
        model = onnx.load(here / "networks" / f"{file}.legacy.onnx")
        return model, [n for n in model.graph.node if n.op_type == kind]

    model, found = nodes("vgg2d", "Conv")
    add("vgg2d|features.0", model, found[0])
    model, found = nodes("resnet3d", "Conv")
    add("resnet3d|stem.0", model, found[0])
    model, found = nodes("mobilenet2d", "Conv")
    grouped = [n for n in found if any(a.name == "group" and a.i > 1 for a in n.attribute)]
    add("mobilenet2d|depthwise", model, grouped[0])
    model, found = nodes("monai_dynunet", "ConvTranspose")
    add("monai_dynunet|transposed", model, found[0])
    save_file(tensors, out / "kernels.safetensors", metadata)


class Small(nn.Module):
    """Smooth everywhere (SiLU is written as x·sigmoid(x)), so that a last bit never decides where an ascent goes."""

    def __init__(self, rank, channels, classes=3):
        super().__init__()
        conv, pool = (nn.Conv3d, nn.AvgPool3d) if rank == 3 else (nn.Conv2d, nn.AvgPool2d)
        self.first = conv(channels, 4, 3, padding=1)
        self.pool = pool(2)
        self.second = conv(4, 6, 3, padding=1)
        self.classifier = nn.Linear(6, classes)

    def features(self, x):
        x = torch.tanh(self.first(x))
        return self.second(self.pool(x))

    def forward(self, x):
        x = torch.tanh(self.features(x))
        return self.classifier(x.mean(dim=tuple(range(2, x.dim()))))


def small(rank, channels, shape):
    torch.manual_seed(10 * rank + channels)
    network = Small(rank, channels)
    for parameter in network.parameters():
        parameter.data *= 1.5
    network.eval()
    x = torch.rand(1, channels, *shape, generator=torch.Generator().manual_seed(7))
    name = f"small{rank}d"
    torch.onnx.export(
        network, x, str(out / f"{name}.onnx"), dynamo=False, opset_version=17, input_names=["input"], output_names=["output"],
        dynamic_axes={"input": {0: "n"}})
    return name, network.double(), x.double()


def ascent(network, start, objective, steps=15, rate=0.05, tv=0.3, l2=0.2, low=0.0, high=1.0):
    """Adam on voxels as shares of the range, held within it: torch.optim's own."""
    share = ((start - low) / (high - low)).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([share], lr=rate)
    activations = []
    for _ in range(steps):
        optimizer.zero_grad()
        x = low + share * (high - low)
        value = objective(x)
        squares = torch.full_like(share, 1e-6)
        for axis in range(2, share.dim()):
            difference = torch.diff(share, dim=axis)
            pad = [0, 0] * (share.dim() - 1 - axis) + [0, 1]
            squares = squares + F.pad(difference, pad) ** 2
        variation = squares.sqrt().mean()
        distance = ((share - 0.5) ** 2).mean()
        loss = -value + tv * variation + l2 * distance
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            share.clamp_(0, 1)
        activations.append([value.item(), variation.item(), distance.item(), loss.item()])
    return (low + share * (high - low)).detach(), activations


def maximization(name, network, x, tensors):
    logits = lambda x: network(x)[0, 1]
    channel = lambda x: network.features(x)[0, 2].mean()
    place = (1, 2, 3)[: x.dim() - 2]
    unit = lambda x: network.features(x)[(0, 4) + place]
    for what, objective, high in (("logit", logits, 1.0), ("channel", channel, 2.0), ("unit", unit, 1.0)):
        found, curve = ascent(network, x, objective, high=high)
        tensors[f"{name}|{what}|found"] = found.numpy()
        tensors[f"{name}|{what}|curve"] = np.array(curve)


def attack(name, network, x, tensors):
    """FGSM and PGD as their authors write them, without a random start; the mask says which voxels may change."""
    mask = torch.ones_like(x)
    mask[..., : x.shape[-1] // 3] = 0
    scale = 0.01
    count = mask.sum()
    own = network(x).argmax(1)

    def run(goal, sign, norm, steps, epsilon, alpha):
        change = torch.zeros_like(x)
        for _ in range(steps):
            delta = change.clone().requires_grad_(True)
            loss = F.cross_entropy(network(x + scale * delta), goal)
            gradient = torch.autograd.grad(loss, delta)[0] * mask * sign
            if norm == "linf":
                change = (change + alpha * gradient.sign()).clamp(-epsilon, epsilon)
            else:
                change = change + alpha * count.sqrt() * gradient / gradient.norm()
                length, radius = change.norm(), epsilon * count.sqrt()
                if length > radius:
                    change = change * radius / length
        final = F.cross_entropy(network(x + scale * change), goal)
        return change, final, network(x + scale * change)

    target = (own + 1) % 3
    for norm in ("linf", "l2"):
        for what, goal, sign in (("away", own, 1.0), ("toward", target, -1.0)):
            for kind, steps, epsilon in (("fgsm", 1, 4.0), ("pgd", 8, 4.0)):
                alpha = epsilon if steps == 1 else 2.5 * epsilon / steps
                change, loss, answer = run(goal, sign, norm, steps, epsilon, alpha)
                key = f"{name}|{norm}|{what}|{kind}"
                tensors[f"{key}|change"] = change.detach().numpy()
                tensors[f"{key}|loss"] = np.array([loss.item()])
                tensors[f"{key}|answer"] = answer.detach().numpy()
    tensors[f"{name}|mask"] = mask.numpy()
    tensors[f"{name}|own"] = own.numpy()


def networks():
    tensors = {}
    for rank, channels, shape in ((3, 1, (6, 8, 10)), (2, 3, (12, 16))):
        name, network, x = small(rank, channels, shape)
        tensors[f"{name}|input"] = x.numpy()
        maximization(name, network, x, tensors)
        attack(name, network, x, tensors)
    save_file({k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in tensors.items()}, out / "ascents.safetensors")


def transforms():
    """The Hartley transform from numpy's FFT, axis by axis; phases of noise on amplitudes of data; motion by scipy."""
    from scipy import ndimage

    rng = np.random.default_rng(2)
    tensors = {}
    for shape in ((6, 5, 4), (7, 12)):
        key = "x".join(map(str, shape))
        data, noise = rng.normal(size=shape), rng.normal(size=shape)
        found = data
        for axis in range(len(shape)):
            spectrum = np.fft.fft(found, axis=axis, norm="ortho")
            found = spectrum.real - spectrum.imag
        frequencies = np.meshgrid(*[np.abs(np.fft.fftfreq(n)) for n in shape], indexing="ij")
        own, other = np.fft.fftn(data), np.fft.fftn(noise)
        mixed = np.abs(own) * other / np.abs(other)
        mixed.flat[0] = own.flat[0]
        tensors |= {
            f"{key}|data": data, f"{key}|noise": noise, f"{key}|hartley": found,
            f"{key}|frequencies": np.sqrt(sum(f**2 for f in frequencies)), f"{key}|scrambled": np.fft.ifftn(mixed).real}
    data = rng.normal(size=(5, 7, 6))
    a, b, c = 0.1, -0.2, 0.15
    about = lambda t, u, v: np.eye(3) + (np.cos(t) - 1) * (np.outer(np.eye(3)[u], np.eye(3)[u]) + np.outer(np.eye(3)[v], np.eye(3)[v])) \
        + np.sin(t) * (np.outer(np.eye(3)[v], np.eye(3)[u]) - np.outer(np.eye(3)[u], np.eye(3)[v]))
    matrix = 1.05 * about(c, 0, 1) @ about(b, 0, 2) @ about(a, 1, 2)
    shift = np.array([1.0, -2.0, 1.0])
    centre = (np.array(data.shape) - 1) / 2
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in data.shape], indexing="ij"), -1)
    places = (grid - centre) @ matrix.T + centre + shift
    tensors |= {
        "motion|data": data, "motion|matrix": matrix, "motion|shift": shift,
        "motion|moved": ndimage.map_coordinates(data, np.moveaxis(places, -1, 0), order=1, mode="nearest")}
    save_file({k: np.ascontiguousarray(v).astype(np.float32) for k, v in tensors.items()}, out / "transforms.safetensors")


def similarities():
    """scikit-learn's and scikit-image's figures of embeddings and maps."""
    from skimage.metrics import structural_similarity
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.manifold._t_sne import _joint_probabilities
    from sklearn.metrics import silhouette_samples
    from scipy.spatial.distance import squareform

    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(4), 12)
    centres = rng.normal(size=(4, 9)) * 1.5
    vectors = (centres[labels] + rng.normal(size=(48, 9))).astype(np.float32).astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    distances = ((unit[:, None] - unit[None]) ** 2).sum(-1)
    pairs = np.triu_indices(48, 1)
    same = labels[pairs[0]] == labels[pairs[1]]
    pca = PCA(2, svd_solver="full").fit(vectors)
    start = pca.transform(vectors)
    tsne = TSNE(2, perplexity=10, init="pca", random_state=0, method="exact", max_iter=1000)
    tsne.fit(unit)
    tensors = {
        "vectors": vectors, "labels": labels.astype(np.int64), "cosines": cosines,
        "neighbours": np.argsort(-(cosines - 9 * np.eye(48)), axis=1, kind="stable")[:, :5].astype(np.int64),
        "silhouettes": silhouette_samples(vectors, labels, metric="cosine"),
        "alignment": np.array([distances[pairs][same].mean()]),
        "uniformity": np.array([np.log(np.exp(-2 * distances[pairs]).mean())]),
        "pca": start, "pcaShares": pca.explained_variance_ratio_,
        "joint": squareform(_joint_probabilities(distances.astype(np.float32), 10, 0)),
        "tsneDivergence": np.array([tsne.kl_divergence_])}

    a, b = rng.normal(size=(8, 9, 10)), None
    b = a + 0.3 * rng.normal(size=a.shape)
    tensors |= {"mapA": a, "mapB": b, "ssim3d": np.array([structural_similarity(a, b, data_range=np.ptp(a))]),
                "ssim2d": np.array([structural_similarity(a[0], b[0], data_range=np.ptp(a))]),
                "ssim5": np.array([structural_similarity(a[:6], b[:6], data_range=np.ptp(a), win_size=5)])}
    top = lambda m: set(np.argsort(-m.ravel(), kind="stable")[: round(0.1 * m.size)])
    tensors["overlap"] = np.array([len(top(a) & top(b)) / len(top(a))])
    x = rng.normal(size=(6, 50))
    y = np.tanh(x @ np.diag(rng.uniform(0.5, 2, 50))) + 0.2 * rng.normal(size=x.shape)
    centred = [m - m.mean(1, keepdims=True) for m in (x, y)]
    hsic = lambda p, q: np.linalg.norm(p @ q.T) ** 2
    tensors |= {"cka|x": x, "cka|y": y, "cka": np.array([hsic(*centred) / np.sqrt(hsic(centred[0], centred[0]) * hsic(centred[1], centred[1]))])}
    save_file({k: np.ascontiguousarray(v.astype(np.float32) if v.dtype == np.float64 else v) for k, v in tensors.items()}, out / "similarities.safetensors")


def textures():
    """High-frequency share, spectral entropy and smoothness of kernels, from numpy's padded FFT."""
    rng = np.random.default_rng(6)
    tensors = {}
    for shape in ((3, 3, 3), (5, 5), (7, 7)):
        kernels = rng.normal(size=(5, *shape))
        kernels[1] = np.exp(-0.5 * sum((g - n // 2) ** 2 for g, n in zip(np.indices(shape), shape)))
        measures = []
        for kernel in kernels:
            k = kernel - kernel.mean()
            power = np.abs(np.fft.fftn(k, [16] * len(shape))) ** 2
            radius = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(16)] * len(shape), indexing="ij")))
            p = power / power.sum()
            pairs = [(np.take(k, range(n - 1), axis), np.take(k, range(1, n), axis)) for axis, n in enumerate(shape)]
            product = sum((u * v).sum() for u, v in pairs) / sum(u.size for u, _ in pairs)
            measures.append([p[radius > 0.25].sum(), -(p[p > 0] * np.log(p[p > 0])).sum() / np.log(p.size), product / (k**2).mean()])
        key = "x".join(map(str, shape))
        tensors |= {f"{key}|kernels": kernels, f"{key}|measures": np.array(measures)}
    save_file({k: v.astype(np.float32) for k, v in tensors.items()}, out / "textures.safetensors")


for part in (kernels, networks, transforms, similarities, textures):
    part()
