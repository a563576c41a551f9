"""Environments that draw a new world for each episode: nothing to learn by heart, everything repeatable."""

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import ssp_env  # noqa: F401  (registers the environments)
from ssp_env.envs.new_worlds import NewWorldsEnv
from ssp_env.envs.single_agent import ProposerEnv, SolverEnv
from ssp_env.worlds import is_heldout_composition, parse_question

IDS = [f"SearchSelfPlay/{name}-v1" for name in ("Solver", "SolverHeldout", "Proposer", "ProposerHeldout")]
LAST = "<answer> nobody </answer> <question> who is it ? </question>"
"""Ends the part of either role."""


def question_of(observation):
    return observation["prompt"].removeprefix("solve ").strip()


@pytest.mark.parametrize("name", IDS)
@pytest.mark.filterwarnings("ignore:.*Text.*:UserWarning", "ignore:.*render.*:UserWarning")
def test_gymnasium_accepts_them(name):
    check_env(gymnasium.make(name).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("name", IDS)
def test_every_episode_has_a_world_of_its_split_and_a_seed_repeats_them(name):
    def episodes():
        env = gymnasium.make(name, disable_env_checker=True)
        seen = []
        for number in range(12):
            observation, info = env.reset(seed=3 if number == 0 else None)
            *_, terminated, truncated, last = env.step(LAST)
            assert terminated and not truncated and last["world"] == info["world"]
            seen.append((info["world"], observation["prompt"]))
        return seen

    first = episodes()
    assert first == episodes()
    assert len({world for world, _ in first}) == 12
    split = "heldout" if "Heldout" in name else "train"
    assert all(world.startswith(f"tiny-{split}-") for world, _ in first)


def test_questions_are_right_and_held_out_pairs_of_relations_are_never_trained_on():
    heldout = 0
    for name in IDS[:2]:
        env = gymnasium.make(name, hops=(2, 3), worlds=20, disable_env_checker=True)
        env.reset(seed=0)
        for _ in range(60):
            observation, _ = env.reset()
            question = question_of(observation)
            paired = is_heldout_composition(parse_question(question).relations)
            assert not paired or "Heldout" in name
            heldout += paired
            answer = env.unwrapped.scenario.world.resolve(question)
            *_, info = env.step(f"<answer> {answer} </answer>")
            assert info["reason"] == "solved"
    assert heldout > 5


def test_hops_sizes_rules_and_prompts_are_arguments():
    env = NewWorldsEnv(world="terse_core_48x2", hops=(3,), rules={"top_k": 1, "max_searches": 2})
    observation, info = env.reset(seed=0)
    assert info["world"].startswith("terse_core_48x2-train-")
    assert len(parse_question(question_of(observation)).relations) == 3
    assert observation["searches_left"] == 2
    assert len(env.scenario.engine) == 48
    prose = NewWorldsEnv(world="prose_core_24x3", hops=(1,))
    assert "You are a careful research assistant." in prose.reset(seed=0)[0]["prompt"]


def test_a_solver_of_ones_own_answers_a_proposers_questions():
    asked = []

    def solver(view):
        asked.append(view.role)
        return "<answer> nobody </answer>"

    env = NewWorldsEnv("proposer", solver=solver, rules={"rag_check": False, "min_searches": 0})
    env.reset(seed=1)
    _, reward, *_, info = env.step("<question> mayor of birthplace of belin ? </question>")
    assert (asked, info["reason"]) == (["solver"], "unsolved")
    assert reward > 0


def test_questions_tasks_and_engines_of_ones_own_are_played_as_in_version_0():
    own = {"questions": [("Where is Belin?", "Corun")], "search": lambda query: ["Belin is in Corun."]}
    env = gymnasium.make("SearchSelfPlay/Solver-v1", disable_env_checker=True, **own)
    assert isinstance(env.unwrapped, SolverEnv)
    assert "Where is Belin?" in env.reset(seed=0)[0]["prompt"]
    made = gymnasium.make("SearchSelfPlay/Proposer-v1", disable_env_checker=True, scenario="tiny")
    assert isinstance(made.unwrapped, ProposerEnv)
    with pytest.raises(ValueError, match="held-out worlds are generated: leave out questions="):
        gymnasium.make("SearchSelfPlay/SolverHeldout-v1", **own)


def test_a_world_can_be_asked_for_by_its_number():
    env = NewWorldsEnv(worlds=50)
    assert env.reset(seed=0, options={"world": 7})[1]["world"] == "tiny-train-7"
    with pytest.raises(ValueError, match=r"options\['world'\] must be from 0 to 49, got 50"):
        env.reset(options={"world": 50})


@pytest.mark.parametrize("compositions", ["train", "heldout"])
def test_questions_have_the_compositions_that_are_asked_for(compositions):
    env = NewWorldsEnv(split="heldout", hops=(2,), compositions=compositions)
    for seed in range(5):
        observation, _ = env.reset(seed=seed)
        question = parse_question(question_of(observation))
        assert is_heldout_composition(question.relations) == (compositions == "heldout")


def test_nothing_is_played_before_reset():
    env = NewWorldsEnv()
    for call in (lambda: env.step("x"), env.render, lambda: env.view):
        with pytest.raises(gymnasium.error.ResetNeeded, match=r"call reset\(\) first"):
            call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"role": "reader"}, "role must be solver or proposer, got 'reader'"),
        ({"worlds": 0}, "worlds must be at least 1, got 0"),
        ({"hops": ()}, "hops must be whole numbers from 1 to 4"),
        ({"hops": (0,)}, "hops must be whole numbers from 1 to 4"),
        ({"world": "huge"}, "unknown world preset 'huge'"),
        ({"compositions": "new"}, "compositions must be one of all, train, heldout, got 'new'"),
        ({"compositions": "heldout"}, r"leave 1 out of hops, got \(1, 2, 3\)"),
        ({"compositions": "all", "role": "proposer"}, "they go with role='solver'"),
        ({"solver": lambda view: ""}, "solver answers a proposer's questions: it goes with role='proposer'"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, message):
    with pytest.raises(ValueError, match=message):
        NewWorldsEnv(**arguments)
