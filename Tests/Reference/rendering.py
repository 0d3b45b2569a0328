"""Reference values for Tests/RenderingTests: colour maps of matplotlib, and PNG and JPEG files with the pixels they hold.

    python Tests/Reference/rendering.py            writes Tests/Reference/data/rendering/pictures.safetensors
    python Tests/Reference/rendering.py --read DIR reads every PNG file of a folder with Pillow (a check of our writer)

PNG files are assembled here chunk by chunk, in every colour type, bit depth and interlacing of the specification, so that
their pixels are known without any reader; Pillow confirms those that it reads to the same samples.
"""

import io
import pathlib
import struct
import sys
import zlib

import matplotlib
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 13, 9
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, payload):
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def packed_rows(samples, depth):
    """Unfiltered rows of an image [height, width, samples], each behind a zero for the filter."""
    rows = b""
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            data = row.astype(">u2").tobytes()
        elif depth == 8:
            data = row.astype(np.uint8).tobytes()
        else:
            bits = "".join(format(int(value), f"0{depth}b") for value in row)
            bits += "0" * (-len(bits) % 8)
            data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
        rows += b"\0" + data
    return rows


def png(samples, colour_type, depth, interlaced=False, extra=b""):
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    if interlaced:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        data = b"".join(packed_rows(part, depth) for part in passes if part.size)
    else:
        data = packed_rows(samples, depth)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def to_eight_bits(samples, depth):
    return np.floor(samples.astype(np.float64) * 255 / (2**depth - 1) + 0.5).astype(np.uint8)


def png_cases(random):
    """name, file, pixels as our reader must give them, and whether Pillow gives the same."""
    for colour_type, name in [(GREY, "grey"), (RGB, "rgb"), (GREY_ALPHA, "grey-alpha"), (RGB_ALPHA, "rgb-alpha")]:
        for depth in [1, 2, 4, 8, 16] if colour_type == GREY else [8, 16]:
            for interlaced in [False, True]:
                samples = random.integers(0, 2**depth, (HEIGHT, WIDTH, SAMPLES[colour_type]))
                pixels = to_eight_bits(samples, depth)
                if colour_type == GREY_ALPHA:
                    pixels = pixels[..., [0, 0, 0, 1]]
                file = png(samples, colour_type, depth, interlaced)
                yield f"{name}-{depth}{'-interlaced' if interlaced else ''}", file, pixels, depth <= 8
    for depth in [1, 2, 4, 8]:
        palette = random.integers(0, 256, (2**depth, 3)).astype(np.uint8)
        samples = random.integers(0, 2**depth, (HEIGHT, WIDTH, 1))
        extra = chunk(b"PLTE", palette.tobytes())
        yield f"palette-{depth}", png(samples, PALETTE, depth, extra=extra), palette[samples[..., 0]], True
        alpha = random.integers(0, 256, 2**depth).astype(np.uint8)
        pixels = np.concatenate([palette[samples[..., 0]], alpha[samples]], axis=2)
        extra += chunk(b"tRNS", alpha.tobytes())
        yield f"palette-alpha-{depth}", png(samples, PALETTE, depth, extra=extra), pixels, True
    # A gamma and a comment with a wrong checksum: neither changes a sample.
    samples = random.integers(0, 256, (HEIGHT, WIDTH, 3))
    broken = bytearray(chunk(b"tEXt", b"Comment\0broken"))
    broken[-1] ^= 1
    extra = chunk(b"gAMA", struct.pack(">I", 100000)) + bytes(broken)
    yield "rgb-gamma", png(samples, RGB, 8, extra=extra), samples.astype(np.uint8), False


def pillow_pixels(file, channels):
    image = Image.open(io.BytesIO(file))
    pixels = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    return pixels.reshape(pixels.shape[0], pixels.shape[1], channels)


def jpeg_cases(random):
    """Smooth colours with an edge, in the encodings that cameras and exports use."""
    y, x = np.mgrid[0:33, 0:45]
    rgb = np.stack([x * 5, y * 7, 120 + 60 * np.sin(x / 5 + y / 9)], axis=2)
    rgb[10:20, 15:30] = [250, 20, 60]
    image = Image.fromarray(rgb.astype(np.uint8))
    for name, picture, options in [
        ("rgb-420", image, dict(quality=90, subsampling=2)),
        ("rgb-444", image, dict(quality=90, subsampling=0)),
        ("rgb-progressive", image, dict(quality=75, progressive=True)),
        ("grey", image.convert("L"), dict(quality=90)),
        ("cmyk", image.convert("CMYK"), dict(quality=90)),
    ]:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", **options)
        yield name, buffer.getvalue()


def main():
    random = np.random.default_rng(20)
    tensors = {}
    for name in ["viridis", "inferno", "magma", "plasma", "turbo"]:
        table = matplotlib.colormaps[name](np.arange(256))[:, :3]
        tensors[f"map.{name}"] = np.round(table * 255).astype(np.uint8)
    for name, file, pixels, in_pillow in png_cases(random):
        if in_pillow:
            assert np.array_equal(pillow_pixels(file, pixels.shape[2]), pixels), name
        tensors[f"png.{name}.file"] = np.frombuffer(file, np.uint8)
        tensors[f"png.{name}.pixels"] = np.ascontiguousarray(pixels)
    for name, file in jpeg_cases(random):
        tensors[f"jpeg.{name}.file"] = np.frombuffer(file, np.uint8)
        if name != "cmyk":
            tensors[f"jpeg.{name}.pixels"] = np.ascontiguousarray(pillow_pixels(file, 1 if name == "grey" else 3))
    (HERE / "data/rendering").mkdir(parents=True, exist_ok=True)
    save_file(tensors, HERE / "data/rendering/pictures.safetensors")
    print(f"{len(tensors)} tensors")


def read(folder):
    for path in sorted(pathlib.Path(folder).glob("*.png")):
        image = Image.open(path)
        image.load()
        digest = zlib.crc32(np.asarray(image).tobytes())
        print(f"{path.name} {image.mode} {image.width}x{image.height} {digest:08x} {image.info}")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--read":
        read(sys.argv[2])
    else:
        main()
