"""What MONAI's transforms make of small oblique and anisotropic volumes.

    python Tests/Reference/preparations.py     writes Tests/Reference/data/preparations/monai.safetensors

Arrays are stored with i fastest (transposed), as volumes are. The metadata holds, for each case, the source, the affine and
the extents that MONAI gives.
"""

import json
import pathlib
import warnings

import numpy as np
import torch
from monai import transforms as T
from monai.data import MetaTensor
from safetensors.numpy import save_file

warnings.simplefilter("ignore")
OUT = pathlib.Path(__file__).resolve().parent / "data" / "preparations" / "monai.safetensors"

rng = np.random.default_rng(11)


def smooth(shape, low=-1000, high=400):
    """Voxels with structure, some of them exactly zero or negative."""
    grid = np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij")
    field = np.sin(grid[0] * 2 + 0.3) * np.cos(grid[1] * 1.7) + 0.5 * np.sin(grid[2] * 3) + 0.2 * rng.normal(size=shape)
    field = (field - field.min()) / (field.max() - field.min())
    out = (low + field * (high - low)).round()
    out[0, :, :] = low
    out[:, 0, 0] = 0
    return out.astype(np.float32)


def rotation(x, y, z):
    cx, sx, cy, sy, cz, sz = (f(np.deg2rad(a)) for a in (x, y, z) for f in (np.cos, np.sin))
    return (
        np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    )


def affine(linear, origin):
    out = np.eye(4)
    out[:3, :3] = linear
    out[:3, 3] = origin
    return out


shear = np.array([[1, 0.1, 0], [0, 1, 0.2], [0, 0, 1]])
SOURCES = {
    # Thick slices, LPS as ITK writes them.
    "lps": (smooth((15, 13, 7)), affine(np.diag([-0.8, -0.8, 3.0]), [60, 70, -200])),
    # Oblique, three spacings, axes permuted.
    "oblique": (smooth((11, 9, 12)), affine(rotation(14, -8, 25) @ np.diag([0.9, 1.4, 2.2])[:, [2, 0, 1]], [-20, 33, 7])),
    # A tilted gantry.
    "sheared": (smooth((10, 11, 8)), affine(rotation(0, 5, 0) @ np.diag([1.1, 1.1, 2.0]) @ shear, [5, -6, 40])),
}

CASES = [
    ("lps", "Orientation RAS", T.Orientation(axcodes="RAS")),
    ("oblique", "Orientation SPL", T.Orientation(axcodes="SPL")),
    ("sheared", "Orientation PIR", T.Orientation(axcodes="PIR")),
    ("lps", "Spacing 1.5 1.5 2", T.Spacing(pixdim=(1.5, 1.5, 2))),
    ("oblique", "Spacing 1 1 1", T.Spacing(pixdim=(1, 1, 1))),
    ("sheared", "Spacing 1.5", T.Spacing(pixdim=1.5)),
    ("oblique", "Spacing 2 -1 0.7", T.Spacing(pixdim=(2, -1, 0.7))),
    ("lps", "Spacing nearest", T.Spacing(pixdim=(1.13, 1.13, 2.21), mode="nearest")),
    ("oblique", "Spacing zeros", T.Spacing(pixdim=(0.61, 0.83, 1.7), padding_mode="zeros")),
    ("oblique", "Spacing diagonal", T.Spacing(pixdim=(1.2, 1.3, 1.4), diagonal=True)),
    ("sheared", "Spacing diagonal zeros", T.Spacing(pixdim=(1.2, 1.3, 1.4), diagonal=True, padding_mode="zeros")),
    ("lps", "Spacing unchanged", T.Spacing(pixdim=(0.8004, 0.7996, 3.0))),
    ("lps", "Resize area", T.Resize(spatial_size=(8, 20, 5))),
    ("oblique", "Resize trilinear", T.Resize(spatial_size=(16, 6, 12), mode="trilinear")),
    ("oblique", "Resize aligned", T.Resize(spatial_size=(16, 6, 13), mode="trilinear", align_corners=True)),
    ("sheared", "Resize nearest", T.Resize(spatial_size=(7, 23, 8), mode="nearest")),
    ("sheared", "Resize nearest-exact", T.Resize(spatial_size=(7, 23, 5), mode="nearest-exact")),
    ("lps", "Resize longest", T.Resize(spatial_size=24, mode="trilinear", size_mode="longest")),
    ("lps", "Resize keep", T.Resize(spatial_size=(9, -1, -1), mode="trilinear")),
    ("lps", "CenterSpatialCrop", T.CenterSpatialCrop(roi_size=(6, 7, 20))),
    ("oblique", "CenterSpatialCrop keep", T.CenterSpatialCrop(roi_size=(5, -1, 4))),
    ("lps", "SpatialPad", T.SpatialPad(spatial_size=(20, 18, 4), value=-1000)),
    ("oblique", "SpatialPad end edge", T.SpatialPad(spatial_size=(14, 14, 15), method="end", mode="replicate")),
    ("oblique", "DivisiblePad", T.DivisiblePad(k=(4, 8, 5))),
    ("lps", "ResizeWithPadOrCrop", T.ResizeWithPadOrCrop(spatial_size=(10, 18, 8), value=-1000)),
    ("sheared", "ResizeWithPadOrCrop odd", T.ResizeWithPadOrCrop(spatial_size=(13, 6, 7))),
    ("lps", "CropForeground", T.CropForeground(select_fn=lambda x: x > 150, margin=0, allow_smaller=True)),
    ("oblique", "CropForeground margin", T.CropForeground(select_fn=lambda x: x > 330, margin=(3, 0, 4), k_divisible=4)),
    ("lps", "CropForeground smaller", T.CropForeground(select_fn=lambda x: x > 300, margin=5, allow_smaller=True)),
    ("lps", "ScaleIntensityRange", T.ScaleIntensityRange(-1000, 400, 0, 1, clip=True)),
    ("lps", "ScaleIntensityRange window", T.ScaleIntensityRange(-175, 250, -1, 1, clip=True)),
    ("lps", "ScaleIntensityRange open", T.ScaleIntensityRange(-500, 500, -2, 3)),
    ("lps", "ScaleIntensityRange bare", T.ScaleIntensityRange(-500, 500)),
    ("lps", "ScaleIntensity", T.ScaleIntensity()),
    ("lps", "ScaleIntensity range", T.ScaleIntensity(minv=-1, maxv=2)),
    ("lps", "ScaleIntensity factor", T.ScaleIntensity(minv=None, maxv=None, factor=0.25)),
    ("lps", "NormalizeIntensity", T.NormalizeIntensity()),
    ("lps", "NormalizeIntensity nonzero", T.NormalizeIntensity(nonzero=True, channel_wise=True)),
    ("lps", "NormalizeIntensity given", T.NormalizeIntensity(subtrahend=-100, divisor=250)),
    ("lps", "ThresholdIntensity", T.ThresholdIntensity(threshold=-300, above=True, cval=-1000)),
    ("lps", "ThresholdIntensity below", T.ThresholdIntensity(threshold=200, above=False, cval=200)),
    ("lps", "ScaleIntensityRangePercentiles", T.ScaleIntensityRangePercentiles(1, 99, 0, 1, clip=True)),
    ("lps", "ScaleIntensityRangePercentiles open", T.ScaleIntensityRangePercentiles(5, 90, -1, 1)),
    ("lps", "ClipIntensityPercentiles", T.ClipIntensityPercentiles(10, 80.5)),
    ("lps", "RepeatChannel", T.RepeatChannel(repeats=3)),
    (
        "oblique",
        "Compose",
        T.Compose(
            [
                T.Orientation(axcodes="RAS"),
                T.Spacing(pixdim=(1.2, 1.2, 1.6)),
                T.ScaleIntensityRange(-1000, 400, 0, 1, clip=True),
                T.CropForeground(),
                T.ResizeWithPadOrCrop(spatial_size=(16, 12, 16)),
                T.NormalizeIntensity(channel_wise=True),
            ]
        ),
    ),
    (
        "lps",
        "Compose LPS",
        T.Compose(
            [
                T.Orientation(axcodes="LPS"),
                T.Spacing(pixdim=(1, 1, 2.5)),
                T.Resize(spatial_size=(16, 16, 9), mode="trilinear"),
                T.ScaleIntensity(),
                T.DivisiblePad(k=8),
            ]
        ),
    ),
]

# Three channels: a picture, or windows of a CT.
COLOUR = np.stack([smooth((6, 5, 1), 0, 255), smooth((6, 5, 1), 10, 200), smooth((6, 5, 1), 0, 90)])
COLOUR_CASES = [
    ("NormalizeIntensity channels", T.NormalizeIntensity(subtrahend=[120, 110, 40], divisor=[58, 57, 30], channel_wise=True)),
    ("NormalizeIntensity measured", T.NormalizeIntensity(channel_wise=True)),
    ("NormalizeIntensity together", T.NormalizeIntensity()),
    ("ScaleIntensity together", T.ScaleIntensity()),
    ("ScaleIntensity channels", T.ScaleIntensity(channel_wise=True)),
    ("ClipIntensityPercentiles channels", T.ClipIntensityPercentiles(20, 70, channel_wise=True)),
]

tensors, cases = {}, []


def put(name, array):
    """Channels first, then k, j, i: i fastest."""
    tensors[name] = np.ascontiguousarray(np.asarray(array, dtype=np.float32).transpose(0, 3, 2, 1))


for name, (array, matrix) in SOURCES.items():
    put(f"source.{name}", array[None])
for source, name, transform in CASES:
    array, matrix = SOURCES[source]
    out = transform(MetaTensor(torch.tensor(array[None].copy()), affine=torch.tensor(matrix)))
    put(name, out.numpy())
    cases.append({"name": name, "source": source, "affine": np.asarray(out.affine, dtype=float).tolist()})
put("source.colour", COLOUR)
for name, transform in COLOUR_CASES:
    out = transform(MetaTensor(torch.tensor(COLOUR.copy()), affine=torch.eye(4, dtype=torch.float64)))
    put(name, out.numpy())
    cases.append({"name": name, "source": "colour", "affine": np.asarray(out.affine, dtype=float).tolist()})

affines = {name: matrix.tolist() for name, (_, matrix) in SOURCES.items()} | {"colour": np.eye(4).tolist()}
OUT.parent.mkdir(parents=True, exist_ok=True)
save_file(tensors, OUT, metadata={"cases": json.dumps(cases), "affines": json.dumps(affines)})
print(f"{len(cases)} cases, {OUT.stat().st_size // 1024} KiB")
