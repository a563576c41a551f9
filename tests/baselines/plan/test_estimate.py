"""Plans: sizes that are published, the workload of the paper, and what more hardware changes."""

from dataclasses import replace

import pytest

from baselines.config import preset
from baselines.plan.estimate import Assumed, Cluster, conversations, plan
from baselines.plan.hardware import DEVICES, MODELS, sizes_of
from baselines.policies.memory import memory_bytes

PAPER = preset("qwen2.5-7b-paper")
H100 = DEVICES["h100"]
EIGHT = Cluster(H100, 8)
SEVEN = sizes_of("7b", 12_288)


def test_sizes_are_those_that_are_published():
    # The number of weights of the released models, as their cards count them.
    assert sizes_of("0.5b", 4096).parameters == 494_032_768
    assert SEVEN.parameters == 7_615_616_512
    assert SEVEN.key_value_size == 512
    sizes = [sizes_of(name, 4096).parameters for name in MODELS]
    assert sizes == sorted(sizes) and sizes[-1] == pytest.approx(32.8e9, rel=0.01)
    with pytest.raises(ValueError, match=r"one of 0\.5b, 1\.5b, .*, got '8b'"):
        sizes_of("8b", 4096)


def test_the_workload_of_a_step_is_that_of_the_paper():
    found = conversations(PAPER, Assumed(proposer_searches=3, solver_searches=2, turn_tokens=100))
    assert found["proposer"].count == found["reader"].count == 256
    assert found["solver"].count == 1280
    assert found["solver"].sampled == 300 and found["solver"].searches == 2
    # Instructions, two results of three passages, three turns.
    assert found["solver"].length == 700 + 2 * 3 * 160 + 300
    # The reader is shown what the proposer found, and four passages of noise.
    assert found["reader"].length == 700 + 3 * 3 * 160 + 4 * 160 + 100
    assert found["proposer"].trained and found["solver"].trained and not found["reader"].trained


def test_no_more_searches_are_planned_than_the_rules_allow():
    found = conversations(PAPER.changed({"rules": {"max_searches": 2}}), Assumed(solver_searches=5))
    assert found["solver"].searches == found["proposer"].searches == 2


def test_invalid_questions_are_solved_by_nobody_unless_others_take_their_places():
    smaller = PAPER.changed({"filling": {"kind": "smaller"}})
    assert conversations(smaller, Assumed(valid=0.25))["solver"].count == 0.25 * 1280


def test_twice_the_gpus_halve_the_time_of_what_operations_bound():
    one, two = (plan(PAPER, SEVEN, Cluster(H100, count)) for count in (8, 16))
    for name in ("update", "old log-probabilities", "reference", "reading prompts"):
        assert two.seconds[name] == pytest.approx(one.seconds[name] / 2)
    assert two.games_in_flight == pytest.approx(2 * one.games_in_flight)
    assert (
        two.training_memory["moments of the optimiser"]
        == one.training_memory["moments of the optimiser"] // 2
    )


def test_the_update_by_hand():
    found = plan(PAPER, SEVEN, EIGHT, Assumed(training_share=0.5))
    tokens = sum(each.length * each.count for each in found.by_role.values() if each.trained)
    # Activations are computed again: eight operations a weight and token.
    assert found.seconds["update"] == pytest.approx(8 * 7_615_616_512 * tokens / (8 * 989e12 * 0.5))
    without = PAPER.changed({"model": {"gradient_checkpointing": False}})
    assert plan(without, SEVEN, EIGHT).seconds["update"] == pytest.approx(
        0.75 * plan(PAPER, SEVEN, EIGHT).seconds["update"]
    )


def test_decoding_reads_weights_and_caches():
    slow = replace(H100, bandwidth=H100.bandwidth / 2)
    fast, halved = plan(PAPER, SEVEN, EIGHT), plan(PAPER, SEVEN, Cluster(slow, 8))
    assert halved.seconds["decoding"] == pytest.approx(2 * fast.seconds["decoding"])
    straggling = plan(PAPER, SEVEN, EIGHT, Assumed(straggling=3.0))
    assert straggling.seconds["decoding"] == pytest.approx(2 * fast.seconds["decoding"])
    assert straggling.searches_a_second == pytest.approx(fast.searches_a_second / 2)


def test_games_in_flight_fill_the_memory_of_the_servers():
    found = plan(PAPER, SEVEN, EIGHT, Assumed(server_memory_share=0.5))
    length = found.total("length") / sum(each.count for each in found.by_role.values())
    a_game = length * 2 * 28 * 512 * 2
    assert found.games_in_flight * a_game == pytest.approx(8 * (0.5 * 80e9 - 2 * 7_615_616_512))
    none = plan(PAPER, sizes_of("32b", 12_288), EIGHT)
    assert none.games_in_flight == 0.0
    assert plan(PAPER, sizes_of("32b", 12_288), Cluster(H100, 8, tensor_parallel=4)).games_in_flight > 100


def test_the_memory_of_training_is_that_of_the_trainer():
    found = plan(PAPER, SEVEN, EIGHT)
    sharing = replace(PAPER, model=replace(PAPER.model, sharding="fsdp2"))
    counted = memory_bytes(sharing, SEVEN, 8)
    counted.pop("whole model that plays")
    assert found.training_memory == counted
    assert found.training_memory["weights"] == 4 * 7_615_616_512 // 8


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="6 GPUs cannot be divided among servers of 4"):
        Cluster(H100, 6, tensor_parallel=4)
    with pytest.raises(ValueError, match=r"valid is a share above 0 and up to 1, got 0\.0"):
        Assumed(valid=0.0)
    with pytest.raises(ValueError, match="straggling is a factor of at least 1"):
        Assumed(straggling=0.5)
