// Which games are listed: the form of filters, the test that it means, and the search through whole games.

const LABELS = { true: "true", false: "false", unknown: "not known" };
const HAS = { forged: "forged tags", malformed: "malformed turns", tokens: "tokens", attempts: "several attempts" };
const labelOf = (label) => (label === null || label === undefined ? "unknown" : String(Boolean(label)));

// Return whether a game is listed, but for the search through whole games.
function testOf(route, source, columns) {
  if (route.source && route.source !== SOURCES[source]) return () => false;
  const tests = [];
  for (const name of ["verdict", "reason"]) if (route[name]) tests.push((place) => columns[name][place] === route[name]);
  for (const name of ["hops", "step"]) if (route[name]) tests.push((place) => String(columns[name][place]) === route[name]);
  if (route.label) tests.push((place) => labelOf(columns.label[place]) === route.label);
  if (route.has === "attempts") tests.push((place) => columns.attempts[place] > 1);
  else if (Object.hasOwn(HAS, route.has)) tests.push((place) => Boolean(columns[route.has][place]));
  return (place) => tests.every((test) => test(place));
}

// Places of the games that are listed, source by source. With `deep`, games whose whole text was found are listed too.
function listed(sources, route, deep) {
  const found = [];
  const words = route.q.toLowerCase();
  sources.forEach((games, source) => {
    const test = testOf(route, source, games.columns);
    for (let place = 0; place < games.length; place++) {
      if (!test(place)) continue;
      if (words && !games.columns.text[place].includes(words) && !deep?.has(`${source}.${place}`)) continue;
      found.push({ source, place });
    }
  });
  return found;
}

// All texts of a game: turns, passages, replies; keys and numbers are not searched.
function textsOf(body) {
  const texts = [];
  const walk = (value) => {
    if (typeof value === "string") texts.push(value);
    else if (Array.isArray(value)) value.forEach(walk);
    else if (value && typeof value === "object") Object.values(value).forEach(walk);
  };
  for (const event of body.events) {
    walk([event.reply?.text, event.passages?.map((passage) => [passage.title, passage.text, passage.id]), event.detail]);
  }
  return texts.join("\n").toLowerCase();
}

// Go through the bodies of all games that the other filters leave, a part at a time, and tell what was found so far.
class DeepSearch {
  constructor(sources, tell) {
    this.sources = sources;
    this.tell = tell;
    this.found = new Set();
    this.turn = 0;
    this.asked = "";
  }

  // Begin, unless the same is searched already; return whether the search began.
  start(route) {
    const asked = route.deep && route.q ? JSON.stringify(FILTERS.map((name) => route[name])) : "";
    if (asked === this.asked) return false;
    this.asked = asked;
    this.found = new Set();
    this.turn++;
    if (asked) this.run(route, this.turn);
    return Boolean(asked);
  }

  async run(route, turn) {
    const words = route.q.toLowerCase();
    for (const [source, games] of this.sources.entries()) {
      const test = testOf(route, source, games.columns);
      for (const part of games.starts.keys()) {
        const start = games.starts[part];
        const end = games.starts[part + 1] ?? games.length;
        if (![...Array(end - start).keys()].some((number) => test(start + number))) continue;
        const bodies = await games.part(part);
        if (turn !== this.turn) return;
        bodies.forEach((body, number) => {
          if (textsOf(body).includes(words)) this.found.add(`${source}.${start + number}`);
        });
        this.tell((part + 1) / games.starts.length, false);
        await new Promise((next) => setTimeout(next));
        if (turn !== this.turn) return;
      }
    }
    this.tell(1, true);
  }
}

function counted(sources, name, column = name) {
  const counts = new Map();
  for (const games of sources) {
    for (const value of games.columns[column] ?? []) {
      const key = name === "label" ? labelOf(value) : value;
      if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return counts;
}

function select(name, label, options, route) {
  const id = `filter-${name}`;
  const chosen = options.some(([value]) => String(value) === route[name]) || !route[name] ? options : [...options, [route[name], route[name]]];
  return el("div", { class: "field" },
    el("label", { for: id }, label),
    el("select", { id, on: { change: (event) => go({ [name]: event.target.value, game: readRoute().game }, { step: false }) } },
      el("option", { value: "" }, "any"),
      chosen.map(([value, words]) => el("option", { value, selected: String(value) === route[name] }, words))));
}

function filterForm(sources, about, route) {
  const counts = (name) => [...counted(sources, name)];
  const byNumber = (pairs) => pairs.sort(([one], [other]) => one - other);
  const byCount = (pairs) => pairs.sort(([, one], [, other]) => other - one);
  const options = (pairs, words = (value) => value) => pairs.map(([value, count]) => [value, `${words(value)} (${number(count)})`]);
  let waiting = 0;
  const typed = (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => go({ q: event.target.value }, { step: false }), 120);
  };
  return el("form", { class: "filters", role: "search", "aria-label": "Filter the games", on: { submit: (event) => event.preventDefault() } },
    el("div", { class: "field wide" },
      el("label", { for: "search" }, "Search"),
      el("input", { id: "search", type: "search", value: route.q, autocomplete: "off", spellcheck: "false", enterkeyhint: "search",
        placeholder: "question, answer, query, id", on: { input: typed } })),
    el("div", { class: "field wide check" },
      el("input", { id: "deep", type: "checkbox", checked: Boolean(route.deep), on: { change: (event) => go({ deep: event.target.checked ? "1" : "" }, { step: false }) } }),
      el("label", { for: "deep" }, "also in whole turns and passages")),
    el("details", { class: "more", open: matchMedia("(min-width: 60rem)").matches || FILTERS.slice(2).some((name) => route[name]) },
      el("summary", {}, "Filters"),
      el("div", { class: "fields" },
        sources.length > 1 && select("source", "File", sources.map((games, at) => [SOURCES[at], `${SOURCES[at]}: ${games.source.name}`]), route),
        select("verdict", "Outcome", options(byCount(counts("verdict"))), route),
        select("reason", "Reason code", options(byCount(counts("reason"))), route),
        select("hops", "Hops", options(byNumber(counts("hops"))), route),
        select("step", "Step", options(byNumber(counts("step"))), route),
        select("label", "Label truth", options(byCount(counts("label")), (value) => LABELS[value]), route),
        select("has", "With", Object.entries(HAS), route))),
    el("div", { class: "found" },
      el("span", { id: "found", role: "status" }),
      button("Clear filters", () => {
        go(Object.fromEntries(FILTERS.map((name) => [name, ""])), { step: false });
        dispatchEvent(new Event("refilter"));
      }, { id: "clear", class: "quiet" })));
}
