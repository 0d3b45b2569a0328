"""Reference values for methods that hide parts of the scan: Captum's FeatureAblation, exact ShapleyValues and KernelShap over a label
map of blocks, and scikit-learn's ridge regression for LIME over all choices, on networks of explanations.py.

Writes Tests/Reference/data/explanations/<case>.segments.safetensors.
"""
import itertools
import numpy as np
import torch
from safetensors.numpy import save_file
from sklearn.linear_model import Ridge
from captum.attr import FeatureAblation, KernelShap, ShapleyValues
from explanations import OUT, networks


def blocks(shape):
    """Parts 0…5: halves of the first axis, thirds of the last one."""
    grid = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    return (grid[0] * 2 // shape[0]) * 3 + grid[-1] * 3 // shape[-1]


for name, model, x, target in networks():
    if name not in ("vgg2d", "vgg3d", "resnet3d"): continue
    parts = blocks(x.shape[2:])
    mask = torch.from_numpy(parts)[None, None].expand(1, *x.shape[1:]).contiguous()
    base = float(x.min())
    count = parts.max() + 1
    def values(attribution): return np.array([float(attribution[0, 0][torch.from_numpy(parts == p)][0]) for p in range(count)])
    with torch.no_grad():
        ablation = values(FeatureAblation(model).attribute(x, baselines=base, target=target, feature_mask=mask))
        shapley = values(ShapleyValues(model).attribute(x, baselines=base, target=target, feature_mask=mask, perturbations_per_eval=1))
        torch.manual_seed(0)
        kernel = values(KernelShap(model).attribute(x, baselines=base, target=target, feature_mask=mask, n_samples=500))
        print(name, "Captum's KernelShap against exact", np.abs(kernel - shapley).max() / np.abs(shapley).max())
        rows, scores = [], []
        for number in range(2 ** count):
            shown = np.array([number >> p & 1 for p in range(count)])
            seen = torch.where(torch.from_numpy(shown[parts] == 1), x, torch.tensor(base))
            rows.append(shown)
            scores.append(float(model(seen)[0, target]))
    rows = np.array(rows)
    distance = 1 - np.sqrt(rows.mean(1))
    ridge = Ridge(alpha=1.0).fit(rows, scores, sample_weight=np.exp(-distance ** 2 / 0.25 ** 2))
    save_file({"input": x.numpy(), "target": np.array([target], np.int64), "parts": parts.astype(np.float32),
               "ablation": ablation.astype(np.float32), "shapley": shapley.astype(np.float32),
               "kernelshap": kernel.astype(np.float32), "lime": ridge.coef_.astype(np.float32)},
              str(OUT / f"{name}.segments.safetensors"))
