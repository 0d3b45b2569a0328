// What both pages build on. Everything that comes from files reaches the document as text, never as markup.
const $ = (id) => document.getElementById(id);
const manifest = JSON.parse($("manifest").textContent);

// make("button", { type: "button", onclick: f, "aria-label": "…" }, "text", child, …)
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key in element && !key.includes("-") && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children) {
    if (child !== undefined && child !== null) element.append(child);
  }
  return element;
}

// A link to a file beside this page. Addresses are written relative; anything with a scheme or a host is refused.
function isBeside(address) {
  return typeof address === "string" && /^(\.\.?\/)/.test(address) && !address.includes("\\");
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function number(value, digits = 4) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e6) return String(Number(value.toPrecision(digits))).replace("-", "−");
  return value.toExponential(Math.max(0, digits - 2)).replace("-", "−").replace("e-", "e−").replace("e+", "e");
}

const fixed = (value, decimals) => value.toFixed(decimals).replace("-", "−");

function facts(list) {
  const names = make("dl", { class: "facts" });
  for (const { key, value } of list) names.append(make("dt", {}, word(key)), make("dd", {}, value));
  return names;
}

// Choices that stay from page to page. A browser that keeps no storage for local files just forgets them.
const memory = {
  read(key) { try { return localStorage.getItem("tomolens." + key); } catch { return null; } },
  keep(key, value) { try { localStorage.setItem("tomolens." + key, value); } catch { /* nothing is lost but a choice */ } },
};

let language = memory.read("language") || manifest.language
  || (/^zh\b/i.test(navigator.language || "") ? "zh" : "en");
if (!words[language]) language = "en";

// The word for a key in the page's language; a key that is no word is text already (a name from a file).
function word(key, values = {}) {
  const text = Object.hasOwn(words[language], key) ? words[language][key] : key;
  return text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));
}

const wordOr = (key, text) => (Object.hasOwn(words[language], key) ? word(key) : text);

const whenLanguageChanges = [];

function applyLanguage() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = word(element.dataset.word);
    if (element.dataset.keys) element.title = `${word(element.dataset.word)} (${element.dataset.keys})`;
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", word(element.dataset.label));
  }
  const other = $("language");
  other.textContent = language === "zh" ? "English" : "中文";
  other.lang = language === "zh" ? "en" : "zh-Hans";
  other.title = (language === "zh" ? "Switch to English" : "切换为中文") + " (L)";
  applyTheme();
  for (const action of whenLanguageChanges) action();
}

function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  memory.keep("language", language);
  applyLanguage();
}

const themes = ["auto", "light", "dark"];
let theme = themes.includes(memory.read("theme")) ? memory.read("theme") : "auto";

function applyTheme() {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = word("theme-" + theme);
  $("theme").title = `${word("theme")} (D)`;
}

function switchTheme() {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  memory.keep("theme", theme);
  applyTheme();
}

function showWarnings() {
  const texts = [...manifest.warnings];
  if (typeof manifest.skew === "number") texts.push(word("skew", { degrees: fixed(manifest.skew, 1) }));
  $("notices").replaceChildren();
  if (texts.length === 0) return;
  const list = make("ul", {}, ...texts.map((text) => make("li", {}, text)));
  $("notices").append(make("div", { class: "notice", role: "note", "aria-label": word("warnings") }, list));
}

function startPage() {
  $("title").textContent = $("title").title = manifest.title;
  $("language").addEventListener("click", switchLanguage);
  $("theme").addEventListener("click", switchTheme);
  $("print").addEventListener("click", () => window.print());
  whenLanguageChanges.push(showWarnings);
}
