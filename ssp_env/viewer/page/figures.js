// Figures over all games of each file, side by side; and what the page shows and cannot show.

const mean = (values) => (values.length ? values.reduce((sum, value) => sum + Number(value), 0) / values.length : null);

function figuresOf({ columns, length }) {
  const places = [...Array(length).keys()];
  const valid = places.filter((place) => columns.verdict[place] === "valid");
  const sound = places.filter((place) => columns.verdict[place] !== "error" && columns.verdict[place] !== "unknown");
  const labelled = valid.filter((place) => columns.label[place] !== null);
  const known = (name, among) => among.map((place) => columns[name][place]).filter((value) => value !== null);
  return {
    "games": [length],
    "valid questions": [valid.length, sound.length],
    "solver's success on them": [mean(known("rate", valid))],
    "proposer's reward": [mean(known("paid", sound))],
    "true labels, of the valid": [labelled.filter((place) => columns.label[place]).length, labelled.length],
    "hops, in the mean": [mean(known("hops", places))],
    "searches a game": [mean(known("searches", places))],
    "games with malformed turns": [places.filter((place) => columns.malformed[place]).length, length],
    "games with forged tags": [places.filter((place) => columns.forged[place]).length, length],
  };
}

const share = ([count, among]) => (count === null ? "–" : among === undefined ? number(count) : among === 0 ? "not known" : `${number(count)} of ${number(among)} (${percent(count / among)})`);

function figuresTable(sources, words) {
  const figures = sources.map(figuresOf);
  const reasons = sources.map((games) => counted([games], "reason"));
  const codes = Object.keys(words.reasons).filter((code) => reasons.some((counts) => counts.has(code)));
  const others = reasons.flatMap((counts) => [...counts.keys()]).filter((code) => !Object.hasOwn(words.reasons, code));
  const heads = sources.map((games, source) => (sources.length > 1 ? `${SOURCES[source]}: ${games.source.name}` : games.source.name));
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Figures" }, el("table", { class: "figures" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Figure"), heads.map((name) => el("th", { scope: "col" }, said(name))))),
    el("tbody", {}, Object.keys(figures[0]).map((name) => el("tr", {}, el("th", { scope: "row" }, name), figures.map((own) => el("td", {}, share(own[name])))))),
    el("tbody", {}, [...codes, ...new Set(others)].map((code) => el("tr", {},
      el("th", { scope: "row" }, el("code", {}, code), " ", el("span", { class: "faint" }, words.reasons[code] ?? "")),
      reasons.map((counts, source) => el("td", {}, counts.has(code)
        ? button(share([counts.get(code), sources[source].length]), () => go({ view: "games", reason: code, source: sources.length > 1 ? SOURCES[source] : "", game: "" }), { class: "quiet", title: `Show the games with the reason ${code}` })
        : "0")))))));
}

// What is wrong or left out, said where somebody sees it first.
function noticesOf(source) {
  const said = [];
  if (source.leftOut) said.push(`The last ${number(source.total - source.leftOut)} of ${number(source.total)} lines are shown; those before them are left out (--limit).`);
  if (source.bad) said.push(`${plural(source.bad, "line")} could not be shown.`);
  if (source.torn) said.push("The last line is incomplete, as it is while a game is being written.");
  if (!source.shown && !source.bad) said.push(source.isRun ? "This run has recorded no games yet: ssp train records those of the steps in which it validates." : "The file holds no game.");
  return said;
}

function aboutSource({ source, length }, letter) {
  const notices = noticesOf(source);
  return el("section", { class: "part" }, el("h3", {}, letter, isolated(source.name)),
    el("p", {}, el("code", {}, said(source.path)), ` · ${plural(length, "game")}`),
    notices.length > 0 && el("ul", {}, notices.map((words) => el("li", {}, words))),
    source.problems.length > 0 && el("details", { class: "fold", open: true }, el("summary", {}, `What was wrong (${source.problems.length} shown)`), el("ul", {}, source.problems.map((problem) => el("li", {}, said(problem))))),
    Object.entries(source.descriptions).map(([name, data]) => el("details", { class: "fold" }, el("summary", {}, name), el("pre", { class: "raw", tabindex: "0" }, said(JSON.stringify(data, null, 1))))));
}

function figuresPage(sources, words) {
  return [
    el("h2", { class: "visually-hidden" }, "Figures"),
    figuresTable(sources, words),
    sources.map((games, source) => aboutSource(games, sources.length > 1 ? `${SOURCES[source]}: ` : "")),
    el("section", { class: "part" }, el("h3", {}, "What this page shows"),
      el("p", {}, "Every event of the recorded games, whole, in the spectator's view: all roles and the answer. Reasons are the game's own codes. Whether a label is true is known only where the writer of the record had an oracle, as generated worlds do. Tokens are shown by their ids, because records hold no text of single tokens. Prompts are not recorded; ssp replay rebuilds them."),
      el("p", {}, `Written by ssp-env ${words.version}. The page asks no other computer for anything, and texts of passages and players stand in it as text alone: addresses are not links, and characters that nobody sees are shown by their code points.`)),
  ];
}
