// A game as it was played: proposer, rules, reader, attempts of the solver side by side, rewards.

// Order the events of a record by who they belong to.
function told(body, words) {
  const story = { proposer: [], readings: [], solvers: new Map(), proposed: null, broken: null };
  const turns = {};
  let evidence = null;
  const updates = body.extra?.update ?? {};
  const seat = (name) => {
    if (name === "proposer_0") return story.proposer;
    if (!story.solvers.has(name)) story.solvers.set(name, []);
    return story.solvers.get(name);
  };
  const readers = Object.fromEntries(Object.entries(words.readings).map(([probe, name]) => [name, probe]));
  for (const event of body.events) {
    if (event.type === "TurnTaken") {
      const turn = (turns[event.seat] = (turns[event.seat] ?? -1) + 1);
      seat(event.seat).push({ ...event, title: `Turn ${turn + 1}`, tokens: tokensOf(event.reply, updates[event.seat], turn) });
    } else if (event.type === "QuestionProposed") story.proposed = event;
    else if (event.type === "EvidenceMixed") evidence = event;
    else if (event.type === "ReadingGiven") {
      story.readings.push({ probe: event.probe, evidence, turn: { ...event, title: "Reader", tokens: tokensOf(event.reply, null, 0) }, judged: [] });
      evidence = null;
    } else if (readers[event.seat]) {
      // What was quoted and what the answer is worth, of a reading.
      story.readings.findLast((one) => one.probe === readers[event.seat])?.judged.push(event);
    } else if (event.type === "GameBroken") story.broken = event;
    else seat(event.seat).push(event);
  }
  if (evidence) story.readings.push({ probe: "recovery", evidence, turn: null, judged: [] });
  return story;
}

// Rules that a game's options turn off.
const OFF = {
  about_documents: (rules) => !rules.self_contained, no_evidence: (rules) => rules.min_searches === 0, too_few_searches: (rules) => rules.min_searches === 0,
  answer_in_search: (rules) => rules.answer_in_search, wrong_hop_count: (rules) => rules.hop_check === "off", near_duplicate: (rules) => rules.max_similarity === null,
};
const PROBES = {
  recovery: ["rag_check", "RAG check", "the answer does not follow from the evidence"], closed_book: ["closed_book", "Closed book", "memory alone is enough"],
  uniqueness: ["uniqueness", "Uniqueness", "another answer fits as well"], second_recovery: ["second_reading", "Second reading", "the answer does not follow in another order, among other noise"],
};

const rulesOf = (body) => body.scored_by?.config ?? body.snapshot.config;

// The reading that refused the question, which is the last one then; null if none did.
const refusing = (story, body) => (body.outcome?.verdict === "invalid" && !story.proposed?.code && story.readings.findLast((one) => one.turn)) || null;

function ruleList(story, body, words) {
  const rules = rulesOf(body);
  const code = story.proposed?.code;
  const broken = words.rules.indexOf(code);
  const rows = words.rules.map((rule, at) => {
    const off = OFF[rule]?.(rules);
    const verdict = off ? ["note", "off"] : !story.proposed ? ["unknown", "not asked"] : broken < 0 || at < broken ? ["good", "kept"] : at === broken ? ["bad", "broken"] : ["unknown", "not reached"];
    return [rule, verdict, words.reasons[rule]];
  });
  for (const [probe, [option, title, meaning]] of Object.entries(PROBES)) {
    const reading = story.readings.find((one) => one.probe === probe);
    const refused = refusing(story, body) === reading;
    const verdict = !rules[option] ? ["note", "off"] : !reading?.turn ? ["unknown", "not reached"] : refused ? ["bad", `refused: ${body.outcome.reason}`] : ["good", "passed"];
    rows.push([title, verdict, meaning]);
  }
  const item = ([name, [kind, verdict], meaning]) => el("li", { class: `rule ${kind}` }, badge(kind, verdict), " ", el("code", {}, name), " ", el("span", { class: "faint" }, meaning));
  const [shown, quiet] = [rows.filter(([, [kind]]) => kind === "bad"), rows.filter(([, [kind]]) => kind !== "bad")];
  const kept = quiet.filter(([, [kind]]) => kind === "good").length;
  return [
    shown.length > 0 && el("ul", { class: "rules" }, shown.map(item)),
    el("details", { class: "fold", open: !shown.length && Boolean(story.proposed) && innerWidth > 700 },
      el("summary", {}, `${plural(kept, "rule")} kept, ${quiet.length - kept} off or not reached`), el("p", { class: "faint" }, "A question is refused if"), el("ul", { class: "rules" }, quiet.map(item))),
  ];
}

function readings(story, body, protocol) {
  if (!story.readings.length) {
    const rules = rulesOf(body);
    return el("p", { class: "faint" }, rules.rag_check ? "Nobody read: the game ended before." : "Nobody read: the rules ask for no RAG check.");
  }
  return story.readings.map(({ probe, evidence, turn, judged }) => {
    const noise = new Set(evidence?.noise_ids ?? []);
    const [, title, meaning] = PROBES[probe] ?? [null, probe, ""];
    return el("section", { class: "reading" },
      el("h4", {}, title, " ", el("span", { class: "faint" }, `refuses the question if ${meaning}`)),
      evidence && [el("p", { class: "faint" }, `${plural(evidence.passages.length, "passage")} in the order in which the reader saw them, ${noise.size} of them noise`),
        el("ol", { class: "passages evidence" }, evidence.passages.map((one, at) => passage(one, { noise: noise.has(one.id), place: at + 1 })))],
      turn ? returned(turn, protocol) : el("p", { class: "faint" }, "No reading was recorded."),
      judged.map((event) => returned(event, protocol)));
  });
}

function attempts(story, body, protocol) {
  if (!story.solvers.size) return el("p", { class: "faint" }, "Nobody solved: the question was not put to the solver.");
  const rewards = body.outcome?.rewards ?? {};
  const region = { class: "attempts", role: "group", tabindex: "0", "aria-label": "Attempts of the solver side by side" };
  return el("div", region, [...story.solvers].map(([seat, events]) => {
    const scored = events.find((event) => event.type === "AnswerScored");
    return el("section", { class: "attempt" },
      el("h4", {}, seat, " ", scored && badge(scored.correct ? "good" : "bad", scored.correct ? "right" : "wrong"), seat in rewards && el("span", { class: "reward" }, ` reward ${number(rewards[seat])}`)),
      events.map((event) => returned(event, protocol)));
  }));
}

function facts(body) {
  const { task } = body.snapshot;
  const outcome = body.outcome;
  const label = labelOf(body.extra?.audit?.label_true);
  const paid = outcome?.rewards ?? {};
  const solvers = Object.keys(paid).filter((seat) => seat !== "proposer_0");
  const fact = (name, ...value) => el("div", { class: "fact" }, el("dt", {}, name), el("dd", {}, value));
  return el("dl", { class: "facts" },
    fact("Answer", isolated(task.answer), task.aliases?.length > 0 && el("span", { class: "faint" }, " also ", isolated(task.aliases.join("; ")))),
    fact("Hops", number(task.hops)),
    fact("Label", badge({ true: "good", false: "bad", unknown: "unknown" }[label], LABELS[label], "Whether the asked answer is the only right one, as an oracle knows it.")),
    outcome?.success_rate !== null && outcome?.success_rate !== undefined && fact("Success rate", number(outcome.success_rate)),
    body.extra?.step !== undefined && fact("Step", number(body.extra.step)),
    "proposer_0" in paid && fact("Proposer's reward", number(paid.proposer_0)),
    solvers.length > 0 && fact(`Solver's reward${solvers.length > 1 ? "s, by attempt" : ""}`, solvers.map((seat) => number(paid[seat])).join(", ")),
    body.engine && fact("Engine", el("code", {}, said(short(body.engine, 24)))));
}

function ending(body, story, words) {
  const { outcome } = body;
  if (!outcome) {
    return el("div", { class: "notice" }, badge("unknown", "unknown"), " The game was scored again by other rules, and its record does not tell how it ends under them. Missing: ",
      isolated(body.scored_by?.unknown || "it does not say"), ". What is shown below is how far the record goes.");
  }
  const kind = VERDICTS[outcome.verdict] ?? "unknown";
  return el("div", { class: outcome.verdict === "error" ? "notice" : "ending" }, badge(kind, outcome.verdict), " ", el("code", {}, outcome.reason), " ",
    el("span", {}, words.reasons[outcome.reason] ?? ""), outcome.failure && [": ", isolated(outcome.failure)],
    story.broken && [" while ", el("code", {}, said(story.broken.request_id)), " was open. Whatever would have come after it was never played."],
    body.scored_by && " Scored again by other rules than it was played by.");
}

function measures(body) {
  const entries = Object.entries(body.outcome?.metrics ?? {});
  return entries.length > 0 && el("details", { class: "fold" }, el("summary", {}, "Counters of the game"),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Counters" }, el("table", { class: "numbers" }, el("tbody", {}, entries.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, number(value))))))));
}

function rawRecord(body) {
  const panel = el("details", { class: "fold" }, el("summary", {}, "The record"));
  panel.addEventListener("toggle", () => {
    if (panel.open && panel.children.length === 1) {
      panel.append(el("p", { class: "faint" }, "Everything but the inputs of the snapshot, which the events repeat."),
        el("pre", { class: "raw", tabindex: "0" }, said(JSON.stringify(body, null, 1))));
    }
  });
  return panel;
}

// A section that shows what is wrong with its part of the record if it cannot show the part.
function section(id, title, make) {
  let content;
  try {
    content = make();
  } catch (error) {
    content = el("p", {}, badge("error", "cannot be shown"), " The record holds something else here than this version expects: ", isolated(error.message));
  }
  return el("section", { class: "part" }, el("h3", { id: `${id}-title`, tabindex: "-1", "data-step": true }, title), content);
}

// Buttons that lead to the parts of a game, with what came of each.
function outline(parts, prefix) {
  const jump = (id) => {
    $(`${prefix}-${id}-title`).focus({ preventScroll: true });
    $(`${prefix}-${id}-title`).scrollIntoView({ block: "start" });
  };
  return el("nav", { class: "outline", "aria-label": prefix === "game" ? "Parts of the game" : "Parts of the game beside it" }, parts.map(([id, words, kind, news]) => button([words, " ", news && badge(kind, news)], () => jump(id))));
}

function partsOf(story, body) {
  const { outcome } = body;
  const refused = refusing(story, body);
  const rates = [...story.solvers.values()].flat().filter((event) => event.type === "AnswerScored");
  const right = rates.filter((event) => event.correct).length;
  return [
    ["proposer", "Proposer", "note", plural(story.proposer.filter((event) => event.type === "SearchReturned").length, "search", "searches")],
    ["rules", "Rules", story.proposed?.code ? "bad" : "good", story.proposed && (story.proposed.code || "kept")],
    ["reader", "Reader", refused ? "bad" : "good", story.readings.some((one) => one.turn) && (refused ? outcome.reason : "passed")],
    ["solver", "Solver", right ? "good" : "bad", story.solvers.size > 0 && `${right} of ${story.solvers.size} right`],
  ];
}

// The page of one game; `prefix` keeps the ids of two games on one page apart.
function gamePage(body, words, prefix = "game") {
  const protocol = words.protocols[body.snapshot.config?.protocol];
  const story = told(body, words);
  const question = story.proposed?.question || body.outcome?.question || body.snapshot.task.question;
  const given = Boolean(body.snapshot.task.question);
  return [
    ending(body, story, words),
    el("div", { class: "question" }, question ? quoted(question) : el("span", { class: "faint" }, "No question was asked.")),
    facts(body),
    outline(partsOf(story, body), prefix),
    section(`${prefix}-proposer`, "Proposer", () => story.proposer.length ? story.proposer.map((event) => returned(event, protocol))
      : el("p", { class: "faint" }, given ? "Nobody proposed: the game began with a known question." : "No turn of the proposer was recorded.")),
    section(`${prefix}-rules`, "Question and rules", () => [
      story.proposed ? el("div", { class: "proposed" }, badge(story.proposed.code ? "bad" : "good", story.proposed.code ? `broken: ${story.proposed.code}` : "all rules kept"), quoted(story.proposed.question))
        : el("p", { class: "faint" }, given ? "A known question is tested by no rule." : "No question was proposed."),
      !given && ruleList(story, body, words)]),
    section(`${prefix}-reader`, "Reader", () => readings(story, body, protocol)),
    section(`${prefix}-solver`, `Solver, ${plural(story.solvers.size, "attempt")}`, () => attempts(story, body, protocol)),
    section(`${prefix}-more`, "More", () => [measures(body), rawRecord(body)]),
  ];
}
