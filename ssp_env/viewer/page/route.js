// What is looked at, kept in the fragment of the address, so that a link leads back to it.

const VIEWS = { games: "Games", curves: "Curves", figures: "Figures" };
const FILTERS = ["q", "deep", "source", "verdict", "reason", "hops", "step", "label", "has"];

function readRoute() {
  const given = new URLSearchParams(location.hash.slice(1));
  const view = given.get("view");
  const route = { view: Object.hasOwn(VIEWS, view ?? "") ? view : "games", game: given.get("game") ?? "", beside: given.get("beside") ?? "" };
  for (const name of FILTERS) route[name] = given.get(name) ?? "";
  return route;
}

function writeRoute(route) {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(route)) {
    if (value && !(name === "view" && value === "games")) kept.set(name, value);
  }
  return `#${kept}`;
}

// Change some of what is looked at; `step` makes the way back lead here.
function go(changes, { step = true } = {}) {
  const route = { ...readRoute(), ...changes };
  const fragment = writeRoute(route);
  if (fragment === (location.hash || "#")) return;
  history[step ? "pushState" : "replaceState"](null, "", fragment);
  dispatchEvent(new Event("route"));
}

// A game is named by its source and the line of its record: that stays true when a file grows.
const SOURCES = "AB";
const nameOf = (source, line) => `${SOURCES[source]}${line}`;

function findGame(sources, name) {
  const [, letter, line] = /^([AB])(\d+)$/.exec(name) ?? [];
  const source = SOURCES.indexOf(letter);
  const place = sources[source]?.lines.get(Number(line));
  return place === undefined ? null : { source, place };
}
