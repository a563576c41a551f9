"""Scripted players: each strength does what it says, from its messages alone, and always in the protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

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
from ssp_env.game import Game
from ssp_env.game.events import SearchReturned, TurnTaken
from ssp_env.play import play
from ssp_env.worlds import (
    TERSE_RELATIONS,
    World,
    WorldConfig,
    terse_vocabulary,
)
from tests.agents.scripted_games import (
    ENGINES,
    TERSE,
    asked_hops,
    new_games,
    run,
    shown,
    view_of,
)

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
