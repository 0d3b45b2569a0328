"""Class activation maps by torchcam, and by pytorch-grad-cam and torchcam on the tokens of vision transformers, on the networks of
explanations.py and explanations_rules.py.

Writes Tests/Reference/data/explanations/<case>.torchcam.safetensors: `map <method>` where TomoLens must agree, `differs <method>` where it
must not, because of what is said beside each case.
"""
import numpy as np
import torch
from safetensors.numpy import save_file
import torchcam.methods as tc
import pytorch_grad_cam as pgc
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from explanations import OUT, networks
from explanations_rules import transformers

KINDS = {"gradcam": tc.GradCAM, "gradcam++": tc.GradCAMpp, "xgradcam": tc.XGradCAM, "layercam": tc.LayerCAM}


def raw(kind, model, layer, x, target, **options):
    """A map before rectifier and scale, as TomoLens keeps it."""
    with kind(model, layer, input_shape=tuple(x.shape[1:]), **options) as cam:
        y = model(x)
        cam._relu = False
        return cam(class_idx=target, scores=y, normalized=False)[0][0].detach()


def undivided(model, layer, x, target):
    """Grad-CAM++ without its denominator: torchcam 0.5.0 divides a copy (`alpha[mask].div_`), which is lost."""
    kept = {}
    handle = layer.register_forward_hook(lambda m, i, o: kept.update(a=o))
    y = model(x)
    handle.remove()
    g, = torch.autograd.grad(y[0, target], kept["a"])
    axes = tuple(range(2, g.ndim))
    return ((g ** 2 * g.clamp(min=0)).sum(axes, keepdim=True) * kept["a"]).sum(1)[0].detach()


def convolutional(name, model, x, target):
    maps, differs = {}, {}
    for key, kind in KINDS.items(): maps[key] = raw(kind, model, model.tap, x, target)
    differs["gradcam++"] = maps.pop("gradcam++")
    assert torch.allclose(differs["gradcam++"], undivided(model, model.tap, x, target), rtol=1e-3, atol=1e-12)
    if not name.startswith("vggflat"): maps["cam"] = raw(tc.CAM, model, model.tap, x, target, fc_layer=model.head[-1])
    score = raw(tc.ScoreCAM, model, model.tap, x, target)
    # torchcam enlarges masks by half-pixel interpolation, right for 2-pools. Behind strided convolutions a voxel of the layer lies
    # elsewhere, and TomoLens puts it there.
    (maps if name.startswith("vgg") else differs)["scorecam"] = score
    return maps, differs


def tokens(model, x, target, block):
    grid = model.embed(x).shape[2:]
    lead = int(model.token is not None)
    def placed(t): return t[:, lead:].transpose(1, 2).reshape(t.shape[0], t.shape[2], *grid)
    maps = {}
    for key in ("gradcam", "layercam", "xgradcam"):
        maps[key] = raw(KINDS[key], model, block, x, target, reshape_transform=placed)
    chosen = [ClassifierOutputTarget(target)]
    for key, kind in {"gradcam": pgc.GradCAM, "hirescam": pgc.HiResCAM, "gradcam++": pgc.GradCAMPlusPlus}.items():
        # A block's result is normalized next, so that its gradient is all but orthogonal to it: their product, HiResCAM, is
        # rounding. Behind the block's second normalization it is not.
        layer = block.n2 if key == "hirescam" else block
        with kind(model=model, target_layers=[layer], reshape_transform=placed) as cam:
            cam(input_tensor=x, targets=chosen)
            g = cam.activations_and_grads.gradients[0].detach().numpy()
            a = cam.activations_and_grads.activations[0].detach().numpy()
            found = torch.from_numpy(cam.get_cam_image(x, layer, chosen, a, g, False)[0])
            if key in maps: assert torch.allclose(maps[key], found, rtol=1e-4, atol=1e-7), key
            maps[key] = found
    return maps, {}


if __name__ == "__main__":
    for name, model, x, target in [*networks(), *transformers()]:
        if name.startswith("vit"):
            # Where only the class token is read, places count up to the last attention.
            maps, differs = tokens(model, x, target, model.layers[1 if model.token is not None else 2])
        else:
            maps, differs = convolutional(name, model, x, target)
        tensors = {f"map {k}": np.ascontiguousarray(v.numpy(), dtype=np.float32) for k, v in maps.items()}
        tensors |= {f"differs {k}": np.ascontiguousarray(v.numpy(), dtype=np.float32) for k, v in differs.items()}
        save_file(tensors, str(OUT / f"{name}.torchcam.safetensors"))
        print(name, {k: tuple(v.shape) for k, v in tensors.items()})
