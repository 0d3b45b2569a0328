"""Reference maps for the explanation methods: small seeded networks, exported to ONNX, explained by pytorch-grad-cam and
Captum where they can, by PyTorch's autograd where they cannot (their defects are named beside each case).

Writes Tests/Reference/data/explanations/<case>.onnx and .safetensors. Run from anywhere; needs requirements.txt.
"""
import pathlib
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from safetensors.numpy import save_file
from captum.attr import Deconvolution, GuidedBackprop, InputXGradient, IntegratedGradients
from captum.attr import Saliency as CaptumSaliency
from pytorch_grad_cam import AblationCAM, EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

OUT = pathlib.Path(__file__).parent / "data" / "explanations"
OUT.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)


def conv(dims, *a, **k): return (nn.Conv2d if dims == 2 else nn.Conv3d)(*a, **k)
def norm(dims, c): return (nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d)(c)
def pool(dims): return (nn.MaxPool2d if dims == 2 else nn.MaxPool3d)(2)
def gap(dims): return (nn.AdaptiveAvgPool2d if dims == 2 else nn.AdaptiveAvgPool3d)(1)


class VGG(nn.Module):
    """conv-relu ×2, pool, conv-relu, pool, conv-relu (the tap), then GAP + linear or flatten + linear."""
    def __init__(self, dims, channels, classes, flatten=None):
        super().__init__()
        w = (8, 12, 16)
        self.features = nn.Sequential(
            conv(dims, channels, w[0], 3, padding=1), nn.ReLU(), conv(dims, w[0], w[0], 3, padding=1), nn.ReLU(), pool(dims),
            conv(dims, w[0], w[1], 3, padding=1), nn.ReLU(), pool(dims), conv(dims, w[1], w[2], 3, padding=1), nn.ReLU())
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(flatten, classes)) if flatten else \
            nn.Sequential(gap(dims), nn.Flatten(), nn.Linear(w[2], classes))
        self.tap = self.features[-1]
    def forward(self, x): return self.head(self.features(x))


class Block(nn.Module):
    def __init__(self, dims, a, b, stride):
        super().__init__()
        self.c1, self.n1 = conv(dims, a, b, 3, stride, 1, bias=False), norm(dims, b)
        self.c2, self.n2 = conv(dims, b, b, 3, 1, 1, bias=False), norm(dims, b)
        self.short = nn.Sequential(conv(dims, a, b, 1, stride, bias=False), norm(dims, b)) if stride > 1 or a != b else nn.Identity()
        self.r1, self.r2 = nn.ReLU(), nn.ReLU()
    def forward(self, x): return self.r2(self.n2(self.c2(self.r1(self.n1(self.c1(x))))) + self.short(x))


class ResNet(nn.Module):
    def __init__(self, dims, channels, classes):
        super().__init__()
        self.stem = nn.Sequential(conv(dims, channels, 8, 3, 2, 1, bias=False), norm(dims, 8), nn.ReLU())
        self.blocks = nn.Sequential(Block(dims, 8, 8, 1), Block(dims, 8, 16, 2))
        self.head = nn.Sequential(gap(dims), nn.Flatten(), nn.Linear(16, classes))
        self.tap = self.blocks[-1].r2
    def forward(self, x): return self.head(self.blocks(self.stem(x)))


class Dense(nn.Module):
    def __init__(self, dims, channels, classes):
        super().__init__()
        self.stem = conv(dims, channels, 8, 3, 2, 1)
        self.layers = nn.ModuleList(
            nn.Sequential(norm(dims, c), nn.ReLU(), conv(dims, c, 6, 3, 1, 1, bias=False)) for c in (8, 14, 20))
        self.last = nn.Sequential(norm(dims, 26), nn.ReLU())
        self.head = nn.Sequential(gap(dims), nn.Flatten(), nn.Linear(26, classes))
        self.tap = self.last[-1]
    def forward(self, x):
        x = self.stem(x)
        for layer in self.layers: x = torch.cat([x, layer(x)], 1)
        return self.head(self.last(x))


def settle(model, x):
    """Batch statistics of a few noisy inputs, so that maps depend on the input; then evaluation mode."""
    model.train()
    with torch.no_grad():
        for _ in range(8): model(x + 0.5 * torch.randn_like(x))
        model.head[-1].bias += 0.5  # scores are positive, as the quotients of Ablation-CAM want them
    return model.eval()


def integrated(model, x, target):
    return IntegratedGradients(model).attribute(x, baselines=0.0, target=target, n_steps=50, method="gausslegendre")


def cams(model, x, target):
    """Raw maps before any rectifier, scale or zoom: exactly what each library's get_cam_image gives."""
    chosen = [ClassifierOutputTarget(target)]
    maps = {}
    for name, kind in dict(gradcam=GradCAM, hirescam=HiResCAM, xgradcam=XGradCAM, layercam=LayerCAM,
                           **{"gradcam++": GradCAMPlusPlus}).items():
        with kind(model=model, target_layers=[model.tap]) as cam:
            cam(input_tensor=x, targets=chosen)
            g = cam.activations_and_grads.gradients[0].detach().numpy()
            a = cam.activations_and_grads.activations[0].detach().numpy()
            maps[name] = cam.get_cam_image(x, model.tap, chosen, a, g, False)[0]
    return maps, a, g


def case(name, model, x, target, two_d):
    y = model(x).detach()
    assert y[0, target] > 0, f"{name}: choose a class with a positive score"
    maps, a, g = cams(model, x, target)
    if two_d:
        # Both fail on five-dimensional input.
        with AblationCAM(model=model, target_layers=[model.tap]) as cam:
            cam.batch_size = 16
            cam(input_tensor=x, targets=[ClassifierOutputTarget(target)])
            weights = cam.get_cam_weights(x, model.tap, [ClassifierOutputTarget(target)], a, g)
        maps["ablationcam"] = (np.asarray(weights).reshape(-1)[:, None, None] * a[0]).sum(0)
    # Eigen-CAM by a full SVD of the centred features; the sign is the convention that TomoLens documents.
    flat = a[0].reshape(a.shape[1], -1).T.astype(np.float64)
    centred = flat - flat.mean(0)
    p = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    p *= -1 if (p * flat.mean(1)).sum() < 0 else 1
    maps["eigencam"] = p.reshape(a.shape[2:])
    # Score-CAM with half-pixel interpolation, exact for a network of convolutions with unit stride and 2-pools.
    # (pytorch-grad-cam zooms corner-aligned, which moves the masks.)
    if name.startswith("vgg"):
        mode = "bilinear" if two_d else "trilinear"
        up = F.interpolate(torch.from_numpy(a), size=x.shape[2:], mode=mode, align_corners=False)[0]
        scores = []
        with torch.no_grad():
            for c, small in zip(up, torch.from_numpy(a)[0]):
                lo, hi = small.min(), small.max()
                m = (c - lo) / (hi - lo) if hi > lo else torch.zeros_like(c)
                scores.append(float(model(x * m)[0, target]))
        w = torch.softmax(torch.tensor(scores, dtype=torch.float64), 0).numpy()
        maps["scorecam"] = (w.reshape(-1, *[1] * (a.ndim - 2)) * a[0]).sum(0)
    grad = {}
    grad["saliency"] = CaptumSaliency(model).attribute(x, target=target)[0].amax(0)
    grad["saliency signed"] = CaptumSaliency(model).attribute(x, target=target, abs=False)[0].sum(0)
    grad["inputxgradient"] = InputXGradient(model).attribute(x.clone(), target=target)[0].sum(0)
    grad["integrated-gradients"] = integrated(model, x, target)[0].sum(0)
    grad["guided-backprop"] = GuidedBackprop(model).attribute(x, target=target)[0].sum(0)
    grad["deconvnet"] = Deconvolution(model).attribute(x, target=target)[0].sum(0)
    tensors = {"input": x.numpy(), "output": y.numpy(), "target": np.array([target], np.int64)}
    tensors |= {f"map {k}": np.ascontiguousarray(v, dtype=np.float32) for k, v in maps.items()}
    tensors |= {f"map {k}": np.ascontiguousarray(v.detach().numpy(), dtype=np.float32) for k, v in grad.items()}
    torch.onnx.export(model, (x,), str(OUT / f"{name}.onnx"), opset_version=17, dynamo=False, input_names=["ct"], output_names=["logits"])
    save_file(tensors, str(OUT / f"{name}.safetensors"))
    print(name, y.numpy().round(3).tolist(), {k: v.shape for k, v in maps.items()})


def best(model, x):
    return int(settle(model, x)(x).argmax())


def networks():
    """Name, model and input of every case; the same weights at every call."""
    torch.manual_seed(1)
    x2, x3 = torch.rand(1, 3, 40, 48), torch.rand(1, 1, 16, 20, 24)
    for name, build, x in [
            ("vgg2d", lambda: VGG(2, 3, 4), x2), ("vgg3d", lambda: VGG(3, 1, 3), x3),
            ("vggflat3d", lambda: VGG(3, 1, 2, flatten=16 * 4 * 5 * 6), x3),
            ("resnet2d", lambda: ResNet(2, 3, 4), x2), ("resnet3d", lambda: ResNet(3, 1, 3), x3),
            ("densenet2d", lambda: Dense(2, 3, 4), x2), ("densenet3d", lambda: Dense(3, 1, 3), x3)]:
        torch.manual_seed(5)
        model = build()
        yield name, model, x, best(model, x)


if __name__ == "__main__":
    for name, model, x, target in networks():
        case(name, model, x, target, x.ndim == 4)
