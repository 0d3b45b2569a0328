#!/usr/bin/env python3
"""Small networks that `tomolens diagnose` must tell apart, and the inputs to show it with.

    python Tests/Reference/diagnosis.py        (about two minutes on one thread)

writes data/diagnosis/*.onnx and inputs.safetensors:
- healthy, dead (half of the second layer's channels can never fire), vanishing (ten sigmoid layers), saturated (tanh behind
  weights a hundred times too large), exploding (eight layers of weights several times too large): untrained, faults planted;
- proper and memorizer: one architecture and one set of images, trained to the true answer (is there a disc?) with weight
  decay, and to random labels until all of them are known by heart.
"""
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
torch.manual_seed(0)
torch.set_num_threads(1)
out = Path(__file__).parent / "data" / "diagnosis"
out.mkdir(exist_ok=True)


def export(network, name, shape):
    network.eval()
    torch.onnx.export(
        network, torch.zeros(1, *shape), str(out / f"{name}.onnx"), dynamo=False, opset_version=17, input_names=["input"],
        output_names=["output"], dynamic_axes={"input": {0: "n"}})


class Head(nn.Module):
    def __init__(self, features, channels, rank=3, classes=2):
        super().__init__()
        self.features = features
        self.pool = nn.AdaptiveAvgPool3d(1) if rank == 3 else nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        return self.classifier(self.pool(self.features(x)).flatten(1))


def he(module, factor=1.0):
    for layer in module.modules():
        if isinstance(layer, nn.Conv3d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            layer.weight.data *= factor
    return module


def planted():
    def chain(depth, activation, channels=4):
        layers = []
        for index in range(depth):
            layers += [nn.Conv3d(1 if index == 0 else channels, channels, 3, padding=1), activation()]
        return nn.Sequential(*layers)

    export(Head(he(chain(4, nn.ReLU)), 4), "healthy", (1, 12, 12, 12))
    dead = he(chain(4, nn.ReLU, 8))
    dead[2].bias.data[:5] = -1000
    export(Head(dead, 8), "dead", (1, 12, 12, 12))
    vanishing = chain(10, nn.Sigmoid)
    for layer in vanishing:
        if isinstance(layer, nn.Conv3d):
            nn.init.normal_(layer.weight, std=0.05)
    export(Head(vanishing, 4), "vanishing", (1, 12, 12, 12))
    saturated = he(chain(3, nn.Tanh))
    saturated[2].weight.data *= 100
    saturated[2].bias.data += torch.tensor([50.0, -50.0, 80.0, -80.0])
    export(Head(saturated, 4), "saturated", (1, 12, 12, 12))
    export(Head(he(chain(8, nn.ReLU), 12.0), 4), "exploding", (1, 12, 12, 12))
    rng = np.random.default_rng(1)
    return rng.normal(size=(3, 1, 12, 12, 12)).astype(np.float32)


EXTENT = 24


def images(count, seed):
    """Noise, and in half of them a soft disc somewhere."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    x = rng.normal(0, 0.5, (count, 1, EXTENT, EXTENT))
    yy, xx = np.mgrid[:EXTENT, :EXTENT]
    for n in range(count):
        if labels[n]:
            cy, cx = rng.uniform(6, EXTENT - 7, 2)
            radius = np.hypot(yy - cy, xx - cx)
            x[n, 0] += 1.5 / (1 + np.exp((radius - 4) / 0.8))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(labels)


def network():
    return Head(
        nn.Sequential(
            nn.Conv2d(1, 16, 7, padding=3), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
        32, rank=2)


def train(model, x, y, decay, steps, rate=2e-3, fresh=None):
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(3)
    for step in range(steps):
        if fresh is not None:
            x, y = images(64, fresh + step)
            batch = slice(None)
        else:
            batch = torch.randperm(len(x), generator=generator)[:64]
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


def pair():
    torch.manual_seed(5)
    proper = train(network(), None, None, 1.0, 1500, fresh=100_000)
    x, y = images(96, 7)
    torch.manual_seed(5)
    random = torch.randint(0, 2, (96,), generator=torch.Generator().manual_seed(11))
    memorizer = train(network(), x, random, 0.0, 3000)
    held, answers = images(400, 999)
    with torch.no_grad():
        print("proper, images never seen:", (proper(held).argmax(1) == answers).float().mean().item())
        print("memorizer, its random labels:", (memorizer(x).argmax(1) == random).float().mean().item())
        print("memorizer, images never seen:", (memorizer(held).argmax(1) == answers).float().mean().item())
    export(proper, "proper", (1, EXTENT, EXTENT))
    export(memorizer, "memorizer", (1, EXTENT, EXTENT))
    return x[:24].numpy(), y[:24].numpy().astype(np.int64), random[:24].numpy().astype(np.int64)


noise = planted()
x, labels, random = pair()
save_file({"noise": noise, "images": x, "labels": labels, "randomLabels": random}, out / "inputs.safetensors")
