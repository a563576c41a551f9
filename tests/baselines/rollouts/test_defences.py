"""Defences: what each refuses, and what is learnt from a step in which they did."""

from dataclasses import replace

import numpy as np
import pytest

from agents.scripted import ScriptedPlayer
from baselines.config import TERSE_GAME, preset
from baselines.config.self_play import READ_BY_THE_WARM_START
from baselines.rollouts.defences import DEFENCES, Referee, defended, find_defence, judged
from baselines.rollouts.rollout import Pairing, Setting, play_pairings
from baselines.rollouts.tasks import WorldSource
from ssp_env.game import Game, Reply, Task
from ssp_env.game.view import as_reply
from ssp_env.play import act_all, play
from tests.baselines.test_self_play import opened
from tests.game.doubles import PERFECT, PROPOSAL, Script, Shelf, answer, rules, search

RULES = rules(attempts=4, noise_passages=2)


class Attempts:
    """Attempts of which the first so many are right; each searches first."""

    def __init__(self, right: int) -> None:
        self.right = right

    def act(self, view):
        if view.phase == "verify":
            return answer()
        searched = any(message.role == "assistant" for message in view.messages)
        if not searched:
            return search("sarn")
        return answer("Tavor" if int(view.seat.rpartition("_")[2]) < self.right else "Nobody")


class Reads:
    """A reader who answers right as long as a text is among what it is shown, and counts its readings."""

    def __init__(self, needed: str = "", memory: bool = False) -> None:
        self.needed, self.memory, self.views = needed, memory, []

    def act_batch(self, views):
        self.views += views
        return [Reply(answer("Tavor" if self._knows(view) else "Nobody"), token_ids=(1, 2)) for view in views]

    def _knows(self, view):
        if view.probe == "closed_book":
            return self.memory
        return self.needed in view.messages[-1].content


def valid_game(right=2):
    game = Game(Task("Tavor", id="t"), RULES, np.random.default_rng(0), game_id=f"game-{right}")
    play([game], proposer=Script(*PROPOSAL), solver=Attempts(right), search=Shelf(), seed=1)
    assert game.outcome.verdict == "valid"
    return game


def weights(name, games, *, current=None, frozen=None):
    readers = {"current": current or Reads(), "frozen": frozen or Reads()}
    return judged([name], games, Referee(readers, np.random.default_rng(0)))[name]


# -- one by one ----------------------------------------------------------------------------------------


def test_least_success_refuses_what_hardly_any_attempt_solves():
    games = [valid_game(right) for right in (0, 1, 4)]
    assert weights("least_success", games) == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(("name", "reader"), [("votes", "current"), ("frozen_reader", "frozen")])
def test_further_readings_must_confirm_the_answer(name, reader):
    game = valid_game()
    assert weights(name, [game], **{reader: Reads()}) == [1.0]
    sceptic = Reads(needed="no passage says so")
    assert weights(name, [game], **{reader: sceptic}) == [0.0]
    assert len(sceptic.views) == 3
    orders = {view.messages[-1].content for view in sceptic.views}
    assert len(orders) == 3  # each reading in another order
    assert len({view.conversation_id for view in sceptic.views}) == 3


def test_closed_book_refuses_what_memory_answers():
    assert weights("closed_book", [valid_game()], current=Reads(memory=True)) == [0.0]
    assert weights("closed_book", [valid_game()], current=Reads(memory=False)) == [1.0]


def test_needed_passages_refuses_an_answer_that_no_passage_is_needed_for():
    game = valid_game()
    assert weights("needed_passages", [game], current=Reads(needed="mother of Sarn")) == [1.0]
    assert weights("needed_passages", [game], current=Reads()) == [0.0]
    reader = Reads()
    weights("needed_passages", [game], current=reader)
    assert len(reader.views) == len(game.evidence)


def test_found_by_solvers_reads_what_the_attempts_found():
    game = valid_game()
    assert weights("found_by_solvers", [game], current=Reads(needed="mother of Sarn")) == [1.0]
    assert weights("found_by_solvers", [game], current=Reads(needed="has her home in Corun")) == [0.0]
    blind = Game(Task("Tavor", id="t"), RULES, np.random.default_rng(0))
    play([blind], proposer=Script(*PROPOSAL), solver=PERFECT, search=Shelf())
    assert weights("found_by_solvers", [blind], current=Reads(needed="nothing has this")) == [1.0]


def test_paid_evidence_pays_what_passages_add_to_memory():
    assert weights("paid_evidence", [valid_game()], current=Reads(memory=True)) == [0.0]
    assert weights("paid_evidence", [valid_game()], current=Reads()) == [1.0]


def test_the_guide_is_the_warm_start():
    sceptic = Reads(needed="nothing has this")
    assert weights("guide", [valid_game()], frozen=sceptic) == [0.0]
    assert weights("guide", [valid_game()], current=sceptic) == [1.0]


# -- in a step -----------------------------------------------------------------------------------------


class WithTokens:
    """A scripted player whose replies have a token, so that something can be learnt from them."""

    def __init__(self, player):
        self.player = player

    def act_batch(self, views):
        replies = map(as_reply, act_all(self.player, views))
        return [replace(reply, token_ids=(1,), logprobs=(0.0,), context_ids=(2,)) for reply in replies]


def a_step(*, names, readers, solver):
    config = replace(TERSE_GAME, attempts=4, reward="format_only", invalid_reward=-0.5)
    setting = Setting(WorldSource("tiny", worlds=1), config, seed=0, step=0)
    player = WithTokens(ScriptedPlayer(proposer="perfect", solver=solver))
    played = play_pairings(setting, [Pairing(player, player, 8, learning=())])
    return played, defended(names, played, setting, readers)


def test_a_refused_question_pays_as_an_invalid_one_and_nobody_learns_to_solve_it():
    before, after = a_step(names=["least_success"], readers={}, solver="hopeless")
    assert before.samples["solver"] and not after.samples["solver"]
    assert {sample.reward for sample in before.samples["proposer"]} == {1.0}
    assert {sample.reward for sample in after.samples["proposer"]} == {-0.5}
    assert set(before.slots) - set(after.slots) == after.refused and len(after.refused) > 4
    assert after.metrics["valid_rate"] == 0.0 and after.metrics["refused_rate"] == 1.0
    assert after.metrics["defences/least_success"] == 0.0
    assert "label_truth" not in after.metrics and "group_variance" not in after.metrics


def test_weights_of_several_defences_are_multiplied(monkeypatch):
    def half(games, referee):
        return [0.5] * len(games)

    monkeypatch.setitem(DEFENCES, "half", half)
    monkeypatch.setitem(DEFENCES, "halved", half)
    before, after = a_step(
        names=["half", "halved", "closed_book"], readers={"current": Reads()}, solver="perfect"
    )
    paid = [sample.reward for sample in before.samples["proposer"]]
    assert 1.0 in paid
    expected = [reward / 4 if reward == 1.0 else reward for reward in paid]
    assert [sample.reward for sample in after.samples["proposer"]] == expected
    assert after.samples["solver"] == before.samples["solver"]
    assert after.metrics["sampled_tokens"] == before.metrics["sampled_tokens"] + 2 * paid.count(1.0)
    assert after.metrics["refused_rate"] == 0.0


@pytest.mark.parametrize("wrong", [[1.0], [1.0, 2.0], [float("nan"), 1.0]])
def test_a_defence_that_returns_something_else_is_named(monkeypatch, wrong):
    monkeypatch.setitem(DEFENCES, "odd", lambda games, referee: wrong)
    with pytest.raises(ValueError, match="'odd' must return 2 numbers from 0 to 1"):
        weights("odd", [valid_game(1), valid_game(2)])


def test_names_are_checked():
    assert find_defence("votes") is DEFENCES["votes"]
    assert find_defence("math:floor")
    with pytest.raises(ValueError, match=r"least_success, votes, .* or module:function, got 'vote'"):
        find_defence("vote")
    with pytest.raises(ValueError, match="must be a function"):
        find_defence("math:pi")
    with pytest.raises(ValueError, match="each defence once, got votes, votes"):
        preset("tiny").changed({"defences": ["votes", "votes"]})
    with pytest.raises(ValueError, match="no defence would judge"):
        preset("tiny").changed({"defences": ["votes"], "filling": {"kind": "resample"}})


def test_the_warm_start_stays_where_a_defence_has_it_read():
    assert set(READ_BY_THE_WARM_START) < set(DEFENCES)
    tiny = preset("tiny")
    assert not tiny.changed({"defences": ["votes"]}).needs_warm_start
    assert tiny.changed({"defences": ["votes", "guide"]}).needs_warm_start
    assert tiny.changed({"defences": ["mine:defence"]}).needs_warm_start


def test_a_step_of_self_play_is_defended(learner, lenient_scores, monkeypatch):
    seen = []

    def refusing(games, referee):
        seen.append({name: referee.recovers(games, [()] * len(games), name) for name in referee.readers})
        return [0.0] * len(games)

    monkeypatch.setitem(DEFENCES, "refusing", refusing)
    game = opened(learner, {"defences": ["refusing"], "opponents": {"solver": "frozen"}})
    played, metrics = game.step(0)
    assert metrics["refused_rate"] == 1.0 and metrics["valid_rate"] == 0.0
    assert not played.samples["solver"] and len(played.refused) == len(seen[0]["frozen"]) > 0
    assert game.rollouts.hop_mixture.success == dict.fromkeys(game.config.hops, 0.5)
