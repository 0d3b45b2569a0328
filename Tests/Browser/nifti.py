"""Reads what the pages must agree with: little-endian NIfTI-1 files, with nothing but Python's standard library."""

import array
import gzip
import struct


class Volume:
    def __init__(self, path):
        data = gzip.open(path).read()
        assert struct.unpack_from("<i", data, 0)[0] == 348, path
        self.shape = struct.unpack_from("<8h", data, 40)[1:4]
        datatype, bits = struct.unpack_from("<2h", data, 70)
        kind = {2: "B", 4: "h", 16: "f"}[datatype]
        assert bits == 8 * array.array(kind).itemsize, path
        offset = int(struct.unpack_from("<f", data, 108)[0])
        assert struct.unpack_from("<h", data, 254)[0] > 0, path
        rows = struct.unpack_from("<12f", data, 280)
        self.affine = [rows[0:4], rows[4:8], rows[8:12]]
        count = self.shape[0] * self.shape[1] * self.shape[2]
        stored = array.array(kind, data[offset : offset + bits // 8 * count])
        slope, intercept = struct.unpack_from("<2f", data, 112)
        is_scaled = slope not in (0, 1) or (slope == 1 and intercept != 0)
        self.voxels = array.array("f", [v * slope + intercept for v in stored]) if is_scaled else stored

    def __getitem__(self, voxel):
        i, j, k = voxel
        return self.voxels[i + self.shape[0] * (j + self.shape[1] * k)]

    def world(self, voxel):
        return [row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3] for row in self.affine]

    def peak(self):
        index = max(range(len(self.voxels)), key=lambda n: self.voxels[n])
        return (index % self.shape[0], index // self.shape[0] % self.shape[1], index // (self.shape[0] * self.shape[1]))
