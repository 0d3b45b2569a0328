"""Networks at full size, exported with both of PyTorch's ONNX exporters, each with an input, the output of onnxruntime and the
input's gradient from PyTorch's autograd. 1.5 GB in all, so nothing of it is committed: script/full-size-exports makes the
folder and runs FullSizeExportTests on it.

Usage: exports.py FOLDER [NAME...]
"""

import gc
import logging
import pathlib
import sys
import warnings

import numpy as np
import onnxruntime
import torch
from safetensors.numpy import save_file

VOLUME = (1, 1, 96, 96, 96)
IMAGE = (1, 3, 224, 224)


def torchvision_networks():
    import torchvision.models as models

    for name in [
        "vgg11", "vgg16", "vgg19_bn", "resnet18", "resnet50", "densenet121", "efficientnet_b0", "mobilenet_v3_large",
        "convnext_tiny", "vit_b_16", "swin_t",
    ]:
        yield name, getattr(models, name), IMAGE
    yield "r3d_18", models.video.r3d_18, (1, 3, 16, 112, 112)


def monai_networks():
    import monai.networks.nets as nets

    cube = (96, 96, 96)
    volume = {"spatial_dims": 3, "in_channels": 1}
    for name, make in {
        "resnet18_3d": lambda: nets.resnet18(spatial_dims=3, n_input_channels=1, num_classes=2),
        "resnet50_3d": lambda: nets.resnet50(spatial_dims=3, n_input_channels=1, num_classes=2),
        "seresnet50_3d": lambda: nets.SEResNet50(**volume, num_classes=2),
        "densenet121_3d": lambda: nets.DenseNet121(**volume, out_channels=2),
        "efficientnet_b0_3d": lambda: nets.EfficientNetBN("efficientnet-b0", **volume, num_classes=2, pretrained=False),
        "unet_3d": lambda: nets.UNet(
            **volume, out_channels=2, channels=(16, 32, 64, 128, 256), strides=(2,) * 4, num_res_units=2),
        "basicunet_3d": lambda: nets.BasicUNet(**volume, out_channels=2),
        "dynunet_3d": lambda: nets.DynUNet(
            **volume, out_channels=2, kernel_size=[3] * 5, strides=[1, 2, 2, 2, 2], upsample_kernel_size=[2] * 4),
        "attention_unet_3d": lambda: nets.AttentionUnet(
            **volume, out_channels=2, channels=(16, 32, 64, 128), strides=(2, 2, 2)),
        "vnet_3d": lambda: nets.VNet(**volume, out_channels=2),
        "segresnet_3d": lambda: nets.SegResNet(**volume, init_filters=16, out_channels=2),
        "vit_3d": lambda: nets.ViT(
            in_channels=1, img_size=cube, patch_size=(16,) * 3, classification=True, num_classes=2),
        "unetr_3d": lambda: nets.UNETR(in_channels=1, out_channels=2, img_size=cube, feature_size=16),
        "swinunetr_3d": lambda: nets.SwinUNETR(in_channels=1, out_channels=2, feature_size=24),
    }.items():
        yield name, make, VOLUME


def first(result):
    return result[0] if isinstance(result, (tuple, list)) else result


def export(name, make, shape, exporter, folder):
    torch.manual_seed(20)
    model = make().eval()
    if name == "vit_b_16":  # Its head starts as zeros.
        torch.nn.init.normal_(model.heads.head.weight, std=0.02)
    numbers = torch.Generator().manual_seed(7)
    x = torch.randn(shape, generator=numbers)
    path = folder / f"{name}.{exporter}.onnx"
    ports = {"input_names": ["input"], "output_names": ["output"]}
    with torch.no_grad():
        if exporter == "script":
            torch.onnx.export(model, (x,), path, opset_version=17, dynamo=False, **ports)
        else:
            torch.onnx.export(
                model, (x,), path, opset_version=18, dynamo=True, external_data=False, verbose=False, **ports)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    output = session.run(None, {"input": x.numpy()})[0]
    seed = torch.randn(output.shape, generator=numbers)
    x.requires_grad_(True)
    y = first(model(x))
    y.backward(seed)
    error = np.abs(y.detach().numpy() - output).max() / np.abs(output).max()
    assert error < 1e-4, f"{path}: onnxruntime differs from PyTorch by {error}"
    save_file(
        {"input": x.detach().numpy(), "output.output": output, "seed": seed.numpy(), "gradient": x.grad.numpy()},
        path.with_suffix(".safetensors"))
    print(f"{name}.{exporter}: {path.stat().st_size / 1e6:.0f} MB, onnxruntime beside PyTorch {error:.1e}", flush=True)


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.backends.mha.set_fastpath_enabled(False)  # A fused operator that the older exporter does not know.
    chosen = set(sys.argv[2:])
    failed = []
    for networks in (torchvision_networks, monai_networks):
        for name, make, shape in networks():
            if chosen and name not in chosen:
                continue
            for exporter in ("script", "dynamo"):
                if (folder / f"{name}.{exporter}.safetensors").exists():
                    continue
                try:
                    export(name, make, shape, exporter, folder)
                except Exception as problem:  # What an exporter cannot do is not this project's to test.
                    (folder / f"{name}.{exporter}.onnx").unlink(missing_ok=True)
                    failed.append(f"{name}.{exporter}")
                    print(f"{name}.{exporter}: not exported: {' '.join(str(problem).split())[:200]}", flush=True)
                gc.collect()
    if failed:
        print("not exported:", *failed)


if __name__ == "__main__":
    main()
