"""Opponents: past weights and how often each is met, players by name, and who is refused."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from agents.scripted import ScriptedPlayer
from baselines.config import TERSE_GAME, preset
from baselines.config.self_play import OpponentsConfig, Weighting
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.rollouts.opponents import FORGETTING, Opponents, PastWeights, WinRates, pfsp_probabilities
from baselines.rollouts.rollout import Pairing, Rollout, Setting, play_pairings
from baselines.rollouts.tasks import WorldSource
from ssp_env.game import GameConfig, Role, View
from tests.baselines.conftest import policy_of

BOTH: tuple[Role, ...] = ("solver", "proposer")


# -- how often past weights are met --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [
        ("squared", [1 / 1.3125, 0.25 / 1.3125, 0.0625 / 1.3125]),
        ("linear", [1 / 1.75, 0.5 / 1.75, 0.25 / 1.75]),
        ("variance", [0.0, 0.25 / 0.4375, 0.1875 / 0.4375]),
    ],
)
def test_win_rates_of_0_a_half_and_three_quarters_weigh_as_published(
    weighting: Weighting, expected: list[float]
):
    assert pfsp_probabilities([0.0, 0.5, 0.75], weighting) == pytest.approx(expected)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.sampled_from(["squared", "linear", "variance"]),
)
def test_every_weighting_is_a_distribution_that_prefers_what_it_says(
    rates: list[float], weighting: Weighting
):
    chances = pfsp_probabilities(rates, weighting)
    assert sum(chances) == pytest.approx(1.0) and min(chances) >= 0.0
    wanted = {"squared": lambda p: -p, "linear": lambda p: -p, "variance": lambda p: -abs(p - 0.5)}[weighting]
    for one, chance in zip(rates, chances):
        for other, other_chance in zip(rates, chances):
            if wanted(one) > wanted(other):
                assert chance >= other_chance - 1e-12
            if one == other:
                assert chance == other_chance


def test_opponents_that_never_win_are_all_met():
    assert pfsp_probabilities([1.0, 1.0], "squared") == [0.5, 0.5]
    assert pfsp_probabilities([0.0, 1.0, 1.0, 0.0], "variance") == [0.25] * 4


@given(st.lists(st.lists(st.floats(0, 1), max_size=5), max_size=8))
def test_a_win_rate_is_the_mean_of_results_that_are_forgotten_slowly(games: list[list[float]]):
    rates = WinRates()
    for wins in games:
        rates.add(3, wins)
    flat = [win for wins in games for win in wins]
    weights = [FORGETTING**age for age in range(len(flat))][::-1]
    expected = sum(w * win for w, win in zip(weights, flat)) / sum(weights) if flat else 0.5
    assert rates.rate(3) == pytest.approx(expected)
    assert rates.rate(4) == 0.5
    again = WinRates()
    again.load(rates.to_dict())
    assert again.rate(3) == rates.rate(3)


# -- past weights --------------------------------------------------------------------------------------


def test_the_newest_past_weights_are_kept_and_play_as_they_were(learner: LlamaForCausalLM):
    policy = CausalLMPolicy(learner, lambda model, seed, version: (model, version))  # type: ignore[arg-type, return-value]
    past = PastWeights(policy, window=2, every=3)
    seen: dict[int, dict[str, torch.Tensor]] = {}
    for step in range(10):
        past.keep(step)
        seen[step] = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
        with torch.no_grad():
            for weight in policy.trainable_parameters():
                weight += 0.1
    assert past.versions == [6, 9]
    for version in past.versions:
        model, name = past.player("solver", version, seed=0)  # type: ignore[misc]
        weights = dict(model.named_parameters())
        assert all(torch.equal(weights[name], tensor) for name, tensor in seen[version].items())
        assert name == f"past-{version}"
    present = policy.state_dict()
    assert not any(torch.equal(present[name], tensor) for name, tensor in seen[9].items())


def picked(opponents: Opponents, count: int = 300) -> Counter[int | None]:
    rng = np.random.default_rng(0)
    return Counter(opponents.pick("proposer", 0, rng).version for _ in range(count))


@pytest.mark.parametrize("kind", ["window", "pfsp"])
def test_a_window_is_drawn_evenly_and_pfsp_by_win_rate(kind: str, learner: LlamaForCausalLM):
    config = OpponentsConfig(proposer=kind, window=3, every=1)
    opponents = Opponents(config, BOTH, policy_of(learner), None, TERSE_GAME)
    for step in range(5):
        opponents.begin(step)
    for version, win in ((2, 1.0), (3, 0.0), (4, 1.0)):
        opponents.record("proposer", version, [win] * 8)
    counts = picked(opponents)
    if kind == "window":
        assert set(counts) == {2, 3, 4} and min(counts.values()) > 70
    else:
        assert set(counts) == {3}


def test_weights_and_win_rates_come_back_from_a_checkpoint(learner: LlamaForCausalLM):
    config = OpponentsConfig(proposer="pfsp", solver="pfsp", window=2, every=1)
    first, second = (Opponents(config, BOTH, policy_of(learner), None, TERSE_GAME) for _ in range(2))
    for step in range(3):
        first.begin(step)
        first.record("proposer", step, [0.25])
    second.load(first.state_dict(), first.plain_state())
    assert second.past["solver"].versions == [1, 2]
    assert first.state_dict().keys() == second.state_dict().keys()
    assert (
        second.plain_state()
        == first.plain_state()
        == {"proposer": {"1": [0.25, 1], "2": [0.25, 1]}, "solver": {}}
    )


# -- players by name -----------------------------------------------------------------------------------


def met(opponents: Opponents, role: Role, learner: ScriptedPlayer, seed: int = 0) -> Rollout:
    """A step in which a scripted learner meets the opponent in a role."""
    opponent = opponents.pick(role, seed, np.random.default_rng(0))
    agents = {"proposer": learner, "solver": learner, role: opponent.agent}
    pairing = Pairing(**agents, answers=12, learning=(), reader=opponent.reader, opponent=role)  # type: ignore[arg-type]
    return play_pairings(Setting(WorldSource("tiny"), TERSE_GAME, 0, 0), [pairing])


def test_scripted_players_are_met_by_name_and_draw_new_numbers_at_every_step(learner: LlamaForCausalLM):
    config = OpponentsConfig(proposer="perfect", solver="hopeless", share=0.5)
    opponents = Opponents(config, BOTH, policy_of(learner), None, TERSE_GAME)
    mute = ScriptedPlayer(proposer={"never_asks": 1.0}, solver="hopeless")
    assert met(opponents, "proposer", mute).metrics["valid_rate"] > 0.8
    clever = ScriptedPlayer(proposer="perfect", solver="perfect")
    solved = met(opponents, "solver", clever)
    # Scripted solvers do not read: without another reader no question would pass its check.
    assert solved.metrics["valid_rate"] > 0.8 and solved.metrics["solver_reward"] == 0.0
    asked = [[game.question for game in met(opponents, "proposer", mute, seed).games] for seed in (0, 0, 1)]
    assert asked[0] == asked[1] != asked[2]


class Slow:
    """Everybody's opponent who has to be waited for, and proposes nothing."""

    prompts = "terse"

    async def act(self, view: View) -> str:
        await asyncio.sleep(0)
        return "<question> what ? </question>"


def test_a_player_of_ones_own_may_be_asynchronous(learner: LlamaForCausalLM):
    config = OpponentsConfig(proposer="tests.baselines.rollouts.test_opponents:Slow")
    opponents = Opponents(config, BOTH, policy_of(learner), None, TERSE_GAME)
    played = met(opponents, "proposer", ScriptedPlayer())
    assert played.metrics["valid_rate"] == 0.0 and len(played.games) == 12


@pytest.mark.parametrize(
    ("name", "game", "said"),
    [
        ("pfps", TERSE_GAME, "opponents.proposer must be one of"),
        ("human", TERSE_GAME, "needs no person"),
        ("perfect", GameConfig(), "perfect.* reads terse prompts, and the game has english"),
    ],
)
def test_who_cannot_play_is_refused(name: str, game: GameConfig, said: str, learner: LlamaForCausalLM):
    with pytest.raises(ValueError, match=said):
        Opponents(OpponentsConfig(proposer=name), BOTH, policy_of(learner), None, game)


# -- options -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learning", "options", "expected"),
    [
        (BOTH, {}, {"proposer": "current", "solver": "current"}),
        (("solver",), {}, {"proposer": "frozen", "solver": "current"}),
        (("solver",), {"proposer": "current"}, {"proposer": "current", "solver": "current"}),
        (("proposer",), {"solver": "weak"}, {"proposer": "current", "solver": "weak"}),
        (BOTH, {"proposer": "pfsp", "solver": "window"}, {"proposer": "pfsp", "solver": "window"}),
    ],
)
def test_who_is_not_named_is_the_usual_opponent(
    learning: Sequence[Role], options: dict[str, str], expected: dict[str, str]
):
    assert OpponentsConfig(**options).resolved(learning) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"opponents": {"proposer": "pfsp", "share": 1.0}}, "leaves a role that learns without a game"),
        (
            {"opponents": {"proposer": "pfsp", "solver": "pfsp", "share": 0.6}},
            "leaves a role that learns without a game",
        ),
        ({"proposer": "frozen", "opponents": {"solver": "window"}}, "against the proposer, which does not"),
        ({"opponents": {"share": 0.0}}, "share must be above 0"),
        ({"opponents": {"window": 0}}, "window must be at least 1"),
        ({"opponents": {"weighting": "cubed"}}, "weighting"),
        ({"opponents": {"propser": "weak"}}, "did you mean 'proposer'"),
        ({"answers": 1, "opponents": {"proposer": "weak"}}, "set answers to 2 or more"),
    ],
)
def test_opponents_that_cannot_be_are_refused(changes: dict[str, object], said: str):
    with pytest.raises(ValueError, match=said):
        preset("smoke").changed(changes)
