// Where games come from: parts of this file that are unpacked when they are asked for, or the server of a run that goes on.

async function unpacked(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const blockOf = async (id) => {
  const element = $(id);
  if (!element) throw new Error("the file ends early: it was not written or copied as a whole");
  return unpacked(element.textContent);
};

const PARTS_KEPT = 24;
const whole = new Promise((done) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", done);
  else done();
});

// The games of one source: columns of the list, bodies by number of their place in it.
class Games {
  constructor(source, fetched) {
    this.source = source;
    this.fetched = fetched;
    this.columns = {};
    this.starts = [];
    this.parts = new Map();
    this.lines = new Map();
    this.steps = new Map();
    this.metrics = null;
  }

  get length() {
    return this.columns.id?.length ?? 0;
  }

  // Take in the columns of further games.
  add(columns) {
    const first = this.length;
    for (const [name, values] of Object.entries(columns)) {
      const own = (this.columns[name] ??= []);
      for (const value of values) own.push(value);
    }
    const { line, part, step, question, answer, id, words } = this.columns;
    const texts = (this.columns.text ??= []);
    for (let place = first; place < this.length; place++) {
      this.starts[part[place]] ??= place;
      this.lines.set(line[place], place);
      if (step[place] !== null) this.steps.set(step[place], (this.steps.get(step[place]) ?? 0) + 1);
      texts.push(`${question[place]}\n${answer[place]}\n${id[place]}\n${words[place]}`.toLowerCase());
    }
    this.parts.delete(this.columns.part[first]);
  }

  // The bodies of the games of one part, as they were packed together.
  async part(number) {
    const kept = this.parts.get(number);
    if (kept) {
      this.parts.delete(number);
      this.parts.set(number, kept);
      return kept;
    }
    const asked = this.fetched(number);
    this.parts.set(number, asked);
    if (this.parts.size > PARTS_KEPT) this.parts.delete(this.parts.keys().next().value);
    try {
      return await asked;
    } catch (error) {
      this.parts.delete(number);
      throw error;
    }
  }

  async body(place) {
    const number = this.columns.part[place];
    return (await this.part(number))[place - this.starts[number]];
  }

  game(place) {
    return new Proxy({}, { get: (_, name) => (name === "place" ? place : this.columns[name]?.[place]) });
  }
}

async function embedded(about) {
  return Promise.all(about.sources.map(async (source, number) => {
    const games = new Games(source, async (part) => {
      await whole;
      return blockOf(`part-${number}-${part}`);
    });
    games.add(await blockOf(`games-${number}`));
    games.readMetrics = async () => (games.metrics ??= await blockOf(`metrics-${number}`));
    return games;
  }));
}

const POLL_MILLISECONDS = 2000;

async function asked(path) {
  const reply = await fetch(path, { cache: "no-store" });
  if (!reply.ok) throw new Error(`the server answered ${reply.status}`);
  return reply.json();
}

// Ask the server for what is new, now and ever again; `changed` is told whether games or metrics came.
function followed(about, changed, lost) {
  const all = about.sources.map((source, number) => {
    const games = new Games(source, (part) => asked(`part?source=${number}&generation=${games.generation}&part=${part}`));
    games.generation = -1;
    games.metrics = [];
    games.readMetrics = async () => games.metrics;
    return games;
  });
  const poll = async () => {
    try {
      let news = false;
      for (const [number, games] of all.entries()) {
        const query = `source=${number}&generation=${games.generation}&games=${games.length}&metrics=${games.metrics.length}`;
        const fresh = await asked(`changes?${query}`);
        const restarted = fresh.generation !== games.generation;
        if (restarted) Object.assign(games, { columns: {}, starts: [], metrics: [], lines: new Map(), steps: new Map(), parts: new Map() });
        games.generation = fresh.generation;
        games.source = fresh.about;
        const before = games.length;
        if (fresh.games.id.length) games.add(fresh.games);
        for (const row of fresh.metrics) games.metrics.push(row);
        news ||= restarted || games.length > before || fresh.metrics.length > 0;
      }
      await changed(news);
    } catch (error) {
      lost(error);
    }
    setTimeout(poll, POLL_MILLISECONDS);
  };
  return { all, poll };
}
