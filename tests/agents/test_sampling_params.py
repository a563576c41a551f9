from dataclasses import replace

import pytest

from agents.sampling_params import SamplingParams, sampling_by_role
from ssp_env.game import Message, View

VIEW = View("g", "solver_0", "solve", (Message("user", "who?"),), 5, 5)


@pytest.mark.parametrize(
    ("phase", "role"), [("propose", "proposer"), ("solve", "solver"), ("verify", "reader")]
)
def test_the_phase_tells_the_role(phase, role):
    assert replace(VIEW, phase=phase).role == role


def test_every_turn_of_every_conversation_has_a_seed_of_its_own():
    others = [
        replace(VIEW, game_id="h"),
        replace(VIEW, seat="solver_1"),
        replace(VIEW, phase="verify"),
        replace(VIEW, phase="verify", probe="uniqueness"),
        replace(VIEW, messages=(*VIEW.messages, Message("assistant", "me"), Message("tool", "no"))),
    ]
    params = SamplingParams()
    seeds = [params.turn_seed(view) for view in (VIEW, *others)]
    assert len({*seeds, replace(params, seed=1).turn_seed(VIEW)}) == len(seeds) + 1
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_turn_keeps_its_numbers_whatever_else_is_asked():
    same = replace(VIEW, turns_left=1, searches_left=0, tokens_left=9)
    one, other = SamplingParams().rng(VIEW).random(5), SamplingParams(temperature=0.1).rng(same).random(5)
    assert one.tolist() == other.tolist()


def test_the_seed_of_a_turn_is_the_same_on_every_machine():
    assert SamplingParams(seed=7).turn_seed(VIEW) == 153107733424869701


@pytest.mark.parametrize(("left", "limit"), [(None, 128), (1000, 128), (12, 12), (0, 1)])
def test_a_turn_is_never_longer_than_the_budget_allows(left, limit):
    assert SamplingParams(max_new_tokens=128).limit(replace(VIEW, tokens_left=left)) == limit


def test_one_setting_is_for_all_roles_and_a_mapping_for_some():
    greedy = SamplingParams(temperature=0)
    assert set(sampling_by_role(greedy).values()) == {greedy}
    assert sampling_by_role({"reader": greedy}) == {
        "proposer": SamplingParams(),
        "solver": SamplingParams(),
        "reader": greedy,
    }


def test_a_role_that_does_not_exist_is_refused_by_name():
    with pytest.raises(ValueError, match="one of proposer, solver, reader; got judge"):
        sampling_by_role({"judge": SamplingParams()})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature must be 0 or more, got -1.0"),
        ({"temperature": float("nan")}, "temperature must be 0 or more, got nan"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, got 0.0"),
        ({"top_p": 1.1}, "top_p must be above 0 and at most 1, got 1.1"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SamplingParams(**options)


def test_every_version_of_the_weights_has_seeds_of_its_own():
    view = View("g", "solver_0", "solve", (), 5, 5)
    seeds = [SamplingParams().turn_seed(view, version) for version in ("", "step 1", "step 2")]
    assert len(set(seeds)) == 3
    assert seeds[0] == SamplingParams().turn_seed(view)
