// Volumes lie in this page as base64 of deflated slices. Each slice holds, voxel by voxel, what the median edge detector
// (the predictor of LOCO-I: left + above - above-left, held between left and above at edges) did not foresee.

// Runs in a worker where the browser allows one; must not use anything from outside itself but its two helpers.
async function decodePart(text, part) {
  let packed;
  if (Uint8Array.fromBase64) {
    packed = Uint8Array.fromBase64(text);
  } else {
    const characters = atob(text);
    packed = new Uint8Array(characters.length);
    for (let i = 0; i < characters.length; i++) packed[i] = characters.charCodeAt(i);
  }
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = part.width * part.height * part.slices;
  if (bytes.length !== count * part.bytes) throw new Error(`a part of ${bytes.length} bytes instead of ${count * part.bytes}`);
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
        const guess = corner >= (left > above ? left : above) ? (left < above ? left : above)
          : corner <= (left < above ? left : above) ? (left > above ? left : above) : left + above - corner;
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
        const guess = corner >= (left > above ? left : above) ? (left < above ? left : above)
          : corner <= (left < above ? left : above) ? (left > above ? left : above) : left + above - corner;
        values[at] += guess;
        left = values[at];
        corner = above;
      }
    }
  }
  return values;
}

const decoder = {
  workers: [],
  waiting: [],

  start() {
    const source = [decodePart, restoreBytes, restoreShorts].map(String).join("\n") + `
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
    await Promise.all(layer.parts.map(async ({ id, first, slices }) => {
      const values = await this.part($(id).textContent, { width, height, slices, bytes: layer.bytes });
      result.set(values, first * width * height);
      done += slices;
      progress(done / depth);
    }));
    return result;
  },
};
