// The list of games, of which only the rows in sight are made, whatever its length.

const ROW = 64;
const VERDICTS = { valid: "good", invalid: "bad", error: "error", unknown: "unknown" };

class GameList {
  constructor(sources, open) {
    this.sources = sources;
    this.open = open;
    this.found = [];
    this.at = -1;
    this.opened = "";
    this.rows = el("div", { class: "rows", role: "presentation" });
    this.box = el("div", {
      class: "list", id: "list", role: "listbox", tabindex: "0", "aria-label": "Games",
      on: { scroll: () => this.draw(), keydown: (event) => this.pressed(event), click: (event) => this.clicked(event) },
    }, this.rows);
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  // Show these games, with the one that is open in sight if there is one.
  show(found, opened, { keep = false } = {}) {
    const before = this.found[this.at];
    this.found = found;
    this.opened = opened;
    const open = findGame(this.sources, opened) ?? (keep ? before : null);
    this.at = open ? found.findIndex((one) => one.source === open.source && one.place === open.place) : -1;
    this.rows.style.height = `${found.length * ROW}px`;
    if (!keep) this.box.scrollTop = 0;
    if (this.at >= 0 && !keep) this.reveal();
    this.drawn = "";
    this.draw();
  }

  reveal() {
    const top = this.at * ROW;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) this.box.scrollTop = top + ROW - clientHeight;
  }

  draw() {
    const height = this.box.clientHeight || 600;
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 4);
    const last = Math.min(this.found.length, Math.ceil((this.box.scrollTop + height) / ROW) + 4);
    const drawn = `${first} ${last} ${this.at} ${this.opened}`;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const numbers = [];
    for (let number = first; number < last; number++) numbers.push(number);
    // What the reader of a screen is told to be active must be there, in sight or not.
    if (this.at >= 0 && this.at < this.found.length && (this.at < first || this.at >= last)) numbers.push(this.at);
    replace(this.rows, numbers.map((number) => this.row(number)));
    if (this.at >= 0) this.box.setAttribute("aria-activedescendant", `row-${this.at}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  row(number) {
    const { source, place } = this.found[number];
    const game = this.sources[source].game(place);
    const name = nameOf(source, game.line);
    const facts = [game.reason, plural(game.hops, "hop"), game.step !== null && `step ${game.step}`,
      game.rate !== null && `p ${number2(game.rate)}`, game.label === false && "label false"];
    const row = el("div", {
      class: `row${name === this.opened ? " open" : ""}${number === this.at ? " at" : ""}`, id: `row-${number}`, role: "option",
      "aria-posinset": number + 1, "aria-setsize": this.found.length, "aria-selected": name === this.opened ? "true" : "false", "data-row": number,
    },
    el("span", { class: "row-head" },
      badge(VERDICTS[game.verdict] ?? "unknown", game.verdict),
      el("span", { class: "row-facts" }, said(facts.filter(Boolean).join(" · "))),
      el("span", { class: "row-name" }, this.sources.length > 1 && `${SOURCES[source]} `, said(game.id))),
    el("span", { class: "row-question", dir: "auto" }, said(short(game.question || "(no question)", 200)),
      el("span", { class: "row-answer" }, " → ", isolated(short(game.answer, 60)))));
    row.style.transform = `translateY(${number * ROW}px)`;
    return row;
  }

  move(to) {
    if (!this.found.length) return;
    this.at = Math.max(0, Math.min(this.found.length - 1, to));
    this.reveal();
    this.draw();
  }

  openAt(number, { focus = false } = {}) {
    const one = this.found[number];
    if (!one) return;
    this.at = number;
    this.open(nameOf(one.source, this.sources[one.source].columns.line[one.place]), focus);
  }

  // Open the game after or before the one that is open.
  next(by) {
    const to = this.at < 0 ? 0 : this.at + by;
    if (to < 0 || to >= this.found.length) announce(to < 0 ? "This is the first game." : "This is the last game.");
    else {
      this.move(to);
      this.openAt(to);
    }
  }

  pressed(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 1);
    const to = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, PageDown: this.at + page, PageUp: this.at - page, Home: 0, End: this.found.length - 1 }[event.key];
    if (to !== undefined) this.move(to);
    else if (event.key === "Enter" || event.key === " ") this.openAt(Math.max(0, this.at), { focus: true });
    else return;
    event.preventDefault();
  }

  clicked(event) {
    const row = event.target.closest("[data-row]");
    if (row) this.openAt(Number(row.dataset.row));
  }
}

const number2 = (value) => String(Number(value.toFixed(2)));
const short = (text, most) => {
  const line = String(text).replace(/\s+/g, " ");
  return line.length > most ? `${line.slice(0, most)}…` : line;
};
