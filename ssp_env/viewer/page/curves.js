// Curves of a run by step; a point leads to the games of its step.

const PANELS = [
  ["Validation questions solved", /^validation\//],
  ["Rewards", /^(solver_reward|proposer_reward|mixed_groups)$/],
  ["Valid questions, true labels", /^(valid_rate|label_truth)$/],
  ["Why questions fail", /^invalid\//],
  ["Hops", /^mean_hops$/],
  ["Searches", /^(solver|proposer)_searches$/],
  ["Entropy (nats a token)", /^(solver|proposer)\/entropy$/],
  ["KL of the update", /^(solver|proposer)\/update_kl$/],
  ["Gradient norm", /grad_norm$/],
  ["Critic: explained variance", /explained_variance$/],
];
const DASHES = ["", "6 3", "2 3", "8 3 2 3", "1 4", "12 4"];
const WIDE = 360;
const HIGH = 190;
const EDGE = { left: 44, right: 10, top: 10, bottom: 26 };
const SMOOTHED = 40;

// Values by step of every metric of the stage of self-play, or of all stages where there is no such.
function series(rows) {
  const played = rows.filter((row) => row.stage === "self-play");
  const found = new Map();
  for (const row of played.length ? played : rows) {
    for (const [name, value] of Object.entries(row)) {
      if (name === "stage" || name === "step" || typeof value !== "number" || typeof row.step !== "number") continue;
      if (!found.has(name)) found.set(name, []);
      found.get(name).push([row.step, value]);
    }
  }
  return found;
}

const namesOf = (all, wanted) => [...new Set(all.flatMap((found) => [...found.keys()]))].filter((name) => wanted.test(name)).sort();

// Those with the highest means of any run, so that no two lines of a panel look alike.
function highest(all, names) {
  const mean = (name) => Math.max(...all.filter((found) => found.has(name)).map((found) => found.get(name).reduce((sum, [, value]) => sum + value, 0) / found.get(name).length));
  return names.length <= DASHES.length ? names : [...names].sort((one, other) => mean(other) - mean(one)).slice(0, DASHES.length).sort();
}

function linesOf(all, sources, names) {
  return names.flatMap((name, at) => all.flatMap((found, source) => found.has(name)
    ? [{ name: sources.length > 1 ? `${SOURCES[source]} ${name}` : name, points: found.get(name), hue: at % 6, dash: DASHES[at % DASHES.length], source }] : []));
}

const trailing = (points, window = 10) => points.map(([step], at) => {
  const part = points.slice(Math.max(0, at - window + 1), at + 1);
  return [step, part.reduce((sum, [, value]) => sum + value, 0) / part.length];
});

// At most two points for each column of pixels, its lowest and its highest.
function thinned(points, x) {
  if (points.length <= 2 * WIDE) return points;
  const columns = new Map();
  for (const point of points) {
    const column = Math.round(x(point[0]));
    const [low, high] = columns.get(column) ?? [point, point];
    columns.set(column, [point[1] < low[1] ? point : low, point[1] > high[1] ? point : high]);
  }
  return [...columns.values()].flatMap(([low, high]) => (low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low]));
}

function scales(lines) {
  const steps = lines.flatMap(({ points }) => [points[0][0], points.at(-1)[0]]);
  let low = Infinity;
  let high = -Infinity;
  for (const { points } of lines) for (const [, value] of points) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low >= 0) [low, high] = [0, high > 0.5 && high <= 1 ? 1 : high];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  const x = (step) => EDGE.left + ((WIDE - EDGE.left - EDGE.right) * (step - first)) / (last - first || 1);
  const y = (value) => EDGE.top + ((HIGH - EDGE.top - EDGE.bottom) * (high - value)) / (high - low);
  const step = (at) => first + ((at - EDGE.left) * (last - first || 1)) / (WIDE - EDGE.left - EDGE.right);
  return { x, y, step, low, high, first, last };
}

const path = (points, { x, y }) => thinned(points, x).map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");

function drawn(lines, scale, withGames) {
  const { x, y, low, high, first, last } = scale;
  const ticks = [low, (low + high) / 2, high];
  return svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "chart", "aria-hidden": "true", focusable: "false" },
    ticks.map((value) => [svg("line", { class: "grid", x1: EDGE.left, x2: WIDE - EDGE.right, y1: y(value), y2: y(value) }),
      svg("text", { x: EDGE.left - 5, y: y(value) + 4, "text-anchor": "end" }, number(value, 2))]),
    svg("text", { x: EDGE.left, y: HIGH - 4 }, number(first)), svg("text", { x: WIDE - EDGE.right, y: HIGH - 4, "text-anchor": "end" }, `step ${number(last)}`),
    [...withGames].filter((step) => step >= first && step <= last).map((step) => svg("path", { class: "has-games", d: `M${x(step) - 3} ${HIGH - EDGE.bottom + 7}l3 -6l3 6z` })),
    lines.map(({ points, hue, dash, source }) => {
      const smooth = points.length > SMOOTHED;
      const shown = smooth ? trailing(points) : points;
      const every = Math.max(1, Math.ceil(shown.length / 12));
      return [smooth && svg("polyline", { class: `line faint hue-${hue}`, points: path(points, scale) }),
        svg("polyline", { class: `line hue-${hue}`, "stroke-dasharray": dash, points: path(shown, scale) }),
        shown.filter((_, at) => shown.length === 1 || (source > 0 && at % every === 0)).map(([step, value]) => svg("circle", { class: `dot hue-${hue}`, cx: x(step), cy: y(value), r: 3 }))];
    }),
    svg("line", { class: "cursor", x1: -9, x2: -9, y1: EDGE.top, y2: HIGH - EDGE.bottom }));
}

const nearest = (steps, wanted) => steps.reduce((best, step) => (Math.abs(step - wanted) < Math.abs(best - wanted) ? step : best), steps[0]);

function chart(title, lines, withGames) {
  const scale = scales(lines);
  const steps = [...new Set(lines.flatMap(({ points }) => points.map(([step]) => step)))].sort((one, other) => one - other);
  const picture = drawn(lines, scale, withGames);
  const cursor = picture.querySelector(".cursor");
  const readout = el("p", { class: "readout" });
  const values = lines.map(({ points }) => new Map(points));
  let at = steps.length - 1;
  const target = () => (withGames.size ? nearest([...withGames], steps[at]) : null);
  const open = () => {
    if (target() === null) announce("This run has recorded no games.");
    else go({ view: "games", step: String(target()), game: "", source: "" });
  };
  const show = (to) => {
    at = Math.max(0, Math.min(steps.length - 1, to));
    const there = lines.map(({ name }, line) => (values[line].has(steps[at]) ? `${name} ${number(values[line].get(steps[at]))}` : "")).filter(Boolean);
    const words = `step ${number(steps[at])}: ${there.join(", ")}`;
    slider.setAttribute("aria-valuenow", steps[at]);
    slider.setAttribute("aria-valuetext", words);
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, scale.x(steps[at]));
    replace(readout, words, " ", target() !== null && button(`games of step ${number(target())}`, open, { class: "quiet" }));
  };
  const under = (event) => {
    const box = picture.getBoundingClientRect();
    return steps.indexOf(nearest(steps, scale.step(((event.clientX - box.left) * WIDE) / box.width)));
  };
  const pressed = (event) => {
    const to = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, PageUp: at + 10, PageDown: at - 10, Home: 0, End: steps.length - 1 }[event.key];
    if (to !== undefined) show(to);
    else if (event.key === "Enter") open();
    else return;
    event.preventDefault();
  };
  const slider = el("div", { class: "plot", role: "slider", tabindex: "0", "aria-label": `${title} by step; Enter shows the games of the nearest step with games`,
    "aria-valuemin": steps[0], "aria-valuemax": steps.at(-1), "aria-valuenow": steps[at],
    on: { keydown: pressed, pointermove: (event) => show(under(event)), click: (event) => { show(under(event)); open(); } } }, picture);
  show(at);
  return el("figure", { class: "curve" }, el("figcaption", {}, title),
    slider, el("ul", { class: "legend" }, lines.map(({ name, hue, dash, source }) => el("li", {},
      svg("svg", { width: 28, height: 10, viewBox: "0 0 28 10", "aria-hidden": "true" }, svg("line", { class: `line hue-${hue}`, "stroke-dasharray": dash, x1: 0, x2: 28, y1: 5, y2: 5 }), source > 0 && svg("circle", { class: `dot hue-${hue}`, cx: 14, cy: 5, r: 3 })), " ", name))),
    readout);
}

function valueTable(title, lines) {
  const steps = [...new Set(lines.flatMap(({ points }) => points.map(([step]) => step)))].sort((one, other) => one - other);
  const values = lines.map(({ points }) => new Map(points));
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `${title} as a table` }, el("table", { class: "numbers" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "step"), lines.map(({ name }) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, steps.slice(-2000).map((step) => el("tr", {}, el("th", { scope: "row" }, number(step)), values.map((found) => el("td", {}, number(found.get(step)))))))));
}

async function curvesPage(sources) {
  const all = await Promise.all(sources.map(async (games) => series(await games.readMetrics())));
  const withGames = new Set(sources.flatMap((games) => [...games.steps.keys()]));
  if (!all.some((found) => found.size)) {
    return [el("p", { class: "notice" }, "There are no curves here: a file of games has none, and a run writes its metrics after its first step.")];
  }
  const charts = PANELS.map(([title, wanted]) => [title, namesOf(all, wanted)]).filter(([, found]) => found.length).map(([title, found]) => {
    const shown = highest(all, found);
    return chart(shown.length < found.length ? `${title}: the ${shown.length} highest of ${found.length}` : title, linesOf(all, sources, shown), withGames);
  });
  const names = namesOf(all, /./);
  const one = el("div", { class: "one-metric" });
  const choose = () => {
    const lines = linesOf(all, sources, [pick.value]);
    replace(one, chart(pick.value, lines, withGames), valueTable(pick.value, lines));
  };
  const pick = el("select", { id: "metric", on: { change: choose } }, names.map((name) => el("option", { value: name, selected: name === "solver_reward" }, name)));
  choose();
  return [
    el("h2", { class: "visually-hidden" }, "Curves"),
    el("p", { class: "faint" }, `A click, or Enter, leads to the games of a step; triangles below the axis mark the ${plural(withGames.size, "step")} with recorded games. Of long runs, thick lines are means over ten steps.`),
    el("div", { class: "charts" }, charts),
    el("section", { class: "part" }, el("h3", {}, el("label", { for: "metric" }, "Any metric")), pick, one),
  ];
}
