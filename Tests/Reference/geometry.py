"""Networks whose heat has a place that can be computed by hand: five families with uniform positive weights.
Writes Tests/Reference/data/geometry/<family>.onnx (a few KB each)."""
import pathlib
import torch
from torch import nn

OUT = pathlib.Path(__file__).parent / "data" / "geometry"
OUT.mkdir(parents=True, exist_ok=True)


class Residual(nn.Module):
    def __init__(self, a, b, s):
        super().__init__()
        self.c1, self.c2 = nn.Conv3d(a, b, 3, s, 1, bias=False), nn.Conv3d(b, b, 3, 1, 1, bias=False)
        self.short = nn.Conv3d(a, b, 1, s, bias=False)
        self.r1, self.r2 = nn.ReLU(), nn.ReLU()
    def forward(self, x): return self.r2(self.c2(self.r1(self.c1(x))) + self.short(x))


def family(kind, w):
    c = lambda a, b, k=3, s=1, p=1, d=1: [nn.Conv3d(a, b, k, s, p, d, bias=False), nn.ReLU()]
    if kind == "vgg": layers = c(1, w) + [nn.MaxPool3d(2)] + c(w, w) + [nn.MaxPool3d(2)] + c(w, w) + [nn.MaxPool3d(2)] + c(w, w)
    if kind == "strided": layers = c(1, w, s=2) + c(w, w, s=2) + c(w, w, s=2)
    if kind == "resnet": layers = c(1, w, 7, 2, 3) + [nn.MaxPool3d(3, 2, 1), Residual(w, w, 1), Residual(w, w, 2)]
    if kind == "paddedpool": layers = c(1, w) + [nn.MaxPool3d(3, 2, 1)] + c(w, w) + [nn.AvgPool3d(3, 2, 1)] + c(w, w)
    if kind == "dilated": layers = c(1, w, p=2, d=2) + [nn.MaxPool3d(2)] + c(w, w, p=3, d=3) + c(w, w, s=2, p=2, d=2)
    return nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(w, 2))


for kind in ("vgg", "strided", "resnet", "paddedpool", "dilated"):
    m = family(kind, 1).eval()
    for p in m.parameters(): nn.init.constant_(p, 1.0 / max(1, p[0].numel()))
    x = torch.rand(1, 1, 64, 64, 64)
    axes = {"ct": {0: "N", 2: "D", 3: "H", 4: "W"}}
    torch.onnx.export(m, (x,), str(OUT / f"{kind}.onnx"), opset_version=17, dynamo=False, input_names=["ct"],
                      output_names=["logits"], dynamic_axes=axes)
