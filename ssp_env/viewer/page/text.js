// Elements and texts. Whatever a game holds becomes a text node here, and never markup, an address or a handler.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const ATTRIBUTES = /^(aria-[a-z]+|class|colspan|data-[a-z]+|dir|disabled|for|id|lang|name|open|role|scope|selected|tabindex|title|type|value|placeholder|autocomplete|spellcheck|hidden|checked|min|max|viewBox|points|d|x|y|x1|x2|y1|y2|cx|cy|r|width|height|transform|stroke-dasharray|text-anchor|focusable|inputmode|enterkeyhint)$/;

const SPOKEN = /^(title|aria-label|aria-valuetext|placeholder)$/;

// Make an element of HTML; `on` holds its listeners, everything else in `given` is an attribute.
function el(tag, given = {}, ...children) {
  return fill(document.createElement(tag), given, children);
}

function svg(tag, given = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), given, children);
}

function fill(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (ATTRIBUTES.test(name)) {
      element.setAttribute(name, value === true ? "" : SPOKEN.test(name) ? plain(value) : String(value));
    } else {
      throw new Error(`no attribute that a page may set: ${name}`);
    }
  }
  element.append(...nodesOf(children));
  return element;
}

function replace(element, ...children) {
  element.replaceChildren(...nodesOf(children));
}

// What is to stand in an element: nothing for what is absent, and texts with their hidden characters shown.
function nodesOf(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .flatMap((child) => (typeof child === "string" ? said(child) : [child]));
}

// Characters that nobody sees, or that turn others around: shown by their code points.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffc\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}\p{Cs}]/gu;
const NAMES = {
  0xad: "soft hyphen", 0x200b: "zero-width space", 0x200c: "zero-width non-joiner", 0x200d: "zero-width joiner",
  0x200e: "left-to-right mark", 0x200f: "right-to-left mark", 0x2028: "line separator", 0x2029: "paragraph separator",
  0x202a: "left-to-right embedding", 0x202b: "right-to-left embedding", 0x202c: "end of embedding",
  0x202d: "left-to-right override", 0x202e: "right-to-left override", 0x2066: "left-to-right isolate",
  0x2067: "right-to-left isolate", 0x2068: "first strong isolate", 0x2069: "end of isolate", 0xfeff: "byte order mark",
};

const pointOf = (code) => `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
// A text without what nobody sees, for the title of the page and for what is spoken.
const plain = (text) => String(text).replace(HIDDEN, (character) => pointOf(character.codePointAt(0)));

// Nodes for a text as somebody wrote it.
function said(text) {
  text = String(text ?? "");
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(HIDDEN)) {
    const code = match[0].codePointAt(0);
    // Joiners belong to the scripts and emoji that need them; between letters of ASCII they only hide.
    const around = text.slice(match.index - 1, match.index) + text.slice(match.index + 1, match.index + 2);
    if ((code === 0x200c || code === 0x200d) && /^[^\u0000-\u007f]{2}$/.test(around)) continue;
    if (match.index > end) nodes.push(text.slice(end, match.index));
    nodes.push(el("span", { class: "hidden-char", title: NAMES[code] ?? "invisible character" }, pointOf(code)));
    end = match.index + match[0].length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

// A text on one line, kept apart from the direction of what stands around it.
const isolated = (text, given = {}) => el("bdi", given, said(text));
// A text over any number of lines.
const quoted = (text, given = {}) => el("div", { class: "said", dir: "auto", ...given }, said(text));

const number = (value, digits = 3) => {
  if (typeof value !== "number") return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(digits))) : value.toExponential(2);
};
const percent = (value) => `${(100 * value).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`;
const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

// A word with a sign, so that no news is told by colour alone.
function badge(kind, words, title) {
  const sign = { good: "✓", bad: "✗", error: "!", unknown: "?", note: "•", noise: "≈" }[kind];
  return el("span", { class: `badge ${kind}`, title }, el("span", { "aria-hidden": "true" }, sign), ` ${words}`);
}

function announce(words) {
  $("status").textContent = plain(words);
}

function button(words, act, given = {}) {
  return el("button", { type: "button", on: { click: act }, ...given }, words);
}
