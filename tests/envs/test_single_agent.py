"""The Gymnasium environments: official checks, both roles, frozen players, vector environments, bad input."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import ssp_env  # noqa: F401  (registers the environments)
from agents.scripted import ScriptedPlayer
from ssp_env.envs.single_agent import ProposerEnv, SolverEnv
from ssp_env.game import PROTOCOLS, GameConfig, Reply, Task
from ssp_env.scenario import open_scenario
from ssp_env.worlds import parse_question
from tests.envs.single_agent_games import IDS, SCRIPTED, frozen_error, proposer, say, solver, solver_against
from tests.game.doubles import (
    HOPELESS,
    PERFECT,
    PROPOSAL,
    QUESTION,
    TASK,
    Script,
    Shelf,
    answer,
    question,
    search,
)

# -- official checks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
def test_check_env_is_clean(name, capsys):
    env = gymnasium.make(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    assert "task: " in capsys.readouterr().out


def test_check_env_is_clean_with_a_frozen_proposer():
    env = gymnasium.make(IDS[0], proposer=SCRIPTED, max_action_chars=200)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_importing_the_package_registers_and_loads_nothing_of_it():
    code = (
        "import sys, ssp_env, gymnasium\n"
        f"assert set({IDS}) <= set(gymnasium.registry)\n"
        "print([name for name in sys.modules if name.startswith('ssp_env.') or name in ('tantivy', 'httpx')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", IDS)
def test_the_same_seed_gives_the_same_episodes(name):
    def played(seed):
        env = gymnasium.make(name).unwrapped
        rng, seen = np.random.default_rng(5), []
        for episode in range(6):
            returned = env.reset(seed=seed if episode == 0 else None)
            over = False
            while not over:
                seen.append(returned)
                words = returned[0]["prompt"].split()
                word = str(rng.choice([word for word in words if word.isalpha()]))
                line = str(rng.choice([search(word), question(f"seat of {word} ?"), answer(word)]))
                returned = env.step(line)
                over = returned[2] or returned[3]
            seen.append(returned)
        return seen

    first = played(3)
    assert first == played(3)
    assert first != played(4)


# -- the solver's environment ------------------------------------------------------------------------------


def test_the_default_asks_gold_questions_that_search_can_answer():
    env = SolverEnv()
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        relations, entity = parse_question(observation["prompt"].removeprefix("solve "))
        for relation in reversed(relations):
            (pages,) = open_scenario("tiny").engine.search([entity], 1)
            assert f"<search> {entity} </search>"
            returned = env.step(f"<search> {entity} </search>")
            facts = pages[0].text.split()
            entity = facts[facts.index(relation) + 1]
        assert returned[1:4] == (0.0, False, False)
        _, reward, terminated, truncated, info = env.step(answer(entity))
        assert (reward, terminated, truncated) == (1.0, True, False)
        assert (info["verdict"], info["reason"], info["success_rate"]) == ("valid", "solved", 1.0)
        assert info["searches"] == len(relations)


def test_default_questions_vary_with_the_seed_and_are_all_asked():
    env = SolverEnv()
    env.reset(seed=0)
    prompts = {env.reset()[0]["prompt"] for _ in range(1500)}
    assert prompts == {f"solve {task.question}" for task in open_scenario("tiny").questions}


def test_questions_without_a_search_engine_are_about_the_embedded_world():
    task = open_scenario("tiny").questions[0]
    env = SolverEnv(questions=[(task.question, task.answer)])
    observation, _ = env.reset(seed=0)
    assert observation["prompt"] == f"solve {task.question}"
    env.step(f"<search> {parse_question(task.question).entity} </search>")
    assert env.step(answer(task.answer))[1] == 1.0


def test_a_wrong_answer_is_paid_nothing():
    env = solver()
    observation, info = env.reset(seed=0)
    assert QUESTION in observation["prompt"]
    assert observation["phase"] == 2
    assert info["messages"][-1]["content"] in observation["prompt"]
    observation, reward, terminated, truncated, info = say(env, search("belin"), answer("Nobody"))
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert "Belin has her home in Corun." in observation["prompt"]
    assert info["reason"] == "unsolved"


@pytest.mark.parametrize(
    "given",
    [
        (QUESTION, "Tavor of Ruvia"),
        Task("Tavor", aliases=("Tavor of Ruvia",), question=QUESTION),
    ],
    ids=["pair", "task"],
)
def test_questions_are_tasks_or_pairs_of_question_and_answer(given):
    env = solver(questions=[given])
    env.reset(seed=0)
    assert env.step(answer("tavor of ruvia"))[1] == 1.0


def test_options_choose_a_task_with_its_question_and_other_keys_are_ignored():
    env = solver()
    other = {"task": Task("Elsewhere", question="Where does nobody live?"), "unknown": 1}
    observation, _ = env.reset(options=other)
    assert "Where does nobody live?" in observation["prompt"]
    assert env.step(answer("elsewhere"))[1] == 1.0
    assert QUESTION in env.reset(options={"unknown": 1})[0]["prompt"]
    with pytest.raises(ValueError, match=r"options\['task'\] needs a question"):
        env.reset(options={"task": TASK})


def test_a_frozen_proposer_writes_the_question_during_reset():
    env = solver_against(Script(*PROPOSAL))
    observation, info = env.reset(seed=0)
    assert QUESTION in observation["prompt"]
    assert info["turns"] == 0
    assert "Tavor" not in repr((observation, info))
    assert env.step(answer())[1] == 1.0


def test_in_the_embedded_world_a_proposer_is_enough():
    env = SolverEnv(proposer=SCRIPTED)
    asked = set()
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        asked.add(len(parse_question(observation["prompt"].removeprefix("solve ")).relations))
    assert len(asked) > 1


def test_an_invalid_question_costs_another_try():
    class Learning:
        games = 0

        def act(self, view):
            if len(view.messages) == 2:
                self.games += 1
            said = sum(message.role == "assistant" for message in view.messages)
            return PROPOSAL[said] if self.games > 3 else question("short")

    player = Learning()
    env = solver_against(player, max_proposals=4)
    observation, _ = env.reset(seed=0)
    assert QUESTION in observation["prompt"]
    assert player.games == 4


def test_a_proposer_that_never_writes_a_valid_question_is_an_error_with_the_reasons():
    lines = [question("short"), question("short"), "hm"]
    games = iter(range(99))

    def player(view):
        if len(view.messages) == 2:
            player.line = lines[next(games) % 3]
        return player.line

    env = solver_against(player, max_proposals=6)
    with pytest.raises(RuntimeError, match=r"in 6 games; reasons: too_short \(4\), malformed \(2\)"):
        env.reset(seed=0)
    with pytest.raises(ResetNeeded):
        env.step(answer())


def test_a_proposer_that_breaks_down_is_named_in_the_error():
    env = solver_against(frozen_error, max_proposals=2)
    reasons = r"proposer: ConnectionError: the model server is down \(2\)"
    with pytest.raises(RuntimeError, match=reasons):
        env.reset(seed=0)


def test_a_reader_decides_whether_a_question_is_asked():
    env = solver_against(Script(*PROPOSAL), reader=HOPELESS, max_proposals=1)
    with pytest.raises(RuntimeError, match=r"not_recovered \(1\)"):
        env.reset(seed=0)
    env = solver_against(Script(*PROPOSAL), reader=None, config=GameConfig(rag_check=False))
    assert QUESTION in env.reset(seed=0)[0]["prompt"]


def test_a_frozen_player_may_search_with_native_tool_calls():
    class Caller:
        def act(self, view):
            said = sum(message.role == "assistant" for message in view.messages)
            if said == 2:
                return question()
            return PROTOCOLS["openai"].write("search", ["belin", "corun"][said], call_id=f"c{said}")

    env = solver_against(Caller(), config=GameConfig(protocol="openai"))
    assert QUESTION in env.reset(seed=0)[0]["prompt"]


def test_the_agent_may_search_with_native_tool_calls():
    env = solver(config=GameConfig(protocol="openai"))
    env.reset(seed=0)
    *_, info = env.step(PROTOCOLS["openai"].write("search", "belin", call_id="c1"))
    assert info["searches"] == 1


@pytest.mark.parametrize("source", ["search", "judge"])
def test_broken_infrastructure_truncates_without_pay(source):
    class Broken(Shelf):
        def search(self, queries, top_k):
            raise ConnectionError("down")

    def judge(request):
        raise ConnectionError("down")

    env = solver(search=Broken(), judge=judge, config=GameConfig(judge=True))
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(
        search("belin") if source == "search" else answer("Lady T.")
    )
    assert (reward, terminated, truncated, info["reason"]) == (0.0, False, True, "error")
    with pytest.raises(ResetNeeded):
        env.step(answer())
    env.reset()
    assert env.step(answer())[1] == 1.0


# -- the proposer's environment ----------------------------------------------------------------------------


@pytest.mark.parametrize(("player", "reward"), [(PERFECT, 0.0), (HOPELESS, 1.0)])
def test_the_proposer_is_paid_for_what_the_frozen_solver_misses(player, reward):
    env = proposer(solver=player, reader=PERFECT)
    observation, info = env.reset(seed=0)
    assert "Answer: Tavor\nN: 2" in observation["prompt"]
    for line in PROPOSAL[:-1]:
        observation, paid, terminated, truncated, info = env.step(line)
        assert (paid, terminated, truncated) == (0.0, False, False)
    observation, paid, terminated, truncated, info = env.step(PROPOSAL[-1])
    assert (paid, terminated, truncated) == (reward, True, False)
    assert info["success_rate"] == 1.0 - reward
    assert observation["phase"] == 3


def test_the_frozen_solver_plays_every_attempt():
    replies = iter([answer(), answer("Nobody"), answer("Nobody"), search("belin"), answer()])
    env = proposer(solver=lambda view: next(replies), reader=PERFECT, config=GameConfig(attempts=4))
    env.reset(seed=0)
    _, reward, _, _, info = say(env, *PROPOSAL)
    assert (reward, info["success_rate"]) == (0.5, 0.5)
    assert next(replies, None) is None


def test_the_reader_is_the_frozen_solver_unless_another_is_given():
    phases = []

    def player(view):
        phases.append(view.phase)
        return answer()

    env = proposer(solver=player)
    env.reset(seed=0)
    say(env, *PROPOSAL)
    assert phases == ["verify", "solve"]
    env = proposer(solver=player, reader=HOPELESS)
    env.reset(seed=0)
    _, reward, _, _, info = say(env, *PROPOSAL)
    assert (reward, info["reason"]) == (0.0, "not_recovered")
    assert phases == ["verify", "solve"]


def test_frozen_players_may_be_agents_batch_agents_or_functions():
    class Batch:
        def act_batch(self, views):
            return [answer() for _ in views]

    for player in (PERFECT, Batch(), lambda view: answer(), lambda view: Reply(answer())):
        env = proposer(solver=player)
        env.reset(seed=0)
        assert say(env, *PROPOSAL)[4]["success_rate"] == 1.0


def test_the_default_opponent_pays_for_hops_it_cannot_follow():
    env = ProposerEnv()
    player = ScriptedPlayer(proposer="perfect")
    rewards = {}
    for hops in (1, 3):
        paid = []
        for seed in range(24):
            observation, _ = env.reset(seed=seed)
            if not observation["prompt"].startswith(f"propose {hops}"):
                continue
            over = False
            while not over:
                _, reward, over, _, _ = env.step(player.act(env.view))
            paid.append(reward)
        assert paid
        rewards[hops] = np.mean(paid)
    assert rewards[1] == 0.0
    assert rewards[3] > 0.5


def test_an_invalid_question_ends_the_episode():
    env = proposer()
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(question("short"))
    assert (reward, terminated, info["reason"]) == (0.0, True, "too_short")


@pytest.mark.parametrize("player", [frozen_error, lambda view: None, lambda view: 3])
@pytest.mark.parametrize("role", ["solver", "reader"])
def test_a_frozen_player_that_breaks_down_truncates_without_pay(role, player):
    env = proposer(**{"config": GameConfig(invalid_reward=-1.0), role: player})
    env.reset(seed=0)
    _, reward, terminated, truncated, info = say(env, *PROPOSAL)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["reason"] == "error"


def test_the_proposer_asks_for_itself_where_a_task_has_a_question():
    known = Task("Sarn", question=QUESTION)
    given = proposer().reset(seed=0, options={"task": known, "unknown": 1})
    drawn = proposer(tasks=[known]).reset(seed=0)
    for observation, _ in (given, drawn):
        assert "Answer: Sarn" in observation["prompt"] and QUESTION not in observation["prompt"]
        assert observation["phase"] == 0
