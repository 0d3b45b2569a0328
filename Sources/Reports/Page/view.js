// One of the linked slice views: a picture, marks over it, and a slider under it.
class SliceView {
  constructor(name) {
    this.name = name;
    this.plane = planes[name];
    this.zoom = 1;
    this.pan = [0, 0];
    this.dirty = { picture: true, marks: true };
    this.columns = geometry.shape[this.plane.across];
    this.rows = geometry.shape[this.plane.down];
    this.count = geometry.shape[this.plane.normal];
    this.slice = make("canvas");
    this.slice.width = this.columns;
    this.slice.height = this.rows;
    this.sliceContext = this.slice.getContext("2d", { alpha: false });
    this.image = this.sliceContext.createImageData(this.columns, this.rows);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.build();
  }

  get index() { return state.cursor[this.plane.normal]; }

  build() {
    this.picture = make("canvas", { class: "picture", role: "img" });
    this.marks = make("canvas", { class: "marks", "aria-hidden": "true" });
    this.stage = make("div", { class: "stage" }, this.picture, this.marks);
    this.caption = make("strong");
    this.slider = make("input", { type: "range", min: "1", max: String(this.count), step: "1" });
    this.output = make("output");
    this.expand = make("button", { type: "button" }, "⤢");
    this.element = make("section", { class: "view", id: "view-" + this.name, tabindex: "0", role: "group" },
      this.stage, make("div", { class: "bar" }, this.caption, this.slider, this.output, this.expand));
    this.slider.addEventListener("input", () => moveSlice(this, Number(this.slider.value) - 1 - this.index));
    this.expand.addEventListener("click", () => expandView(this.element));
    this.element.addEventListener("keydown", (event) => sliceKeys(this, event));
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.stage.addEventListener("pointerdown", (event) => this.press(event));
    this.stage.addEventListener("pointermove", (event) => this.move(event));
    this.stage.addEventListener("pointerup", (event) => this.release(event));
    this.stage.addEventListener("pointercancel", (event) => this.release(event));
    this.stage.addEventListener("pointerleave", () => { pointed = null; showReadout(); });
    this.stage.addEventListener("contextmenu", (event) => event.preventDefault());
    new ResizeObserver(() => { this.dirty.frame = this.dirty.marks = true; schedule(); }).observe(this.stage);
  }

  label() {
    this.caption.textContent = word(this.name);
    this.element.setAttribute("aria-label", word("viewLabel", { plane: word(this.name) }));
    this.slider.setAttribute("aria-label", word("sliceOf", { plane: word(this.name) }));
    this.expand.setAttribute("aria-label", word("expand"));
    this.expand.title = `${word("expand")} (F)`;
    this.dirty.marks = true;
  }

  // Where slice pixels lie on the stage, in device pixels.
  layout() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(this.stage.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.stage.clientHeight * ratio));
    const sizeX = geometry.spacing[this.plane.across];
    const sizeY = geometry.spacing[this.plane.down];
    const scale = this.zoom * Math.min(width / (this.columns * sizeX), height / (this.rows * sizeY));
    const stepX = scale * sizeX;
    const stepY = scale * sizeY;
    return {
      ratio, width, height, scale, stepX, stepY,
      left: (width - this.columns * stepX) / 2 + this.pan[0] * ratio,
      top: (height - this.rows * stepY) / 2 + this.pan[1] * ratio,
    };
  }

  draw() {
    const at = this.layout();
    if (this.picture.width !== at.width || this.picture.height !== at.height) {
      for (const canvas of [this.picture, this.marks]) { canvas.width = at.width; canvas.height = at.height; }
      this.dirty.frame = this.dirty.marks = true;
    }
    if (this.dirty.picture) {
      paintSlice(this.plane, this.index, this.pixels);
      this.sliceContext.putImageData(this.image, 0, 0);
      this.dirty.frame = true;
    }
    if (this.dirty.frame) {
      const context = this.picture.getContext("2d", { alpha: false });
      context.fillStyle = "#000";
      context.fillRect(0, 0, at.width, at.height);
      context.imageSmoothingEnabled = state.isSmooth;
      context.drawImage(this.slice, at.left, at.top, this.columns * at.stepX, this.rows * at.stepY);
    }
    if (this.dirty.picture || this.dirty.marks || this.dirty.frame) this.drawMarks(at);
    this.dirty = {};
    if (this.slider.value !== String(this.index + 1)) this.slider.value = String(this.index + 1);
    const text = `${this.index + 1} / ${this.count}`;
    if (this.output.textContent !== text) {
      this.output.textContent = text;
      this.slider.setAttribute("aria-valuetext", text);
      this.picture.setAttribute("aria-label", `${word(this.name)} ${text}`);
    }
  }

  drawMarks(at) {
    const context = this.marks.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, at.width, at.height);
    context.setTransform(at.stepX, 0, 0, at.stepY, at.left + at.stepX / 2, at.top + at.stepY / 2);
    const stroke = (path, colour, width, dash = []) => {
      context.save();
      const lines = new Path2D();
      lines.addPath(path, context.getTransform());
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.setLineDash(dash);
      context.lineJoin = "round";
      context.strokeStyle = colour;
      context.lineWidth = width * at.ratio;
      context.stroke(lines);
      context.restore();
    };
    if (state.hasContours) for (const { path, colour } of heatContours(this)) stroke(path, colour, 1.6);
    if (state.hasOutline && mask) {
      const outline = maskOutline(this);
      if (outline) stroke(outline, "#39ff14", 1.5);
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (state.hasCross) this.drawCross(context, at);
    this.drawLetters(context, at);
    this.drawScaleBar(context, at);
  }

  drawCross(context, at) {
    const x = at.left + (this.columns - 0.5 - state.cursor[this.plane.across]) * at.stepX;
    const y = at.top + (this.rows - 0.5 - state.cursor[this.plane.down]) * at.stepY;
    const gap = 9 * at.ratio;
    context.lineWidth = at.ratio;
    context.strokeStyle = "rgba(108, 200, 255, .8)";
    context.beginPath();
    for (const [x0, y0, x1, y1] of [[0, y, x - gap, y], [x + gap, y, at.width, y], [x, 0, x, y - gap], [x, y + gap, x, at.height]]) {
      if (x1 < x0 || y1 < y0) continue;
      context.moveTo(Math.round(x0) + 0.5, Math.round(y0) + 0.5);
      context.lineTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
    }
    context.stroke();
  }

  text(context, at, text, x, y, align = "center") {
    context.font = `600 ${13 * at.ratio}px system-ui, sans-serif`;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 3 * at.ratio;
    context.strokeStyle = "rgba(0, 0, 0, .85)";
    context.strokeText(text, x, y);
    context.fillStyle = "#ffe08a";
    context.fillText(text, x, y);
  }

  drawLetters(context, at) {
    if (!geometry.isAnatomical) return;
    const [left, right, top, bottom] = this.plane.letters;
    const inset = 12 * at.ratio;
    this.text(context, at, left, inset, at.height / 2);
    this.text(context, at, right, at.width - inset, at.height / 2);
    this.text(context, at, top, at.width / 2, inset);
    this.text(context, at, bottom, at.width / 2, at.height - inset);
  }

  // A bar of a round length, at most a third of the stage.
  drawScaleBar(context, at) {
    if (!geometry.isAnatomical) return;
    const most = at.width / 3 / at.scale;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((digit) => digit * power).find((candidate) => candidate <= most);
    const width = length * at.scale;
    const x = at.width - 12 * at.ratio - width;
    const y = at.height - 12 * at.ratio;
    context.lineWidth = 3 * at.ratio;
    context.strokeStyle = "rgba(0, 0, 0, .85)";
    context.strokeRect(x, y, width, 0.5);
    context.lineWidth = 1.5 * at.ratio;
    context.strokeStyle = "#ffe08a";
    context.strokeRect(x, y, width, 0.5);
    this.text(context, at, `${number(length)} mm`, x + width, y - 11 * at.ratio, "right");
  }

  // The page voxel under an event, or null beside the slice.
  voxelAt(event) {
    const at = this.layout();
    const box = this.stage.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) * at.ratio - at.left) / at.stepX);
    const row = Math.floor(((event.clientY - box.top) * at.ratio - at.top) / at.stepY);
    const isInside = column >= 0 && column < this.columns && row >= 0 && row < this.rows;
    const page = [...state.cursor];
    page[this.plane.across] = clamp(this.columns - 1 - column, 0, this.columns - 1);
    page[this.plane.down] = clamp(this.rows - 1 - row, 0, this.rows - 1);
    return { page, isInside };
  }

  wheel(event) {
    event.preventDefault();
    const amount = event.deltaMode === 1 ? event.deltaY * 40 : event.deltaY;
    if (event.ctrlKey) return this.zoomBy(Math.exp(-amount / 300), event);
    this.rolled = (this.rolled || 0) + amount;
    // A mouse wheel's notch is one slice, a touchpad's many small steps add up.
    const notch = Math.abs(amount) >= 60 ? Math.abs(amount) : 40;
    const steps = Math.trunc(this.rolled / notch);
    if (steps === 0) return;
    this.rolled = 0;
    moveSlice(this, -steps);
    this.point(event);
  }

  zoomBy(factor, event) {
    const before = this.zoom;
    this.zoom = clamp(this.zoom * factor, 0.5, 24);
    if (event) {
      // What is under the pointer stays there.
      const box = this.stage.getBoundingClientRect();
      const from = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
      this.pan = this.pan.map((offset, axis) => from[axis] - (from[axis] - offset) * (this.zoom / before));
    } else {
      this.pan = this.pan.map((offset) => offset * (this.zoom / before));
    }
    if (this.zoom === 0.5 || this.zoom === 24) this.pan = this.zoom === 0.5 ? [0, 0] : this.pan;
    this.dirty.frame = this.dirty.marks = true;
    schedule();
  }

  reset() {
    this.zoom = 1;
    this.pan = [0, 0];
    this.dirty.frame = this.dirty.marks = true;
  }

  press(event) {
    this.element.focus({ preventScroll: true });
    const tool = event.button === 2 ? "window" : event.button === 1 || event.shiftKey ? "pan" : event.ctrlKey ? "zoom" : state.tool;
    this.drag = { tool, x: event.clientX, y: event.clientY };
    this.stage.setPointerCapture(event.pointerId);
    event.preventDefault();
    if (tool === "cross") setCursor(this.voxelAt(event).page);
  }

  move(event) {
    this.point(event);
    if (!this.drag) return;
    const dx = event.clientX - this.drag.x;
    const dy = event.clientY - this.drag.y;
    this.drag.x = event.clientX;
    this.drag.y = event.clientY;
    switch (this.drag.tool) {
      case "cross": setCursor(this.voxelAt(event).page); break;
      case "window": {
        // A stage's height is about the window's width: fine where the window is narrow.
        const pace = Math.max(state.window.width, manifest.windowRange / 200) / 300;
        setWindow(state.window.level + dy * pace, state.window.width + dx * pace * 1.5);
        break;
      }
      case "pan":
        this.pan = [this.pan[0] + dx, this.pan[1] + dy];
        this.dirty.frame = this.dirty.marks = true;
        schedule();
        break;
      case "zoom": this.zoomBy(Math.exp(-dy / 150)); break;
    }
  }

  release() { this.drag = null; }

  point(event) {
    const { page, isInside } = this.voxelAt(event);
    pointed = isInside ? page : null;
    showReadout();
  }
}
