"""Records of a run say what its updates did with every token: advantages, entropies, values."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baselines.algorithms import build_algorithm
from baselines.config import RoleConfig
from baselines.config.learner import LearnerConfig
from baselines.learner import Learner
from baselines.update_trace import UpdateTrace
from ssp_env.game import Game
from ssp_env.game.events import TurnTaken
from ssp_env.records import Episode, first_difference, read_episodes
from tests.agents.tiny import TOKENIZER
from tests.baselines.conftest import policy_of
from tests.baselines.short_runs import LEARNING, rows, train
from tests.baselines.test_algorithms import SAMPLES, fresh_model


def of_role(episode: Episode, role: str) -> list[Mapping[str, Any]]:
    return [traced for seat, traced in episode.extra["update"].items() if seat.startswith(role)]


def tokens(traced: Mapping[str, Any], name: str) -> list[float]:
    return [value for turn in traced[name] for value in turn]


def test_every_token_that_was_sampled_has_its_advantage(learning_run: Path, lenient_scores: None):
    """The last of five steps is validated, and so it is recorded."""
    episodes = list(read_episodes(learning_run / "episodes.jsonl"))
    assert len(episodes) == LEARNING.answers
    for episode in episodes:
        assert first_difference(episode) == ""
        game = Game.restore(episode.snapshot)
        assert episode.extra["step"] == rows(learning_run)[-1]["step"]
        assert set(episode.extra["update"]) == set(game.seats)
        for seat, traced in episode.extra["update"].items():
            turns = [e.reply for e in game.events if isinstance(e, TurnTaken) and e.seat == seat]
            for name in set(traced) - {"trained"}:
                assert [len(turn) for turn in traced[name]] == [len(reply.token_ids) for reply in turns]
            advantages = tokens(traced, "advantages")
            assert len(set(advantages)) == 1 and traced["trained"] == (advantages[0] != 0)
            assert ("entropies" in traced) == traced["trained"]


def test_attempts_have_the_advantages_of_their_group(learning_run: Path):
    for episode in read_episodes(learning_run / "episodes.jsonl"):
        assert episode.outcome is not None
        paid = episode.outcome["rewards"]
        rewards = [paid[seat] for seat in episode.extra["update"] if seat.startswith("solver")]
        mean = sum(rewards) / len(rewards)
        signs = [math.copysign(1, reward - mean) if reward != mean else 0 for reward in rewards]
        found = [tokens(traced, "advantages")[0] for traced in of_role(episode, "solver")]
        assert [math.copysign(1, value) if value else 0 for value in found] == signs
        assert sum(found) == pytest.approx(0, abs=1e-3)


def test_the_mean_entropy_of_what_was_trained_is_that_of_the_metrics(learning_run: Path):
    episodes = list(read_episodes(learning_run / "episodes.jsonl"))
    last = rows(learning_run)[-1]
    for role in ("solver", "proposer"):
        found = [
            v for e in episodes for t in of_role(e, role) if t["trained"] for v in tokens(t, "entropies")
        ]
        assert len(found) == last[f"{role}/trained_tokens"] > 0
        assert sum(found) / len(found) == pytest.approx(last[f"{role}/entropy"], rel=1e-4)
        assert all(0 <= value <= math.log(len(TOKENIZER)) for value in found)


def test_ppo_tells_what_its_critic_expected(tmp_path: Path, warm_start: Path, lenient_scores: None):
    config = LEARNING.changed(
        {
            "steps": 2,
            "solver": {"algorithm": "ppo", "warmup_updates": 0},
            "learner": {"epochs": 2, "minibatches": 2},
            "evaluation": {"validation_every": 2},
        }
    )
    path = train(config, tmp_path / "run", warm_start=warm_start)
    traced = [t for e in read_episodes(path / "episodes.jsonl") for t in of_role(e, "solver")]
    assert traced and all({"advantages", "values", "returns"} <= set(each) for each in traced)
    values = [value for each in traced for value in tokens(each, "values")]
    assert sum(values) / len(values) == pytest.approx(rows(path)[-1]["solver/value"], rel=1e-3)
    # In the first epoch every minibatch is seen, so that nothing that is trained lacks its entropy.
    assert all(min(tokens(each, "entropies")) > 0 for each in traced if each["trained"])


def test_a_role_that_does_not_learn_and_other_samples_leave_no_trace():
    learner = Learner(policy_of(fresh_model()), LearnerConfig())
    learner.trace = trace = UpdateTrace()
    build_algorithm(RoleConfig("grpo"), learner).update(SAMPLES)
    assert set(trace.by_game({"solver": SAMPLES, "proposer": SAMPLES})) == {s.game_id for s in SAMPLES}
    assert trace.by_game({"proposer": SAMPLES}) == {}
    # Of an algorithm that learns from some of the samples nobody knows which.
    longer = replace(SAMPLES[0], segments=(*SAMPLES[0].segments, SAMPLES[0].segments[0]))
    assert trace.by_game({"solver": [longer, *SAMPLES[1:]]}) == {} == trace.by_game({"solver": SAMPLES[1:]})
