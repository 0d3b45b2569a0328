"""Small NIfTI files of every kind, and what nibabel reads from them.

    python Tests/Reference/volumes.py                        writes Tests/Reference/data/volumes/
    python Tests/Reference/volumes.py --facts OUT.json DIR   facts about the files of a folder, for the real-data test
    python Tests/Reference/volumes.py --dump OUT DIR...      every voxel that nibabel reads in these folders, for
                                                             script/compare-nibabel
    python Tests/Reference/volumes.py --check DIR            reads the files that a test of the writer left in DIR with
                                                             nibabel and SimpleITK and compares them

Colours are compared as Rec. 709 luminance; lengths in metres or micrometres as millimetres.
"""

import gzip
import json
import logging
import pathlib
import struct
import sys
import warnings
import zlib

import nibabel as nib
import numpy as np

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE / "data" / "volumes"
SHAPE = (5, 4, 3)

# An oblique grid with three different voxel sizes: 20 degrees about z, then 10 about x.
A, B = np.deg2rad(20), np.deg2rad(10)
ROTATION = np.array([[1, 0, 0], [0, np.cos(B), -np.sin(B)], [0, np.sin(B), np.cos(B)]]) @ np.array(
    [[np.cos(A), -np.sin(A), 0], [np.sin(A), np.cos(A), 0], [0, 0, 1]]
)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = ROTATION @ np.diag([-0.75, 0.75, 2.5])
OBLIQUE[:3, 3] = [100.5, -90.25, -300]
SHEARED = OBLIQUE.copy()
SHEARED[:3, 2] += [0, 0.4, 0]


def values(low, high, shape=SHAPE):
    count = int(np.prod(shape))
    return (low + (np.arange(count) * 37 % count) * (high - low) / (count - 1)).reshape(shape, order="F")


def luminance(array):
    parts = [array[name].astype(np.float64) for name in "RGB"]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def as_numbers(image):
    array = np.asanyarray(image.dataobj)
    return luminance(array) if array.dtype.names else array.astype(np.float64)


def millimetres(image):
    unit = {1: 1000.0, 3: 0.001}.get(int(image.header["xyzt_units"]) & 7, 1.0)
    affine = image.affine.copy()
    affine[:3] *= unit
    return affine


def volumes_of(array):
    """All 3D volumes of an array, in file order."""
    array = array.reshape(array.shape + (1,) * (3 - array.ndim)) if array.ndim < 3 else array
    flat = array.reshape(array.shape[:3] + (-1,), order="F")
    return [flat[..., index] for index in range(flat.shape[3])]


# ---------------------------------------------------------------------------------------------------- writing


def make(name, array, affine=OBLIQUE, kind=nib.Nifti1Image, big=False, edit=None, forms=(1, 2)):
    header = kind.header_class(endianness=">" if big else "<")
    header.set_data_dtype(array.dtype)
    header.set_xyzt_units("mm", "sec")
    image = kind(array, None, header)
    image.set_qform(affine, int(forms[0]))
    image.set_sform(affine, int(forms[1]))
    if edit:
        edit(image)
    nib.save(image, DATA / name)
    return image


def patch(source, name, *edits):
    """A copy with fields overwritten: (offset, struct format, values...)."""
    data = bytearray((DATA / source).read_bytes())
    for offset, form, *fields in edits:
        struct.pack_into(form, data, offset, *fields)
    (DATA / name).write_bytes(data)


def squeeze(data):
    return gzip.compress(data, mtime=0)


def write_all():
    DATA.mkdir(parents=True, exist_ok=True)
    for old in DATA.glob("*"):
        if old.name == "real.json":
            continue
        old.unlink()
    hu = values(-1024, 1976).astype(np.int16)
    expected = {}

    def expect(name, issues=(), **more):
        """What nibabel reads is what is expected."""
        image = nib.load(DATA / name)
        record(name, volumes_of(as_numbers(image)), millimetres(image), issues, **more)

    def record(name, volumes, affine, issues=(), **more):
        expected[name] = {
            "shape": list(volumes[0].shape),
            "affine": np.asarray(affine).tolist(),
            "volumes": [
                [float(v) if np.isfinite(v) else str(v) for v in volume.astype(np.float32).flatten(order="F")]
                for volume in volumes
            ],
            "issues": list(issues),
            **more,
        }

    # Every datatype in both byte orders.
    for kind in "u1 i1 u2 i2 u4 i4 u8 i8 f4 f8".split():
        dtype = np.dtype(kind)
        if dtype.kind == "f":
            array = values(-1000.25, 3000.75)
        else:
            limits = np.iinfo(dtype)
            array = values(max(limits.min, -70000), min(limits.max, 90000)).round()
        for big in (False, True):
            name = f"{dtype.name}_{'be' if big else 'le'}.nii"
            make(name, array.astype(dtype.newbyteorder(">" if big else "<")), big=big)
            expect(name)
    make("int64_large.nii", np.array([2**40 + 1, 5, -7, 2**30 + 1], dtype=np.int64).reshape(2, 2, 1))
    expect("int64_large.nii", ["voxels"])
    colours = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for index, field in enumerate("RGB"):
        colours[field] = values(0, 255).round().astype(np.uint8)[:: (-1) ** index]
    make("rgb24.nii", colours)
    expect("rgb24.nii", ["datatype"])
    alpha = np.zeros(SHAPE, dtype=[(n, "u1") for n in "RGBA"])
    for field in "RGB":
        alpha[field] = colours[field]
    make("rgba32.nii", alpha)
    expect("rgba32.nii", ["datatype"])

    # Slope and intercept.
    def scaled(slope, inter):
        def edit(image):
            image.header.set_slope_inter(slope, inter)

        return edit

    def raw(name, array, slope, inter, kind=nib.Nifti1Image, issues=()):
        make(name, array, kind=kind)
        if kind is nib.Nifti1Image:
            patch(name, name, (112, "<ff", slope, inter))
        else:
            patch(name, name, (176, "<dd", slope, inter))
        expect(name, issues)

    raw("slope_int16.nii", hu, 0.5, -1024)
    raw("slope_uint8.nii", values(0, 255).astype(np.uint8), 16, -1024)
    raw("slope_int32.nii", hu.astype(np.int32), 0.1, 7)
    raw("slope_float32.nii", hu.astype(np.float32), 2, 1)
    raw("slope_float64.nii", hu.astype(np.float64), 0.1, 0.3)
    raw("slope_nifti2.nii", hu, 0.1, 0.3, kind=nib.Nifti2Image)
    raw("slope_zero.nii", hu, 0, 5)
    raw("slope_nan.nii", hu, np.nan, 5, issues=["scl_slope"])
    raw("inter_nan.nii", hu, 1, 0)
    patch("inter_nan.nii", "inter_nan.nii", (116, "<f", np.nan))
    record("inter_nan.nii", [hu], OBLIQUE_32, ["scl_inter"])
    expected["slope_nan.nii"]["issues"] = ["scl_slope"]

    # Containers.
    make("nifti2_le.nii", hu, kind=nib.Nifti2Image)
    expect("nifti2_le.nii")
    make("nifti2_be.nii", hu.astype(">i2"), kind=nib.Nifti2Image, big=True)
    expect("nifti2_be.nii")
    plain = (DATA / "int16_le.nii").read_bytes()
    array16 = volumes_of(as_numbers(nib.load(DATA / "int16_le.nii")))
    affine16 = nib.load(DATA / "int16_le.nii").affine
    (DATA / "gzip.nii.gz").write_bytes(squeeze(plain))
    expect("gzip.nii.gz")
    members = squeeze(plain[:100]) + squeeze(plain[100:353]) + squeeze(plain[353:])
    (DATA / "gzip_three_members.nii.gz").write_bytes(members)
    expect("gzip_three_members.nii.gz")
    (DATA / "gzip_padded.nii.gz").write_bytes(squeeze(plain) + bytes(512))
    expect("gzip_padded.nii.gz")
    (DATA / "gzip_trailing.nii.gz").write_bytes(squeeze(plain) + b"something else")
    record("gzip_trailing.nii.gz", array16, affine16, ["gzip"])
    (DATA / "gzip_named_plain.nii").write_bytes(squeeze(plain))
    record("gzip_named_plain.nii", array16, affine16)
    (DATA / "plain_named_gzip.nii.gz").write_bytes(plain)
    record("plain_named_gzip.nii.gz", array16, affine16)
    (DATA / "longer.nii").write_bytes(plain + b"1234567890")
    expect("longer.nii", ["voxels"])
    for kind, label in ((nib.Nifti1Pair, "pair1"), (nib.Nifti2Pair, "pair2")):
        make(f"{label}.img", hu, kind=kind)
        expect(f"{label}.hdr")
        record(f"{label}.img", [hu], nib.load(DATA / f"{label}.hdr").affine)
    (DATA / "pairgz.hdr.gz").write_bytes(squeeze((DATA / "pair1.hdr").read_bytes()))
    (DATA / "pairgz.img.gz").write_bytes(squeeze((DATA / "pair1.img").read_bytes()))
    expect("pairgz.hdr.gz")
    record("pairgz.img.gz", [hu], nib.load(DATA / "pair1.hdr").affine)
    (DATA / "pairmixed.hdr").write_bytes((DATA / "pair1.hdr").read_bytes())
    (DATA / "pairmixed.img.gz").write_bytes(squeeze((DATA / "pair1.img").read_bytes()))
    record("pairmixed.hdr", [hu], nib.load(DATA / "pair1.hdr").affine)
    # Raw voxels that begin with gzip's magic are no gzip.
    magic = hu.copy(order="F")
    magic[0, 0, 0] = struct.unpack("<h", b"\x1f\x8b")[0]
    make("pairmagic.img", magic, kind=nib.Nifti1Pair)
    expect("pairmagic.hdr")

    # Forms.
    make("qform_only.nii", hu, forms=(1, 0))
    expect("qform_only.nii")
    make("sform_only.nii", hu, forms=(0, 2))
    expect("sform_only.nii")
    flipped = OBLIQUE @ np.diag([1, 1, -1, 1])
    make("qfac_negative.nii", hu, affine=flipped, forms=(1, 0))
    expect("qfac_negative.nii")
    make("sheared.nii", hu, affine=np.eye(4), edit=lambda image: image.set_sform(SHEARED, 4), forms=(0, 4))
    expect("sheared.nii")
    moved = OBLIQUE.copy()
    moved[:3, 3] += [3, 0, 4]
    make("forms_disagree.nii", hu, edit=lambda image: image.set_sform(moved, 2))
    expect("forms_disagree.nii", ["qform and sform"])
    make("forms_none.nii", hu, forms=(0, 0))
    expect("forms_none.nii", ["qform_code and sform_code"])
    make("sform_singular.nii", hu)
    patch("sform_singular.nii", "sform_singular.nii", (280, "<12f", *[0] * 12))
    record("sform_singular.nii", [hu], nib.load(DATA / "qform_only.nii").affine, ["sform"])
    patch("int16_le.nii", "sform_nan.nii", (284, "<f", np.nan))
    record("sform_nan.nii", array16, nib.load(DATA / "qform_only.nii").affine, ["sform"])
    patch("forms_none.nii", "pixdim_negative.nii", (80, "<f", -0.75))
    record("pixdim_negative.nii", [hu], nib.load(DATA / "forms_none.nii").affine, ["pixdim[1]", "qform_code and sform_code"])
    patch("forms_none.nii", "pixdim_zero.nii", (88, "<f", 0))
    none = nib.load(DATA / "forms_none.nii").affine.copy()
    none[2, 2], none[2, 3] = 1, -1
    record("pixdim_zero.nii", [hu], none, ["pixdim[3]", "qform_code and sform_code"])
    for unit, code in (("meter", 1), ("micron", 3)):
        make(f"unit_{unit}.nii", hu)
        patch(f"unit_{unit}.nii", f"unit_{unit}.nii", (123, "B", code))
        expect(f"unit_{unit}.nii", ["xyzt_units"])
    patch("qform_only.nii", "bitpix_wrong.nii", (72, "<h", 8))
    record("bitpix_wrong.nii", [hu], nib.load(DATA / "qform_only.nii").affine, ["bitpix"])
    patch("qform_only.nii", "vox_offset_zero.nii", (108, "<f", 0))
    record("vox_offset_zero.nii", [hu], nib.load(DATA / "qform_only.nii").affine, ["vox_offset"])

    # Ranks.
    make("rank1.nii", hu[:, 0, 0])
    expect("rank1.nii")
    make("rank2.nii", hu[:, :, 0])
    expect("rank2.nii")
    patch("rank2.nii", "rank2_flat.nii", (288, "<f", 0), (304, "<f", 0), (320, "<f", 0))
    record("rank2_flat.nii", [hu[:, :, :1]], nib.load(DATA / "rank2.nii").affine, ["sform"])
    make("rank4.nii", values(-1000, 1000, SHAPE + (3,)).astype(np.int16))
    expect("rank4.nii")
    make("rank5.nii.gz", values(-1000, 1000, (3, 2, 2, 2, 1, 3)).astype(np.float32))
    expect("rank5.nii.gz")
    make("rank7.nii", hu.reshape(SHAPE + (1, 1, 1, 1)))
    expect("rank7.nii")

    # Extensions.
    def extend(image):
        image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"first comment"))
        image.header.extensions.append(nib.nifti1.Nifti1Extension(4, b"<AFNI_attributes/>"))

    def texts(name):
        found = nib.load(DATA / name).header.extensions
        return [[int(e.get_code()), e.text.rstrip("\0") if hasattr(e, "text") else e.get_content().decode().rstrip("\0")] for e in found]

    make("extensions.nii", hu, edit=extend)
    expect("extensions.nii", extensions=texts("extensions.nii"))
    make("extensions2.nii.gz", hu, kind=nib.Nifti2Image, edit=extend)
    expect("extensions2.nii.gz", extensions=texts("extensions2.nii.gz"))
    make("extensionspair.img", hu, kind=nib.Nifti1Pair, edit=extend)
    expect("extensionspair.hdr", extensions=texts("extensionspair.hdr"))
    patch("extensions.nii", "extension_oversized.nii", (352, "<i", 100000))
    record("extension_oversized.nii", [hu], affine16, ["header extension 0"], extensions=[])

    # Voxels that are not finite.
    broken = hu.astype(np.float32)
    broken[1, 1, 1], broken[2, 1, 1], broken[3, 1, 1] = np.nan, np.inf, -np.inf
    make("not_finite.nii", broken)
    expect("not_finite.nii")

    write_broken(plain, hu)
    write_grids()
    (DATA / "expected.json").write_text(json.dumps(expected, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n")
    total = sum(path.stat().st_size for path in DATA.iterdir())
    print(f"{len(expected)} readable files, {len(list(DATA.glob('broken_*')))} broken ones, {total // 1024} KiB")


def write_broken(plain, hu):
    """Files that must be refused; the tests say with which words."""

    def save(name, data):
        (DATA / f"broken_{name}").write_bytes(data)

    def edited(name, *edits, source="int16_le.nii"):
        patch(source, f"broken_{name}", *edits)

    save("empty.nii", b"")
    save("three_bytes.nii", plain[:3])
    save("short_header.nii", plain[:200])
    save("header_only.nii", plain[:348])
    save("cut_voxels.nii", plain[:-20])
    zipped = squeeze(plain)
    save("gzip_cut.nii.gz", zipped[: len(zipped) // 2])
    save("gzip_cut_trailer.nii.gz", zipped[:-4])
    save("gzip_crc.nii.gz", zipped[:-8] + bytes([zipped[-8] ^ 0x55]) + zipped[-7:])
    save("gzip_length.nii.gz", zipped[:-4] + bytes([zipped[-4] ^ 0x01]) + zipped[-3:])
    stored = gzip.compress(plain, compresslevel=9, mtime=0)
    middle = len(stored) // 2
    save("gzip_corrupt.nii.gz", stored[:middle] + bytes(b ^ 0xFF for b in stored[middle : middle + 8]) + stored[middle + 8 :])
    save("gzip_method.nii.gz", zipped[:2] + b"\x07" + zipped[3:])
    save("gzip_short_content.nii.gz", squeeze(plain[:-20]))
    edited("dim_negative.nii", (46, "<h", -3))
    edited("dim_zero.nii", (42, "<h", 0))
    edited("rank_zero.nii", (40, "<h", 0))
    edited("rank_eight.nii", (40, "<h", 8))
    edited("dim_huge.nii", (42, "<3h", 32767, 32767, 32767))
    save("dim_huge.nii.gz", squeeze((DATA / "broken_dim_huge.nii").read_bytes()))
    edited("dim_overflow.nii", (16, "<8q", 7, *[2**31] * 7), source="nifti2_le.nii")
    edited("dim_overflow_volumes.nii", (16, "<8q", 7, 1, 1, 1, 2**40, 2**40, 1, 1), source="nifti2_le.nii")
    edited("vox_offset_past_end.nii", (108, "<f", 1e9))
    edited("vox_offset_negative.nii", (108, "<f", -352))
    edited("vox_offset_fraction.nii", (108, "<f", 352.5))
    edited("vox_offset_nan.nii", (108, "<f", np.nan))
    edited("vox_offset_huge.nii", (168, "<q", 2**62), source="nifti2_le.nii")
    edited("magic.nii", (344, "4s", b"n+7\0"))
    edited("analyze.nii", (344, "4s", b"\0\0\0\0"))
    edited("signature.nii", (8, "4s", b"\n\x1a\n\n"), source="nifti2_le.nii")
    for code in (0, 1, 32, 1536, 1792, 2048, 9999):
        edited(f"datatype_{code}.nii", (70, "<h", code))
    edited("cifti.nii", (16, "<8q", 6, 1, 1, 1, 1, 6, 10, 1), (504, "<i", 3001), source="nifti2_le.nii")
    save("hdr_without_img.hdr", (DATA / "pair1.hdr").read_bytes())
    save("img_without_hdr.img", (DATA / "pair1.img").read_bytes())
    save("pair_cut.hdr", (DATA / "pair1.hdr").read_bytes())
    save("pair_cut.img", (DATA / "pair1.img").read_bytes()[:-1])
    nan = np.full((2, 2, 2), np.nan, dtype=np.float32)
    make("broken_all_nan.nii", nan)
    save("dicom.nii", bytes(128) + b"DICM" + bytes(100))
    save("png.nii", b"\x89PNG\r\n\x1a\n" + bytes(100))
    save("html.nii.gz", b"<!DOCTYPE html><html>Not found</html>")
    save("zip.nii", b"PK\x03\x04" + bytes(100))
    save("lfs.nii.gz", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    save("text.nii", b"a text that is no scan at all, but long enough for a header" * 10)


def random_affine(rng, shear=0.0):
    """A rotation anywhere, three voxel sizes, perhaps mirrored, perhaps sheared."""
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = q @ np.diag(rng.uniform(0.4, 4, 3)) @ (np.eye(3) + shear * rng.uniform(-1, 1, (3, 3)))
    affine[:3, 3] = rng.uniform(-200, 200, 3)
    return affine


def write_grids():
    """Orientation, reorientation, resampling, smoothing and masks: nibabel, SciPy and MONAI on small volumes."""
    import torch
    from monai.networks.layers import gaussian_1d
    from safetensors.numpy import save_file
    from scipy import ndimage

    rng = np.random.default_rng(7)
    tensors, meta = {}, {}

    def put(name, array, dtype=np.float32):
        """i fastest, as volumes are stored."""
        tensors[name] = np.ascontiguousarray(array.T.astype(dtype))

    affines = [random_affine(rng, shear) for shear in (0, 0.3, 0.6) for _ in range(40)]
    meta["axcodes"] = [[a.flatten().tolist(), "".join(nib.aff2axcodes(a))] for a in affines]

    volume = rng.normal(size=(7, 6, 5)).astype(np.float32)
    affine = random_affine(rng, 0.2)
    put("volume", volume)
    meta["affine"] = affine.flatten().tolist()
    meta["reoriented"] = []
    start = nib.orientations.io_orientation(affine)
    for index, code in enumerate(("RAS", "LPS", "SLP", "ILA", "AIR", "PSR")):
        turn = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(code))
        put(f"reoriented.{index}", nib.orientations.apply_orientation(volume, turn))
        moved = affine @ nib.orientations.inv_ornt_aff(turn, volume.shape)
        meta["reoriented"].append([code, moved.flatten().tolist()])

    # Resampling: targets that are oblique, aligned and finer, aligned with axes swapped and one reversed. No sample lies
    # half-way between voxels, where rules of rounding differ.
    swap = np.array([[0, 0, 1.3, 0.21], [-0.7, 0, 0, 5.13], [0, 0.45, 0, -0.57], [0, 0, 0, 1]])
    fine = np.diag([0.4, 0.55, 0.8, 1]) + np.array([[0, 0, 0, -0.87], [0, 0, 0, 0.33], [0, 0, 0, -0.41], [0] * 4])
    turned = np.eye(4)
    turned[:3, :3] = ROTATION * 0.9
    turned[:3, 3] = [0.3, -1.2, 0.4]
    meta["resampled"] = []
    for label, inner in (("oblique", turned), ("fine", fine), ("swapped", swap)):
        shape = (9, 8, 6)
        index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) @ inner[:3, :3].T + inner[:3, 3]
        where = np.moveaxis(index, -1, 0)
        inside = np.all((index >= -0.5) & (index <= np.array(volume.shape) - 0.5), axis=-1)
        results = {
            "border": ndimage.map_coordinates(volume.astype(float), where, order=1, mode="nearest"),
            "fading": ndimage.map_coordinates(volume.astype(float), where, order=1, mode="grid-constant", cval=-3.0),
            "nearest": ndimage.map_coordinates(volume, where, order=0, mode="nearest"),
        }
        results["constant"] = np.where(inside, results["border"], -3.0)
        for name, values_ in results.items():
            put(f"resampled.{label}.{name}", values_)
        meta["resampled"].append([label, list(shape), (affine @ inner).flatten().tolist()])

    for sigma in (0.3, 1.0, 2.7):
        kernel = gaussian_1d(torch.tensor(sigma), truncated=4.0, approx="erf").double().numpy()
        kernel /= kernel.sum()
        for axis in range(3):
            put(f"smoothed.{sigma}.{axis}", ndimage.correlate1d(volume.astype(float), kernel, axis=axis, mode="nearest"))

    mask = ndimage.gaussian_filter(rng.normal(size=(24, 22, 20)), 1.2) > 0.05
    put("mask", mask, np.uint8)
    labels, count = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, labels, range(1, count + 1))
    put("mask.largest", labels == 1 + int(np.argmax(sizes)), np.uint8)
    for axis in range(3):
        filled = np.stack([ndimage.binary_fill_holes(part) for part in np.moveaxis(mask, axis, 0)])
        put(f"mask.filled.{axis}", np.moveaxis(filled, 0, axis), np.uint8)
    box = np.ones((3, 5, 1), dtype=bool)
    put("mask.eroded", ndimage.binary_erosion(mask, box, border_value=1), np.uint8)
    put("mask.dilated", ndimage.binary_dilation(mask, box), np.uint8)
    save_file(tensors, DATA / "grids.safetensors", metadata={key: json.dumps(value) for key, value in meta.items()})


OBLIQUE_32 = OBLIQUE.astype(np.float32).astype(np.float64)


# ---------------------------------------------------------------------------------------------------- comparing


def scans_in(folder):
    endings = (".nii", ".nii.gz", ".hdr", ".hdr.gz")
    return sorted(p for p in pathlib.Path(folder).rglob("*") if p.name.lower().endswith(endings) and p.is_file())


def readable(path):
    """The image and its numbers, or why nibabel or we read none."""
    try:
        # nibabel stops before a gzip file's checksum; a damaged file counts as unreadable here.
        if path.read_bytes()[:2] == b"\x1f\x8b":
            gzip.open(path).read()
        image = nib.load(path)
        if not isinstance(image, (nib.Nifti1Pair, nib.Nifti2Pair)) or isinstance(image, nib.Cifti2Image):
            return None, None
        array = as_numbers(image)
    except Exception:
        return None, None
    if array.size == 0 or np.iscomplexobj(np.asanyarray(image.dataobj)):
        return None, None
    return image, array


def facts(out, folder):
    found = {}
    for path in scans_in(folder):
        image, array = readable(path)
        if image is None:
            continue
        volumes = [v.astype(np.float32) for v in volumes_of(array)]
        chosen = volumes[-1]
        found[str(path.relative_to(folder))] = {
            "shape": list(chosen.shape),
            "affine": millimetres(image).tolist(),
            "volumes": len(volumes),
            "axcodes": "".join(nib.aff2axcodes(image.affine)),
            "crc32": zlib.crc32(chosen.tobytes(order="F")) if np.isfinite(chosen).all() else None,
        }
    pathlib.Path(out).write_text(json.dumps(found, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n")
    print(f"{len(found)} files")


def dump(out, folders):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for folder in folders:
        for path in scans_in(folder):
            image, array = readable(path)
            if image is None:
                continue
            volumes = volumes_of(array)
            for index in sorted({0, len(volumes) - 1}):
                name = f"{len(entries)}.f32"
                (out / name).write_bytes(volumes[index].astype("<f4").tobytes(order="F"))
                entries.append(
                    {
                        "path": str(path.resolve()),
                        "volume": index,
                        "shape": list(volumes[index].shape),
                        "affine": millimetres(image).tolist(),
                        "axcodes": "".join(nib.aff2axcodes(image.affine)),
                        "voxels": name,
                    }
                )
    (out / "dump.json").write_text(json.dumps(entries))
    print(f"{len(entries)} volumes of {len({e['path'] for e in entries})} files")


def check(folder):
    """written.json of the writer's test says what each file must hold."""
    import SimpleITK as sitk

    folder = pathlib.Path(folder)
    worst = {"voxel": 0.0, "affine": 0.0, "itk": 0.0}
    entries = json.loads((folder / "written.json").read_text())
    for entry in entries:
        path = folder / entry["file"]
        image = nib.load(path)
        want = np.array(entry["values"], dtype=np.float64).reshape(image.shape, order="F")
        got = image.get_fdata()
        error = np.abs(got - want).max()
        assert error <= entry["tolerance"], (path, error, entry["tolerance"])
        worst["voxel"] = max(worst["voxel"], error / max(entry["tolerance"], 1e-30) if entry["tolerance"] else error)
        affine = np.array(entry["affine"]).reshape(4, 4)
        # Float32 headers keep seven digits.
        difference = np.abs(image.affine - affine).max()
        assert difference <= 2e-5 * max(1, np.abs(affine).max() / 100), (path, difference)
        worst["affine"] = max(worst["affine"], difference)
        if entry.get("comment"):
            assert entry["comment"] in str(image.header.extensions[0].get_content()), path
        # ITK reads no sheared grid at all.
        if image.ndim == 3 and entry["isRigid"]:
            itk = sitk.ReadImage(str(path))
            linear = np.array(itk.GetDirection()).reshape(3, 3) @ np.diag(itk.GetSpacing())
            placed = np.diag([-1, -1, 1]) @ np.c_[linear, itk.GetOrigin()]
            worst["itk"] = max(worst["itk"], np.abs(placed - affine[:3]).max())
            assert worst["itk"] < 1e-3, (path, placed, affine)
            values = sitk.GetArrayFromImage(itk).transpose(2, 1, 0).astype(np.float64)
            assert np.abs(values - want).max() <= entry["tolerance"] + 1e-4 * np.abs(want).max(), path
    print(f"{len(entries)} files written: nibabel and SimpleITK agree; worst {worst}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            write_all()
        case ["--facts", out, folder]:
            facts(out, folder)
        case ["--dump", out, *folders]:
            dump(out, folders)
        case ["--check", folder]:
            check(folder)
        case _:
            sys.exit(__doc__)
