"""Rescoring: what another set of rules makes of recorded games, as far as the record goes and no further."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.game import Failure, Game, GameConfig, Task
from ssp_env.records import Comparison, Episode, first_difference, rescore
from tests.game.doubles import QUESTION, answer, judge, new_game, propose, read, say, search
from tests.records.games import finished_games, refused_game, solved_game


def scored(game, judge=None, **changes):
    episode = Episode.of(game)
    limits = {name: changes.pop(name) for name in ("max_turns", "max_searches") if name in changes}
    return rescore(episode, replace(episode.config, **changes).with_budget(**limits), judge)


def reason(episode):
    return episode.outcome["reason"] if episode.outcome else episode.scored_by["unknown"]


@settings(max_examples=100)
@given(finished_games())
def test_the_recorded_rules_give_the_recorded_score(game):
    episode = Episode.of(game)
    again = rescore(episode, episode.config)
    assert (again.events, again.outcome, again.snapshot) == (
        episode.events,
        episode.outcome,
        episode.snapshot,
    )


NO_READER = {"rag_check": False, "quote_check": "off"}


@settings(max_examples=100)
@given(
    finished_games(),
    st.sampled_from([{"min_question_words": 0}, NO_READER, {"min_question_chars": 0}]),
)
def test_what_laxer_rules_say_is_what_play_under_them_would_have_said_or_unknown(game, changes):
    config = replace(game.config, **changes)
    new = rescore(Episode.of(game), config)
    assert first_difference(new) == ""
    if new.outcome is None:
        assert new.scored_by["unknown"]
        return
    recorded = dict(game.snapshot()["inputs"])
    other = Game.restore({**game.snapshot(), "config": asdict(config), "inputs": []})
    while other.outcome is None:
        request = next(request for request in other.requests() if request.id in recorded)
        other = Game.restore(
            {
                **other.snapshot(),
                "inputs": [*other.snapshot()["inputs"], [request.id, recorded[request.id]]],
            }
        )
    assert other.outcome.rewards == new.outcome["rewards"]


def test_another_reward_pays_the_same_play_differently():
    game = solved_game(attempts=2)
    assert scored(game).outcome["rewards"]["proposer_0"] == 0.0
    assert scored(game, reward="format_only").outcome["rewards"]["proposer_0"] == 1.0
    assert scored(refused_game(), invalid_reward=-1.0).outcome["rewards"]["proposer_0"] == -1.0


def test_stricter_rules_refuse_a_question_and_its_attempts_go_unpaid():
    new = scored(solved_game(), min_question_words=40)
    assert reason(new) == "too_few_words"
    assert new.outcome["rewards"] == {"proposer_0": 0.0, "solver_0": 0.0}


def test_a_question_nobody_read_is_unknown_under_rules_that_let_it_pass():
    new = scored(refused_game(), min_question_words=0)
    assert new.outcome is None
    assert reason(new) == "noise was never asked"
    assert (
        reason(scored(refused_game(), min_question_words=0, rag_check=False))
        == "solver_0/turn/0 was never asked"
    )


def test_a_question_that_failed_the_check_is_unknown_without_it():
    game = new_game(noise_passages=0)
    propose(game)
    read(game, answer("Sarn"))
    assert reason(scored(game, rag_check=False)) == "solver_0/turn/0 was never asked"


@pytest.mark.parametrize(
    "changes", [{"max_turns": 9}, {"max_searches": 3}, {"top_k": 1}, {"prompts": "terse"}]
)
def test_rules_that_change_what_players_see_are_unknown(changes):
    assert reason(scored(solved_game(), **changes)).endswith("was asked differently")


def test_a_reading_that_was_never_asked_for_is_unknown_and_one_too_many_is_known():
    assert reason(scored(solved_game(), closed_book=True)) == "read/closed_book was never asked"
    game = new_game(noise_passages=0, closed_book=True)
    propose(game)
    game.submit("read", answer())
    game.submit("read/closed_book", answer())
    assert (game.outcome.reason, reason(scored(game))) == ("closed_book", "closed_book")
    assert reason(scored(game, closed_book=False)) == "solver_0/turn/0 was never asked"


def test_repetition_can_be_allowed_after_the_fact():
    game = new_game(earlier=[QUESTION], max_similarity=0.5)
    propose(game)
    assert game.outcome.reason == "near_duplicate"
    assert reason(scored(game, max_similarity=None)) == "noise was never asked"
    assert reason(scored(game, max_similarity=0.9)) == "near_duplicate"


def test_fewer_attempts_are_known_and_more_are_not():
    assert scored(solved_game(attempts=3), attempts=2).outcome["success_rate"] == 1.0
    assert reason(scored(solved_game(attempts=2), attempts=3)) == "solver_2/turn/0 was never asked"


def test_a_failure_stays_a_failure_unless_the_rules_end_the_game_before_it():
    game = new_game(noise_passages=0)
    propose(game)
    game.submit("read", Failure("down"))
    assert reason(scored(game, reward="format_only")) == "error"
    assert reason(scored(game, min_question_words=40)) == "too_few_words"


# -- judges --------------------------------------------------------------------------------------------


def judged_game(verdict=True):
    game = Game(Task("Tavor", question=QUESTION), GameConfig(judge=True))
    say(game, "solver_0", answer("Lady Tavor"))
    judge(game, verdict)
    return game


def test_exact_match_can_be_applied_in_place_of_the_judge():
    assert reason(scored(judged_game())) == "solved"
    episode = Episode.of(judged_game())
    assert reason(rescore(episode, replace(episode.config, judge=False))) == "unsolved"


def test_a_judge_given_now_overrules_the_recorded_one():
    seen = []

    def no(request):
        seen.append((request.question, request.candidate, request.golds))
        return False

    new = scored(judged_game(), no)
    assert reason(new) == "unsolved"
    assert seen == [(QUESTION, "Lady Tavor", ("Tavor",))]
    assert new.scored_by["verdicts"] == [["solver_0/judge", False]]
    assert first_difference(new) == ""


def test_a_judge_that_cannot_tell_leaves_the_game_unknown():
    def broken(request):
        raise RuntimeError("no model")

    assert "expected True or False, got None" in reason(scored(judged_game(), lambda request: None))
    silent = scored(judged_game(), lambda request: None)
    assert (silent.outcome, silent.scored_by["verdicts"], first_difference(silent)) == (None, [], "")
    assert "RuntimeError: no model" in reason(scored(judged_game(), broken))


def test_verdicts_that_were_never_given_are_unknown():
    game = Game(Task("Tavor", question=QUESTION))
    say(game, "solver_0", search("belin"), answer("Lady Tavor"))
    episode = Episode.of(game)
    assert reason(rescore(episode, replace(episode.config, judge=True))) == "solver_0/judge was never asked"


# -- again and in sum ----------------------------------------------------------------------------------


def test_a_rescored_game_can_be_scored_back():
    episode = Episode.of(solved_game())
    there = rescore(episode, replace(episode.config, min_question_words=40))
    back = rescore(there, there.config)
    assert (back.events, back.outcome) == (episode.events, episode.outcome)
    assert there.scored_by["config"]["min_question_words"] == 40


def test_a_comparison_counts_reasons_and_averages_what_is_known_both_ways():
    failed = new_game(noise_passages=0)
    propose(failed)
    failed.submit("read", Failure("down"))
    comparison = Comparison()
    for game in (solved_game(), refused_game(), failed):
        comparison.add(Episode.of(game), scored(game, min_question_words=0, reward="format_only"))
    assert comparison.before == {"solved": 1, "too_few_words": 1, "error": 1}
    assert comparison.after == {"solved": 1, "unknown": 1, "error": 1}
    assert comparison.changes == {("too_few_words", "unknown"): 1}
    assert comparison.missing == {"noise was never asked": 1}
    assert (comparison.compared, comparison.rewards) == (
        1,
        {"proposer_0": (0.0, 1.0), "solver_0": (1.0, 1.0)},
    )
