// What is shown, and how scan values become grey and heat becomes colour: the same rules as in the pictures beside this page.
const scan = { layer: manifest.scan.layer, codes: null };
const heats = manifest.heats.map((heat) => ({ ...heat, codes: null, loading: null }));
const mask = manifest.mask ? { layer: manifest.mask.layer, codes: null } : null;
const folderScale = JSON.parse($("folder-scale").textContent || "{}");

const colourMaps = manifest.colourMaps.map(({ name, isDiverging, colours }) => {
  const text = atob(colours);
  return { name, isDiverging, colours: Uint8Array.from(text, (character) => character.charCodeAt(0)) };
});

const state = {
  cursor: [0, 0, 0],
  window: { ...manifest.window },
  heat: heats.length > 0 ? 0 : -1,
  isOverlaid: true,
  opacity: manifest.style.opacity,
  threshold: manifest.style.threshold,
  exponent: manifest.style.exponent,
  isSigned: manifest.style.isSigned,
  map: manifest.style.colourMap,
  scale: manifest.style.scale,
  part: 1,
  hasContours: false,
  hasOutline: true,
  hasCross: true,
  isSmooth: true,
  tool: "cross",
};

function scanValue(code) {
  return scan.layer.bytes === 1 ? scan.layer.levels[code] : code * scan.layer.slope + scan.layer.intercept;
}

// How far the file's value may lie from the page's.
function scanTolerance(code) {
  return scan.layer.bytes === 1 ? scan.layer.tolerances[code] : scan.layer.tolerance;
}

const heatValue = (heat, code) => (code - heat.layer.zero) * heat.layer.step;

const currentHeat = () => (state.heat >= 0 && heats[state.heat].codes ? heats[state.heat] : null);

// The scales that there are for a map, in the order in which the key goes through them.
const scalesOf = (heat) => ["own", folderScale[heat.id] > 0 && "folder", manifest.style.fixedTop > 0 && "fixed"].filter(Boolean);

// The raw value at the warm end of the scale.
function scaleTop(heat) {
  const own = heat.ownTops ? heat.ownTops[state.isSigned ? 1 : 0] : state.isSigned ? Math.max(heat.highest, -heat.lowest) : Math.max(heat.highest, 0);
  const tops = { own, folder: folderScale[heat.id], fixed: manifest.style.fixedTop };
  return (tops[state.scale] > 0 ? tops[state.scale] : own) * state.part;
}

const alphaOf = (strength) => strength > state.threshold
  ? state.opacity * ((Math.min(strength, 1) - state.threshold) / (1 - state.threshold)) ** state.exponent : 0;

function colourAt(map, position) {
  const at = 3 * Math.round(clamp(position, 0, 1) * 255);
  return [map.colours[at], map.colours[at + 1], map.colours[at + 2]];
}

const currentMap = () => colourMaps.find(({ name }) => name === state.map) || colourMaps[0];

// Position on the colour map and strength, both 0…1, of a raw value.
function placeOnScale(raw, top) {
  if (!(top > 0)) return { position: state.isSigned ? 0.5 : 0, strength: 0 };
  const relative = clamp(raw / top, state.isSigned ? -1 : 0, 1);
  return { position: state.isSigned ? (relative + 1) / 2 : relative, strength: Math.abs(relative) };
}

const looks = {
  // Grey of every scan code.
  grey: new Uint8Array(scan.layer.bytes === 1 ? 256 : 65536),
  // Of every heat code: what remains of the grey beneath (of 256), and the colour on top, already weighted.
  keep: new Uint16Array(256), red: new Uint8Array(256), green: new Uint8Array(256), blue: new Uint8Array(256),

  updateGrey() {
    const lower = state.window.level - state.window.width / 2;
    const offset = scan.layer.bytes === 1 ? 0 : 32768;
    for (let i = 0; i < this.grey.length; i++) {
      this.grey[i] = clamp((scanValue(i - offset) - lower) / state.window.width, 0, 1) * 255 + 0.5;
    }
  },

  updateHeat() {
    const heat = currentHeat();
    if (!heat) return;
    const top = scaleTop(heat);
    const map = currentMap();
    for (let code = 0; code < 256; code++) {
      const { position, strength } = placeOnScale(heatValue(heat, code), top);
      const alpha = alphaOf(strength);
      const [red, green, blue] = colourAt(map, position);
      this.keep[code] = Math.round(256 * (1 - alpha));
      this.red[code] = red * alpha + 0.5;
      this.green[code] = green * alpha + 0.5;
      this.blue[code] = blue * alpha + 0.5;
    }
  },
};

// For each page voxel along each axis, where its heat (or mask) lies along the layer's own, perhaps coarser, axis.
function axisMaps(layer) {
  layer.maps ||= [0, 1, 2].map((axis) => Int32Array.from({ length: geometry.shape[axis] }, (_, index) => {
    const first = index * geometry.blocks[axis];
    const centre = Math.floor((first + Math.min(first + geometry.blocks[axis], geometry.full[axis]) - 1) / 2);
    return Math.min(layer.shape[axis] - 1, Math.floor(centre / layer.blocks[axis]));
  }));
  return layer.maps;
}

function codeAt(layer, codes, page) {
  const maps = axisMaps(layer);
  const [width, height] = layer.shape;
  return codes[maps[0][page[0]] + width * (maps[1][page[1]] + height * maps[2][page[2]])];
}

function scanCodeAt(page) {
  const [width, height] = geometry.shape;
  return scan.codes[page[0] + width * (page[1] + height * page[2])];
}

// Fills `pixels` (one 32-bit RGBA a voxel) with a slice, rows from the top.
function paintSlice(plane, index, pixels) {
  const { shape } = geometry;
  const strides = [1, shape[0], shape[0] * shape[1]];
  const columns = shape[plane.across];
  const rows = shape[plane.down];
  const codes = scan.codes;
  const grey = looks.grey;
  const offset = scan.layer.bytes === 1 ? 0 : 32768;
  const heat = state.isOverlaid ? currentHeat() : null;
  const stepAcross = strides[plane.across];
  const start = index * strides[plane.normal] + (columns - 1) * stepAcross;
  let at = 0;
  if (!heat) {
    for (let row = rows - 1; row >= 0; row--) {
      let source = start + row * strides[plane.down];
      for (let column = 0; column < columns; column++, source -= stepAcross) {
        pixels[at++] = 0xff000000 | (grey[codes[source] + offset] * 0x010101);
      }
    }
    return;
  }
  const { layer } = heat;
  const maps = axisMaps(layer);
  const heatStrides = [1, layer.shape[0], layer.shape[0] * layer.shape[1]];
  const across = Int32Array.from(maps[plane.across], (place) => place * heatStrides[plane.across]);
  const { keep, red, green, blue } = looks;
  const heatCodes = heat.codes;
  for (let row = rows - 1; row >= 0; row--) {
    let source = start + row * strides[plane.down];
    const heatRow = maps[plane.normal][index] * heatStrides[plane.normal] + maps[plane.down][row] * heatStrides[plane.down];
    for (let column = columns - 1; column >= 0; column--, source -= stepAcross) {
      const value = grey[codes[source] + offset];
      const code = heatCodes[heatRow + across[column]];
      const under = keep[code];
      pixels[at++] = under === 256 ? 0xff000000 | (value * 0x010101)
        : (0xff000000 | ((blue[code] + (value * under >> 8)) << 16) | ((green[code] + (value * under >> 8)) << 8)
          | (red[code] + (value * under >> 8)));
    }
  }
}
