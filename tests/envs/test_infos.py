"""Infos in numbers alone: what a library that keeps them in tensors can rely on."""

import math

from ssp_env import search_self_play_v0
from ssp_env.game.audit import AUDIT_NAMES
from ssp_env.game.outcome import REASON_CODES
from tests.envs.games import make, right_reader, say
from tests.game.doubles import PROPOSAL, answer, search


def test_keys_are_the_same_from_reset_to_the_end_and_all_values_are_numbers():
    env = make(reader=right_reader, numeric_infos=True)
    env.reset(seed=0)
    keys = [list(info) for info in env.infos.values()]
    for line in [*PROPOSAL, search("belin"), answer()]:
        env.step(line)
        keys += [list(info) for info in env.infos.values()]
        assert all(isinstance(value, int | float) for info in env.infos.values() for value in info.values())
    assert env.unwrapped.game.outcome is not None
    assert all(own == keys[0] for own in keys)


def test_numbers_say_what_the_full_infos_say():
    envs = [make(reader=right_reader, numeric_infos=numeric) for numeric in (False, True)]
    for env in envs:
        env.reset(seed=0)
        say(env, *PROPOSAL, search("belin"), answer())
    full, numbers = (env.infos["solver_0"] for env in envs)
    assert numbers["searches"] == full["searches"] == 1
    assert numbers["turns"] == full["turns"] == 2
    assert REASON_CODES[int(numbers["reason"])] == full["reason"] == "solved"
    assert numbers["success_rate"] == full["success_rate"] == 1.0
    assert {f"metrics/{name}": value for name, value in full["metrics"].items()} == {
        key: value for key, value in numbers.items() if key.startswith("metrics/")
    }
    for name, value in full["audit"].items():
        assert numbers[f"audit/{name}"] == value
    assert set(full["audit"]) <= set(AUDIT_NAMES)


def test_what_is_not_known_yet_or_never_is_nan():
    env = make(reader=right_reader, numeric_infos=True)
    env.reset(seed=0)
    before = env.infos["proposer_0"]
    assert math.isnan(before["reason"]) and math.isnan(before["metrics/turns"])
    say(env, "<question> who is it ? </question>")
    after = env.infos["proposer_0"]
    assert math.isnan(after["success_rate"]) and math.isnan(after["audit/label_true"])
    assert after["audit/rejected"] == 1.0


def test_the_parallel_face_names_the_active_agent_by_its_index():
    env = search_self_play_v0.parallel_env(numeric_infos=True)
    _, infos = env.reset(seed=0)
    assert infos["proposer_0"]["active_agent"] == infos["solver_0"]["active_agent"] == 0.0
    *_, infos = env.step({"proposer_0": "<question> who is it ? </question>"})
    assert infos["solver_0"]["active_agent"] == -1.0
    assert all(isinstance(value, int | float) for value in infos["solver_0"].values())
