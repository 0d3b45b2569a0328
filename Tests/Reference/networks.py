#!/usr/bin/env python3
"""Small networks of every family, as both of PyTorch's exporters write them, with what autograd gives for each.

    python Tests/Reference/networks.py [NAME ...]

writes data/networks/NAME.EXPORTER.onnx and data/networks/NAME.safetensors. The tensors are input, output, seed (the
gradient of a scalar with respect to the output), and for each module named in the metadata `taps` its activation
("MODULE|activation") and the gradient there ("MODULE|gradient"); "input|gradient" too. Computed in double precision from
float32 weights and inputs, and rounded once. Also written: MONAI's own networks, shrunk.
"""
import logging
import sys
import warnings
from pathlib import Path

import onnx
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
out = Path(__file__).parent / "data" / "networks"


def block(i, o, stride=1, dims=3):
    conv, norm = (nn.Conv3d, nn.BatchNorm3d) if dims == 3 else (nn.Conv2d, nn.BatchNorm2d)
    return nn.Sequential(conv(i, o, 3, stride, 1, bias=False), norm(o), nn.ReLU())


class VGG3D(nn.Module):
    """Convolutions and pools, global average, one linear layer."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(4, 8, 3, padding=1), nn.ReLU(),
            nn.MaxPool3d(2), nn.Conv3d(8, 8, 3, padding=1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.classifier = nn.Linear(8, 3)

    def forward(self, x):
        return self.classifier(self.pool(self.features(x)).flatten(1))


class VGG2D(nn.Module):
    """Flattened features and hidden linear layers, softmax inside, as torchvision's VGG in a wrapper for deployment."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(
            nn.Linear(8 * 6 * 6, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 4), nn.Softmax(1))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Residual(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1 = nn.Conv3d(i, o, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(o)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv3d(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(o)
        self.shortcut = nn.Sequential(nn.Conv3d(i, o, 1, stride, bias=False), nn.BatchNorm3d(o)) if stride > 1 else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x):
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet3D(nn.Module):
    """The usual stem, three residual blocks of which two stride, global average."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(1, 4, 7, 2, 3, bias=False), nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(3, 2, 1))
        self.layer1 = Residual(4, 4, 1)
        self.layer2 = Residual(4, 8, 2)
        self.layer3 = Residual(8, 8, 2)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return self.fc(x.mean((2, 3, 4)))


class Dense(nn.Module):
    def __init__(self, i, growth):
        super().__init__()
        self.norm = nn.BatchNorm3d(i)
        self.relu = nn.ReLU()
        self.conv = nn.Conv3d(i, growth, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv(self.relu(self.norm(x)))], 1)


class DenseNet3D(nn.Module):
    """Pre-activation: every convolution is followed by a concatenation, the last activation belongs to the head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(1, 4, 3, 2, 1, bias=False)
        self.block1 = nn.Sequential(Dense(4, 4), Dense(8, 4))
        self.transition = nn.Sequential(nn.BatchNorm3d(12), nn.ReLU(), nn.Conv3d(12, 6, 1, bias=False), nn.AvgPool3d(2))
        self.block2 = nn.Sequential(Dense(6, 4), Dense(10, 4))
        self.norm = nn.BatchNorm3d(14)
        self.relu = nn.ReLU()
        self.head = nn.Linear(14, 2)

    def forward(self, x):
        x = self.relu(self.norm(self.block2(self.transition(self.block1(self.stem(x))))))
        return self.head(F.adaptive_avg_pool3d(x, 1).flatten(1))


class UNet3D(nn.Module):
    """Two levels, instance normalisation, transposed convolutions, a skip that is concatenated."""

    def __init__(self):
        super().__init__()
        def level(i, o):
            return nn.Sequential(nn.Conv3d(i, o, 3, padding=1), nn.InstanceNorm3d(o, affine=True), nn.LeakyReLU(0.1))
        self.down1, self.down2, self.middle = level(1, 4), level(4, 6), level(6, 8)
        self.pool = nn.MaxPool3d(2)
        self.up2, self.up1 = nn.ConvTranspose3d(8, 6, 2, 2), nn.ConvTranspose3d(6, 4, 3, 2, 1, 1)
        self.merge2, self.merge1 = level(12, 6), level(8, 4)
        self.out = nn.Conv3d(4, 2, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.middle(self.pool(b))
        b = self.merge2(torch.cat([self.up2(c), b], 1))
        return self.out(self.merge1(torch.cat([self.up1(b), a], 1)))


class MobileBlock(nn.Module):
    """Expansion, depthwise convolution, squeeze and excitation, projection (EfficientNet)."""

    def __init__(self, i, o, stride, dims):
        super().__init__()
        conv, norm = (nn.Conv3d, nn.BatchNorm3d) if dims == 3 else (nn.Conv2d, nn.BatchNorm2d)
        self.expand = nn.Sequential(conv(i, 3 * i, 1, bias=False), norm(3 * i), nn.SiLU())
        self.depthwise = nn.Sequential(conv(3 * i, 3 * i, 5, stride, 2, groups=3 * i, bias=False), norm(3 * i), nn.SiLU())
        self.squeeze = nn.Sequential(conv(3 * i, 2, 1), nn.SiLU(), conv(2, 3 * i, 1), nn.Sigmoid())
        self.project = nn.Sequential(conv(3 * i, o, 1, bias=False), norm(o))
        self.residual = stride == 1 and i == o

    def forward(self, x):
        y = self.depthwise(self.expand(x))
        y = y * self.squeeze(y.mean(tuple(range(2, y.dim())), keepdim=True))
        y = self.project(y)
        return x + y if self.residual else y


class MobileNet2D(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.Hardswish())
        self.blocks = nn.Sequential(MobileBlock(6, 6, 1, 2), MobileBlock(6, 8, 2, 2))
        self.top = nn.Sequential(nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.SiLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(16, 3), nn.Sigmoid())

    def forward(self, x):
        return self.head(self.top(self.blocks(self.stem(x))))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, length, width))


class Encoder(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT3D(nn.Module):
    """Patches of 4×4×4, a class token, two encoders."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv3d(1, 12, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 12))
        self.place = nn.Parameter(torch.randn(1, 2 * 3 * 4 + 1, 12))
        self.blocks = nn.Sequential(Encoder(12, 3), Encoder(12, 3))
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 2)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


class Window(nn.Module):
    """Attention inside windows of 4×4, shifted by 2 where asked (Swin), channels last."""

    def __init__(self, width, shift):
        super().__init__()
        self.shift = shift
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, 2)

    def forward(self, x):
        n, h, w, c = x.shape
        y = self.norm(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = y.view(n, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
        y = self.attention(y).view(n, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        return x + y


class Swin2D(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 2, 2)
        self.blocks = nn.Sequential(Window(8, 0), Window(8, 2))
        self.reduce = nn.Linear(32, 12, bias=False)
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = self.blocks(self.patches(x).permute(0, 2, 3, 1))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        x = self.norm(self.reduce(x)).permute(0, 3, 1, 2)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class MeshNet3D(nn.Module):
    """Dilated convolutions at full resolution."""

    def __init__(self):
        super().__init__()
        layers = []
        for i, (o, d) in zip([1, 4, 4, 4], [(4, 1), (4, 2), (4, 4), (4, 1)]):
            layers += [nn.Conv3d(i, o, 3, padding=d, dilation=d), nn.BatchNorm3d(o), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Conv3d(4, 3, 1)

    def forward(self, x):
        return self.out(self.layers(x))


def monai(name, **settings):
    import monai.networks.nets

    return getattr(monai.networks.nets, name)(**settings)


# name: (network, input shape, modules to tap, whether extents stay open)
CASES = {
    "vgg3d": (VGG3D, (1, 1, 16, 12, 20), ["features.1", "features.6", "features.7"], True),
    "vgg2d": (VGG2D, (1, 3, 24, 24), ["features.1", "features.4", "classifier.1"], False),
    "resnet3d": (ResNet3D, (1, 1, 32, 32, 24), ["stem", "layer1", "layer2.relu1", "layer3"], True),
    "densenet3d": (DenseNet3D, (1, 1, 16, 16, 16), ["block1.0.relu", "transition.3", "relu"], True),
    "unet3d": (UNet3D, (1, 1, 16, 8, 12), ["down2", "middle", "merge1"], False),
    "mobilenet2d": (MobileNet2D, (2, 3, 24, 32), ["stem", "blocks.0", "top"], True),
    "vit3d": (ViT3D, (1, 1, 8, 12, 16), ["patches", "blocks.0", "blocks.1.norm1"], False),
    "swin2d": (Swin2D, (1, 1, 16, 32), ["patches", "blocks.0", "blocks.1", "norm"], False),
    "meshnet3d": (MeshNet3D, (1, 1, 10, 10, 12), ["layers.2", "layers.11"], True),
    "monai_unet": (
        lambda: monai("UNet", spatial_dims=3, in_channels=1, out_channels=2, channels=(4, 6, 8), strides=(2, 2), num_res_units=1),
        (1, 1, 16, 16, 8), ["model.0", "model.1.submodule.1.submodule", "model.2.0"], False),
    "monai_segresnet": (
        lambda: monai("SegResNet", spatial_dims=3, init_filters=8, in_channels=1, out_channels=2, blocks_down=(1, 1), blocks_up=(1,)),
        (1, 1, 8, 16, 8), ["down_layers.1", "up_layers.0"], False),
    "monai_attention": (
        lambda: monai("AttentionUnet", spatial_dims=3, in_channels=1, out_channels=2, channels=(4, 6), strides=(2,)),
        (1, 1, 8, 8, 8), ["model.0"], False),
    "monai_dynunet": (
        lambda: monai(
            "DynUNet", spatial_dims=3, in_channels=1, out_channels=2, kernel_size=[3, 3, 3], strides=[1, 2, 2],
            upsample_kernel_size=[2, 2], filters=[4, 6, 8]),
        (1, 1, 16, 8, 8), ["output_block"], False),
}


def settle(model, shape, seed):
    """Weights and statistics that no layer can be missing from without being noticed."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            base = 1.0 if name.endswith("weight") else 0.0
            parameter.data = base + 0.3 * torch.randn(parameter.shape, generator=generator)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
        if name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return torch.randn(shape, generator=generator)


def export(model, x, name, open_extents):
    rank = x.dim()
    legacy = {"input": {0: "n", **({i: f"s{i}" for i in range(2, rank)} if open_extents else {})}, "output": {0: "n"}}
    dynamic = {0: torch.export.Dim("n")} if open_extents else {}
    torch.onnx.export(
        model, (x,), out / f"{name}.legacy.onnx", opset_version=13 if name == "vgg3d" else 17, dynamo=False,
        input_names=["input"], output_names=["output"], dynamic_axes=legacy if open_extents else None)
    sample = torch.cat([x, x]) if open_extents and x.shape[0] == 1 else x
    torch.onnx.export(
        model, (sample,), out / f"{name}.dynamo.onnx", opset_version=18, dynamo=True, external_data=False, verbose=False,
        input_names=["input"], output_names=["output"], dynamic_shapes=(dynamic,) if open_extents else None)
    # Where the exporter ran is nobody's business, and takes more room than the weights.
    for path in (out / f"{name}.legacy.onnx", out / f"{name}.dynamo.onnx"):
        file = onnx.load(path)
        for node in file.graph.node:
            kept = [(entry.key, entry.value) for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"]
            del node.metadata_props[:]
            for key, value in kept:
                node.metadata_props.add(key=key, value=value)
            node.doc_string = ""
        for message in [file, file.graph, *file.graph.input, *file.graph.output, *file.graph.value_info, *file.graph.initializer]:
            if hasattr(message, "metadata_props"):
                del message.metadata_props[:]
        del file.graph.value_info[:]
        onnx.save(file, path)


def record(model, x, taps, name):
    generator = torch.Generator().manual_seed(99)
    model = model.double()
    x = x.double().requires_grad_()
    held = {}
    modules = dict(model.named_modules())

    def hold(tap):
        def hook(module, inputs, output):
            output.retain_grad()
            held[tap] = output
        return hook

    handles = [modules[tap].register_forward_hook(hold(tap)) for tap in taps]
    y = model(x)
    for handle in handles:
        handle.remove()
    seed = torch.randn(y.shape, generator=generator).double()
    (y * seed).sum().backward()
    tensors = {"input": x, "output": y, "seed": seed, "input|gradient": x.grad}
    for tap in taps:
        tensors |= {f"{tap}|activation": held[tap], f"{tap}|gradient": held[tap].grad}
    save_file({key: value.detach().float().contiguous() for key, value in tensors.items()}, out / f"{name}.safetensors",
              {"taps": "\n".join(taps)})


out.mkdir(parents=True, exist_ok=True)
for number, (name, (make, shape, taps, open_extents)) in enumerate(CASES.items()):
    if sys.argv[1:] and name not in sys.argv[1:]:
        continue
    torch.manual_seed(number)
    model = make().eval()
    x = settle(model, shape, number)
    export(model, x, name, open_extents)
    record(model, x, taps, name)
    print(name, sum(p.numel() for p in model.parameters()), "parameters")
