// Iso-lines by marching squares, in slice pixels (pixel centres at whole numbers).
function contourPath(layer, codes, plane, index, level) {
  const maps = axisMaps(layer);
  const strides = [1, layer.shape[0], layer.shape[0] * layer.shape[1]];
  const columns = layer.shape[plane.across];
  const rows = layer.shape[plane.down];
  const base = maps[plane.normal][index] * strides[plane.normal];
  const across = strides[plane.across];
  const down = strides[plane.down];
  // From the layer's index along an axis to the slice's pixel: both count against the axis.
  const toPixel = (axis) => {
    const ratio = layer.blocks[axis] / geometry.blocks[axis];
    return (place) => geometry.shape[axis] - 1 - ((place + 0.5) * ratio - 0.5);
  };
  const toX = toPixel(plane.across);
  const toY = toPixel(plane.down);
  const path = new Path2D();
  for (let row = 0; row + 1 < rows; row++) {
    let at = base + row * down;
    let nearLow = codes[at];
    let farLow = codes[at + down];
    for (let column = 0; column + 1 < columns; column++) {
      at += across;
      const a = nearLow;
      const b = nearLow = codes[at];
      const d = farLow;
      const c = farLow = codes[at + down];
      const kind = (a > level ? 1 : 0) | (b > level ? 2 : 0) | (c > level ? 4 : 0) | (d > level ? 8 : 0);
      if (kind === 0 || kind === 15) continue;
      const low = [column + (level - a) / (b - a), row];
      const right = [column + 1, row + (level - b) / (c - b)];
      const high = [column + (level - d) / (c - d), row + 1];
      const left = [column, row + (level - a) / (d - a)];
      const line = (from, to) => {
        path.moveTo(toX(from[0]), toY(from[1]));
        path.lineTo(toX(to[0]), toY(to[1]));
      };
      switch (kind) {
        case 1: case 14: line(left, low); break;
        case 2: case 13: line(low, right); break;
        case 3: case 12: line(left, right); break;
        case 4: case 11: line(right, high); break;
        case 6: case 9: line(low, high); break;
        case 7: case 8: line(left, high); break;
        // Saddles: the middle decides which corners belong together.
        case 5: case 10: {
          const joined = ((a + b + c + d) / 4 > level) === (kind === 5);
          line(left, joined ? high : low);
          line(joined ? low : high, right);
        }
      }
    }
  }
  return path;
}

const contourLevels = [0.25, 0.5, 0.75];

// The iso-lines of a slice: [{ path, colour }], kept until what they depend on changes.
function heatContours(view) {
  const heat = currentHeat();
  if (!heat || !state.isOverlaid) return [];
  const top = scaleTop(heat);
  if (!(top > 0)) return [];
  const key = [state.heat, view.index, top, state.isSigned, state.map].join();
  if (view.contours?.key === key) return view.contours.lines;
  const lines = [];
  for (const level of contourLevels) {
    for (const side of state.isSigned ? [1, -1] : [1]) {
      const raw = side * level * top;
      const colour = colourAt(currentMap(), placeOnScale(raw, top).position);
      const path = contourPath(heat.layer, heat.codes, view.plane, view.index, raw / heat.layer.step + heat.layer.zero);
      lines.push({ path, colour: `rgb(${colour.join()})` });
    }
  }
  view.contours = { key, lines };
  return lines;
}

function maskOutline(view) {
  if (!mask?.codes) return null;
  if (view.outline?.index !== view.index) {
    view.outline = { index: view.index, path: contourPath(mask.layer, mask.codes, view.plane, view.index, 0.5) };
  }
  return view.outline.path;
}
