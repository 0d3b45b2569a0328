// The page of a folder: a table of which only the rows in sight exist.
const rowHeight = 84;
const margin = 6;
const table = $("rows");
const body = make("div", { class: "body", role: "rowgroup" });
const entries = manifest.entries;
const sorting = { column: 1, isRising: true };
let shown = [];
let current = -1;

// Text of a search ignores case and accents' composition.
const plain = (text) => text.normalize("NFKC").toLowerCase();
for (const entry of entries) {
  entry.text = plain([entry.name, entry.prediction, entry.failure, ...(entry.notes || [])].filter(Boolean).join(" "));
}

const status = (entry) => entry.failure ? "failed" : entry.notes?.length ? "warned" : "ok";
const peak = (entry) => typeof entry.peakIsInside === "boolean" ? (entry.peakIsInside ? "yes" : "no") : "unknown";
const badge = (kind) => make("span", { class: "badge " + kind }, word(kind));

const columns = [
  { key: "thumbnail", width: "92px", cell: (entry) => entry.thumbnail
    ? make("img", { src: entry.thumbnail, alt: "", width: "76", height: "76" }) : make("div", { class: "blank" }) },
  { key: "name", width: "minmax(160px, 2fr)", value: (entry) => entry.name, cell: (entry) => isBeside(entry.page)
    ? make("a", { class: "name", href: entry.page }, entry.name) : make("span", { class: "name" }, entry.name) },
  { key: "status", width: "112px", value: (entry) => status(entry), cell: (entry) => badge(status(entry)) },
  { key: "prediction", width: "minmax(104px, 1fr)", value: (entry) => entry.prediction, cell: (entry) => entry.prediction },
  { key: "probability", width: "106px", isNumber: true, value: (entry) => entry.probability, cell: (entry) => typeof entry.probability === "number" ? fixed(entry.probability, 4) : "" },
  { key: "score", width: "86px", isNumber: true, value: (entry) => entry.score, cell: (entry) => typeof entry.score === "number" ? number(entry.score) : "" },
  { key: "peakInMask", width: "114px", value: (entry) => entry.failure ? undefined : { yes: 2, no: 1, unknown: 0 }[peak(entry)], cell: (entry) => entry.failure ? "" : peak(entry) === "unknown" ? make("span", { class: "quiet" }, word("unknown")) : badge(peak(entry)) },
  ...manifest.measures.map((name, index) => ({
    key: name, width: "98px", isNumber: true, value: (entry) => entry.measures?.[index] ?? undefined,
    cell: (entry) => typeof entry.measures?.[index] === "number" ? number(entry.measures[index]) : "",
  })),
  { key: "note", width: "minmax(200px, 2fr)", value: (entry) => entry.failure || entry.notes?.join(" "), cell: (entry) => entry.failure
    ? make("span", { class: "why", title: entry.failure }, entry.failure) : make("span", { class: "note", title: entry.notes?.join("\n") }, entry.notes?.join(" ") || "") },
];

const collator = new Intl.Collator(undefined, { numeric: true });

// Rows without a value come last whichever way the column is sorted; equals keep the folder's order.
function compare(a, b) {
  const { value } = columns[sorting.column];
  const [left, right] = [value(a), value(b)];
  const isMissing = (it) => it === undefined || it === null || it === "";
  if (isMissing(left) || isMissing(right)) return isMissing(left) - isMissing(right);
  const order = typeof left === "number" ? left - right : collator.compare(left, right);
  return sorting.isRising ? order : -order;
}

function refresh() {
  const text = plain($("search").value.trim());
  const wanted = { status: $("status").value, prediction: $("prediction").value, peak: $("peak").value };
  shown = entries.filter((entry) => (!text || entry.text.includes(text))
    && (!wanted.status || status(entry) === wanted.status)
    && (!wanted.prediction || entry.prediction === wanted.prediction)
    && (!wanted.peak || (!entry.failure && peak(entry) === wanted.peak)));
  shown.sort(compare);
  current = shown.length > 0 ? clamp(current, -1, shown.length - 1) : -1;
  body.style.height = `${Math.max(1, shown.length) * rowHeight}px`;
  table.setAttribute("aria-rowcount", String(shown.length + 1));
  $("count").textContent = word("shown", { shown: shown.length, total: entries.length });
  body.replaceChildren();
  present.clear();
  if (shown.length === 0) body.append(make("p", { class: "none" }, word("noRows")));
  draw();
}

const present = new Map();

function draw(all = false) {
  const top = Math.max(0, table.scrollTop - heads.offsetHeight);
  const first = all ? 0 : Math.max(0, Math.floor(top / rowHeight) - margin);
  const last = all ? shown.length : Math.min(shown.length, Math.ceil((top + table.clientHeight) / rowHeight) + margin);
  for (const [index, row] of present) {
    if (index < first || index >= last) { row.remove(); present.delete(index); }
  }
  for (let index = first; index < last; index++) {
    if (present.has(index)) continue;
    const entry = shown[index];
    const row = make("div", { class: "line entry" + (index === current ? " current" : ""), role: "row", "aria-rowindex": String(index + 2) });
    row.style.top = `${index * rowHeight}px`;
    for (const column of columns) {
      row.append(make("div", { role: "cell", class: column.isNumber ? "number" : "" }, column.cell(entry) ?? ""));
    }
    row.addEventListener("click", (event) => { if (!event.target.closest("a")) select(index); });
    row.addEventListener("dblclick", () => open(index));
    present.set(index, row);
    body.append(row);
  }
}

function select(index) {
  present.get(current)?.classList.remove("current");
  current = clamp(index, 0, shown.length - 1);
  present.get(current)?.classList.add("current");
}

function open(index) {
  const { page } = shown[index] || {};
  if (isBeside(page)) location.href = page;
}

const heads = make("div", { class: "line heads", role: "row", "aria-rowindex": "1" });

function buildHeads() {
  heads.replaceChildren(...columns.map((column, index) => {
    const name = word(column.key);
    const isHeld = sorting.column === index;
    const head = make("div", { role: "columnheader", class: column.isNumber ? "number" : "", "aria-sort": isHeld ? (sorting.isRising ? "ascending" : "descending") : "none" });
    if (!column.value) return head;
    head.append(make("button", { type: "button", "data-column": column.key, title: word("sortBy", { column: name }), onclick: () => sort(index) },
      name + (isHeld ? (sorting.isRising ? " ▲" : " ▼") : "")));
    return head;
  }));
}

function sort(index) {
  // Numbers are first asked for from the largest down.
  if (sorting.column === index) sorting.isRising = !sorting.isRising;
  else Object.assign(sorting, { column: index, isRising: !columns[index].isNumber });
  buildHeads();
  heads.querySelector(`[data-column="${CSS.escape(columns[index].key)}"]`)?.focus();
  table.scrollTop = 0;
  refresh();
}

function buildFilters() {
  const fill = (id, values, name) => {
    const select = $(id);
    const chosen = select.value;
    select.replaceChildren(make("option", { value: "" }, word("all")), ...values.map((value) => make("option", { value }, name(value))));
    select.value = values.includes(chosen) ? chosen : "";
  };
  fill("status", ["ok", "warned", "failed"], word);
  fill("peak", ["yes", "no", "unknown"], word);
  fill("prediction", [...new Set(entries.map(({ prediction }) => prediction).filter(Boolean))].sort(collator.compare), (name) => name);
}

function showSummary() {
  const count = (kind) => entries.filter((entry) => status(entry) === kind).length;
  $("verdict").textContent = word("summary", { total: entries.length, failed: count("failed"), warned: count("warned") });
  table.setAttribute("aria-label", word("table"));
  $("facts").querySelector("dl").replaceWith(facts(manifest.provenance));
}

table.addEventListener("scroll", () => draw(), { passive: true });
table.addEventListener("keydown", (event) => {
  if (event.target !== table) return;
  const page = Math.max(1, Math.floor(table.clientHeight / rowHeight) - 1);
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -shown.length, End: shown.length };
  if (event.key === "Enter") return open(current);
  if (!(event.key in moves) || shown.length === 0) return;
  event.preventDefault();
  select(current + moves[event.key]);
  const top = current * rowHeight;
  if (top < table.scrollTop) table.scrollTop = top;
  else if (top + rowHeight + heads.offsetHeight > table.scrollTop + table.clientHeight) table.scrollTop = top + rowHeight + heads.offsetHeight - table.clientHeight;
  draw();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT"].includes(event.target.tagName)) return;
  if (event.key === "/") { event.preventDefault(); $("search").focus(); }
  else if (event.key.toLowerCase() === "l") switchLanguage();
  else if (event.key.toLowerCase() === "d") switchTheme();
});
for (const id of ["search", "status", "prediction", "peak"]) $(id).addEventListener("input", () => { table.scrollTop = 0; refresh(); });
window.addEventListener("beforeprint", () => draw(true));
window.addEventListener("afterprint", () => draw());

startPage();
table.append(heads, body);
document.documentElement.style.setProperty("--columns", columns.map(({ width }) => width).join(" "));
document.documentElement.style.setProperty("--least", columns.reduce((sum, { width }) => sum + Number(/(\d+)px/.exec(width)[1]), 0) + "px");
whenLanguageChanges.push(buildHeads, buildFilters, showSummary, refresh);
new ResizeObserver(() => draw()).observe(table);
applyLanguage();
document.documentElement.dataset.state = "ready";
performance.mark("ready");
