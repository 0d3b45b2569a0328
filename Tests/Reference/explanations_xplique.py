"""Reference maps by Xplique on the 2D networks of explanations.py, whose ONNX files are built anew as Keras models (and must give the
recorded scores). Xplique explains images only, so there are no 3D cases. Run explanations.py first; needs requirements-xplique.txt.

Writes Tests/Reference/data/explanations/<case>.xplique.safetensors: `map <method>` where TomoLens must agree, `near <method>` where it must
within sampling error, `differs <method>` where it must not, because of what is said beside each case.
"""
import pathlib
from unittest import mock
import keras
import numpy as np
import onnx
import tensorflow as tf
from keras import layers
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import Ridge
from xplique import attributions as xp
from random_numbers import Random

OUT = pathlib.Path(__file__).parent / "data" / "explanations"
tf.config.run_functions_eagerly(True)
tf.random.set_seed(0)


def built(path, shape):
    """A Keras model of an ONNX file, channels last, and the layer that its head reads."""
    graph = onnx.load(path).graph
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    start = layers.Input(shape)
    made, settings, tap = {graph.input[0].name: start}, [], None
    for node in graph.node:
        a = {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute}
        x = [made[n] for n in node.input if n in made]
        w = [weights[n] for n in node.input if n in weights]
        if node.op_type == "Conv":
            pads = a["pads"]
            assert pads[:2] == pads[2:]
            y = layers.ZeroPadding2D(tuple(pads[:2]))(x[0]) if any(pads) else x[0]
            layer = layers.Conv2D(w[0].shape[0], a["kernel_shape"], strides=a["strides"], use_bias=len(w) > 1)
            settings.append((layer, [w[0].transpose(2, 3, 1, 0), *w[1:]]))
            y = layer(y)
        elif node.op_type == "BatchNormalization":
            layer = layers.BatchNormalization(epsilon=a["epsilon"])
            settings.append((layer, w))
            y = layer(x[0])
        elif node.op_type == "Relu": y = tap = layers.Activation("relu")(x[0])
        elif node.op_type == "MaxPool": y = layers.MaxPooling2D(2)(x[0])
        elif node.op_type == "Add": y = layers.Add()(x)
        elif node.op_type == "Concat": y = layers.Concatenate()(x)
        elif node.op_type == "GlobalAveragePool": y = layers.GlobalAveragePooling2D()(x[0])
        elif node.op_type == "Flatten": y = x[0]
        elif node.op_type == "Gemm":
            layer = layers.Dense(w[0].shape[0])
            settings.append((layer, [w[0].T, w[1]]))
            y = layer(x[0])
        else: raise ValueError(node.op_type)
        made[node.output[0]] = y
    model = keras.Model(start, y)
    for layer, values in settings: layer.set_weights(values)
    return model, next(l for l in model.layers if l.output is tap)


def per_channel(kind, model, x, t, **options): return kind(model, reducer=None, **options).explain(x, t).numpy()[0]


def fed_noise(model, x, t, samples, seed, share=0.15):
    """SmoothGrad and VarGrad with the noise that TomoLens draws."""
    random = Random(seed)
    channels_first = x[0].transpose(2, 0, 1)
    deviation = share * float(x.max() - x.min())
    noise = np.array([deviation * random.normal() for _ in range(samples * x.size)], np.float32)
    noise = noise.reshape(samples, *channels_first.shape).transpose(0, 2, 3, 1)
    with mock.patch.object(tf.random, "normal", lambda *a, **k: tf.constant(noise)):
        smooth = per_channel(xp.SmoothGrad, model, x, t, nb_samples=samples, noise=1.0)
        var = per_channel(xp.VarGrad, model, x, t, nb_samples=samples, noise=1.0)
    return {f"smoothgrad samples={samples} seed={seed}": np.abs(smooth).max(-1),
            f"vargrad samples={samples} seed={seed}": var.sum(-1)}


def blocks(shape):
    """Parts 0…5: halves of the first axis, thirds of the last one."""
    grid = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    return (grid[0] * 2 // shape[0]) * 3 + grid[-1] * 3 // shape[-1]


def surrogates(model, x, t, parts):
    mapping = lambda _: tf.constant(parts, tf.int32)
    nothing = np.zeros(3, np.float32)
    every = np.array([[n >> p & 1 for p in range(6)] for n in range(64)], np.int32)
    def nearness(_, shown, __):
        return tf.exp(-(1 - tf.sqrt(tf.reduce_mean(tf.cast(shown, tf.float32), 1))) ** 2 / 0.25 ** 2)
    lime = xp.Lime(model, 64, interpretable_model=Ridge(alpha=1.0), similarity_kernel=nearness, nb_samples=64,
                   pertub_func=lambda *_: tf.constant(every), map_to_interpret_space=mapping, ref_value=nothing)
    shap = xp.KernelShap(model, 512, map_to_interpret_space=mapping, nb_samples=20000, ref_value=nothing)
    shares = shap.explain(x, t).numpy()[0, ..., 0]
    # Xplique's regression does not hold the sum to the rise of the score, as the kernel's infinite weights would: brought to it here.
    one = np.array([shares[parts == p][0] for p in range(6)])
    rise = float(tf.reduce_sum((model(x) - model(np.zeros_like(x))) * t))
    return {"lime segments=labels fill=zero samples=64": lime.explain(x, t).numpy()[0, ..., 0]}, \
           {"kernelshap segments=labels fill=zero samples=64": shares + (rise - one.sum()) / 6}


def case(name):
    stored = load_file(OUT / f"{name}.safetensors")
    x = np.ascontiguousarray(stored["input"].transpose(0, 2, 3, 1))
    # As in explanations_sampling.py: what covering changes must not be lost in the score's rounding.
    loud = 50 * x if name.startswith("vgg") else x
    model, tap = built(OUT / f"{name}.onnx", x.shape[1:])
    error = np.abs(model(x).numpy() - stored["output"]).max()
    assert error < 1e-5, f"{name}: scores {error} off"
    t = np.eye(stored["output"].shape[1], dtype=np.float32)[stored["target"]]
    maps, near, differs = {}, {}, {}
    maps["saliency"] = np.abs(per_channel(xp.Saliency, model, loud, t)).max(-1)
    maps["inputxgradient"] = per_channel(xp.GradientInput, model, loud, t).sum(-1)
    maps["guided-backprop"] = per_channel(xp.GuidedBackprop, model, loud, t).sum(-1)
    maps["deconvnet"] = per_channel(xp.DeconvNet, model, loud, t).sum(-1)
    maps |= fed_noise(model, loud, t, 5, 3)
    maps["occlusion size=4 stride=4 fill=zero"] = xp.Occlusion(model, patch_size=4, patch_stride=4, occlusion_value=0).explain(
        loud, t).numpy()[0, ..., 0]
    # Xplique sums over the windows that cover a place, TomoLens takes their mean.
    differs["occlusion size=8 stride=4 fill=zero"] = xp.Occlusion(
        model, patch_size=8, patch_stride=4, occlusion_value=0).explain(loud, t).numpy()[0, ..., 0]
    # The trapezoidal rule against Gauss and Legendre's: on a piecewise linear network they meet in the limit only.
    near["integrated-gradients steps=200"] = per_channel(
        xp.IntegratedGradients, model, loud, t, steps=2000, batch_size=2000).sum(-1)
    # Before rectifier and bicubic enlargement, as TomoLens keeps it.
    for key, kind in (("gradcam", xp.GradCAM), ("gradcam++", xp.GradCAMPP)):
        cam = kind(model, conv_layer=tap.name)
        features, gradients = cam._gradient(tf.constant(loud), tf.constant(t))
        found = tf.reduce_sum(features * cam._compute_weights(gradients, features), -1).numpy()[0]
        # Xplique's denominator of Grad-CAM++ has the mean of a channel where the paper has its sum.
        (differs if key == "gradcam++" else maps)[key] = found
    parts = blocks(x.shape[1:3])
    exact, sampled = surrogates(model, loud, t, parts)
    maps |= exact
    near |= sampled
    # Xplique's RISE is the mean score over masks weighted by how far they show a place. TomoLens takes the mean score away and divides by
    # p(1 − p): the same ranking, and 0 where nothing matters. Its cells are 7.8 pixels wide here, ours 8.
    keep, count = 0.5, 12000
    scores = []
    rise = xp.Rise(model, 512, nb_samples=count, grid_size=(6, 7), preservation_probability=keep)
    plain = rise.inference_function
    def noted(*a):
        y = plain(*a)
        scores.append(y.numpy())
        return y
    rise.inference_function = noted
    found = rise.explain(loud, t).numpy()[0, ..., 0]
    scores = np.concatenate(scores)
    near["rise cells=6 masks=4000 fill=zero"] = (found - scores.mean()) / (1 - keep)
    tensors = {"input": np.ascontiguousarray(loud.transpose(0, 3, 1, 2)), "target": stored["target"], "parts": parts.astype(np.float32),
               "rise error": np.array([scores.std() / np.sqrt(count * keep * (1 - keep))], np.float32)}
    for word, group in (("map", maps), ("near", near), ("differs", differs)):
        tensors |= {f"{word} {k}": np.ascontiguousarray(v, dtype=np.float32) for k, v in group.items()}
    save_file(tensors, str(OUT / f"{name}.xplique.safetensors"))
    print(name, {k: (v.shape, float(np.abs(v).max())) for k, v in tensors.items()})


if __name__ == "__main__":
    for name in ("vgg2d", "resnet2d", "densenet2d"): case(name)
