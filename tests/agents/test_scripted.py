"""Scripted players: each strength does what it says, from its messages alone, and always in the protocol."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.scripted import (
    SCRIPTED,
    ScriptedPlayer,
    ScriptedProposer,
    ScriptedReader,
    ScriptedSolver,
    scripted,
)
from ssp_env.game import PROTOCOLS, Action, Game, GameConfig, Message, Outcome, Task, View
from ssp_env.game.events import SearchReturned, TurnTaken
from ssp_env.play import play
from ssp_env.search.bm25 import BM25Engine
from ssp_env.worlds import (
    TERSE_RELATIONS,
    TerseFact,
    World,
    WorldConfig,
    parse_facts,
    parse_question,
    render_question,
    terse_vocabulary,
)

CONFIG = GameConfig(
    protocol="terse", prompts="terse", top_k=2, min_question_words=4, noise_passages=4
).with_budget(max_searches=4, max_turns=6)
TERSE = PROTOCOLS["terse"]

PAGES = (
    "belin birthplace corun belin school dapol belin employer gatar",
    "corun mayor tavom corun architect belin corun employer gatar",
    "tavom birthplace dapol tavom school belin tavom biographer ritab",
)
NOISE = ("ritab birthplace dapol ritab school gatar", "gatar director belin gatar seat dapol", "none", "")


@cache
def world(index: int) -> World:
    return World(WorldConfig(index=index))


@cache
def engine(index: int) -> BM25Engine:
    return BM25Engine(world(index).passages(), stem=False, drop_stop_words=False)


ENGINES = {world(index).id: engine(index) for index in range(6)}


def new_games(hops: int, count: int = 48, attempts: int = 1, reachable: int = 0) -> list[Game]:
    """Games over six worlds whose answers end some path of `reachable` links, of `hops` links by default."""
    config = replace(CONFIG, attempts=attempts)
    rng = np.random.default_rng(hops)
    games = []
    for number in range(count):
        place = world(number % 6)
        answers = place.answers(reachable or hops)
        answer = answers[int(rng.integers(len(answers)))]
        task = Task(answer, hops=hops, id=f"{hops}-{number}", corpus=place.id)
        games.append(Game(task, config, rng=number))
    return games


def run(player: ScriptedPlayer, games: Sequence[Game]) -> list[Outcome]:
    return play(games, proposer=player, solver=player, search=ENGINES)


def asked_hops(game: Game) -> int | None:
    return World(WorldConfig.from_id(game.task.corpus)).hops_of(game.question)


def view_of(*contents: str, phase: str = "solve", turns_left: int = 5, searches_left: int = 4) -> View:
    """A view whose messages alternate between what the player wrote and what it was shown."""
    roles = ["user", *(("assistant", "tool") * len(contents))[: len(contents) - 1]]
    messages = tuple(Message(role, content) for role, content in zip(roles, contents))  # type: ignore[arg-type]
    return View("g", "solver_0", phase, messages, turns_left, searches_left)  # type: ignore[arg-type]


def shown(*pages: str) -> str:
    return f"<information> {' ; '.join(pages)} </information>"


class Recorder:
    """Plays as a scripted player does and keeps what it saw and wrote."""

    def __init__(self, player: ScriptedPlayer) -> None:
        self.player = player
        self.turns: list[tuple[View, str]] = []

    def act(self, view: View) -> str:
        reply = self.player.act(view)
        self.turns.append((view, reply))
        return reply


def recorded(hops: int, count: int, **strengths: str) -> list[tuple[View, str]]:
    """Every turn of some games."""
    recorder = Recorder(ScriptedPlayer(**strengths))
    play(new_games(hops, count), proposer=recorder, solver=recorder, search=ENGINES)
    return recorder.turns


def facts_shown(view: View) -> set[TerseFact]:
    observations = re.findall(
        r"<information>(.*?)</information>", "\n".join(m.content for m in view.messages)
    )
    return {fact for observation in observations for fact in parse_facts(observation)}


def taken_apart(reply: str, phase: str) -> tuple[list[TerseFact], Action]:
    """The facts quoted before an action, and the action; nothing else may be there.

    A proposer, who works backwards, quotes them as one chain: `corun is seat of belin is mayor of tavom`.
    """
    quoted, tag, written = reply.partition("<")
    words = quoted.split()
    facts = parse_facts(quoted)
    if phase == "propose":
        names, relations = words[::4], words[2::4]
        facts = [TerseFact(*fact) for fact in zip(names[1:], relations, names, strict=False)]
        assert {*words[1::4]} <= {"is"} and {*words[3::4]} <= {"of"} and len(words) in (0, 4 * len(facts) + 1)
    else:
        assert [word for fact in facts for word in fact] == words
    assert written.count("<") == 1  # of the closing tag
    assert reply.endswith(">")
    action = TERSE.parse(tag + written, "question" if phase == "propose" else "answer")
    assert action.kind != "malformed"
    return facts, action


# -- whole games ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hops", "least_share"), [(1, 1.0), (2, 0.9), (3, 0.8)])
def test_perfect_players_ask_and_solve_what_is_wanted(hops, least_share):
    games = new_games(hops)
    outcomes = run(ScriptedPlayer(proposer="perfect", solver="perfect", reader="perfect"), games)
    assert {(outcome.verdict, outcome.reason) for outcome in outcomes} == {("valid", "solved")}
    assert {outcome.success_rate for outcome in outcomes} == {1.0}
    assert {outcome.rewards["proposer_0"] for outcome in outcomes} == {0.0}
    lengths = [asked_hops(game) for game in games]
    assert max(lengths) == hops
    assert lengths.count(hops) >= least_share * len(games)


def test_good_questions_resolve_to_the_answer_and_name_nothing_on_the_way():
    games = [game for hops in (1, 2, 3, 4) for game in new_games(hops, 24)]
    run(ScriptedPlayer(proposer="strong", solver="hopeless"), games)
    for game in games:
        place = World(WorldConfig.from_id(game.task.corpus))
        assert place.resolve(game.question) == game.task.answer
        *links, start, _ = game.question.split()
        assert start != game.task.answer
        assert set(links) <= {"of", *TERSE_RELATIONS}
        path = [place.resolve(" ".join([*links[k:], start, "?"])) for k in range(0, len(links), 2)]
        assert len({start, *path}) == len(path) + 1, "an entity is passed twice"


def test_hopeless_solver_pays_the_proposer_in_full():
    outcomes = run(ScriptedPlayer(proposer="weak", solver="hopeless"), new_games(2, attempts=3))
    assert {outcome.reason for outcome in outcomes} == {"unsolved"}
    assert {outcome.rewards["proposer_0"] for outcome in outcomes} == {1.0}


@pytest.mark.parametrize("hops", [1, 3])
def test_weak_proposer_asks_mostly_one_hop_whatever_is_wanted(hops):
    games = new_games(hops, 240, reachable=3)
    run(ScriptedPlayer(proposer="weak", solver="hopeless"), games)
    counts = Counter(asked_hops(game) for game in games)
    assert set(counts) <= {1, 2, 3}
    assert counts[1] / 240 == pytest.approx(0.75, abs=0.08)
    assert counts[2] / 240 == pytest.approx(0.15, abs=0.08)


def test_hop_shares_can_be_chosen():
    games = new_games(3, 24)
    run(ScriptedPlayer(proposer={"2_hops": 1.0}, solver="hopeless"), games)
    assert Counter(asked_hops(game) for game in games).most_common(1)[0][0] == 2
    assert {asked_hops(game) for game in games} <= {1, 2}


@pytest.mark.parametrize("strength", ["weak", "perfect"])
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_proposer_makes_at_least_two_different_searches(strength, hops):
    games = new_games(hops, 24)
    run(ScriptedPlayer(proposer=strength, solver="hopeless"), games)
    for game in games:
        events = [event for event in game.events if isinstance(event, SearchReturned)]
        queries = [event.query for event in events if event.seat == "proposer_0"]
        assert queries[0] == game.task.answer
        assert len(set(queries)) == len(queries) >= 2
        assert all(len(query.split()) <= 2 for query in queries)


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ("no_search", "no_evidence"),
        ("one_search", "too_few_searches"),
        ("same_search", "repeated_search"),
        ("names_answer", "answer_leak"),
        ("too_few_words", "too_few_words"),
        ("never_asks", "turn_limit"),
    ],
)
def test_flaw_breaks_its_rule(flaw, reason):
    outcomes = run(ScriptedPlayer(proposer={flaw: 1.0}, solver="perfect"), new_games(2, 18))
    assert {(outcome.verdict, outcome.reason) for outcome in outcomes} == {("invalid", reason)}
    assert {outcome.rewards["proposer_0"] for outcome in outcomes} == {0.0}


@pytest.mark.parametrize("flaw", ["wrong_relation", "wrong_start"])
def test_unanswerable_questions_fail_the_rag_check_alone(flaw):
    games = new_games(2)
    outcomes = run(ScriptedPlayer(proposer={flaw: 1.0}, solver="perfect"), games)
    wrong = [
        outcome.reason
        for game, outcome in zip(games, outcomes)
        if World(WorldConfig.from_id(game.task.corpus)).resolve(game.question) != game.task.answer
    ]
    assert set(wrong) == {"not_recovered"}
    assert len(wrong) > 0.9 * len(games)


def test_guessing_proposer_shows_every_flaw():
    outcomes = run(ScriptedPlayer(proposer="guess", solver="perfect"), new_games(2, 120))
    reasons = {outcome.reason for outcome in outcomes if outcome.verdict == "invalid"}
    assert reasons == {
        "no_evidence", "too_few_searches", "repeated_search", "answer_leak", "too_few_words", "turn_limit",
        "not_recovered",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("strength", "hops", "low", "high"),
    [
        ("chain", 3, 1.0, 1.0),
        ("one_hop", 1, 1.0, 1.0),
        ("one_hop", 2, 0.0, 0.0),
        ("one_hop", 3, 0.0, 0.0),
        ({"two_hops": 1}, 1, 1.0, 1.0),
        ({"two_hops": 1}, 2, 1.0, 1.0),
        ({"two_hops": 1}, 3, 0.0, 0.0),
        ("guess", 1, 0.15, 0.40),
        ("guess", 2, 0.0, 0.10),
        ("hopeless", 1, 0.0, 0.0),
        ("weak", 1, 0.80, 0.90),
        ("weak", 2, 0.31, 0.41),
        ("weak", 3, 0.06, 0.16),
    ],
)
def test_solver_success_by_strength_and_hops(strength, hops, low, high):
    games = new_games(hops, 48, attempts=12)
    outcomes = run(ScriptedPlayer(proposer="perfect", solver=strength), games)
    rates = [outcome.success_rate for game, outcome in zip(games, outcomes) if asked_hops(game) == hops]
    assert low <= np.mean(rates) <= high


# -- quoting -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proposer", ["perfect", "weak", "guess"])
def test_only_facts_shown_in_the_conversation_are_quoted(proposer):
    quotes = Counter()
    for view, reply in recorded(3, 24, proposer=proposer, solver="weak"):
        facts, action = taken_apart(reply, view.phase)
        assert set(facts) <= facts_shown(view)
        assert len(set(facts)) == len(facts)
        quotes[view.phase, action.kind] += bool(facts)
    quoting = {turn for turn, count in quotes.items() if count}
    assert ("propose", "search") in quoting
    honest = {("propose", "question"), ("verify", "answer"), ("solve", "answer")}
    assert honest <= quoting if proposer != "guess" else ("propose", "question") not in quoting


@pytest.mark.parametrize("proposer", ["perfect", "guess"])
def test_a_search_quotes_the_fact_that_led_to_it(proposer):
    counts = Counter()
    for view, reply in recorded(3, 24, proposer=proposer, solver="chain"):
        facts, action = taken_apart(reply, view.phase)
        if action.kind != "search":
            continue
        # An entity is reached from the answer by what points to it, or from the start by what it points to.
        words = view.messages[0].content.split()
        given, side = (words[-1], "subject") if view.phase == "propose" else (words[-2], "target")
        led = action.content != given and " " not in action.content
        assert [getattr(fact, side) for fact in facts] == [action.content] * led
        counts[view.phase] += led
    assert counts["propose"]
    assert counts["solve"] or proposer == "guess"


@pytest.mark.parametrize("proposer", ["perfect", "weak"])
def test_an_honest_question_quotes_its_chain_from_the_answer_on(proposer):
    turns = [(*taken_apart(reply, view.phase), view) for view, reply in recorded(3, 24, proposer=proposer)]
    asked = [(facts, action, view) for facts, action, view in turns if action.kind == "question"]
    assert len(asked) == 24
    for facts, action, view in asked:
        answer = view.messages[0].content.split()[-1]
        assert [fact.target for fact in facts] == [answer, *(fact.subject for fact in facts[:-1])]
        assert action.content == render_question([fact.relation for fact in facts], facts[-1].subject)


def test_an_answer_quotes_what_it_was_read_from():
    lengths = set()
    for view, reply in recorded(3, 24, proposer="perfect", solver="chain", reader="perfect"):
        facts, action = taken_apart(reply, view.phase)
        if action.kind == "answer":
            opening = view.messages[0].content.rpartition(">" if view.phase == "verify" else "solve ")[2]
            relations, entity = parse_question(opening)
            used = relations if view.phase == "verify" else relations[:1]
            assert [fact.relation for fact in facts] == [*reversed(used)]
            assert [fact.subject for fact in facts[1:]] == [fact.target for fact in facts[:-1]]
            assert facts[0].subject == entity or view.phase == "solve"
            assert facts[-1].target == action.content
            lengths.add((view.phase, len(facts)))
    assert {("verify", 3), ("solve", 1)} <= lengths


@pytest.mark.parametrize(
    ("strengths", "phase", "kind"),
    [
        ({"proposer": "guess"}, "propose", "question"),
        ({"proposer": "perfect", "solver": "guess"}, "solve", "answer"),
        ({"proposer": "perfect", "solver": "hopeless"}, "solve", "answer"),
        ({"proposer": "perfect", "reader": "guess"}, "verify", "answer"),
    ],
)
def test_guesses_quote_nothing(strengths, phase, kind):
    turns = [(view.phase, *taken_apart(reply, view.phase)) for view, reply in recorded(1, 24, **strengths)]
    quoted = [facts for where, facts, action in turns if (where, action.kind) == (phase, kind)]
    assert quoted
    assert not any(quoted)


# -- one conversation ----------------------------------------------------------------------------------------


def test_chain_solver_searches_each_entity_then_answers():
    solver = ScriptedSolver("chain")
    messages = ["solve biographer of mayor of birthplace of belin ?"]
    assert solver.act(view_of(*messages)) == "<search> belin </search>"
    # The mayor of corun stands on the second page already; corun is searched all the same.
    messages += ["<search> belin </search>", shown(PAGES[0], PAGES[1])]
    assert solver.act(view_of(*messages)) == "belin birthplace corun <search> corun </search>"
    messages += ["<search> corun </search>", shown(PAGES[1], PAGES[0])]
    assert solver.act(view_of(*messages)) == "corun mayor tavom <search> tavom </search>"
    messages += ["<search> tavom </search>", shown(PAGES[2], PAGES[1])]
    assert solver.act(view_of(*messages)) == "tavom biographer ritab <answer> ritab </answer>"


def test_chain_solver_retries_once_then_answers_with_the_last_entity():
    messages = ["solve mayor of birthplace of belin ?", "<search> belin </search>", shown(PAGES[0])]
    messages += ["<search> corun </search>", shown("none")]
    assert ScriptedSolver("chain").act(view_of(*messages)) == "<search> corun mayor </search>"
    messages += ["<search> corun mayor </search>", shown("none")]
    last = "belin birthplace corun <answer> corun </answer>"
    assert ScriptedSolver("chain").act(view_of(*messages)) == last


def test_a_search_in_a_circle_quotes_one_fact():
    question = "solve architect of birthplace of architect of birthplace of belin ?"
    messages = [question, "<search> belin </search>", shown(PAGES[0], PAGES[1])]
    second = ScriptedSolver("chain").act(view_of(*messages))
    assert second == "belin birthplace corun <search> corun </search>"


@pytest.mark.parametrize(("turns_left", "searches_left"), [(1, 4), (5, 0)])
def test_solver_answers_while_it_still_can(turns_left, searches_left):
    messages = ["solve mayor of birthplace of belin ?", "<search> belin </search>", shown(PAGES[0])]
    view = view_of(*messages, turns_left=turns_left, searches_left=searches_left)
    assert ScriptedSolver("chain").act(view) == "belin birthplace corun <answer> corun </answer>"


def test_one_hop_solver_takes_the_value_next_to_the_start():
    messages = ["solve mayor of birthplace of belin ?", "<search> belin </search>", shown(PAGES[0], PAGES[1])]
    assert ScriptedSolver("one_hop").act(view_of(*messages[:1])) == "<search> belin </search>"
    reply = ScriptedSolver("one_hop").act(view_of(*messages))
    assert reply == "belin birthplace corun <answer> corun </answer>"


def test_guessing_solver_answers_with_values_of_the_page_it_saw():
    messages = ["solve mayor of birthplace of belin ?", "<search> belin </search>", shown(PAGES[0], PAGES[1])]
    replies = {ScriptedSolver({"random_value": 1}, seed).act(view_of(*messages)) for seed in range(40)}
    assert replies == {f"<answer> {value} </answer>" for value in ("corun", "dapol", "gatar")}


@given(st.permutations((*PAGES, *NOISE)))
def test_reader_finds_the_chain_in_any_order_among_noise(pages):
    view = view_of(f"read {shown(*pages)} biographer of mayor of birthplace of belin ?", phase="verify")
    chain = "belin birthplace corun corun mayor tavom tavom biographer ritab"
    assert ScriptedReader().act(view) == f"{chain} <answer> ritab </answer>"
    one_hop = view_of(f"read {shown(*pages)} school of belin ?", phase="verify")
    assert ScriptedReader().act(one_hop) == "belin school dapol <answer> dapol </answer>"


def test_reader_answers_with_the_last_entity_when_a_link_is_missing():
    question = "biographer of mayor of birthplace of belin ?"
    view = view_of(f"read {shown(PAGES[0], *NOISE)} {question}", phase="verify")
    assert ScriptedReader().act(view) == "belin birthplace corun <answer> corun </answer>"
    nothing = view_of(f"read {shown('none')} mayor of corun ?", phase="verify")
    assert ScriptedReader().act(nothing) == "<answer> corun </answer>"


def test_guessing_reader_ignores_the_relation():
    view = view_of(f"read {shown(*PAGES)} mayor of birthplace of belin ?", phase="verify")
    replies = {ScriptedReader("guess", seed).act(view) for seed in range(40)}
    assert replies == {f"<answer> {value} </answer>" for value in ("corun", "dapol", "gatar")}


def test_guessing_reader_does_not_depend_on_the_order_of_the_passages():
    for seed in range(10):
        prompts = [f"read {shown(*pages)} mayor of seat of zudor ?" for pages in (PAGES, PAGES[::-1])]
        views = [view_of(prompt, phase="verify") for prompt in prompts]
        assert len({ScriptedReader("guess", seed).act(view) for view in views}) == 1


def test_proposer_backs_out_of_an_entity_that_nothing_mentions():
    sutim = "sutim mayor tavom sutim employer nodun"
    messages = ["propose 2 : tavom", "<search> tavom </search>", shown(PAGES[2], sutim)]
    reply = ScriptedProposer("perfect").act(view_of(*messages, phase="propose"))
    assert reply == "tavom is mayor of sutim <search> sutim </search>"
    messages += ["<search> sutim </search>", shown(sutim)]
    view = view_of(*messages, phase="propose")
    # People are pointed to by these; `mayor` is known already.
    relations = ("architect", "biographer", "director", "rector")
    replies = {ScriptedProposer("perfect", seed).act(view) for seed in range(40)}
    assert replies == {f"<search> tavom {relation} </search>" for relation in relations}
    gatar = "gatar director tavom gatar seat corun"
    messages += ["<search> tavom director </search>", shown(gatar, PAGES[0])]
    replies = {
        ScriptedProposer("perfect", seed).act(view_of(*messages, phase="propose")) for seed in range(9)
    }
    chain = "tavom is director of gatar is employer of belin"
    assert replies == {f"{chain} <question> director of employer of belin ? </question>"}


def test_proposer_asks_a_shorter_chain_when_searches_run_out():
    pages = shown(PAGES[2], "sutim mayor tavom sutim employer gatar")
    messages = ["propose 3 : tavom", "<search> tavom </search>", pages, "<search> sutim </search>", pages]
    view = view_of(*messages, phase="propose", searches_left=0)
    reply = ScriptedProposer("perfect").act(view)
    assert reply == "tavom is mayor of sutim <question> mayor of sutim ? </question>"
    messages = ["propose 1 : tavom", "<search> tavom </search>", shown("none")]
    nothing = view_of(*messages, phase="propose", searches_left=0)
    assert TERSE.parse(ScriptedProposer("perfect").act(nothing), "question").kind == "search"


# -- protocol, determinism, names ----------------------------------------------------------------------------


@pytest.mark.parametrize("proposer", SCRIPTED["proposer"])
@pytest.mark.parametrize("solver", SCRIPTED["solver"])
def test_every_turn_is_one_well_formed_action_in_the_vocabulary(proposer, solver):
    games = new_games(3, 16)
    run(ScriptedPlayer(proposer=proposer, solver=solver, reader="perfect"), games)
    tags = ("search", "question", "answer")
    vocabulary = {*terse_vocabulary(), "is", *(mark + tag + ">" for tag in tags for mark in ("<", "</"))}
    turns = [event for game in games for event in game.events if isinstance(event, TurnTaken)]
    assert turns
    for turn in turns:
        assert turn.action.kind != "malformed"
        assert turn.action.text == turn.reply.text
        assert turn.reply.text.count("</") == 1
        assert set(turn.reply.text.split()) <= vocabulary


WORD = st.sampled_from(["of", "?", ";", ":", "mayor", "seat", "belin", "corun", "propose", "7"])
WORDS = st.lists(WORD, min_size=1)


@settings(max_examples=60)
@given(WORDS, WORDS, st.sampled_from(SCRIPTED["solver"]))
def test_any_question_and_any_page_get_a_well_formed_reply(question, page, strength):
    asked, pages = " ".join(question), shown(" ".join(page))
    opening = view_of(f"solve {asked}")
    later = view_of(f"solve {asked}", "<search> belin </search>", pages, searches_left=0)
    read = view_of(f"read {pages} {asked}", phase="verify")
    for agent, view in (
        (ScriptedSolver(strength), opening),
        (ScriptedSolver(strength), later),
        (ScriptedReader("perfect"), read),
        (ScriptedReader("guess"), read),
    ):
        assert TERSE.parse(agent.act(view), "answer").kind in ("search", "answer")


def history(games: Sequence[Game]) -> dict[str, list[str]]:
    return {
        game.id: [event.reply.text for event in game.events if isinstance(event, TurnTaken)] for game in games
    }


def test_same_seed_same_play_in_any_batch():
    together, reversed_, alone, other = (new_games(2, 24, attempts=2) for _ in range(4))
    run(ScriptedPlayer(seed=3), together)
    run(ScriptedPlayer(seed=3), reversed_[::-1])
    for game in alone:
        run(ScriptedPlayer(seed=3), [game])
    run(ScriptedPlayer(seed=4), other)
    assert history(together) == history(reversed_) == history(alone)
    assert history(together) != history(other)


def test_a_restored_game_goes_on_as_before():
    for game in new_games(3, 12):
        player = ScriptedPlayer(proposer="perfect")
        request = game.requests()[0]
        game.submit(request.id, player.act(request.view))
        search = game.requests()[0]
        game.submit(search.id, ENGINES[game.task.corpus].search([search.query], 2)[0])
        restored = Game.restore(game.snapshot())
        replies = [ScriptedPlayer(proposer="perfect").act(one.requests()[0].view) for one in (game, restored)]
        assert replies[0] == replies[1] == player.act(game.requests()[0].view)


def test_attempts_at_one_question_draw_their_strategies_apart():
    games = new_games(2, 24, attempts=8)
    outcomes = run(ScriptedPlayer(proposer="perfect", solver="weak"), games)
    assert any(0 < outcome.success_rate < 1 for outcome in outcomes)


def test_one_player_is_the_three_agents():
    one, apart = new_games(2, 24), new_games(2, 24)
    outcomes = run(ScriptedPlayer(proposer="weak", solver="one_hop", reader="guess", seed=5), one)
    strengths = {"proposer": "weak", "solver": "one_hop", "reader": "guess"}
    agents = {role: scripted(role, strength, 5) for role, strength in strengths.items()}
    assert outcomes == play(apart, search=ENGINES, **agents)


@pytest.mark.parametrize("role", SCRIPTED)
def test_unknown_names_are_refused_with_the_known_ones(role):
    with pytest.raises(ValueError, match=rf"scripted {role}: strength .* one of .*perfect.*, got 'mighty'"):
        scripted(role, "mighty")
    with pytest.raises(ValueError, match="got 'flies'"):
        scripted(role, {"flies": 1.0})


def test_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="proposer, solver, reader, got 'judge'"):
        scripted("judge", "perfect")


@pytest.mark.parametrize("weights", [{}, {"chain": 0.0}, {"chain": 2.0, "one_hop": -1.0}])
def test_weights_that_are_no_mixture_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be at least 0 and not all 0"):
        ScriptedSolver(weights)


def test_a_proposer_outside_the_terse_game_says_so():
    with pytest.raises(ValueError, match="expected 'propose HOPS : ANSWER'"):
        ScriptedProposer().act(view_of("Answer: tavom\nN: 2", phase="propose"))
