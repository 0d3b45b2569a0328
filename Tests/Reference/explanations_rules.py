"""Reference maps for methods that replace gradients by rules (DeepLIFT, LRP) and for CAM's kin, on the networks of
explanations.py and on small vision transformers in 2D and 3D.

DeepLIFT: Captum. LRP: Captum where its hooks are right (a tensor that two layers read is hooked once only, so not on a
ResNet or DenseNet), and a derivation of its own everywhere: every linear layer's output z becomes z * (z / (z + eps sign z)) with the quotient
held constant, every gate, spread and attention weight is held constant, and relevance is then input times gradient. The derivation
is asserted equal to Captum where both apply.

Writes Tests/Reference/data/explanations/<case>.rules.safetensors, and vit2d / vit3d as .onnx and .safetensors.
"""
import copy
import numpy as np
import onnx
import torch
from torch import nn
import torch.nn.functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from safetensors.numpy import save_file
from captum.attr import LRP, DeepLift, GradientShap, InputXGradient, IntegratedGradients
from captum.attr import Saliency as CaptumSaliency
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule
from captum.attr._utils.custom_modules import Addition_Module
from explanations import OUT, Block, best, networks, settle

EPS = 1e-2


def relative(a, b): return float((a - b).norm() / b.norm())


# The derivation.

def balanced(z, eps):
    """z forward; backward the gradient times z / (z + eps sign z)."""
    factor = (z / (z + eps * torch.where(z < 0, -1.0, 1.0))).detach()
    return z * factor + (z - z * factor).detach()


def as_value(value, carrier):
    """Forward `value`, backward as `carrier`."""
    return carrier + (value - carrier).detach()


def weighted(module, x, rule, bias):
    """A linear module under a rule; forward unchanged."""
    def run(x, w, b):
        if isinstance(module, nn.Linear): return F.linear(x, w, b)
        f = F.conv2d if w.ndim == 4 else F.conv3d
        return f(x, w, b, module.stride, module.padding, module.dilation, module.groups)
    w, b = module.weight, module.bias
    z = run(x, w, b)
    if rule == "epsilon": parts = run(x, w, b if bias else None)
    elif rule == "gamma":
        g = 0.25
        parts = run(x, w + g * w.clamp(min=0), (b + g * b.clamp(min=0)) if bias and b is not None else None)
    else:
        parts = run(x.clamp(min=0), w.clamp(min=0), b.clamp(min=0) if bias and b is not None else None) \
            + run(x.clamp(max=0), w.clamp(max=0), None)
    # Relevance R = z * g arrives; z_rule * g_rule must leave: g_rule = g * z / (z_rule + eps sign).
    factor = (z / (parts + EPS_NOW[0] * torch.where(parts < 0, -1.0, 1.0))).detach()
    return as_value(z, parts * factor)


EPS_NOW = [EPS]


def derive(model, x, target, rule, bias=True, eps=EPS):
    """Relevance of the input under one rule for all layers, or the composite."""
    EPS_NOW[0] = eps
    for module in model.modules():
        if isinstance(module, Attend): module.weights = None  # a tensor of the last run cannot be copied
    model = copy.deepcopy(model)
    def replace(module):
        for child in module.children(): replace(child)
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            chosen = rule if rule != "composite" else ("epsilon" if isinstance(module, nn.Linear) else "zplus")
            module.forward = lambda x, m=module, c=chosen: weighted(m, x, c, bias)
        elif isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)):
            plain = type(module).forward
            def run(x, m=module, plain=plain):
                z = plain(m, x)
                if bias or not hasattr(m, "running_var"): return balanced(z, EPS_NOW[0])
                # Without a share for the shift relevance passes as it is: R = x * g.
                return as_value(z, x * (z / x).detach())
            module.forward = run
        elif isinstance(module, Mean): module.forward = lambda x: balanced(x.mean(1), EPS_NOW[0])
        elif isinstance(module, Sum): module.forward = lambda a, b: balanced(a + b, EPS_NOW[0])
        elif isinstance(module, Norm):
            def spread(x, m=module):
                c = x - x.mean(-1, keepdim=True)
                return balanced(c / (c.pow(2).mean(-1, keepdim=True) + m.norm.eps).sqrt().detach() * m.norm.weight + m.norm.bias, EPS_NOW[0])
            module.forward = spread
        elif isinstance(module, Attend): module.weigh = lambda a, v: balanced(a.detach() @ v, EPS_NOW[0])
        elif isinstance(module, nn.GELU): module.forward = lambda x: as_value(F.gelu(x), x * (F.gelu(x) / x).detach())
    replace(model)
    x = x.clone().requires_grad_()
    y = model(x)[0, target]
    # The seed is the score: R = y * 1, and gradients carry R / value.
    g, = torch.autograd.grad(y, x)
    return (x * g).detach(), float(y)


# Captum's.

class Sum(Addition_Module):
    """A sum that hooks can see."""


class SummedBlock(Block):
    def forward(self, x): return self.r2(self.add(self.c2(self.r1(self.c1(x))), self.short(x)))


def single(model):
    """A copy in which every module is registered once, as Captum's hooks want it."""
    model = copy.deepcopy(model)
    if hasattr(model, "tap"): del model.tap
    return model


def summed(model):
    """The same network with every conv and batch norm that follows it made one, and sums as modules."""
    model = single(model)
    for module in model.modules():
        if isinstance(module, Block):
            module.c1, module.n1 = fuse_conv_bn_eval(module.c1, module.n1), nn.Identity()
            module.c2, module.n2 = fuse_conv_bn_eval(module.c2, module.n2), nn.Identity()
            if isinstance(module.short, nn.Sequential): module.short = nn.Sequential(fuse_conv_bn_eval(*module.short))
            module.add = Sum()
            module.__class__ = SummedBlock
    if hasattr(model, "stem") and isinstance(model.stem, nn.Sequential):
        model.stem = nn.Sequential(fuse_conv_bn_eval(model.stem[0], model.stem[1]), nn.ReLU())
    return model.eval()


def captum_lrp(model, x, target, rule):
    model = copy.deepcopy(model)
    for m in model.modules():
        if any(True for _ in m.children()): continue
        if isinstance(m, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            kind = rule if rule != "composite" else ("epsilon" if isinstance(m, nn.Linear) else "zplus")
            m.rule = {"epsilon": lambda: EpsilonRule(EPS), "gamma": lambda: GammaRule(0.25, set_bias_to_zero=True),
                      "zplus": lambda: Alpha1_Beta0_Rule(set_bias_to_zero=True)}[kind]()
            m.rule.STABILITY_FACTOR = EPS
        elif isinstance(m, (nn.MaxPool2d, nn.MaxPool3d)): m.rule = EpsilonRule(1e-9)
        elif isinstance(m, (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, Addition_Module)): m.rule = EpsilonRule(EPS)
        elif isinstance(m, (nn.Flatten, nn.Identity)): m.rule = EpsilonRule(1e-12)
    return LRP(model).attribute(x, target=target).detach()


def rescaled(model, x, target):
    """DeepLIFT's rescale rule on a chain of layers, layer by layer in double precision, from a reference of zeros."""
    model, x = single(model).double(), x.double()
    layers = [*model.features, *model.head]
    before, after = [torch.zeros_like(x)], [x]
    for layer in layers:
        before.append(layer(before[-1]).detach())
        after.append(layer(after[-1]).detach())
    def pulled(layer, at, gradient):
        at = at.clone().requires_grad_()
        return torch.autograd.grad(layer(at), at, gradient)[0]
    m = torch.zeros_like(after[-1])
    m[0, target] = 1
    for layer, a0, a, b0, b in reversed(list(zip(layers, before, after, before[1:], after[1:]))):
        step, slope = a - a0, pulled(layer, a, m)
        if isinstance(layer, nn.ReLU): share = m * (b - b0)
        elif isinstance(layer, (nn.MaxPool2d, nn.MaxPool3d)):
            top = torch.maximum(b, b0)
            share = pulled(layer, a, m * (top - b0)) + pulled(layer, a0, m * (b - top))
        else:
            m = slope
            continue
        m = torch.where(step.abs() < 1e-10, slope, share / step)
    return (m * x).float()


def rules(name, model, x, target):
    maps = {}
    captum = DeepLift(single(model)).attribute(x, baselines=torch.zeros_like(x), target=target)
    change = float(model(x)[0, target] - model(torch.zeros_like(x))[0, target])
    print(name, "DeepLIFT by Captum: sum", float(captum.sum()), "of", change)
    maps["deeplift"] = captum
    if name.startswith("vgg"):
        # Captum's rule for max pools loses the sum (the line above shows it), so the definition takes its place.
        maps["deeplift"] = rescaled(model, x, target)
        assert abs(float(maps["deeplift"].sum()) - change) < 1e-6
    plain = summed(model)
    assert relative(plain(x), model(x)) < 1e-5
    for rule in ("epsilon", "gamma", "zplus", "composite"):
        for bias in (True, False):
            relevance, y = derive(plain, x, target, rule, bias)
            maps[f"lrp rule={rule} bias={'true' if bias else 'false'} epsilon=0.01"] = relevance
            # Captum keeps biases under its epsilon rule and drops them under the two others here.
            if name.startswith("vgg") and bias == (rule == "epsilon") and rule != "composite":
                other = captum_lrp(plain, x, target, rule)
                print(name, rule, "derivation against Captum", relative(relevance, other))
                assert relative(relevance, other) < 1e-4
                maps[f"lrp rule={rule} bias={'true' if bias else 'false'} epsilon=0.01"] = other
    relevance, y = derive(copy.deepcopy(plain).double(), x.double(), target, "epsilon", bias=False, eps=1e-12)
    assert abs(float(relevance.sum()) - y) < 1e-3 * abs(y), f"{name}: relevance {float(relevance.sum())} of {y}"
    # Zhou's formula and Stergiou's, and Zhao's by autograd.
    kept = {}
    handle = model.tap.register_forward_hook(lambda m, i, o: kept.update(a=o))
    y = model(x)
    handle.remove()
    a = kept["a"]
    g, = torch.autograd.grad(y[0, target], a)
    axes = tuple(range(2, a.ndim))
    w = model.head[-1].weight[target]
    shape = (1, -1, *[1] * len(axes))
    if not name.startswith("vggflat"):
        maps["cam"] = (w.view(shape) * a)
        maps["saliency-tubes supporting=true"] = (w.clamp(min=0).view(shape) * a)
    maps["respondcam"] = ((a * g).sum(axes, keepdim=True) / a.sum(axes, keepdim=True)) * a
    save(f"{name}.rules", model, x, target, maps)
    return maps


def save(name, model, x, target, maps):
    tensors = {"input": x.numpy(), "output": model(x).detach().numpy(), "target": np.array([target], np.int64)}
    tensors |= {f"map {k}": np.ascontiguousarray(v.detach()[0].sum(0).numpy(), dtype=np.float32) for k, v in maps.items()}
    save_file(tensors, str(OUT / f"{name}.safetensors"))
    print(name, {k: tuple(v.shape) for k, v in maps.items()})


# Vision transformers.

class Norm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm = nn.LayerNorm(d)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5), nn.init.normal_(self.norm.bias, std=0.2)
    def forward(self, x): return self.norm(x)


class Attend(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)
    def weigh(self, a, v): return a @ v
    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        self.weights = (q @ k.transpose(-2, -1) * (4 / (d // self.heads) ** 0.5)).softmax(-1)
        return self.out(self.weigh(self.weights, v).transpose(1, 2).reshape(b, n, d))


class Layer(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.n1, self.attend, self.n2 = Norm(d), Attend(d, heads), Norm(d)
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))
        self.s1, self.s2 = Sum(), Sum()
    def forward(self, x):
        x = self.s1(x, self.attend(self.n1(x)))
        return self.s2(x, self.mlp(self.n2(x)))


class Mean(nn.Module):
    def forward(self, x): return x.mean(1)


class ViT(nn.Module):
    def __init__(self, channels, grid, patch, classes, d=24, heads=3, depth=3, token=True):
        super().__init__()
        kind = nn.Conv2d if len(grid) == 2 else nn.Conv3d
        self.embed = kind(channels, d, patch, patch)
        n = int(np.prod(grid)) + token
        self.token = nn.Parameter(torch.randn(1, 1, d)) if token else None
        self.place, self.add = nn.Parameter(0.3 * torch.randn(1, n, d)), Sum()
        self.layers, self.norm = nn.ModuleList(Layer(d, heads) for _ in range(depth)), Norm(d)
        self.mean, self.head = Mean(), nn.Sequential(nn.Linear(d, classes))
    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        if self.token is not None: x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        x = self.add(x, self.place)
        for layer in self.layers: x = layer(x)
        x = self.norm(x)
        return self.head(x[:, 0] if self.token is not None else self.mean(x))


def rollout(model):
    """Abnar & Zuidema 2020: heads averaged, half the identity, product over layers."""
    r = None
    for layer in model.layers:
        a = layer.attend.weights.detach().mean(1)[0]
        a = (a + torch.eye(len(a))) / 2
        r = a if r is None else a @ r
    return r


def chefer(model, x, target):
    """Chefer, Gur & Wolf 2021 (ICCV, generic attention), self-attention only: R = R + mean_heads((grad * A)+) R."""
    y = model(x)
    weights = [layer.attend.weights for layer in model.layers]
    grads = torch.autograd.grad(y[0, target], weights)
    n = weights[0].shape[-1]
    r = torch.eye(n)
    for a, g in zip(weights, grads): r = r + (g * a).clamp(min=0).mean(1)[0].detach() @ r
    return r


def transformers():
    """Name, model, input and target of both; the same weights at every call."""
    torch.manual_seed(11)
    yield settled("vit2d", ViT(3, (5, 6), 8, 4), torch.rand(1, 3, 40, 48))
    torch.manual_seed(12)
    yield settled("vit3d", ViT(1, (4, 5, 6), 4, 3, token=False), torch.rand(1, 1, 16, 20, 24))


def settled(name, model, x):
    target = best(model, x)
    return name, model, x, target


def vit(name, model, x, target):
    maps = {}
    maps["saliency"] = CaptumSaliency(model).attribute(x, target=target).amax(1, keepdim=True)
    maps["inputxgradient"] = InputXGradient(model).attribute(x.clone(), target=target)
    maps["integrated-gradients"] = IntegratedGradients(model).attribute(
        x, baselines=0.0, target=target, n_steps=50, method="gausslegendre")
    for rule in ("epsilon", "composite"):
        maps[f"lrp rule={rule} epsilon=0.01"], _ = derive(model, x, target, rule)
    token = model.token is not None
    grid = model.embed(x).shape[2:]
    def placed(v): return v[int(token):].reshape(1, 1, *grid)
    def asked(m): return m[0] if token else m.mean(0)
    model(x)
    weights = [layer.attend.weights.detach()[0] for layer in model.layers]
    maps["attention"] = placed(asked(weights[-1].mean(0)))
    maps["attention head=2 layer=1"] = placed(asked(weights[0][1]))
    maps["attention query=5"] = placed(weights[-1].mean(0)[5])
    maps["attention-rollout"] = placed(asked(rollout(model)))
    maps["attention-gradient"] = placed(asked(chefer(model, x, target)) - (0 if token else 1 / len(weights[0][0])))
    torch.onnx.export(model, (x,), str(OUT / f"{name}.onnx"), opset_version=17, dynamo=False, input_names=["ct"], output_names=["logits"])
    save(f"{name}.rules", model, x, target, maps)


class FusedAttend(Attend):
    """The same attention, as one operator of opset 23 in the file."""
    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, scale=4 / (d // self.heads) ** 0.5)
        return self.out(y.transpose(1, 2).reshape(b, n, d))


def fused(name, model, x):
    """`<name>.fused.onnx`, with attention as an operator of its own; maps are those of the network that has it in parts."""
    for layer in model.layers: layer.attend.__class__ = FusedAttend
    path = OUT / f"{name}.fused.onnx"
    torch.onnx.export(model, (x,), dynamo=True, opset_version=23, input_names=["ct"], output_names=["logits"]).save(str(path))
    written = onnx.load(path)
    assert sum(n.op_type == "Attention" for n in written.graph.node) == len(model.layers)
    # What traces back to the program that was exported is most of the file.
    for node in [*written.graph.node, *written.graph.input, *written.graph.output]: node.ClearField("metadata_props")
    written.graph.ClearField("value_info")
    onnx.save(written, path)


if __name__ == "__main__":
    for name, model, x, target in networks():
        rules(name, model, x, target)
    for name, model, x, target in transformers():
        vit(name, model, x, target)
        if name == "vit2d": fused(name, model, x)
