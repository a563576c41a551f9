"""The self-play loop: whose samples are trained on, who begins alone, and which random numbers are drawn."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedModel

from agents.scripted import ScriptedPlayer
from agents.tiny_policy import TinyPolicy
from baselines.config import TrainConfig, preset
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.rollouts.rollout import Rollout, play_rollout
from baselines.rollouts.tasks import WorldSource
from baselines.rollouts.worker import learner_wins
from baselines.self_play import SelfPlay
from ssp_env.game import Outcome
from tests.agents.tiny import TOKENIZER
from tests.baselines.short_runs import EASY_GAME

CONFIG = replace(
    preset("smoke"),
    game=EASY_GAME,
    answers=6,
    learner=replace(preset("smoke").learner, learning_rate=1e-3),
)


HURRIED = replace(CONFIG, game=EASY_GAME.with_budget(max_searches=4, max_turns=2, retries=1))
"""Some proposals take too long."""


def published_player(model: PreTrainedModel, seed: int, version: str) -> TinyPolicy:
    player = TinyPolicy(model, TOKENIZER, seed=seed)
    player.published(version)
    return player


def opened(model: LlamaForCausalLM, changes: Mapping[str, Any], config: TrainConfig = CONFIG) -> SelfPlay:
    """Self-play of a cloned model, with its warm start beside it."""
    policy = CausalLMPolicy(model, published_player)
    frozen = policy.duplicate()
    frozen.published("before")
    return SelfPlay(config.changed(changes), policy, frozen)


def versions(played: Rollout) -> dict[str, set[str]]:
    """By role, the weights that sampled what is trained on."""
    return {
        role: {s.weights_version for sample in samples for s in sample.segments if s.sampled}
        for role, samples in played.samples.items()
    }


# -- opponents -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["window", "pfsp", "frozen", "weak"])
def test_nothing_is_trained_on_what_an_opponent_did(
    kind: str, learner: LlamaForCausalLM, lenient_scores: None
):
    names = {"proposer": kind, "solver": "hopeless" if kind == "weak" else kind}
    game = opened(learner, {"opponents": {**names, "every": 1, "window": 2}})
    for step in range(3):
        played, metrics = game.step(step)
        assert versions(played) == {"proposer": {str(step)}, "solver": {str(step)}}
        # Half of the answers are played against either opponent.
        solving = {sample.game_id for sample in played.samples["solver"]}
        assert solving <= {"3", "4", "5"} == set(played.slots)
        assert {sample.game_id for sample in played.samples["proposer"]} == {"0", "1", "2"}
        assert metrics["max_ratio_error"] < 1e-4
    if kind in ("window", "pfsp"):
        assert game.rollouts.opponents.past["solver"].versions == [1, 2]
        assert 0 <= metrics["opponents/solver/age"] <= 1
        assert 0.0 <= metrics["opponents/solver/win_rate"] <= 1.0


def test_a_share_of_the_games_is_played_by_the_learner_alone(learner: LlamaForCausalLM, lenient_scores: None):
    game = opened(learner, {"opponents": {"proposer": "frozen", "share": 0.4}})
    played, _ = game.step(0)
    assert list(played.slots) == list("012345")
    assert {sample.game_id for sample in played.samples["proposer"]} == set("2345")
    assert "0" in {sample.game_id for sample in played.samples["solver"]}


def test_a_frozen_role_may_be_played_by_anybody(learner: LlamaForCausalLM, lenient_scores: None):
    game = opened(learner, {"proposer": "frozen", "opponents": {"proposer": "perfect"}})
    played, metrics = game.step(0)
    assert metrics["valid_rate"] == 1.0 and not played.samples["proposer"]
    assert len(played.samples["solver"]) == 6 * 4 and metrics["grad_norm"] > 0
    assert metrics["opponents/proposer/win_rate"] == pytest.approx(metrics["solver_reward"])


def test_what_a_learner_wins():
    def outcome(verdict: str, rate: float | None, paid: float) -> Outcome:
        return Outcome(verdict, "", "", rate, {"proposer_0": paid}, {})  # type: ignore[arg-type]

    outcomes = [outcome("valid", 0.25, 1.5), outcome("invalid", None, -1.0), outcome("error", None, 0.0)]
    assert learner_wins("proposer", outcomes) == [0.25]
    assert learner_wins("solver", outcomes) == [1.0, 0.0]


# -- filling -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["smaller", "resample", "dummy", "replay", "replay-reset", "prioritised"])
@pytest.mark.parametrize("mode", ["self-play", "solver-only"])
def test_every_filling_trains_on_the_learners_samples(
    kind: str, mode: str, learner: LlamaForCausalLM, lenient_scores: None
):
    game = opened(learner, {"filling": {"kind": kind}}, HURRIED.in_mode(mode))
    filled = 0.0
    for step in range(2):
        played, metrics = game.step(step)
        assert versions(played)["solver"] == {str(step)} and metrics["max_ratio_error"] < 1e-4
        solved = {sample.game_id for sample in played.samples["solver"]}
        assert len(played.samples["solver"]) == 4 * len(solved) <= 4 * 6
        filled += metrics.get("filled", 0.0)
        assert {game.task.corpus for game in played.games} <= set(played.engines)
    assert filled > 0 or kind == "smaller"
    assert game.plain_state() == json.loads(json.dumps(game.plain_state()))


def test_dummies_add_no_gradient_and_divide_the_rest(learner: LlamaForCausalLM, lenient_scores: None):
    plain, padded = (
        opened(learner, {"filling": {"kind": kind}}, HURRIED.in_mode("solver-only"))
        for kind in ("smaller", "dummy")
    )
    figures = []
    for game in (plain, padded):
        # Only the gradient is wanted.
        game.learners["solver"].optimizer.step = lambda: None  # type: ignore[method-assign]
        played, metrics = game.step(0)
        figures.append((metrics["grad_norm"], sum(s.sampled_count for s in played.samples["solver"])))
    (norm, tokens), (padded_norm, padded_tokens) = figures
    assert padded_tokens > tokens
    assert padded_norm == pytest.approx(norm * tokens / padded_tokens, rel=1e-4)


# -- who begins alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["solver", "proposer"])
def test_one_role_may_learn_alone_at_first(role: str, learner: LlamaForCausalLM, lenient_scores: None):
    game = opened(learner, {f"{role}_only_steps": 1, "updates": "separate"})
    first, second = (game.step(step)[1] for step in range(2))
    assert {name for name in ("solver", "proposer") if f"{name}/loss" in first} == {role}
    assert {name for name in ("solver", "proposer") if f"{name}/loss" in second} == {"solver", "proposer"}


@pytest.mark.parametrize(
    "changes",
    [
        {"solver_only_steps": 1, "proposer_only_steps": 1},
        {"solver_only_steps": -1},
        {"proposer": "frozen", "solver_only_steps": 2},
    ],
)
def test_only_one_of_two_roles_begins_alone(changes: dict[str, object]):
    with pytest.raises(ValueError, match="one of solver_only_steps and proposer_only_steps"):
        CONFIG.changed(changes)


# -- random numbers --------------------------------------------------------------------------------------


def test_the_games_of_published_runs_are_still_the_same():
    """Drawn tasks, seeds of games and noise: whoever changes them changes every published figure."""
    player, config = ScriptedPlayer(seed=0), preset("smoke").game
    steps = [
        play_rollout(
            WorldSource("tiny"),
            config,
            proposer=player,
            solver=player,
            answers=4,
            seed=0,
            step=step,
            proposals=2,
            learning=(),
        )
        for step in range(2)
    ]
    games = [game for played in steps for game in played.games]
    facts = [
        (game.id, game.task.answer, game.task.hops, game.task.corpus, game.question, game.snapshot()["seed"])
        for game in games
    ]
    assert facts[0][:4] == ("0", "pekan", 2, "tiny-train-135814")
    assert hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16] == "38225dda205be3d5"
