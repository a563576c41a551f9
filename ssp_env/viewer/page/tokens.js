// Single tokens of a turn: which were read and which sampled, and what the update did with those.

const MEASURES = {
  logprobs: "log-probability", entropies: "entropy (nats)", advantages: "advantage", values: "value (critic)", returns: "return",
};
const TOKENS_AT_ONCE = 400;

// What is known of the tokens of a turn; null if the player returned none.
function tokensOf(reply, update, turn) {
  const ids = reply?.token_ids;
  if (!Array.isArray(ids) || !ids.length) return null;
  const measures = { logprobs: reply.logprobs };
  for (const name of ["entropies", "advantages", "values", "returns"]) measures[name] = update?.[name]?.[turn];
  const known = Object.entries(measures).filter(([, values]) => Array.isArray(values) && values.length === ids.length);
  return { ids, read: reply.context_ids?.length ?? 0, text: String(reply.text ?? ""), trained: update?.trained, measures: Object.fromEntries(known) };
}

function tokenPanel(tokens) {
  const panel = el("details", { class: "tokens" },
    el("summary", {}, `Tokens: ${number(tokens.ids.length)} sampled, ${number(tokens.read)} read before them`));
  panel.addEventListener("toggle", () => {
    if (panel.open && panel.children.length === 1) panel.append(...tokenDetails(tokens));
  });
  return panel;
}

function tokenDetails(tokens) {
  const mask = tokens.trained === undefined ? "Whether the step learnt from them, the record does not say."
    : tokens.trained ? "The loss covers the sampled tokens (mask 1); those read have mask 0."
      : "The step did not learn from this conversation: the mask of all its tokens is 0.";
  const names = Object.keys(tokens.measures);
  const chart = el("div", { class: "strip" });
  const pick = el("select", { "aria-label": "Shown above the tokens", on: { change: () => replace(chart, strip(tokens, pick.value)) } },
    names.map((name) => el("option", { value: name }, MEASURES[name])));
  if (names.length) replace(chart, strip(tokens, names[0]));
  return [
    el("p", { class: "remark" }, mask),
    names.length > 0 && el("p", { class: "remark" }, "Bars: ", pick),
    chart,
    tokenTable(tokens, names, TOKENS_AT_ONCE),
  ].filter(Boolean);
}

function strip(tokens, name) {
  const values = tokens.measures[name].slice(0, 600);
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const span = high - low || 1;
  const width = Math.max(3, Math.min(14, 560 / values.length));
  const y = (value) => 4 + (56 * (high - value)) / span;
  return svg("svg", { viewBox: `0 0 ${width * values.length + 2} 64`, role: "img", class: "bars", height: 64, width: width * values.length + 2,
    "aria-label": `${MEASURES[name]} of ${values.length} tokens, from ${number(Math.min(...values))} to ${number(Math.max(...values))}` },
  svg("line", { class: "axis", x1: 0, x2: width * values.length + 2, y1: y(0), y2: y(0) }),
  values.map((value, at) => svg("rect", { class: value < 0 ? "below" : "above", x: 1 + at * width, width: Math.max(1, width - 1), y: Math.min(y(0), y(value)), height: Math.max(1, Math.abs(y(value) - y(0))) },
    svg("title", {}, `token ${at + 1}: ${number(value)}`))));
}

function tokenTable(tokens, names, most) {
  // Records hold no text of single tokens. Where a turn has as many words as tokens, they are taken to be the same.
  const words = tokens.text.trim().split(/\s+/);
  const named = words.length === tokens.ids.length;
  const body = el("tbody", {});
  const rows = (from, to) => tokens.ids.slice(from, to).map((id, at) => el("tr", {},
    el("th", { scope: "row" }, from + at + 1), el("td", {}, id), named && el("td", {}, isolated(words[from + at])), el("td", {}, tokens.trained === false ? "0" : "1"),
    names.map((name) => el("td", {}, number(tokens.measures[name][from + at])))));
  body.append(...rows(0, most));
  const more = tokens.ids.length > most && button(`Show all ${number(tokens.ids.length)} tokens`, () => {
    body.append(...rows(most, tokens.ids.length));
    more.remove();
  });
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table of tokens" },
    el("table", { class: "numbers" },
      el("thead", {}, el("tr", {}, ["no.", "id", named && "word", "mask", ...names.map((name) => MEASURES[name])].filter(Boolean).map((name) => el("th", { scope: "col" }, name)))),
      body), more);
}
