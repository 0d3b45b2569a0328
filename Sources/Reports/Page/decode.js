// Volumes lie in this page as base64 of deflated slices. Each slice holds, voxel by voxel, what the median edge detector
// (the predictor of LOCO-I: left + above - above-left, held between left and above at edges) did not foresee.

// Heat may lie here as the few cells of the network's layer instead, which are interpolated as the heatmap files were.

// These run in a worker where the browser allows one, and use nothing from outside themselves.
function bytesOf(text) {
  let packed;
  if (Uint8Array.fromBase64) {
    packed = Uint8Array.fromBase64(text);
  } else {
    const characters = atob(text);
    packed = new Uint8Array(characters.length);
    for (let i = 0; i < characters.length; i++) packed[i] = characters.charCodeAt(i);
  }
  return packed;
}

async function decodePart(text, part) {
  const packed = bytesOf(text);
  if (part.cells) return expandCells(new Float32Array(packed.buffer), part);
  const bytes = new Uint8Array(part.width * part.height * part.slices * part.bytes);
  const stream = new DecompressionStream("deflate");
  // Failures of the writing end are those of the reading end, too.
  const writer = stream.writable.getWriter();
  writer.write(packed).catch(() => {});
  writer.close().catch(() => {});
  const reader = stream.readable.getReader();
  let filled = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (filled + value.length > bytes.length) throw new Error(`a part of more than ${bytes.length} bytes`);
    bytes.set(value, filled);
    filled += value.length;
  }
  if (filled !== bytes.length) throw new Error(`a part of ${filled} bytes instead of ${bytes.length}`);
  return part.bytes === 1 ? restoreBytes(bytes, part) : restoreShorts(bytes, part);
}

function restoreBytes(codes, part) {
  const { width, height, slices } = part;
  for (let slice = 0; slice < slices; slice++) {
    const start = slice * width * height;
    for (let x = 1; x < width; x++) codes[start + x] += codes[start + x - 1];
    for (let y = 1; y < height; y++) {
      let at = start + y * width;
      let corner = codes[at - width];
      let left = (codes[at] + corner) & 255;
      codes[at] = left;
      for (let end = at + width - 1; at < end;) {
        at++;
        const above = codes[at - width];
        const low = Math.min(left, above), high = Math.max(left, above);
        const guess = Math.max(low, Math.min(high, left + above - corner));
        left = (codes[at] + guess) & 255;
        codes[at] = left;
        corner = above;
      }
    }
  }
  return codes;
}

// Low bytes first, then high bytes; differences are folded (0, -1, 1, -2 … become 0, 1, 2, 3 …).
function restoreShorts(bytes, part) {
  const { width, height, slices } = part;
  const count = width * height * slices;
  const values = new Int16Array(count);
  for (let i = 0; i < count; i++) {
    const folded = bytes[i] | (bytes[count + i] << 8);
    values[i] = (folded >>> 1) ^ -(folded & 1);
  }
  for (let slice = 0; slice < slices; slice++) {
    const start = slice * width * height;
    for (let x = 1; x < width; x++) values[start + x] += values[start + x - 1];
    for (let y = 1; y < height; y++) {
      let at = start + y * width;
      let corner = values[at - width];
      values[at] += corner;
      let left = values[at];
      for (let end = at + width - 1; at < end;) {
        at++;
        const above = values[at - width];
        const low = Math.min(left, above), high = Math.max(left, above);
        const guess = Math.max(low, Math.min(high, left + above - corner));
        values[at] += guess;
        left = values[at];
        corner = above;
      }
    }
  }
  return values;
}

// Trilinear interpolation by world coordinates: the outermost cells' values are held to the edge of what the network saw,
// and outside of that there is none.
function expandCells(values, part) {
  const { width, height, slices, first, zero, step } = part;
  const { shape, seen, toCells, toSeen } = part.cells;
  const codes = new Uint8Array(width * height * slices).fill(zero);
  const at = (matrix, axis, y, z) => matrix[axis][1] * y + matrix[axis][2] * z + matrix[axis][3];
  const hold = (place, axis) => Math.min(Math.max(place, 0), shape[axis] - 1);
  // Along a row often only one of the cells' axes changes: then four lines of cells are blended once for all its voxels.
  const moving = [0, 1, 2].filter((axis) => Math.abs(toCells[axis][0]) * width > 1e-6);
  const along = moving.length === 1 ? moving[0] : -1;
  const [second, third] = [0, 1, 2].filter((axis) => axis !== along);
  const strides = [1, shape[0], shape[0] * shape[1]];
  const line = along >= 0 ? new Float64Array(shape[along]) : null;
  for (let slice = 0; slice < slices; slice++) {
    const z = first + slice;
    for (let y = 0; y < height; y++) {
      let from = 0, to = width - 1;
      for (let axis = 0; axis < 3; axis++) {
        const start = at(toSeen, axis, y, z), slope = toSeen[axis][0];
        const low = -0.500001 - start, high = seen[axis] - 0.499999 - start;
        if (Math.abs(slope) * width < 1e-9) {
          if (low > 0 || high < 0) to = -1;
        } else {
          from = Math.max(from, Math.ceil(slope > 0 ? low / slope : high / slope));
          to = Math.min(to, Math.floor(slope > 0 ? high / slope : low / slope));
        }
      }
      if (from > to) continue;
      const row = (slice * height + y) * width;
      if (along >= 0) {
        const b = hold(at(toCells, second, y, z), second), c = hold(at(toCells, third, y, z), third);
        const b0 = Math.floor(b), c0 = Math.floor(c);
        const b1 = Math.min(b0 + 1, shape[second] - 1), c1 = Math.min(c0 + 1, shape[third] - 1);
        for (let a = 0; a < shape[along]; a++) {
          const base = a * strides[along];
          const cell = (p, q) => values[base + p * strides[second] + q * strides[third]];
          line[a] = (1 - c + c0) * ((1 - b + b0) * cell(b0, c0) + (b - b0) * cell(b1, c0))
            + (c - c0) * ((1 - b + b0) * cell(b0, c1) + (b - b0) * cell(b1, c1));
        }
        // Between two cells the codes run along a straight line.
        const start = at(toCells, along, y, z), slope = toCells[along][0], last = shape[along] - 1;
        for (let x = from; x <= to;) {
          const place = start + slope * x;
          const low = Math.max(-1, Math.min(last, Math.floor(place)));
          // The last voxel before the next cell's centre.
          let end = Math.abs(slope) < 1e-9 ? to : slope > 0 ? Math.ceil((low + 1 - start) / slope) - 1 : Math.floor((low - start) / slope);
          if ((low < 0 && slope < 0) || (low === last && slope > 0)) end = to;
          end = Math.max(x, Math.min(to, end));
          const near = line[Math.max(0, low)] / step;
          const rise = low < 0 || low === last ? 0 : line[low + 1] / step - near;
          let value = near + (place - low) * rise + zero + 0.5;
          const pace = slope * rise;
          for (; x <= end; x++, value += pace) codes[row + x] = value < 0 ? 0 : value > 255 ? 255 : value;
        }
        continue;
      }
      const starts = [0, 1, 2].map((axis) => at(toCells, axis, y, z));
      const [lastX, lastY, lastZ] = shape.map((count) => count - 1);
      for (let x = from; x <= to; x++) {
        const a = Math.min(Math.max(starts[0] + toCells[0][0] * x, 0), lastX);
        const b = Math.min(Math.max(starts[1] + toCells[1][0] * x, 0), lastY);
        const c = Math.min(Math.max(starts[2] + toCells[2][0] * x, 0), lastZ);
        const a0 = a | 0, b0 = b | 0, c0 = c | 0;
        const index = a0 + strides[1] * b0 + strides[2] * c0;
        const nextA = a0 < lastX ? 1 : 0, nextB = b0 < lastY ? strides[1] : 0, nextC = c0 < lastZ ? strides[2] : 0;
        const fa = a - a0, fb = b - b0, fc = c - c0;
        const lineOf = (base) => values[base] + fa * (values[base + nextA] - values[base]);
        const near = lineOf(index) * (1 - fb) + lineOf(index + nextB) * fb;
        const far = lineOf(index + nextC) * (1 - fb) + lineOf(index + nextB + nextC) * fb;
        const value = near * (1 - fc) + far * fc;
        codes[row + x] = Math.max(0, Math.min(255, Math.round(value / step) + zero));
      }
    }
  }
  return codes;
}

const decoder = {
  workers: [],
  waiting: [],

  start() {
    const source = [bytesOf, decodePart, restoreBytes, restoreShorts, expandCells].map(String).join("\n") + `
      onmessage = async ({ data }) => {
        try {
          const values = await decodePart(data.text, data.part);
          postMessage({ values }, [values.buffer]);
        } catch (error) {
          postMessage({ error: String(error) });
        }
      };`;
    try {
      const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      const width = clamp((navigator.hardwareConcurrency || 2), 1, 4);
      for (let i = 0; i < width; i++) this.workers.push({ worker: new Worker(address), job: null });
    } catch {
      this.workers = [];
    }
    for (const place of this.workers) {
      place.worker.onmessage = ({ data }) => {
        const job = place.job;
        place.job = null;
        data.error ? job.reject(new Error(data.error)) : job.resolve(data.values);
        this.next();
      };
      place.worker.onerror = (event) => {
        event.preventDefault();
        // A browser that refuses workers from local files: the page does the work itself.
        const jobs = this.workers.map((other) => other.job).filter(Boolean).concat(this.waiting);
        this.workers = [];
        this.waiting = [];
        for (const job of jobs) decodePart(job.text, job.part).then(job.resolve, job.reject);
      };
    }
  },

  next() {
    for (const place of this.workers) {
      if (place.job || this.waiting.length === 0) continue;
      place.job = this.waiting.shift();
      place.worker.postMessage({ text: place.job.text, part: place.job.part });
    }
  },

  part(text, part) {
    if (this.workers.length === 0) return decodePart(text, part);
    return new Promise((resolve, reject) => {
      this.waiting.push({ text, part, resolve, reject });
      this.next();
    });
  },

  // All voxels of a layer, x fastest, as codes (Uint8Array) or values (Int16Array).
  async layer(layer, progress = () => {}) {
    const [width, height, depth] = layer.shape;
    const result = layer.bytes === 1 ? new Uint8Array(width * height * depth) : new Int16Array(width * height * depth);
    let done = 0;
    if (layer.zero) result.fill(layer.zero);
    await Promise.all(layer.parts.filter(({ isBackground }) => !isBackground).map(async ({ id, first, slices }) => {
      const values = await this.part($(layer.cells ? layer.cells.id : id).textContent,
        { width, height, slices, first, bytes: layer.bytes, cells: layer.cells, zero: layer.zero, step: layer.step });
      result.set(values, first * width * height);
      done += slices;
      progress(done / depth);
    }));
    return result;
  },
};
