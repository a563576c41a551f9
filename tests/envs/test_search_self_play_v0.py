"""The PettingZoo environment: official tests, order of play, pay day, actions and packaging."""

import pickle

import numpy as np
import pettingzoo
import pytest
from gymnasium.spaces import Text
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, render_test, seed_test
from pettingzoo.utils.conversions import turn_based_aec_to_parallel
from pettingzoo.utils.wrappers import AssertOutOfBoundsWrapper

from ssp_env import search_self_play_v0
from ssp_env.envs.aec import PHASES
from ssp_env.envs.spaces import UnicodeText
from ssp_env.game import PROTOCOLS, GameConfig, Reply, Task
from ssp_env.game.events import TurnTaken
from tests.envs.games import finish, make, right_reader, say, started
from tests.game.doubles import PROPOSAL, TASK, Shelf, answer, question, search

# -- official tests ----------------------------------------------------------------------------------------

# tests/conformance has the grid of configurations; here are the environment's defaults.


def test_the_embedded_world_passes_the_official_tests(capsys):
    api_test(search_self_play_v0.env(), num_cycles=8)
    seed_test(search_self_play_v0.env, num_cycles=8)
    render_test(search_self_play_v0.env)
    assert "task: " in capsys.readouterr().out


class Talker:
    """Plays proper games at random: mostly legal actions, sometimes noise."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, env, agent):
        if self.rng.random() < 0.2:
            return env.action_space(agent).sample()
        searches = [search(word) for word in ("belin", "corun", "sarn", "nobody")]
        finals = [question(), question("short")] if agent == "proposer_0" else [answer(), answer("x")]
        return str(self.rng.choice([*searches, *finals]))


@pytest.mark.parametrize("seed", range(8))
def test_contract_holds_in_games_that_get_far(seed):
    env = make(game={"attempts": 3, "retries": 5, "min_searches": 0, "noise_passages": 2})
    talker = Talker(seed)
    for _ in range(10):
        env.reset(seed=None)
        paid = dict.fromkeys(env.possible_agents, 0.0)
        for agent in env.agent_iter():
            observation, reward, terminated, truncated, _ = env.last()
            paid[agent] += reward
            assert observation in env.observation_space(agent)
            assert type(terminated) is type(truncated) is bool
            assert set(env.rewards) == set(env.infos) == set(env.terminations) == set(env.agents)
            assert len(set(env.terminations.values())) == 1
            assert not any(env.truncations.values())
            env.step(None if terminated or truncated else talker(env, agent))
        assert paid == env.unwrapped.game.outcome.rewards


def test_the_same_seed_gives_the_same_games_to_the_last_event():
    def played(seed):
        env = make(tasks=[TASK, Task("Sarn", id="s")], game={"attempts": 2, "min_searches": 0, "retries": 9})
        talker, events = Talker(3), []
        for number in range(12):
            env.reset(seed=seed if number == 0 else None)
            for space in env.unwrapped.action_spaces.values():
                space.seed(number)
            for agent in env.agent_iter():
                *_, terminated, truncated, _ = env.last()
                env.step(None if terminated or truncated else talker(env, agent))
            events.append((env.unwrapped.game.task.answer, env.unwrapped.game.events))
        return events

    first = played(5)
    assert first == played(5)
    assert first != played(6)
    assert {name for name, _ in first} == {"Tavor", "Sarn"}


# -- order of play -----------------------------------------------------------------------------------------


def test_agents_and_spaces_exist_before_reset():
    env = make(game={"attempts": 3})
    assert env.possible_agents == ["proposer_0", "solver_0", "solver_1", "solver_2"]
    assert str(env) == "search_self_play_v0"
    for agent in env.possible_agents:
        assert env.action_space(agent) is env.action_space(agent)
        assert isinstance(env.action_space(agent), UnicodeText)
        # Tianshou insists on equal spaces.
        assert env.observation_space(agent) == env.observation_space("proposer_0")
        assert env.action_space(agent) == env.action_space("proposer_0")
        # PettingZoo's api_test would look for a dtype under this key.
        assert "observation" not in env.observation_space(agent).spaces
        # TorchRL keeps as text what has Text among its ancestors.
        assert isinstance(env.action_space(agent), Text)
        assert isinstance(env.observation_space(agent)["prompt"], Text)
    with pytest.raises(AttributeError, match="before reset"):
        _ = env.agents


def test_the_order_of_play_with_the_solver_as_reader():
    env = started(game={"attempts": 2})
    order = []

    def step(line):
        order.append((env.agent_selection, PHASES[env.observe(env.agent_selection)["phase"]]))
        env.step(line)

    for line in [*PROPOSAL, answer(), search("belin"), answer(), search("corun"), "hm", answer()]:
        step(line)
    assert order == [
        *[("proposer_0", "propose")] * 4,
        ("solver_0", "verify"),
        *[("solver_0", "solve")] * 2,
        *[("solver_1", "solve")] * 3,
    ]
    assert PHASES[env.observe("solver_0")["phase"]] == "done"


def test_an_injected_reader_takes_no_turn_and_sees_the_evidence():
    seen = []

    def reader(view):
        seen.append(view)
        return answer()

    env = started(reader=reader)
    say(env, *PROPOSAL)
    assert env.agent_selection == "solver_0"
    assert PHASES[env.observe("solver_0")["phase"]] == "solve"
    (view,) = seen
    assert view.phase == "verify"
    assert "The mother of Sarn is Tavor." in view.messages[-1].content


def test_without_rag_check_the_solver_starts_at_once():
    env = started(game={"rag_check": False})
    say(env, *PROPOSAL)
    assert env.unwrapped.game.phase == "solve"


# -- pay day -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "proposer", "solver"), [("Tavor", 0.0, 1.0), ("Nobody", 1.0, 0.0)])
def test_known_outcomes(text, proposer, solver):
    env = started(game={"attempts": 5}, reader=right_reader)
    say(env, *PROPOSAL)
    for _ in range(5):
        assert set(env.rewards.values()) == {0.0}
        assert not any(env.terminations.values())
        say(env, answer(text))
    assert env.rewards == {"proposer_0": proposer, **{f"solver_{k}": solver for k in range(5)}}
    assert set(env.terminations.values()) == {True}
    assert set(env.truncations.values()) == {False}
    last = finish(env)
    assert {agent: result[1] for agent, result in last.items()} == {
        "proposer_0": proposer,
        **{f"solver_{k}": solver for k in range(5)},
    }
    for result in last.values():
        assert result[4]["verdict"] == "valid"
        assert result[4]["reason"] == ("solved" if solver else "unsolved")
        assert result[4]["success_rate"] == solver
        assert result[4]["metrics"]["proposer_searches"] == 3.0


def test_an_invalid_question_ends_the_game_for_everybody():
    env = started(game={"attempts": 2, "invalid_reward": -0.25})
    say(env, question("short"))
    assert env.rewards == {"proposer_0": -0.25, "solver_0": 0.0, "solver_1": 0.0}
    last = finish(env)
    assert set(last) == {"proposer_0", "solver_0", "solver_1"}
    assert {result[4]["reason"] for result in last.values()} == {"too_short"}


@pytest.mark.parametrize("source", ["search", "noise", "reader", "judge"])
def test_broken_infrastructure_truncates_everybody_without_pay(source):
    class Breaking(Shelf):
        def search(self, queries, top_k):
            if source == "search" and "sarn" in queries:
                raise ConnectionError("down")
            return super().search(queries, top_k)

        def sample(self, rng, count, exclude):
            if source == "noise":
                raise ConnectionError("down")
            return super().sample(rng, count, exclude)

    def reader(view):
        if source == "reader":
            raise ConnectionError("down")
        return answer()

    def judge(request):
        raise ConnectionError("down")

    env = started(
        search=Breaking(),
        reader=reader,
        judge=judge,
        game={"judge": True, "attempts": 2, "invalid_reward": -1.0},
    )
    lines = [*PROPOSAL, answer(), answer("Lady T.")]
    while not any(env.truncations.values()):
        env.step(lines.pop(0))
    assert set(env.truncations.values()) == {True}
    assert set(env.terminations.values()) == {False}
    assert set(env.rewards.values()) == {0.0}
    for _, reward, _, _, info in finish(env).values():
        assert reward == 0.0
        assert (info["verdict"], info["reason"]) == ("error", "error")


def test_a_reader_that_returns_no_text_is_broken_infrastructure():
    env = started(reader=lambda view: None)
    say(env, *PROPOSAL)
    assert env.infos["proposer_0"]["reason"] == "error"


@pytest.mark.parametrize("verdict", [True, False])
def test_the_judge_decides_what_does_not_match(verdict):
    env = started(game={"judge": True}, judge=lambda request: verdict, reader=right_reader)
    say(env, *PROPOSAL, answer("Lady T."))
    assert env.rewards == {"proposer_0": 1.0 - verdict, "solver_0": float(verdict)}


def test_dead_agents_accept_none_only_and_another_game_may_follow():
    env = started()
    say(env, question("short"))
    with pytest.raises(ValueError, match="only valid action is None"):
        env.step("text")
    env.step(None)
    env.reset()
    assert env.agents == ["proposer_0", "solver_0"]
    assert env.agent_selection == "proposer_0"
    assert not any(env.terminations.values())
    say(env, question("short"))
    assert len(finish(env)) == 2
    assert env.agents == []


# -- actions -----------------------------------------------------------------------------------------------


def test_a_long_reply_is_cut_and_counted_not_an_error():
    env = started(max_action_chars=60)
    say(env, search("belin").ljust(70, "x"))
    assert env.infos["proposer_0"]["searches"] == 1
    assert env.infos["proposer_0"]["cut_action_chars"] == 10
    say(env, "y" * 58 + search("corun"))
    assert env.infos["proposer_0"]["searches"] == 1
    assert env.infos["proposer_0"]["turns"] == 2
    assert env.infos["proposer_0"]["messages"][-2]["content"] == "y" * 58 + "<t"


@pytest.mark.parametrize("text", ["", "\x00\x1b[2J", "\ud800", "नमस्ते 🙂", np.str_(search("belin"))])
def test_any_text_is_an_action(text):
    env = started(game={"retries": 3})
    say(env, text)
    assert env.infos["proposer_0"]["turns"] == 1
    assert type(env.infos["proposer_0"]["messages"][2]["content"]) is str


@pytest.mark.parametrize("action", [None, 3, b"bytes", ["text"]])
def test_what_is_not_text_is_refused_and_changes_nothing(action):
    env = started()
    with pytest.raises(TypeError, match="an action must be a string"):
        env.step(action)
    assert env.infos["proposer_0"]["turns"] == 0
    say(env, search("belin"))
    assert env.infos["proposer_0"]["turns"] == 1


def test_actions_within_the_space_pass_the_bounds_wrapper():
    env = AssertOutOfBoundsWrapper(make().unwrapped)
    env.reset(seed=0)
    env.step("\x1b naïve 🙂")
    assert env.infos["proposer_0"]["turns"] == 1


# -- packaging ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", range(8))
def test_pickles_before_and_in_the_middle_of_a_game(said):
    lines = [*PROPOSAL, answer(), search("belin"), answer("Nobody"), answer()]
    env = started(game={"attempts": 2, "noise_passages": 2})
    say(env, *lines[:said])
    copy = pickle.loads(pickle.dumps(env))
    for each in (env, copy):
        each.action_space("proposer_0").seed(3)
    for line in lines[said:]:
        assert copy.last() == env.last()
        assert copy.agent_selection == env.agent_selection
        say(env, line)
        say(copy, line)
    assert copy.unwrapped.game.events == env.unwrapped.game.events
    assert finish(copy) == finish(env)
    env.reset()
    copy.reset()
    assert copy.last() == env.last()


def test_pickles_before_the_first_reset_and_over_the_embedded_world():
    for env in (search_self_play_v0.env(), make(reader=right_reader, game={"attempts": 2})):
        copy = pickle.loads(pickle.dumps(env))
        for each in (env, copy):
            each.reset(seed=9)
        assert copy.possible_agents == env.possible_agents
        assert copy.last() == env.last()
    env = search_self_play_v0.env()
    env.reset(seed=9)
    say(env, search("nobody"))
    copy = pickle.loads(pickle.dumps(env))
    say(env, search("belin"))
    say(copy, search("belin"))
    assert copy.last() == env.last()


def test_a_pickled_action_space_goes_on_sampling_where_it_was():
    env = started()
    env.action_space("solver_0").seed(1)
    env.action_space("solver_0").sample()
    copy = pickle.loads(pickle.dumps(env))
    assert copy.action_space("solver_0").sample() == env.action_space("solver_0").sample()


@pytest.mark.skipif(not hasattr(pettingzoo, "register"), reason="the registry came with PettingZoo 1.27")
def test_is_registered_by_importing_the_package():
    env = pettingzoo.make("aec", "ssp/search_self_play-v0", render_mode="ansi", config=GameConfig(attempts=2))
    env.reset(seed=0)
    assert env.unwrapped.render_mode == "ansi"
    assert str(env.unwrapped) == "search_self_play_v0"
    assert env.num_agents == 3


def test_converts_to_the_parallel_api():
    parallel_api_test(turn_based_aec_to_parallel(make(game={"attempts": 2})), num_cycles=20)
    parallel_seed_test(lambda: turn_based_aec_to_parallel(make(game={"attempts": 2})), num_cycles=20)


def test_construction_does_no_work():
    calls = []

    class Watched(Shelf):
        def search(self, queries, top_k):
            calls.append(queries)
            return super().search(queries, top_k)

    env = make(search=Watched(), reader=lambda view: calls.append(view))
    assert calls == []
    env.reset(seed=0)
    assert calls == []
    env.close()


def test_a_reply_keeps_its_tokens_and_native_tool_calls():
    env = started(game={"protocol": "openai", "min_searches": 1})
    call = PROTOCOLS["openai"].write("search", "belin", call_id="c1").tool_calls
    env.step(Reply("looking", (1, 2, 3), tool_calls=call))
    _, said, found = env.infos["proposer_0"]["messages"][-3:]
    assert said["tool_calls"][0]["id"] == found["tool_call_id"] == "c1"
    assert "home in Corun" in found["content"]
    (turn,) = [event for event in env.unwrapped.game.events if isinstance(event, TurnTaken)]
    assert turn.reply.token_ids == (1, 2, 3)


def test_a_long_reply_is_cut_like_a_long_text():
    env = started(max_action_chars=20)
    env.step(Reply("x" * 30 + question(), (1,)))
    assert env.infos["proposer_0"]["cut_action_chars"] == 10 + len(question())


def test_a_world_is_named_in_place_of_a_scenario_and_nothing_else_is_taken():
    env = search_self_play_v0.env(scenario="tiny")
    env.reset(seed=0)
    assert env.agents
    with pytest.raises(TypeError, match=r"must be a Scenario, .* or the name of a world .* got int"):
        search_self_play_v0.env(scenario=7)
