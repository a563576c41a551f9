// The page as a whole: views, panes, keys, themes.

const KEYS = [
  ["/", "search"], ["j, k", "next and previous game"], ["n, p", "next and previous step of the open game"], ["Esc", "back to the list"],
  ["1, 2, 3", "games, curves, figures"], ["t", "dark, light, or as the system is"], ["?", "this list"],
];
const THEMES = ["", "light", "dark"];
const kept = {
  get: (name) => { try { return localStorage.getItem(`ssp-viewer-${name}`) ?? ""; } catch { return ""; } },
  set: (name, value) => { try { localStorage.setItem(`ssp-viewer-${name}`, value); } catch { /* Nothing is kept where nothing may be. */ } },
};

function showTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  $("theme").textContent = `Theme: ${theme || "system"}`;
  kept.set("theme", theme);
}

const nextTheme = () => showTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "") + 1) % THEMES.length]);

function fillHelp() {
  replace($("help"), el("h2", { id: "help-title" }, "Keys"),
    el("dl", { class: "keys" }, KEYS.map(([key, words]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, words)])),
    el("p", {}, "In the list of games: arrows, Page Up and Down, Home, End, and Enter. On a curve: arrows and Enter. The address always leads back to what is shown."),
    el("p", { class: "check" }, el("input", { type: "checkbox", id: "keys-on", checked: kept.get("keys") !== "off", on: { change: (event) => kept.set("keys", event.target.checked ? "" : "off") } }),
      el("label", { for: "keys-on" }, "Single keys act (Esc and those of the list always do)")),
    button("Close", () => $("help").close()));
}

class Viewer {
  constructor(about, sources) {
    this.about = about;
    this.sources = sources;
    this.shown = {};
    this.deep = new DeepSearch(sources, (part, done) => this.searched(part, done));
    this.list = new GameList(sources, (name, focus) => {
      this.focusGame = focus || matchMedia("(max-width: 59.99rem)").matches;
      go({ game: name, beside: "" }, { step: !readRoute().game });
      if (focus) $("game-title")?.focus();
    });
    this.filters = el("div", { class: "filter-pane" });
    this.game = el("section", { class: "game", id: "game", "aria-label": "Game", tabindex: "-1" });
    this.games = el("div", { class: "panes" }, el("section", { class: "listing", "aria-label": "List of games" }, this.filters, this.list.box), this.game);
    this.page = el("div", { class: "page" });
    this.notices = el("div", { class: "notices" });
    replace($("main"), this.notices, this.games, this.page);
    addEventListener("route", () => this.render());
    addEventListener("popstate", () => this.render(true));
    addEventListener("hashchange", () => this.render(true));
    addEventListener("refilter", () => {
      document.activeElement.blur();
      this.refilter();
    });
    addEventListener("keydown", (event) => this.pressed(event));
    this.tabs();
    this.renew();
  }

  tabs() {
    replace($("tabs"), Object.entries(VIEWS).map(([view, words]) => button(words, () => go({ view }), { "data-view": view })));
    $("title").textContent = plain(this.sources.map((games) => games.source.name).join(" | "));
  }

  // Show what is new in the sources.
  renew() {
    const notices = this.sources.flatMap((games) => noticesOf(games.source).map((words) => (this.sources.length > 1 ? `${games.source.name}: ${words}` : words)));
    replace(this.notices, notices.map((words) => el("p", { class: "notice" }, badge("note", "note"), ` ${words} `, button("More about what is shown", () => go({ view: "figures" }), { class: "quiet" }))));
    const first = this.shown.view === undefined;
    this.shown.view = null;
    this.render(true, !first);
  }

  // Make the form anew, and leave whoever is using it where they are.
  refilter(keep = false) {
    const { id, value } = this.filters.contains(document.activeElement) ? document.activeElement : {};
    replace(this.filters, filterForm(this.sources, this.about, readRoute()));
    if (id) $(id)?.focus();
    if (id === "search") $(id).value = value;
    this.relist(keep);
  }

  relist(keep) {
    const route = readRoute();
    const found = listed(this.sources, route, this.deep.found);
    this.list.show(found, route.game, { keep });
    const total = this.sources.reduce((sum, games) => sum + games.length, 0);
    $("found").textContent = `${number(found.length)} of ${plural(total, "game")}${this.searching ?? ""}`;
    $("clear").hidden = !FILTERS.some((name) => route[name]);
  }

  searched(part, done) {
    this.searching = done ? "" : `, searching: ${percent(part)}`;
    this.relist(true);
  }

  render(anew = false, keep = false) {
    const route = readRoute();
    for (const tab of $("tabs").children) tab.setAttribute("aria-current", tab.dataset.view === route.view ? "page" : "false");
    this.games.hidden = route.view !== "games";
    this.page.hidden = route.view === "games";
    document.body.dataset.open = route.view === "games" && route.game ? "game" : "list";
    if (route.view === "games") this.renderGames(route, anew, keep);
    else if (this.shown.view !== route.view) this.renderPage(route.view);
    this.shown.view = route.view;
  }

  renderGames(route, anew, keep) {
    const filters = JSON.stringify(FILTERS.map((name) => route[name]));
    if (this.deep.start(route)) this.searching = ", searching";
    else if (!this.deep.asked) this.searching = "";
    if (anew || this.shown.view !== "games" || !this.filters.firstChild) {
      this.refilter(keep);
    } else if (filters !== this.shown.filters) this.relist(false);
    this.shown.filters = filters;
    const games = `${route.game} ${route.beside}`;
    if (games === this.shown.games && this.shown.found) {
      this.list.opened = route.game;
      return;
    }
    this.shown.games = games;
    this.list.opened = route.game;
    const open = findGame(this.sources, route.game);
    if (open) this.list.at = this.list.found.findIndex((one) => one.source === open.source && one.place === open.place);
    this.list.draw();
    this.renderGame(route);
  }

  async renderPage(view) {
    replace(this.page, el("p", { class: "waiting" }, "Reading…"));
    const content = view === "curves" ? await curvesPage(this.sources) : figuresPage(this.sources, this.about);
    if (readRoute().view === view) replace(this.page, content);
    document.title = plain(`${VIEWS[view]} – ${this.sources.map((games) => games.source.name).join(" and ")}`);
  }

  async renderGame(route) {
    const asked = this.shown.games;
    const found = findGame(this.sources, route.game);
    this.shown.found = Boolean(found);
    if (!found) {
      const words = route.game ? `The address names the game ${route.game}, which is not here: it may be among those that are left out.` : "Choose a game: click it, or press j.";
      replace(this.game, el("p", { class: "waiting" }, words));
      return;
    }
    const wanted = [found, findGame(this.sources, route.beside)].filter(Boolean);
    try {
      const bodies = await Promise.all(wanted.map(({ source, place }) => this.sources[source].body(place)));
      if (asked !== this.shown.games) return;
      const columns = bodies.map((body, at) => el("article", { class: "one-game" }, this.gameHead(wanted[at], body, at === 0, wanted.length > 1), gamePage(body, this.about, at ? "beside" : "game")));
      replace(this.game, el("div", { class: wanted.length > 1 ? "beside" : "" }, columns));
      this.game.scrollTop = 0;
      document.title = plain(`${bodies[0].game_id} – ${this.sources[found.source].source.name}`);
      announce(`Game ${bodies[0].game_id}: ${this.sources[found.source].columns.reason[found.place]}`);
      if (this.focusGame) $("game-title").focus({ preventScroll: true });
      this.focusGame = false;
    } catch (error) {
      replace(this.game, el("p", { class: "notice" }, badge("error", "cannot be shown"), " The game cannot be read: ", isolated(error.message)));
    }
  }

  gameHead({ source, place }, body, first, twofold) {
    const name = nameOf(source, this.sources[source].columns.line[place]);
    const twins = first && !twofold ? this.twins(source, place) : [];
    return el("header", { class: "game-head" },
      first && button("← List", () => this.close(), { class: "back" }),
      el("h2", { id: first ? "game-title" : "beside-title", tabindex: "-1" }, this.sources.length > 1 && `${SOURCES[source]} `, "Game ", isolated(body.game_id), el("span", { class: "faint" }, ` line ${number(body.line)}`)),
      first ? el("div", { class: "tools" },
        twins.map((twin) => button(`Beside it: the same in ${SOURCES[twin.source]}`, () => go({ beside: nameOf(twin.source, this.sources[twin.source].columns.line[twin.place]) }))),
        twofold && button("Alone", () => go({ beside: "" })),
        button("Previous", () => this.list.next(-1), { title: "k" }), button("Next", () => this.list.next(1), { title: "j" }))
        : button("Open", () => go({ game: name, beside: "" })));
  }

  // The game with the same id in the other file.
  twins(source, place) {
    const id = this.sources[source].columns.id[place];
    return this.sources.flatMap((games, other) => {
      const at = other === source ? -1 : games.columns.id.indexOf(id);
      return at < 0 ? [] : [{ source: other, place: at }];
    });
  }

  close() {
    go({ game: "", beside: "" });
    this.list.box.focus();
  }

  // Go to the next part of the open game.
  step(by) {
    const steps = [...this.game.querySelectorAll("[data-step]")];
    const at = steps.indexOf(document.activeElement.closest?.("[data-step]"));
    const to = steps[at < 0 ? (by > 0 ? 0 : steps.length - 1) : Math.max(0, Math.min(steps.length - 1, at + by))];
    to?.focus({ preventScroll: true });
    to?.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "Escape" && !typing && readRoute().game) return this.close();
    if (typing || kept.get("keys") === "off") return;
    const act = {
      "/": () => { go({ view: "games" }); $("search").focus(); },
      j: () => this.list.next(1), k: () => this.list.next(-1), n: () => this.step(1), p: () => this.step(-1),
      1: () => go({ view: "games" }), 2: () => go({ view: "curves" }), 3: () => go({ view: "figures" }), t: nextTheme, "?": () => $("help").showModal(),
    }[event.key];
    if (!act || ("jknp".includes(event.key) && readRoute().view !== "games")) return;
    event.preventDefault();
    act();
  }
}

async function begin() {
  showTheme(kept.get("theme"));
  $("theme").addEventListener("click", nextTheme);
  $("skip").addEventListener("click", () => $("main").focus());
  fillHelp();
  $("help-button").addEventListener("click", () => $("help").showModal());
  try {
    if (!globalThis.DecompressionStream) throw new Error("this browser is too old: it must know DecompressionStream, as browsers since 2023 do");
    const about = await blockOf("about");
    if (!about.follows) return void new Viewer(about, await embedded(about));
    let viewer = null;
    const { all, poll } = followed(about, (news) => {
      document.body.classList.remove("lost");
      if (!viewer) viewer = new Viewer(about, all);
      else if (news) {
        viewer.renew();
        announce("There are new games.");
      }
    }, (error) => {
      if (!document.body.classList.contains("lost")) announce(`The run is not followed at the moment: ${error.message}`);
      document.body.classList.add("lost");
    });
    await poll();
  } catch (error) {
    replace($("main"), el("p", { class: "notice" }, badge("error", "cannot be shown"), " ", isolated(error.message)));
  }
}

begin();
