"""Chest-CT-like phantoms in Hounsfield units, drawn from a seed, with or without one lung nodule.

A `Chest` is anatomy in continuous coordinates: millimetres, RAS+ (x to the patient's right, y to the front, z to the
head), so the same chest can be drawn on any voxel grid, coarse for training or fine and oblique for a sample scan.
`Chest.render` returns noise-free HU; `scanner` adds what a scanner adds: blur and textured noise.

Nothing here is a patient: every number comes from the seed and from round textbook sizes.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter

AIR, LUNG, FAT, MUSCLE, BLOOD = -1000.0, -865.0, -100.0, 52.0, 42.0
SUPERELLIPSE = 2.35  # exponent of the trunk's cross-section: between an ellipse (2) and a box


@dataclasses.dataclass
class Nodule:
    """A nodule as a union of spheres; `core` is the radius of the solid part of a part-solid nodule."""

    kind: str  # spherical, lobulated, part-solid
    place: str  # free, vessel, pleura
    centre: np.ndarray  # world mm, RAS+
    radius: float  # mm
    hu: float
    spheres: list[tuple[np.ndarray, float]]
    core: float = 0.0
    core_hu: float = 0.0


def superellipse(x, y, a, b):
    """About the distance in mm outside (positive) or inside (negative) a superellipse with half-axes a, b."""
    radius = (np.abs(x / a) ** SUPERELLIPSE + np.abs(y / b) ** SUPERELLIPSE) ** (1 / SUPERELLIPSE)
    return (radius - 1) * b


def ellipsoid(x, y, z, centre, radii):
    radius = np.sqrt(sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), centre, radii)))
    return (radius - 1) * min(radii)


def smooth_step(t):
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


class Chest:
    """The anatomy that belongs to one seed. Coordinates inside are the chest's own; `pose` puts it into the world."""

    def __init__(self, seed: int):
        rng = np.random.default_rng([seed, 1])
        u = rng.uniform
        self.seed = seed
        self.scale = u(0.88, 1.04)
        turn = np.deg2rad([u(-4, 4), u(-3, 3), u(-6, 6)])
        self.rotation = _rotation(*turn)
        self.shift = np.array([u(-6, 6), u(-8, 8), u(-8, 8)])

        self.body = (u(150, 172), u(108, 122))
        self.fat = u(7, 18)
        self.thorax = (u(112, 126), u(80, 90))
        self.taper = u(0.36, 0.46)
        self.apex = u(108, 122)
        self.dome = {+1: u(-78, -60), -1: u(-88, -70)}  # height of the diaphragm; the liver lifts the right one
        self.heart_centre = np.array([u(-26, -14), u(8, 18), u(-44, -28)])
        self.heart_radii = np.array([u(46, 56), u(38, 46), u(44, 54)])
        self.contrast = bool(u() < 0.5)
        self.blood = u(140, 240) if self.contrast else BLOOD
        self.vessel_hu = u(60, 140) if self.contrast else u(20, 50)
        self.lung_hu = LUNG + u(-25, 45)
        self.bone = u(0.85, 1.2)
        self.has_table = bool(u() < 0.9)

        self.ribs = self._grow_ribs(rng)
        self.aorta = self._lay_aorta(rng)
        self.airways = self._grow_airways(rng)
        self.vessels = np.concatenate([self._grow_vessels(rng, +1), self._grow_vessels(rng, -1)])

    # MARK: - Shapes (chest coordinates; distances in mm, negative inside)

    def thoracic_wall(self, x, y, z, outward=0.0):
        narrowing = 1 - self.taper * np.clip((z - 5) / 120, 0, 1.2) ** 2
        a, b = self.thorax
        return superellipse(x, y, a * narrowing + outward, b * (0.35 + 0.65 * narrowing) + outward)

    def heart(self, x, y, z):
        # The long axis points down, to the front and to the left.
        x, y, z = x - self.heart_centre[0], y - self.heart_centre[1], z - self.heart_centre[2]
        x, z = x * 0.88 - z * 0.47, x * 0.47 + z * 0.88
        return ellipsoid(x, y, z, (0, 0, 0), self.heart_radii)

    def diaphragm(self, x, y):
        """Height of the lung's floor at x, y."""
        side = np.where(x > 0, self.dome[+1], self.dome[-1])
        return side - 45 * ((np.abs(x) - 55) / 70) ** 2 - 40 * ((y - 12) / 85) ** 2

    def lung(self, x, y, z, side):
        """Distance to one lung's surface; side +1 is the patient's right."""
        out = side * x
        half_mediastinum = 15 + 17 * np.exp(-(((y - 0) / 38) ** 2))
        shell = self.thoracic_wall(x, y, z, outward=-7)
        surface = np.maximum(shell, half_mediastinum - out)
        surface = np.maximum(surface, (self.diaphragm(x, y) - z) * 0.8)
        roof = self.apex - 26 * ((out - 48) / 42) ** 2 - 22 * ((y + 14) / 55) ** 2
        surface = np.maximum(surface, (z - roof) * 0.7)
        surface = np.maximum(surface, 4 - self.heart(x, y, z))
        return np.maximum(surface, -(np.sqrt(x**2 + (y + 70) ** 2) - 25))

    # MARK: - Growing

    def _grow_ribs(self, rng):
        """Capsules (x0 y0 z0 x1 y1 z1 r0 r1 hu): rings that start at the spine and fall towards the front."""
        capsules = []
        for side in (+1, -1):
            for index in range(10):
                start = 126 - 25 * index + rng.uniform(-3, 3)
                drop = 34 + 4.5 * index + rng.uniform(-4, 4)
                last = 0.97 if index < 7 else 0.97 - 0.13 * (index - 6)
                t = np.linspace(0, last, 17)
                angle = np.deg2rad(-79 + 144 * t)
                z = start + 6 * np.sin(np.pi * t) - drop * t**1.15
                narrowing = 1 - self.taper * np.clip((z - 5) / 120, 0, 1.2) ** 2
                a = self.thorax[0] * narrowing
                b = self.thorax[1] * (0.35 + 0.65 * narrowing)
                x = side * a * np.abs(np.cos(angle)) ** (2 / SUPERELLIPSE)
                y = b * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / SUPERELLIPSE)
                points = np.stack([x, y, z], 1)
                radius = np.interp(t, [0, 0.2, 1], [5.0, 4.2, 4.8])
                hu = np.where(t < 0.8, 620 * self.bone, 160)  # costal cartilage towards the breastbone
                for k in range(len(t) - 1):
                    capsules.append([*points[k], *points[k + 1], radius[k], radius[k + 1], hu[k]])
        return np.array(capsules)

    def _lay_aorta(self, rng):
        x = rng.uniform(-3, 3)
        path = np.array([
            [4 + x, 14, -12], [6 + x, 18, 20], [3 + x, 16, 44], [-5 + x, 4, 58], [-14 + x, -18, 58],
            [-20 + x, -40, 44], [-21 + x, -52, 15], [-20 + x, -53, -60], [-14 + x, -52, -150],
        ])  # fmt: skip
        radius = np.array([15, 14.5, 14, 13, 12.5, 12, 11.5, 11, 10.5])
        return np.concatenate([path[:-1], path[1:], radius[:-1, None], radius[1:, None]], 1)

    def _grow_airways(self, rng):
        carina = np.array([2 + rng.uniform(-2, 2), -18, 36 + rng.uniform(-4, 4)])
        capsules = [[carina[0] - 2, -8, 170, *carina, 8.2, 8.2]]
        for side in (+1, -1):
            hilum = self.hilum(side)
            capsules.append([*carina, *(hilum + [-side * 6, -4, 4]), 6.3, 5.4])
            for _ in range(3):
                at, radius = hilum + [-side * 6, -4, 4], 4.4
                way = np.array([side * rng.uniform(0.5, 1), rng.uniform(-0.8, 0.8), rng.uniform(-1, 0.7)])
                for _ in range(4):
                    way = way / np.linalg.norm(way)
                    to = at + way * rng.uniform(11, 17)
                    if self.lung(*to, side) > -4:
                        break
                    capsules.append([*at, *to, radius, radius * 0.8])
                    at, radius, way = to, radius * 0.8, way + rng.normal(0, 0.28, 3)
        return np.array(capsules)

    def hilum(self, side):
        return np.array([side * 34.0, -6.0, 8.0 if side > 0 else 14.0])

    def _grow_vessels(self, rng, side):
        """A tree that reaches random places of the lung from the hilum, each joined to the branch that makes the
        way shortest; radii by Murray's law, r³ = Σ rᵢ³, from the tips inwards."""
        a, b = self.thorax
        box = rng.uniform([2, -b, -130], [a, b, 125], size=(3600, 3)) * [side, 1, 1]
        reach = self.lung(box[:, 0], box[:, 1], box[:, 2], side)
        goals = box[reach < -2.5][:210]
        root = self.hilum(side)
        goals = goals[np.argsort(np.linalg.norm(goals - root, axis=1))]

        nodes, parents, way = [root], [-1], [0.0]
        for goal in goals:
            at = np.array(nodes)
            gap = np.linalg.norm(at - goal, axis=1)
            best = int(np.argmin(gap + 0.35 * np.array(way)))
            middle = (at[best] + goal) / 2 + rng.normal(0, 0.07, 3) * gap[best]
            for point in (middle, goal):
                parent = best if point is middle else len(nodes) - 1
                parents.append(parent)
                way.append(way[parent] + float(np.linalg.norm(point - nodes[parent])))
                nodes.append(point)

        cubes = np.zeros(len(nodes))
        has_child = np.zeros(len(nodes), bool)
        for index in range(len(nodes) - 1, 0, -1):
            if not has_child[index]:
                cubes[index] = rng.uniform(0.75, 1.1) ** 3
            cubes[parents[index]] += cubes[index]
            has_child[parents[index]] = True
        radii = np.minimum(np.cbrt(cubes), 6.5)
        capsules = [
            [*nodes[p], *nodes[i], min(radii[p], radii[i] * 1.25), radii[i]] for i, p in enumerate(parents) if p >= 0
        ]
        return np.array(capsules)

    # MARK: - Nodules

    def nodule(self, seed: int, kind: str | None = None, place: str | None = None, diameter: float | None = None):
        """A nodule for this chest. What is not asked for comes from the seed."""
        rng = np.random.default_rng([self.seed, 2, seed])
        kind = kind or str(rng.choice(["spherical", "lobulated", "part-solid"], p=[0.45, 0.35, 0.2]))
        place = place or str(rng.choice(["free", "vessel", "pleura"], p=[0.5, 0.25, 0.25]))
        small = 14 if kind == "part-solid" else 10
        radius = (diameter or float(rng.uniform(small, 28))) / 2 / self.scale
        centre = self._place(rng, place, radius)
        spheres = [(centre, radius)]
        if kind == "lobulated":
            ways = rng.normal(size=(5, 3))
            ways /= np.linalg.norm(ways, axis=1, keepdims=True)
            spheres = [(centre, 0.72 * radius)]
            spheres += [(centre + 0.5 * radius * w, radius * float(rng.uniform(0.42, 0.58))) for w in ways]
        hu = float(rng.uniform(10, 90))
        if kind == "part-solid":
            return Nodule(
                kind, place, self.to_world(centre), radius * self.scale, float(rng.uniform(-560, -380)), spheres,
                core=radius * float(rng.uniform(0.5, 0.68)), core_hu=hu,
            )  # fmt: skip
        return Nodule(kind, place, self.to_world(centre), radius * self.scale, hu, spheres)

    def _place(self, rng, place, radius):
        a, b = self.thorax
        for attempt in range(4000):
            side = 1 if rng.uniform() < 0.5 else -1
            point = rng.uniform([2, -b, -125], [a, b, 120]) * [side, 1, 1]
            depth = -self.lung(*point, side)
            if depth < 0.25 * radius or np.linalg.norm(point - self.hilum(side)) < 22 + radius:
                continue
            if not -70 < self.to_world(point)[2] < 95:
                continue  # inside every field of view that is drawn
            patience = min(1.0, attempt / 2000)  # small lungs and large nodules: be content with less room
            if place == "pleura":
                wall = -self.thoracic_wall(*point, outward=-7)
                if wall <= depth + 0.5 and 0.35 * radius < depth < 0.85 * radius:
                    return point
                continue
            if depth < radius + 4 - 6 * patience:
                continue
            gap, thickness = self._nearest_vessel(point)
            if place == "free" and gap > radius + 3 * (1 - patience):
                return point
            if place == "vessel" and thickness > 0.9 and 0.5 * radius < gap < 1.0 * radius:
                return point
        raise RuntimeError(f"no place for a nodule of {2 * radius:.0f} mm in chest {self.seed}")

    def _nearest_vessel(self, point):
        start, end = self.vessels[:, 0:3], self.vessels[:, 3:6]
        along = end - start
        t = np.clip(((point - start) * along).sum(1) / np.maximum((along**2).sum(1), 1e-6), 0, 1)
        gap = np.linalg.norm(start + t[:, None] * along - point, axis=1) - self.vessels[:, 7]
        nearest = int(np.argmin(gap))
        return float(gap[nearest]), float(self.vessels[nearest, 7])

    # MARK: - Drawing

    def to_world(self, point):
        return self.rotation @ (np.asarray(point) * self.scale) + self.shift

    def render(self, shape, affine, edge: float | None = None) -> np.ndarray:
        """Noise-free HU on a grid, float32. Edges are blended over `edge` mm (default: the mean spacing), which is
        what partial volume does."""
        canvas = _Canvas(self, shape, affine, edge)
        x, y, z = canvas.axes()
        side_front = self.body[1]

        if self.has_table:
            depth = -(y + side_front + 19) + 0.0009 * x**2  # grows downwards from the table's top
            flat = np.maximum(np.abs(depth - 9) - 9, np.abs(x) - 190)
            canvas.paint(flat, -160)
            canvas.paint(flat + 2.5, -890)

        shoulders = 1 + 0.10 * smooth_step((z - 30) / 100)
        waist = 1 - 0.04 * smooth_step((-z - 60) / 80)
        body = superellipse(x, y + 8, self.body[0] * shoulders * waist, self.body[1] * waist)
        canvas.paint(body, 20)  # skin
        canvas.paint(body + 2.2, FAT)
        canvas.paint(body + self.fat * (1 + 0.25 * np.cos(x / 40) * np.cos(z / 55)), MUSCLE)
        wall = self.thoracic_wall(x, y, z)
        canvas.paint(np.maximum(wall, -(wall + 5)), MUSCLE - 30)  # between the ribs
        mediastinum = np.maximum(wall + 6, np.abs(x) - 34)
        canvas.paint(np.maximum(mediastinum, 8 - y), -60)  # fat in front
        canvas.paint(np.maximum(mediastinum, y - 8), 25)

        under = np.maximum(wall + 5, (z - self.diaphragm(x, y) + 3) * 0.8)
        canvas.paint(np.maximum(under, -10 - x), 62)  # liver
        canvas.paint(np.maximum(under, x + 10), 45)
        stomach = ellipsoid(x, y, z, (-52, 22, self.dome[-1] - 42), (28, 34, 22))
        canvas.paint(stomach, 15)
        canvas.paint(np.maximum(stomach + 4, 18 - y), AIR + 40)  # its air lies in front

        for side in (+1, -1):
            surface = self.lung(x, y, z, side)
            shade = self.lung_hu - 0.45 * y + 0.12 * np.abs(x)  # denser towards the back, where the blood settles
            canvas.paint(surface, shade)
        canvas.paint_capsules(self.vessels, self.vessel_hu, thin=True)
        heart = self.heart(x, y, z)
        canvas.paint(heart, self.blood * 0.55 + 25)
        canvas.paint(heart + 9, self.blood)
        canvas.paint_capsules(self.aorta, self.blood + (25 if self.contrast else 0))
        walls = self.airways.copy()
        walls[:, 6:8] += 1.4
        canvas.paint_capsules(walls, 10)
        canvas.paint_capsules(self.airways, AIR + 10)

        self._draw_spine(canvas, x, y, z)
        canvas.paint_capsules(self.ribs, self.ribs[:, 8])
        marrow = self.ribs.copy()
        marrow[:, 6:8] -= 2.2
        canvas.paint_capsules(marrow, np.minimum(self.ribs[:, 8], 230 * self.bone))
        front = self.thorax[1] * (0.35 + 0.65 * (1 - self.taper * np.clip((z - 5) / 120, 0, 1.2) ** 2)) + 3
        sternum = np.maximum(np.maximum(np.abs(x) - 15, np.abs(y - front) - 5.5), np.abs(z - 20) - 68)
        canvas.paint(sternum, 420 * self.bone)
        canvas.paint(sternum + 2.5, 170 * self.bone)
        for side in (+1, -1):
            turned = side * x - 88
            flat = np.abs((y + 78) * 0.88 - turned * 0.47) - 3.2
            plate = np.maximum(flat, np.sqrt((turned / 42) ** 2 + ((z - 55) / 62) ** 2) * 42 - 42)
            canvas.paint(np.maximum(plate, 9 - wall), 380 * self.bone)
        return canvas.hu

    def _draw_spine(self, canvas, x, y, z):
        step = np.abs(np.mod(z + 12, 25) - 12.5)  # 0 in the middle of a vertebra, 12.5 in the middle of a disc
        column = np.sqrt((x / 18) ** 2 + ((y + 70) / 15) ** 2) * 15 - 15
        canvas.paint(column, 85)  # discs
        vertebra = np.maximum(column, step - 10)
        canvas.paint(vertebra, 430 * self.bone)
        canvas.paint(vertebra + 2.2, 185 * self.bone)
        canal = np.sqrt(x**2 + (y + 94) ** 2)
        arch = np.maximum(np.maximum(canal - 14, 10 - canal), np.maximum(step - 8, y + 90))
        spinous = np.maximum(np.maximum(np.abs(x) - 3.5, np.abs(y + 111) - 9), step - 6)
        transverse = np.maximum(np.maximum(np.abs(x) - 30, np.abs(y + 91 + 0.15 * np.abs(x)) - 4.5), step - 5.5)
        bone = np.minimum(np.minimum(arch, spinous), np.maximum(transverse, 10 - canal))
        canvas.paint(bone, 420 * self.bone)
        canvas.paint(canal - 9.5, 18)
        canvas.paint(canal - 5.0, 38)  # cord in its fluid

    def add_nodule(self, hu, nodule: Nodule, shape, affine, edge: float | None = None):
        """Draws a nodule into a rendered chest, in place; returns its mask (the voxels it fills by half or more)."""
        canvas = _Canvas(self, shape, affine, edge, hu=hu)
        capsules = np.array([[*c, *c, r, r] for c, r in nodule.spheres])
        cover = canvas.paint_capsules(capsules, nodule.hu)
        if nodule.core > 0:
            centre = nodule.spheres[0][0]
            canvas.paint_capsules(np.array([[*centre, *centre, nodule.core, nodule.core]]), nodule.core_hu)
        return cover >= 0.5


class _Canvas:
    """A grid of HU that shapes are painted on. Distances come in chest millimetres, negative inside."""

    def __init__(self, chest: Chest, shape, affine, edge, hu=None):
        affine = np.asarray(affine, float)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        self.shape = tuple(shape)
        # Voxel index → the chest's own coordinates.
        self.linear = chest.rotation.T @ affine[:3, :3] / chest.scale
        self.offset = chest.rotation.T @ (affine[:3, 3] - chest.shift) / chest.scale
        self.spacing = spacing / chest.scale
        self.edge = (float(spacing.mean()) if edge is None else edge) / chest.scale
        self.hu = np.full(self.shape, AIR, np.float32) if hu is None else hu

    def axes(self, low=(0, 0, 0), high=None):
        high = self.shape if high is None else high
        i, j, k = (np.arange(l, h, dtype=np.float32) for l, h in zip(low, high))
        i, j, k = i[:, None, None], j[None, :, None], k[None, None, :]
        linear, offset = self.linear.astype(np.float32), self.offset.astype(np.float32)
        return tuple(linear[a, 0] * i + linear[a, 1] * j + (linear[a, 2] * k + offset[a]) for a in range(3))

    def paint(self, distance, hu):
        cover = np.clip(0.5 - distance / self.edge, 0, 1).astype(np.float32)
        self.hu += cover * (np.asarray(hu, np.float32) - self.hu)

    def paint_capsules(self, capsules, hu, thin=False):
        """Paints the union of capsules, each a segment with a radius at both ends. A `thin` capsule below one voxel
        keeps its share of the voxel instead of vanishing. Returns how far each voxel is covered."""
        cover = np.zeros(self.shape, np.float32)
        levels = np.broadcast_to(np.asarray(hu, np.float32), len(capsules))
        level = np.zeros(self.shape, np.float32) if np.ndim(hu) else None
        inverse = np.linalg.inv(self.linear)
        for capsule, value in zip(capsules, levels):
            start, end, r0, r1 = capsule[0:3], capsule[3:6], capsule[6], capsule[7]
            ends = inverse @ (np.stack([start, end]) - self.offset).T
            margin = (max(r0, r1) + self.edge) / self.spacing
            low = np.maximum(np.floor(ends.min(1) - margin), 0).astype(int)
            high = np.minimum(np.ceil(ends.max(1) + margin) + 1, self.shape).astype(int)
            if np.any(low >= high) or max(r0, r1) <= 0:
                continue
            x, y, z = self.axes(low, high)
            x, y, z = x - np.float32(start[0]), y - np.float32(start[1]), z - np.float32(start[2])
            along = (end - start).astype(np.float32)
            length2 = float(along @ along)
            t = np.clip((x * along[0] + y * along[1] + z * along[2]) / max(length2, 1e-6), 0, 1)
            distance = np.sqrt((x - t * along[0]) ** 2 + (y - t * along[1]) ** 2 + (z - t * along[2]) ** 2)
            radius = np.float32(r0) + t * np.float32(r1 - r0)
            part = np.clip(0.5 + (radius - distance) / self.edge, 0, 1)
            if thin:
                part *= np.minimum(1, (2 * radius / self.edge) ** 1.5)
            box = tuple(slice(l, h) for l, h in zip(low, high))
            if level is not None:
                level[box] = np.where(part > cover[box], value, level[box])
            cover[box] = np.maximum(cover[box], part)
        self.hu += cover * ((np.float32(hu) if level is None else level) - self.hu)
        return cover


def _rotation(a, b, c):
    """Rotation by a about x, then b about y, then c about z (radians)."""
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    rx = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    ry = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    rz = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return rz @ ry @ rx


def scanner(hu: np.ndarray, rng: np.random.Generator, sigma: float, blur: float = 0.5) -> np.ndarray:
    """Adds a scanner's blur (voxels) and noise. The noise lacks low frequencies, as filtered back-projection leaves
    it, and is smooth at the finest scale, as a soft kernel leaves it; sigma is its standard deviation in HU."""
    seen = gaussian_filter(hu, blur) if blur > 0 else hu
    white = rng.standard_normal(hu.shape, dtype=np.float32)
    texture = gaussian_filter(white, 0.55) - 0.75 * gaussian_filter(white, 1.6)
    return seen + texture * np.float32(sigma / texture.std())
