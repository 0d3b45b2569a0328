// Colour and density of tissue by scan value. CT has its own; other images are shown from dark to bright.
const tissues = {
  bone: [[130, [0.62, 0.30, 0.20], 0], [220, [0.86, 0.62, 0.42], 0.12], [400, [0.98, 0.92, 0.80], 0.8], [1500, [1, 1, 0.97], 1]],
  soft: [
    [-300, [0.85, 0.55, 0.42], 0], [-120, [0.90, 0.70, 0.50], 0.02], [-40, [0.86, 0.52, 0.40], 0.03], [30, [0.75, 0.30, 0.26], 0.07],
    [110, [0.82, 0.30, 0.24], 0.16], [220, [0.92, 0.62, 0.44], 0.3], [400, [0.99, 0.94, 0.84], 0.8], [1500, [1, 1, 0.97], 1],
  ],
  lung: [
    [-980, [0.3, 0.5, 0.8], 0], [-900, [0.35, 0.6, 0.9], 0.012], [-700, [0.5, 0.75, 0.95], 0.03], [-480, [0.8, 0.7, 0.7], 0.02],
    [-350, [0.9, 0.6, 0.5], 0.004], [-50, [0.9, 0.5, 0.45], 0.002], [60, [0.9, 0.45, 0.4], 0.02], [400, [0.99, 0.94, 0.84], 0.25],
    [1500, [1, 1, 0.97], 0.4],
  ],
};
const plainTissue = [[0.12, [0.4, 0.45, 0.55], 0], [0.35, [0.6, 0.6, 0.62], 0.05], [0.7, [0.9, 0.88, 0.84], 0.35], [1, [1, 1, 1], 1]];

const space = {
  mode: manifest.isCT ? "bone" : "soft",
  yaw: 0.45, pitch: 0.18, zoom: 1, pan: [0, 0],
  clip: { axis: "none", place: 0.5, isFlipped: false, follows: false, hasFace: true },
  lookup: { tissue: null, colours: null },
  quality: 1,
  low: 0, high: 1,

  build() {
    this.picture = make("canvas", { class: "picture", role: "img" });
    this.marks = make("canvas", { class: "marks", "aria-hidden": "true" });
    this.stage = make("div", { class: "stage", "data-tool": "turn" }, this.picture, this.marks);
    this.caption = make("strong");
    this.choice = make("select", { onchange: () => { this.mode = this.choice.value; this.lookup.tissue = null; this.request(); } });
    this.expand = make("button", { type: "button", onclick: () => expandView(this.element) }, "⤢");
    this.front = make("button", { type: "button", onclick: () => this.face(0, 0) }, "A");
    this.side = make("button", { type: "button", onclick: () => this.face(Math.PI / 2, 0) }, "L");
    this.above = make("button", { type: "button", onclick: () => this.face(0, Math.PI / 2 - 0.001) }, "S");
    this.element = make("section", { class: "view", id: "view-space", tabindex: "0", role: "group" },
      this.stage, make("div", { class: "bar" }, this.caption, this.choice, this.front, this.side, this.above,
        make("span", { style: "flex:1" }), this.expand));
    this.stage.addEventListener("pointerdown", (event) => this.press(event));
    this.stage.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) this.stage.addEventListener(name, () => this.release());
    this.stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 500));
    }, { passive: false });
    this.stage.addEventListener("contextmenu", (event) => event.preventDefault());
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.element.dataset.state = "waiting";
    new ResizeObserver(() => this.request()).observe(this.stage);
  },

  label() {
    this.caption.textContent = "3D";
    this.element.setAttribute("aria-label", word("spaceLabel"));
    this.picture.setAttribute("aria-label", word("spaceLabel"));
    this.choice.setAttribute("aria-label", word("rendering"));
    const modes = manifest.isCT ? ["bone", "soft", "lung", "mip"] : ["soft", "mip"];
    this.choice.replaceChildren(...modes.map((mode) => make("option", { value: mode }, word("mode-" + mode))));
    this.choice.value = this.mode;
    this.expand.setAttribute("aria-label", word("expand"));
    for (const [button, key] of [[this.front, "fromFront"], [this.side, "fromLeft"], [this.above, "fromAbove"]]) {
      button.setAttribute("aria-label", word(key));
      button.title = word(key);
    }
  },

  fail(key, detail = "") {
    this.element.dataset.state = "unavailable";
    this.stage.append(make("p", { class: "message" }, `${word(key)} ${detail}`));
  },

  // Compiles the shaders and brings the scan, at a size the machine can turn, to the graphics memory.
  async start() {
    const gl = this.picture.getContext("webgl2", { antialias: false, alpha: false, preserveDrawingBuffer: true, powerPreference: "high-performance" });
    if (!gl) return this.fail("noWebGL");
    this.gl = gl;
    const info = gl.getExtension("WEBGL_debug_renderer_info");
    const renderer = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
    this.isSoftware = /swiftshader|llvmpipe|software|basic render/i.test(renderer);
    this.picture.addEventListener("webglcontextlost", (event) => { event.preventDefault(); this.gl = null; this.element.dataset.state = "lost"; });
    this.picture.addEventListener("webglcontextrestored", () => this.start());
    const program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, vertexShader], [gl.FRAGMENT_SHADER, fragmentShader]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) return this.fail("noWebGL", gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return this.fail("noWebGL", gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.place = (name) => gl.getUniformLocation(program, name);
    this.quality = this.isSoftware ? 0.5 : 1;
    const most = Math.min(this.isSoftware ? 144 : 256, gl.getParameter(gl.MAX_3D_TEXTURE_SIZE));
    this.factors = geometry.shape.map((count) => Math.ceil(count / most));
    this.shape = geometry.shape.map((count, axis) => Math.ceil(count / this.factors[axis]));
    const lengths = geometry.shape.map((count, axis) => count * geometry.spacing[axis]);
    const longest = Math.max(...lengths);
    this.size = lengths.map((length) => length / longest);
    const range = manifest.isCT ? [-1024, 1500] : manifest.range;
    [this.low, this.high] = range;
    this.texels = new Uint8Array(2 * this.shape[0] * this.shape[1] * this.shape[2]);
    await this.fillScan();
    await this.fillHeat();
    this.element.dataset.state = "ready";
    this.request();
  },

  // Means over blocks, sampled at most twice along each axis; leaves the page free to answer in between.
  async fillScan() {
    const offset = scan.layer.bytes === 1 ? 0 : 32768;
    const table = new Uint8Array(scan.layer.bytes === 1 ? 256 : 65536);
    for (let i = 0; i < table.length; i++) table[i] = clamp((scanValue(i - offset) - this.low) / (this.high - this.low), 0, 1) * 255 + 0.5;
    await this.fill(0, geometry.shape, scan.codes, (code) => table[code + offset], (sum, count) => sum / count + 0.5);
  },

  async fillHeat() {
    const heat = currentHeat();
    this.heat = heat;
    if (!heat) return;
    const maps = axisMaps(heat.layer);
    const [width, height] = heat.layer.shape;
    const zero = heat.layer.zero;
    // The strongest voxel of each block, so that small spots do not vanish.
    await this.fill(1, geometry.shape, null, null, null, (x, y, z) => {
      const code = heat.codes[maps[0][x] + width * (maps[1][y] + height * maps[2][z])];
      return code;
    }, zero);
    const gl = this.gl;
    if (!gl) return;
    gl.activeTexture(gl.TEXTURE0);
    if (!this.texture) this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_3D, this.texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, name, gl.LINEAR);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) gl.texParameteri(gl.TEXTURE_3D, name, gl.CLAMP_TO_EDGE);
    gl.texImage3D(gl.TEXTURE_3D, 0, gl.RG8, ...this.shape, 0, gl.RG, gl.UNSIGNED_BYTE, this.texels);
  },

  async fill(channel, shape, codes, value, finish, sample, zero) {
    const [width, height] = shape;
    const steps = this.factors.map((factor) => Math.max(1, Math.ceil(factor / 2)));
    let at = channel;
    let since = performance.now();
    for (let z = 0; z < this.shape[2]; z++) {
      const z0 = z * this.factors[2], z1 = Math.min(shape[2], z0 + this.factors[2]);
      for (let y = 0; y < this.shape[1]; y++) {
        const y0 = y * this.factors[1], y1 = Math.min(shape[1], y0 + this.factors[1]);
        for (let x = 0; x < this.shape[0]; x++, at += 2) {
          const x0 = x * this.factors[0], x1 = Math.min(shape[0], x0 + this.factors[0]);
          let sum = 0, count = 0, strongest = zero;
          for (let c = z0; c < z1; c += steps[2]) {
            for (let b = y0; b < y1; b += steps[1]) {
              for (let a = x0; a < x1; a += steps[0]) {
                if (codes) {
                  sum += value(codes[a + width * (b + height * c)]);
                  count++;
                } else {
                  const code = sample(a, b, c);
                  if (Math.abs(code - zero) > Math.abs(strongest - zero)) strongest = code;
                }
              }
            }
          }
          this.texels[at] = codes ? finish(sum, count) : strongest;
        }
      }
      if (performance.now() - since > 12) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        since = performance.now();
      }
    }
  },

  async heatChanged() {
    if (!this.gl || this.element.dataset.state !== "ready") return;
    await this.fillHeat();
    this.request();
  },

  table(unit, colours) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0 + unit);
    const name = unit === 1 ? "tissueTexture" : "coloursTexture";
    if (!this[name]) this[name] = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this[name]);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, colours);
  },

  updateTables() {
    if (this.lookup.tissue !== this.mode) {
      this.lookup.tissue = this.mode;
      const points = manifest.isCT ? tissues[this.mode] || tissues.soft
        : plainTissue.map(([place, colour, density]) => [this.low + place * (this.high - this.low), colour, density]);
      const table = new Uint8Array(1024);
      for (let i = 0; i < 256; i++) {
        const value = this.low + (i / 255) * (this.high - this.low);
        let next = points.findIndex(([place]) => place > value);
        if (next < 0) next = points.length;
        const from = points[Math.max(0, next - 1)], to = points[Math.min(points.length - 1, next)];
        const share = to[0] > from[0] ? clamp((value - from[0]) / (to[0] - from[0]), 0, 1) : 0;
        for (let channel = 0; channel < 3; channel++) table[4 * i + channel] = 255 * (from[1][channel] + share * (to[1][channel] - from[1][channel]));
        table[4 * i + 3] = next === 0 ? 0 : 255 * (from[2] + share * (to[2] - from[2])) + 0.5;
      }
      this.table(1, table);
    }
    if (this.lookup.colours !== state.map) {
      this.lookup.colours = state.map;
      const table = new Uint8Array(1024);
      for (let i = 0; i < 256; i++) table.set([...colourAt(currentMap(), i / 255), 255], 4 * i);
      this.table(2, table);
    }
  },

  axes() {
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    // From the front: across runs to the patient's Left, up to Superior, the viewer stands Anterior.
    const toward = [-sy * cp, cy * cp, sp];
    const across = [-cy, -sy, 0];
    const up = [sy * sp, -cy * sp, cp];
    return { across, up, toward };
  },

  request(isMoving = false) {
    if (this.element.dataset.state !== "ready" || document.visibilityState === "hidden") return;
    this.isMoving = isMoving;
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
    clearTimeout(this.settle);
    if (isMoving) this.settle = setTimeout(() => this.request(false), 220);
  },

  clipPlane() {
    const { axis, place, isFlipped, follows } = this.clip;
    if (axis === "none") return [0, 0, 0, 0];
    const normal = planes[axis].normal;
    const share = follows ? (state.cursor[normal] + 0.5) / geometry.shape[normal] : place;
    const plane = [0, 0, 0, (share - 0.5) * this.size[normal] * (isFlipped ? -1 : 1)];
    plane[normal] = isFlipped ? -1 : 1;
    return plane;
  },

  draw() {
    const gl = this.gl;
    if (!gl || this.stage.clientWidth < 2) return;
    if (this.isBusy) return void (this.isWaiting = true);
    const began = performance.now();
    this.updateTables();
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const quality = this.isMoving ? this.quality : Math.max(this.quality, this.isSoftware ? 0.75 : 1);
    const width = Math.max(1, Math.round(this.stage.clientWidth * ratio * quality));
    const height = Math.max(1, Math.round(this.stage.clientHeight * ratio * quality));
    if (this.picture.width !== width || this.picture.height !== height) {
      this.picture.width = width;
      this.picture.height = height;
    }
    gl.viewport(0, 0, width, height);
    const { across, up, toward } = this.axes();
    const reach = 0.42 * Math.hypot(...this.size) / this.zoom;
    const extent = width < height ? [reach, reach * height / width] : [reach * width / height, reach];
    this.extent = extent;
    const heat = state.isOverlaid ? this.heat : null;
    const top = heat ? scaleTop(heat) : 0;
    const window_ = [(state.window.level - state.window.width / 2 - this.low) / (this.high - this.low), (this.high - this.low) / state.window.width];
    const fine = Math.max(...this.shape);
    gl.uniform1i(this.place("volume"), 0);
    gl.uniform1i(this.place("tissue"), 1);
    gl.uniform1i(this.place("colours"), 2);
    gl.uniformMatrix3fv(this.place("turn"), false, [...across, ...up, ...toward]);
    gl.uniform3fv(this.place("size"), this.size);
    gl.uniform2fv(this.place("extent"), extent);
    gl.uniform4fv(this.place("clip"), this.clipPlane());
    gl.uniform1f(this.place("stride_"), (this.isMoving && this.isSoftware ? 1.5 : 0.8) / fine);
    gl.uniform3fv(this.place("texel"), this.shape.map((count) => 1 / count));
    gl.uniform1i(this.place("isProjection"), this.mode === "mip" ? 1 : 0);
    gl.uniform2fv(this.place("greys"), this.mode === "mip" && manifest.isCT && state.window.level < -100
      ? [(-100 - this.low) / (this.high - this.low), (this.high - this.low) / 900] : window_);
    gl.uniform1f(this.place("air"), manifest.isCT ? (-600 - this.low) / (this.high - this.low) : 0.05);
    gl.uniform1i(this.place("hasFace"), this.clip.hasFace ? 1 : 0);
    gl.uniform4fv(this.place("heat"), heat && top > 0
      ? [heat.layer.zero / 255, 255 * heat.layer.step / top, state.threshold, state.opacity] : [0, 0, 0, 0]);
    gl.uniform1i(this.place("isSigned"), state.isSigned ? 1 : 0);
    gl.uniform1f(this.place("exponent"), state.exponent);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    this.isBusy = true;
    const wasMoving = this.isMoving;
    // The time until the picture is there says how fine the next one may be while turning; no picture starts before that.
    const look = () => {
      if (this.gl && !gl.isContextLost() && gl.getSyncParameter(fence, gl.SYNC_STATUS) !== gl.SIGNALED) return void setTimeout(look, 4);
      gl.deleteSync(fence);
      const took = performance.now() - began;
      if (wasMoving) this.quality = clamp(this.quality * Math.sqrt(55 / Math.max(10, took)), 0.22, 1);
      this.isBusy = false;
      this.drawn = (this.drawn || 0) + 1;
      this.element.dataset.drawn = String(this.drawn);
      if (this.isWaiting) { this.isWaiting = false; this.request(this.isMoving); }
    };
    setTimeout(look, 4);
    this.drawMarks(ratio);
  },

  // Where a point (volume axes, longest side 1, middle 0) appears, in device pixels.
  project(point, width, height) {
    const { across, up } = this.axes();
    const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    return [width / 2 * (1 + dot(across, point) / this.extent[0]), height / 2 * (1 - dot(up, point) / this.extent[1])];
  },

  drawMarks(ratio) {
    const width = Math.round(this.stage.clientWidth * ratio);
    const height = Math.round(this.stage.clientHeight * ratio);
    if (this.marks.width !== width || this.marks.height !== height) { this.marks.width = width; this.marks.height = height; }
    const context = this.marks.getContext("2d");
    context.clearRect(0, 0, width, height);
    // The box's edges, faint.
    context.strokeStyle = "rgba(160, 180, 200, .28)";
    context.lineWidth = ratio;
    context.beginPath();
    for (let axis = 0; axis < 3; axis++) {
      const [b, c] = [(axis + 1) % 3, (axis + 2) % 3];
      for (const [sb, sc] of [[-1, -1], [-1, 1], [1, -1], [1, 1]]) {
        const from = [0, 0, 0];
        from[b] = sb * this.size[b] / 2;
        from[c] = sc * this.size[c] / 2;
        const to = [...from];
        from[axis] = -this.size[axis] / 2;
        to[axis] = this.size[axis] / 2;
        context.moveTo(...this.project(from, width, height));
        context.lineTo(...this.project(to, width, height));
      }
    }
    context.stroke();
    if (geometry.isAnatomical) {
      const letters = [["L", "R"], ["P", "A"], ["I", "S"]];
      for (let axis = 0; axis < 3; axis++) {
        for (const side of [0, 1]) {
          const point = [0, 0, 0];
          point[axis] = (side ? 1 : -1) * (this.size[axis] / 2 + 0.05);
          const [x, y] = this.project(point, width, height);
          SliceView.prototype.text.call(this, context, { ratio }, letters[axis][side], clamp(x, 10, width - 10), clamp(y, 10, height - 10));
        }
      }
    }
    if (state.hasCross) {
      const at = state.cursor.map((index, axis) => ((index + 0.5) / geometry.shape[axis] - 0.5) * this.size[axis]);
      const [x, y] = this.project(at, width, height);
      context.strokeStyle = "rgba(108, 200, 255, .95)";
      context.lineWidth = 1.5 * ratio;
      context.beginPath();
      context.arc(x, y, 6 * ratio, 0, 2 * Math.PI);
      context.stroke();
    }
  },

  cursorMoved() {
    if (!this.extent) return;
    if (this.clip.follows && this.clip.axis !== "none") this.request(true);
    else this.drawMarks(Math.min(window.devicePixelRatio || 1, 2));
  },

  face(yaw, pitch) {
    this.yaw = yaw;
    this.pitch = pitch;
    this.request();
  },

  zoomBy(factor) {
    this.zoom = clamp(this.zoom * factor, 0.5, 8);
    this.request(true);
  },

  reset() {
    this.zoom = 1;
    this.face(0.45, 0.18);
  },

  press(event) {
    this.element.focus({ preventScroll: true });
    this.drag = { x: event.clientX, y: event.clientY, isZoom: event.button === 2 || event.ctrlKey };
    this.stage.setPointerCapture(event.pointerId);
    event.preventDefault();
  },

  move(event) {
    if (!this.drag) return;
    const dx = event.clientX - this.drag.x;
    const dy = event.clientY - this.drag.y;
    this.drag.x = event.clientX;
    this.drag.y = event.clientY;
    if (this.drag.isZoom) return this.zoomBy(Math.exp(-dy / 150));
    // The side that faces the viewer follows the pointer.
    this.turn(-dx / 140, dy / 140);
  },

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = clamp(this.pitch + pitch, -Math.PI / 2 + 0.001, Math.PI / 2 - 0.001);
    this.request(true);
  },

  release() {
    if (!this.drag) return;
    this.drag = null;
    this.request(false);
  },

  key(event) {
    const moves = {
      ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1],
    };
    if (event.target !== this.element || event.altKey || event.metaKey) return;
    if (moves[event.key]) this.turn(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.15);
    else if (event.key === "-") this.zoomBy(1 / 1.15);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
    event.stopPropagation();
  },
};
