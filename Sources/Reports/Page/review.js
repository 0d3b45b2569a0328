// The page of one scan: what the controls do, and how the views follow.
let pointed = null;
let hasOutdatedFrame = false;
const views = {};
let activeView = null;

function schedule() {
  if (hasOutdatedFrame) return;
  hasOutdatedFrame = true;
  requestAnimationFrame(() => {
    hasOutdatedFrame = false;
    if (!scan.codes) return;
    for (const view of Object.values(views)) {
      if (view.dirty.picture || view.dirty.frame || view.dirty.marks) view.draw();
    }
  });
}

function redraw(...parts) {
  for (const view of Object.values(views)) for (const part of parts) view.dirty[part] = true;
  schedule();
}

function setCursor(page) {
  const next = page.map((index, axis) => clamp(Math.round(index), 0, geometry.shape[axis] - 1));
  for (const view of Object.values(views)) {
    if (next[view.plane.normal] !== state.cursor[view.plane.normal]) view.dirty.picture = true;
    view.dirty.marks = true;
  }
  state.cursor = next;
  schedule();
  showReadout();
  space.cursorMoved();
}

function moveSlice(view, steps) {
  const page = [...state.cursor];
  page[view.plane.normal] += steps;
  setCursor(page);
}

function setWindow(level, width) {
  state.window.width = clamp(width, manifest.windowRange / 1000, manifest.windowRange * 1.5);
  state.window.level = clamp(level, manifest.range[0] - manifest.windowRange / 2, manifest.range[1] + manifest.windowRange / 2);
  looks.updateGrey();
  redraw("picture");
  space.request(true);
  showWindow();
}

function heatChanged(...parts) {
  looks.updateHeat();
  redraw("picture", ...parts);
  space.request();
  showScale();
  showReadout();
}

async function selectHeat(index) {
  if (index < 0 || index >= heats.length) return;
  const heat = heats[index];
  state.heat = index;
  showHeat();
  if (!heat.codes) {
    heat.loading ||= decoder.layer(heat.layer);
    const codes = await heat.loading;
    // The last few stay at hand, so that switching to and fro is quick without keeping them all.
    heat.codes = codes;
    heat.loading = null;
    const limit = Math.max(2, Math.floor(300e6 / codes.length));
    recent = [heat, ...recent.filter((other) => other !== heat)];
    for (const old of recent.splice(limit)) old.codes = null;
  }
  if (state.heat !== index) return;
  heatChanged("marks");
  document.documentElement.dataset.heat = heat.id;
  await space.heatChanged();
}
let recent = [];

// Methods and targets form a table that may have holes: the other choice gives way.
function chooseHeat(method, target) {
  const exact = heats.findIndex((heat) => heat.method === method && heat.target === target);
  return exact >= 0 ? exact : null;
}

const distinct = (values) => [...new Set(values)];

function nextMethod() {
  const all = distinct(heats.map(({ method }) => method));
  if (all.length === 0) return;
  const { method, target } = heats[state.heat];
  const next = all[(all.indexOf(method) + 1) % all.length];
  selectHeat(chooseHeat(next, target) ?? heats.findIndex((heat) => heat.method === next));
}

function nextTarget() {
  const all = distinct(heats.map(({ target }) => target));
  if (all.length === 0) return;
  const { method, target } = heats[state.heat];
  const next = all[(all.indexOf(target) + 1) % all.length];
  selectHeat(chooseHeat(method, next) ?? heats.findIndex((heat) => heat.target === next));
}

function jumpToHottest() {
  const heat = heats[state.heat];
  if (heat?.peak) setCursor(geometry.pageVoxel(heat.peak.voxel));
}

function toggle(name, ...parts) {
  state[name] = !state[name];
  showChecks();
  if (name === "isSigned") {
    const isFitting = ({ isDiverging }) => isDiverging === state.isSigned;
    if (!isFitting(currentMap())) state.map = (colourMaps.find(isFitting) || currentMap()).name;
    showMaps();
  }
  heatChanged(...parts, "frame");
  space.cursorMoved();
}

function expandView(element) {
  const area = $("views");
  const isAlone = element.classList.contains("only");
  for (const other of area.children) other.classList.remove("only");
  delete area.dataset.only;
  if (!isAlone) {
    element.classList.add("only");
    area.dataset.only = element.id;
  }
  element.focus({ preventScroll: true });
}

// ---- The panel -------------------------------------------------------------------------------------------------------

const controls = {};

function slider(key, label, [low, high, step], read, write, format) {
  const output = make("output");
  const input = make("input", { type: "range", id: "c-" + key, min: String(low), max: String(high), step: String(step) });
  input.addEventListener("input", () => { write(Number(input.value)); show(); });
  const show = () => {
    input.value = String(read());
    output.textContent = format(read());
    input.setAttribute("aria-valuetext", output.textContent);
  };
  controls[key] = show;
  return make("div", { class: "row control" }, make("label", { for: "c-" + key }, word(label)), input, output);
}

function check(name, label, keys, parts) {
  const input = make("input", { type: "checkbox", id: "c-" + name, onchange: () => toggle(name, ...parts) });
  controls[name] = () => { input.checked = state[name]; };
  return make("label", { title: keys ? `${word(label)} (${keys})` : false }, input, make("span", {}, word(label)));
}

const percent = (value) => `${Math.round(value * 100)} %`;

function section(key, ...children) {
  return make("section", { "aria-label": word(key), id: "s-" + key }, make("h2", {}, word(key)), ...children);
}

function answerSection() {
  const { answer } = manifest;
  if (!answer) return null;
  const has = (key) => answer.rows.some((row) => typeof row[key] === "number");
  const hasShares = has("probability");
  const body = make("tbody");
  for (const row of answer.rows) {
    const cell = make("td", {}, row.label);
    if (typeof row.probability === "number") {
      const share = make("div", { class: "share" });
      share.style.width = `${100 * clamp(row.probability, 0, 1)}%`;
      cell.append(share);
    }
    body.append(make("tr", { class: row.isExplained ? "explained" : "" }, cell,
      hasShares ? make("td", { class: "number" }, typeof row.probability === "number" ? fixed(row.probability, 4) : "–") : null,
      has("logit") ? make("td", { class: "number" }, number(row.logit, 5)) : null,
      has("voxels") ? make("td", { class: "number" }, typeof row.voxels === "number" ? String(row.voxels) : "–") : null));
  }
  const heads = make("tr", {}, make("th", { scope: "col" }, word("class")),
    hasShares ? make("th", { scope: "col", class: "number" }, word("probability")) : null,
    has("logit") ? make("th", { scope: "col", class: "number" }, word("logit")) : null,
    has("voxels") ? make("th", { scope: "col", class: "number" }, word("voxels")) : null);
  return section("answer",
    make("div", { class: "answer-scroll", tabindex: answer.rows.length > 8 ? "0" : false },
      make("table", { class: "answer" }, make("thead", {}, heads), body)),
    answer.note ? make("p", { class: "quiet" }, answer.note) : null);
}

function heatSection() {
  if (heats.length === 0) return section("heat", make("p", { class: "quiet" }, word("noHeat")));
  const maps = make("select", { id: "c-map", onchange: () => { state.map = maps.value; space.lookup.colours = null; heatChanged("marks"); } });
  for (const { name } of colourMaps) maps.append(make("option", { value: name }, name));
  controls.map = () => { maps.value = state.map; };
  const scales = make("select", { id: "c-scale", onchange: () => { state.scale = scales.value; heatChanged("marks"); } });
  controls.scale = () => {
    const known = scalesOf(heats[state.heat]);
    const hasFolder = known.includes("folder");
    scales.replaceChildren(make("option", { value: "own" }, word("scaleOwn")),
      make("option", { value: "folder", disabled: !hasFolder }, word(hasFolder ? "scaleFolder" : "scaleFolderUnknown")));
    if (known.includes("fixed")) scales.append(make("option", { value: "fixed" }, word("scaleFixed", { top: number(manifest.style.fixedTop, 3) })));
    scales.value = known.includes(state.scale) ? state.scale : "own";
  };
  const bar = make("canvas", { id: "scale-bar", width: 512, height: 1, "aria-hidden": "true" });
  const ends = make("div");
  controls.bar = () => drawScaleBar(bar, ends);
  const percentSlider = (key, low, high) => slider(key, key, [low, high, 0.01], () => state[key],
    (value) => { state[key] = value; heatChanged("marks"); }, percent);
  return section("heat",
    make("div", { class: "scale" }, bar, ends),
    percentSlider("opacity", 0, 1), percentSlider("threshold", 0, 0.99), percentSlider("part", 0.05, 1),
    make("div", { class: "row control" }, make("label", { for: "c-map" }, word("colourMap")), maps),
    make("div", { class: "row control" }, make("label", { for: "c-scale" }, word("scale")), scales),
    make("div", { class: "checks control" },
      check("hasContours", "contours", "C", ["marks"]),
      heats.some(({ lowest }) => lowest < 0) ? check("isSigned", "signed", "", ["marks"]) : null,
      mask ? check("hasOutline", "outline", "", ["marks"]) : null),
    make("div", { id: "heat-facts" }));
}

function windowSection() {
  const buttons = make("div", { class: "buttons control", role: "group", "aria-label": word("presets") });
  manifest.presets.forEach(({ name, level, width }, index) => {
    buttons.append(make("button", { type: "button", title: `${number(level)} / ${number(width)} (${index + 1})`,
      "aria-pressed": "false", onclick: () => setWindow(level, width) }, wordOr("window-" + name, name)));
  });
  const input = (key) => {
    const field = make("input", { type: "number", id: "c-" + key, step: "any", required: true });
    field.addEventListener("change", () => {
      const value = Number(field.value);
      if (Number.isFinite(value) && field.value !== "") {
        setWindow(key === "level" ? value : state.window.level, key === "width" ? value : state.window.width);
      } else showWindow();
    });
    return field;
  };
  const level = input("level");
  const width = input("width");
  controls.window = () => {
    const digits = (value) => String(Number(value.toPrecision(5)));
    if (document.activeElement !== level) level.value = digits(state.window.level);
    if (document.activeElement !== width) width.value = digits(state.window.width);
    manifest.presets.forEach((preset, index) => {
      const isHeld = Math.abs(preset.level - state.window.level) < 1e-6 && Math.abs(preset.width - state.window.width) < 1e-6;
      buttons.children[index].setAttribute("aria-pressed", String(isHeld));
    });
  };
  const tools = make("div", { class: "buttons control", role: "radiogroup", "aria-label": word("tool") });
  for (const tool of ["cross", "window", "pan", "zoom"]) {
    tools.append(make("button", { type: "button", role: "radio", "data-tool": tool, onclick: () => { state.tool = tool; controls.tool(); } }, word("tool-" + tool)));
  }
  controls.tool = () => {
    for (const button of tools.children) button.setAttribute("aria-checked", String(button.dataset.tool === state.tool));
    for (const view of Object.values(views)) view.stage.dataset.tool = state.tool;
  };
  return section("display", buttons,
    make("div", { class: "numbers" }, make("label", {}, make("span", {}, word("level")), level), make("label", {}, make("span", {}, word("width")), width)),
    tools,
    make("div", { class: "checks control" }, check("isSmooth", "smooth", "I", ["frame"]), check("hasCross", "crosshair", "X", ["marks"])));
}

function spaceSection() {
  if (!views.coronal) return null;
  const axis = make("select", { id: "c-clip", onchange: () => { space.clip.axis = axis.value; controls.clip(); space.request(); } });
  for (const name of ["none", "axial", "coronal", "sagittal"]) axis.append(make("option", { value: name }, word(name === "none" ? "clipNone" : name)));
  const box = (key, label) => {
    const input = make("input", { type: "checkbox", id: "c-clip-" + key, onchange: () => { space.clip[key] = input.checked; controls.clip(); space.request(); } });
    boxes.push([input, key]);
    return make("label", {}, input, make("span", {}, word(label)));
  };
  const boxes = [];
  const place = slider("clipPlace", "clipPlace", [0, 1, 0.005], () => space.clip.place,
    (value) => { space.clip.place = value; space.clip.follows = false; controls.clip(); space.request(true); }, percent);
  const checks = make("div", { class: "checks control" }, box("isFlipped", "clipFlip"), box("follows", "clipFollow"), box("hasFace", "clipFace"));
  controls.clip = () => {
    axis.value = space.clip.axis;
    const isOff = space.clip.axis === "none";
    place.querySelector("input").disabled = isOff;
    for (const [input, key] of boxes) { input.checked = space.clip[key]; input.disabled = isOff; }
  };
  return section("space", make("div", { class: "row control" }, make("label", { for: "c-clip" }, word("clip")), axis), place, checks);
}

function factsSection() {
  const { layer } = manifest.scan;
  const whole = layer.blocks.every((count) => count === 1);
  const accuracy = layer.bytes === 2 && layer.tolerance === 0 ? word(whole ? "accuracyExact" : "accuracyMean", { blocks: layer.blocks.join("×") })
    : word(whole ? "accuracyNear" : "accuracyNearMean", { blocks: layer.blocks.join("×"), least: number(layer.least ?? layer.tolerance, 2), most: number(layer.most ?? layer.tolerance, 2), unit: manifest.unit });
  const list = facts([...manifest.facts, { key: "accuracy", value: accuracy }]);
  return section("scan", list);
}

function provenanceSection() {
  const links = make("ul", {});
  for (const { label, address } of manifest.links || []) {
    if (isBeside(address)) links.append(make("li", {}, make("a", { href: address }, label)));
  }
  return section("provenance", facts(manifest.provenance), links.children.length > 0 ? links : null, make("p", { class: "quiet" }, word("disclaimer")));
}

function buildPanel() {
  for (const key of Object.keys(controls)) delete controls[key];
  const sections = [answerSection(), heatSection(), windowSection(), spaceSection(), factsSection(), provenanceSection()];
  $("panel").replaceChildren(...sections.filter(Boolean));
  for (const show of Object.values(controls)) show();
  showHeat();
}

// ---- What is shown of the state ----------------------------------------------------------------------------------------

const showWindow = () => controls.window?.();
const showMaps = () => controls.map?.();
const showChecks = () => {
  for (const name of ["hasContours", "isSigned", "hasOutline", "isSmooth", "hasCross"]) controls[name]?.();
  $("overlay").setAttribute("aria-pressed", String(state.isOverlaid));
};
const showScale = () => { for (const key of ["bar", "scale", "opacity", "threshold", "part", "map"]) controls[key]?.(); };

function drawScaleBar(canvas, ends) {
  const heat = heats[state.heat];
  const top = scaleTop(heat);
  const context = canvas.getContext("2d");
  const image = context.createImageData(512, 1);
  for (let x = 0; x < 512; x++) {
    const position = x / 511;
    const strength = state.isSigned ? Math.abs(2 * position - 1) : position;
    const isShown = strength > state.threshold;
    image.data.set(isShown ? [...colourAt(currentMap(), position), 255] : [40, 44, 50, 255], 4 * x);
  }
  context.putImageData(image, 0, 0);
  const low = state.isSigned ? -top : 0;
  ends.replaceChildren(...[low, (low + top) / 2, top].map((value) => make("span", {}, number(value, 3))));
  canvas.title = `${number(low)} … ${number(top)}`;
}

function showHeat() {
  const heat = heats[state.heat];
  for (const id of ["method", "target", "hottest", "overlay"]) $(id).disabled = !heat;
  if (!heat) return;
  const fill = (select, values, titles, chosen) => {
    select.replaceChildren(...values.map((value, index) => make("option", { value }, titles[index])));
    select.value = chosen;
  };
  const methods = distinct(heats.map(({ method }) => method));
  fill($("method"), methods, methods.map((method) => heats.find((other) => other.method === method).methodTitle), heat.method);
  const targets = distinct(heats.map(({ target }) => target));
  fill($("target"), targets, targets, heat.target);
  const area = $("heat-facts");
  if (!area) return;
  const list = [];
  if (heat.peak) {
    list.push({ key: "peak", value: number(heat.peak.value) }, { key: "peakVoxel", value: heat.peak.voxel.join(", ") });
    if (geometry.isAnatomical) list.push({ key: "peakPlace", value: heat.peak.world.map((value) => fixed(value, 1)).join(", ") + " mm" });
  } else list.push({ key: "peak", value: word("noPositive") });
  if (typeof heat.peakIsInside === "boolean") list.push({ key: "peakInMask", value: word(heat.peakIsInside ? "yes" : "no") });
  list.push({ key: "range", value: `${number(heat.lowest)} … ${number(heat.highest)}` });
  list.push(...heat.details);
  list.push({ key: "accuracy", value: word(heat.layer.blocks.every((count) => count === 1) ? "heatNear" : "heatNearBlocks",
    { half: number(heat.layer.step / 2, 2), blocks: heat.layer.blocks.join("×") }) });
  area.replaceChildren(
    ...(heat.caution ? [make("p", { class: "caution" }, heat.caution)] : []),
    ...heat.notes.map((note) => make("p", { class: "caution" }, note)), facts(list));
  showScale();
}

// What lies under the pointer, or at the crosshair while there is none.
function readoutParts() {
  const page = pointed || state.cursor;
  const code = scanCodeAt(page);
  const parts = [["voxel", geometry.stored(page).join(", ")]];
  if (geometry.isAnatomical) parts.push(["place", geometry.world(page).map((value) => fixed(value, 1)).join(", ") + " mm"]);
  const tolerance = scanTolerance(code);
  parts.push([manifest.unit || "value", number(scanValue(code), 6) + (tolerance > 0 ? ` ± ${number(tolerance, 2)}` : "")]);
  const heat = currentHeat();
  if (heat) {
    const raw = heatValue(heat, codeAt(heat.layer, heat.codes, page));
    const top = scaleTop(heat);
    parts.push(["heat", `${number(raw, 4)} ± ${number(heat.layer.step / 2, 1)}` + (top > 0 ? ` (${percent(raw / top)})` : "")]);
  }
  if (mask?.codes) parts.push(["mask", word(codeAt(mask.layer, mask.codes, page) > 0 ? "yes" : "no")]);
  return parts;
}

function showReadout() {
  if (!scan.codes) return;
  const parts = [["at", word(pointed ? "atPointer" : "atCross")], ...readoutParts()];
  const line = $("readout");
  while (line.children.length < parts.length) line.append(make("span", {}, make("b"), document.createTextNode("")));
  while (line.children.length > parts.length) line.lastChild.remove();
  parts.forEach(([key, value], index) => {
    const span = line.children[index];
    if (span.dataset.key !== key) span.dataset.key = key;
    const name = key === "at" ? "" : word(key);
    if (span.firstChild.textContent !== name) span.firstChild.textContent = name;
    if (span.lastChild.data !== value) span.lastChild.data = value;
  });
}

// ---- Keyboard ----------------------------------------------------------------------------------------------------------

const keyHelp = [
  ["↑ ↓", "key-slice"], ["Page Up, Page Down", "key-slices"], ["Home, End", "key-ends"], ["Shift + ← → ↑ ↓", "key-cross"],
  ["H", "hottest"], ["O", "overlay"], ["C", "contours"], ["M", "key-method"], ["T", "key-target"], ["S", "key-scale"],
  ["[ ]", "opacity"], [", .", "threshold"], ["1 … 9", "presets"], ["+ −", "tool-zoom"], ["0", "key-reset"],
  ["F", "expand"], ["X", "crosshair"], ["I", "smooth"], ["L", "key-language"], ["D", "theme"], ["?", "keys"],
];
const mouseHelp = [
  ["mouse-left", "tool-cross"], ["mouse-right", "window"], ["mouse-wheel", "key-slice"], ["mouse-middle", "tool-pan"], ["mouse-ctrl", "tool-zoom"],
];

function showKeys() {
  const list = make("dl");
  for (const [keys, key] of keyHelp) list.append(make("dt", {}, make("kbd", {}, keys)), make("dd", {}, word(key)));
  const mouse = make("dl");
  for (const [place, key] of mouseHelp) mouse.append(make("dt", {}, make("kbd", {}, word(place))), make("dd", {}, word(key)));
  const dialog = $("keys");
  dialog.setAttribute("aria-label", word("keys"));
  dialog.replaceChildren(make("h1", {}, word("keys")), list, mouse,
    make("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, word("close")));
  if (!dialog.open) dialog.showModal();
}

function sliceKeys(view, event) {
  if (event.target !== view.element || event.ctrlKey || event.metaKey || event.altKey) return;
  const { plane } = view;
  const page = [...state.cursor];
  if (event.shiftKey) {
    const moves = { ArrowLeft: [plane.across, 1], ArrowRight: [plane.across, -1], ArrowUp: [plane.down, 1], ArrowDown: [plane.down, -1] };
    if (!moves[event.key]) return;
    page[moves[event.key][0]] += moves[event.key][1];
  } else {
    const moves = {
      ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10, Home: -view.count, End: view.count,
    };
    if (event.key === "+" || event.key === "=") view.zoomBy(1.2);
    else if (event.key === "-") view.zoomBy(1 / 1.2);
    else if (!(event.key in moves)) return;
    page[plane.normal] += moves[event.key] || 0;
  }
  event.preventDefault();
  event.stopPropagation();
  setCursor(page);
}

const change = (key, amount, low, high) => {
  state[key] = clamp(Math.round((state[key] + amount) * 100) / 100, low, high);
  heatChanged("marks");
};

const pageKeys = {
  h: jumpToHottest,
  o: () => toggle("isOverlaid", "marks"),
  c: () => toggle("hasContours", "marks"),
  x: () => toggle("hasCross", "marks"),
  i: () => toggle("isSmooth"),
  m: nextMethod,
  t: nextTarget,
  s: () => {
    if (state.heat < 0) return;
    const known = scalesOf(heats[state.heat]);
    state.scale = known[(known.indexOf(state.scale) + 1) % known.length];
    heatChanged("marks");
  },
  l: switchLanguage,
  d: switchTheme,
  f: () => expandView(document.activeElement?.closest?.(".view") || views.axial.element),
  "?": showKeys,
  "[": () => change("opacity", -0.05, 0, 1),
  "]": () => change("opacity", 0.05, 0, 1),
  ",": () => change("threshold", -0.05, 0, 0.99),
  ".": () => change("threshold", 0.05, 0, 0.99),
  0: () => { for (const view of Object.values(views)) view.reset(); space.reset(); schedule(); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const { tagName, type } = event.target;
  if (tagName === "SELECT" || (tagName === "INPUT" && (type === "number" || type === "search"))) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const preset = /^[1-9]$/.test(key) ? manifest.presets[Number(key) - 1] : null;
  if (preset) setWindow(preset.level, preset.width);
  else if (pageKeys[key]) pageKeys[key]();
  else return;
  event.preventDefault();
});

// ---- Start -------------------------------------------------------------------------------------------------------------

function showVerdict() {
  const { answer } = manifest;
  const winner = answer?.rows.find(({ isExplained }) => isExplained) || answer?.rows[0];
  if (!winner) return void ($("verdict").textContent = manifest.subtitle || "");
  const share = typeof winner.probability === "number" ? `${word("probability")} ${fixed(winner.probability, 3)}`
    : typeof winner.voxels === "number" ? `${winner.voxels} ${word("voxels")}` : `${word("logit")} ${number(winner.logit)}`;
  $("verdict").textContent = [manifest.subtitle, `${winner.label}: ${share}`].filter(Boolean).join(" · ");
}

function buildViews() {
  const isFlat = geometry.shape[2] === 1 || geometry.shape[1] === 1 || geometry.shape[0] === 1;
  // A picture has one plane to look at, the one across its flat axis.
  const flat = { 2: "axial", 1: "coronal", 0: "sagittal" }[geometry.shape.lastIndexOf(1)];
  for (const name of isFlat ? [flat] : ["axial", "coronal", "sagittal"]) {
    views[name] = new SliceView(name);
    $("views").append(views[name].element);
  }
  views.axial ||= views[flat];
  $("views").classList.toggle("flat", isFlat);
  if (!isFlat) {
    space.build();
    $("views").append(space.element);
  } else {
    space.element = make("div");
  }
  return isFlat;
}

function labelViews() {
  for (const view of Object.values(views)) view.label();
  if (space.choice) space.label();
  schedule();
}

async function start() {
  startPage();
  $("method").addEventListener("change", (event) => {
    const method = event.target.value;
    selectHeat(chooseHeat(method, heats[state.heat].target) ?? heats.findIndex((heat) => heat.method === method));
  });
  $("target").addEventListener("change", (event) => {
    const target = event.target.value;
    selectHeat(chooseHeat(heats[state.heat].method, target) ?? heats.findIndex((heat) => heat.target === target));
  });
  $("hottest").addEventListener("click", jumpToHottest);
  $("overlay").addEventListener("click", pageKeys.o);
  $("help").addEventListener("click", showKeys);
  if (isBeside(manifest.folderPage)) {
    $("folder-link").href = manifest.folderPage;
    $("folder-link").hidden = false;
  }
  const isFlat = buildViews();
  whenLanguageChanges.push(showVerdict, buildPanel, labelViews, showReadout);
  applyLanguage();
  showChecks();

  decoder.start();
  const layers = [scan.layer, heats[state.heat]?.layer, mask?.layer].filter(Boolean);
  const done = layers.map(() => 0);
  const progress = (index) => (share) => {
    done[index] = share;
    $("progress").value = done.reduce((sum, part) => sum + part, 0) / layers.length;
  };
  const decoded = await Promise.all(layers.map((layer, index) => decoder.layer(layer, progress(index))));
  scan.codes = decoded.shift();
  if (state.heat >= 0) {
    heats[state.heat].codes = decoded.shift();
    recent = [heats[state.heat]];
  }
  if (mask) mask.codes = decoded.shift();
  looks.updateGrey();
  looks.updateHeat();
  state.cursor = geometry.shape.map((count) => Math.floor(count / 2));
  jumpToHottest();
  redraw("picture", "marks");
  showReadout();
  showScale();
  if (heats[state.heat]) document.documentElement.dataset.heat = heats[state.heat].id;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    $("loading").hidden = true;
    document.documentElement.dataset.state = "ready";
    performance.mark("ready");
    views.axial.element.focus({ preventScroll: true });
    if (!isFlat) setTimeout(() => space.start().catch((error) => space.fail("noWebGL", String(error))), 60);
  }));
}

// For scripts and for those who look behind the curtain: what is decoded, and a way to go to a voxel of the file.
window.tomolens = {
  state, manifest, geometry,
  scan: () => scan.codes,
  heat: () => ({ codes: heats[state.heat].codes, zero: heats[state.heat].layer.zero, step: heats[state.heat].layer.step }),
  goTo: (...voxel) => setCursor(geometry.pageVoxel(voxel)),
};

window.addEventListener("beforeprint", () => redraw("picture", "marks"));
start().catch((error) => {
  $("loading").classList.add("failed");
  $("loading").replaceChildren(make("p", {}, word("broken")), make("p", {}, String(error)));
  document.documentElement.dataset.state = "failed";
  throw error;
});
