// Turns of players, and what the environment returned to them.

const PASSAGE_SHORT = 220;
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

// A player's text with its tags set apart; observation tags of its own are called forged.
function tagged(text, protocol) {
  const tags = protocol?.tags ?? [];
  if (!tags.length) return said(text);
  const nodes = [];
  const pattern = new RegExp(`</?(${tags.map(escaped).join("|")})>`, "g");
  let end = 0;
  let thinking = false;
  const plain = (part) => part && nodes.push(thinking ? el("span", { class: "thought" }, said(part)) : said(part));
  for (const match of text.matchAll(pattern)) {
    plain(text.slice(end, match.index));
    const forged = match[1] === protocol.observation;
    nodes.push(el("code", { class: forged ? "tag forged" : "tag" }, match[0]));
    if (forged && !match[0].startsWith("</")) nodes.push(badge("bad", "forged tag", "An observation tag that the player wrote itself; it has no effect."));
    if (match[1] === protocol.think) thinking = !match[0].startsWith("</");
    end = match.index + match[0].length;
  }
  plain(text.slice(end));
  return nodes;
}

function passage(found, { noise = false, place = null } = {}) {
  const text = String(found.text ?? "");
  const long = text.length > PASSAGE_SHORT + 40;
  const body = long
    ? el("details", { class: "fold" }, el("summary", {}, el("span", { class: "start", dir: "auto" }, said(`${text.slice(0, PASSAGE_SHORT)}…`)), el("span", { class: "visually-hidden" }, " Show the whole passage")), quoted(text))
    : quoted(text);
  return el("li", { class: `passage${noise ? " is-noise" : ""}` },
    el("p", { class: "passage-head" },
      place !== null && el("span", { class: "place" }, `${place}. `),
      isolated(found.title || found.id, { class: "passage-title" }),
      noise && " ", noise && badge("noise", "noise", "Mixed in by the environment; no search of the proposer returned it."),
      el("span", { class: "faint" }, " ", isolated(found.id), typeof found.score === "number" && ` · score ${number(found.score)}`)),
    body);
}

const MALFORMED = {
  no_action: "no complete action", empty_action: "nothing visible between the tags", too_long: "a query or answer that is too long", bad_json: "a call that is no JSON",
  bad_call: "a call of another form", unknown_tool: "a tool that does not exist", several_queries: "several queries in one call",
};
const ACTIONS = { search: "searches", open: "opens a page", question: "asks", answer: "answers", malformed: "is malformed" };

// One turn: what was written, and what the environment remarks about it.
function turnCard(title, turn, protocol) {
  const { action = {}, reply = {} } = turn;
  const remarks = [
    action.code && badge("bad", `malformed: ${MALFORMED[action.code] ?? action.code}`),
    action.spoofed > 0 && badge("bad", `${plural(action.spoofed, "observation tag")} of its own, without effect`),
    action.dropped > 0 && badge("note", `${plural(action.dropped, "character")} after the action, dropped`),
    action.dropped_calls > 0 && badge("note", `${plural(action.dropped_calls, "further call")}, without effect`),
  ].filter(Boolean);
  const text = String(action.text ?? reply.text ?? "");
  const rest = String(reply.text ?? "").startsWith(text) ? String(reply.text ?? "").slice(text.length) : "";
  return el("article", { class: "turn", tabindex: "-1", "data-step": true, "aria-label": `${title} ${ACTIONS[action.kind] ?? ""}` },
    el("header", { class: "turn-head" },
      el("span", { class: "who" }, title), el("span", { class: "does" }, ACTIONS[action.kind] ?? ""),
      reply.weights_version && el("span", { class: "faint" }, "weights ", isolated(reply.weights_version))),
    (text || !action.call) && el("div", { class: "said", dir: "auto" }, tagged(text, protocol), rest.trim() && el("span", { class: "dropped", title: "dropped" }, said(rest))),
    action.call && el("p", { class: "call" }, "calls ", el("code", {}, said(action.call.name)), " ", el("code", {}, said(action.call.arguments))),
    remarks.length > 0 && el("p", { class: "remarks" }, remarks),
    turn.tokens && tokenPanel(turn.tokens));
}

const SCORERS = { exact_match: "by exact match", judge: "by the judge", unquoted: "it quoted too little", misquoted: "it quoted what stands in no passage" };
const NOTICES = {
  no_results: "nothing found", search_limit: "the search budget is used up", open_limit: "no more pages can be opened",
  not_listed: "no search listed this page", malformed: "the turn had no complete action",
};

// What the environment did for a seat after its turn.
function returned(event, protocol) {
  switch (event.type) {
    case "SearchReturned":
    case "PageOpened": {
      const found = event.passages ?? [];
      const asked = event.type === "PageOpened" ? event.passage_id : event.query;
      return el("div", { class: "result" },
        el("p", { class: "result-head" }, event.type === "PageOpened" ? "opened " : "search ", isolated(asked, { class: "query" }), el("span", { class: "faint" }, ` · ${plural(found.length, "passage")}`)),
        found.length ? el("ol", { class: "passages" }, found.map((one) => passage(one))) : el("p", {}, badge("bad", "nothing found")));
    }
    case "NoticeGiven":
      return el("p", { class: "remarks" }, badge("note", `notice: ${NOTICES[event.notice] ?? event.notice}`));
    case "SeatForfeited":
      return el("p", { class: "remarks" }, badge("bad", `forfeits: ${event.code}`));
    case "QuotationsChecked": {
      const missing = new Set(event.missing);
      return el("div", {}, el("p", { class: "faint" }, plural(event.quotations.length, "quotation")), el("ul", { class: "quotations" }, event.quotations.map((text) => el("li", {},
        badge(missing.has(text) ? "bad" : "good", missing.has(text) ? "in no passage" : "stands in a passage"), " ", isolated(text)))));
    }
    case "AnswerScored":
      return el("p", { class: "remarks" }, badge(event.correct ? "good" : "bad", event.correct ? "right" : "wrong"), " ", isolated(event.answer, { class: "query" }),
        el("span", { class: "faint" }, ` · ${SCORERS[event.scorer] ?? event.scorer}`));
    case "TurnTaken":
    case "ReadingGiven":
      return turnCard(event.title, event, protocol);
    default:
      return el("pre", { class: "raw" }, said(JSON.stringify(event, null, 1)));
  }
}
