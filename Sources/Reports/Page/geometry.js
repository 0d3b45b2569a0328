// Three index spaces: the page's voxels (RAS order, perhaps blocks of the scan's), the scan's voxels in RAS order, and the
// scan's voxels as its file stores them. Millimetres are NIfTI's world: x toward Right, y Anterior, z Superior.
const geometry = {
  shape: manifest.scan.layer.shape,
  blocks: manifest.scan.layer.blocks,
  full: manifest.grid.shape,
  affine: manifest.grid.affine,
  spacing: manifest.grid.spacing.map((size, axis) => size * manifest.scan.layer.blocks[axis]),
  isAnatomical: manifest.grid.isAnatomical,

  // Centre of a page voxel in the scan's RAS-ordered indices; blocks that the edge cuts are shorter.
  centre(page) {
    return page.map((index, axis) => {
      const first = index * this.blocks[axis];
      return (first + Math.min(first + this.blocks[axis], this.full[axis]) - 1) / 2;
    });
  },
  world(page) {
    const at = this.centre(page);
    return this.affine.map((row) => row[0] * at[0] + row[1] * at[1] + row[2] * at[2] + row[3]);
  },
  // The voxel of the file at (or nearest the middle of) a page voxel.
  stored(page) {
    const at = this.centre(page).map(Math.floor);
    const result = [0, 0, 0];
    manifest.grid.axes.forEach((old, axis) => {
      result[old] = manifest.grid.flipped[axis] ? this.full[axis] - 1 - at[axis] : at[axis];
    });
    return result;
  },
  pageVoxel(stored) {
    return [0, 1, 2].map((axis) => {
      const old = stored[manifest.grid.axes[axis]];
      const index = manifest.grid.flipped[axis] ? this.full[axis] - 1 - old : old;
      return clamp(Math.floor(index / this.blocks[axis]), 0, this.shape[axis] - 1);
    });
  },
};

// Patient right is on the left of axial and coronal pictures; sagittal ones look toward the patient's right.
// `across` and `down` are page axes; all three planes run against them, so that Right, Anterior and Superior come first.
const planes = {
  axial: { normal: 2, across: 0, down: 1, letters: ["R", "L", "A", "P"] },
  coronal: { normal: 1, across: 0, down: 2, letters: ["R", "L", "S", "I"] },
  sagittal: { normal: 0, across: 1, down: 2, letters: ["A", "P", "S", "I"] },
};
