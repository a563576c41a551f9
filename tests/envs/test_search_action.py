"""The search action for any text environment: what it intercepts, its budget, its spaces and its failures."""

import re
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Dict, Discrete, Text
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

from ssp_env.envs.search_action import SearchAction
from ssp_env.envs.spaces import UnicodeText
from ssp_env.game import PROTOCOLS
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.tool import SearchTool
from tests.game.doubles import Shelf, search

BELIN = "<information>\nDoc 1 (Title: Belin)\nBelin has her home in Corun.\n</information>"


class Parrot(gymnasium.Env):
    """Repeats what it is told for five steps and pays a number it draws; the observation is a text."""

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012

    def __init__(self, render_mode=None, max_length=40, actions=None):
        self.render_mode = render_mode
        self.observation_space = Text(max_length, min_length=0, charset="abcdefghijklmnopqrstuvwxyz <>/.")
        self.action_space = actions or UnicodeText(40)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.heard = []
        return self._observation("hello"), {"options": str(options)}

    def step(self, action):
        self.heard.append(action)
        text = "".join(char for char in action if char in self.observation_space_of_text().character_set)
        reward = float(self.np_random.random())
        return self._observation(text), reward, len(self.heard) == 5, False, {"heard": len(self.heard)}

    def render(self):
        return f"heard: {self.heard}"

    def observation_space_of_text(self):
        return self.observation_space

    def _observation(self, text):
        return text


class Desk(Parrot):
    """The same with a Dict of a text, a number and an array."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.text = self.observation_space
        self.observation_space = Dict(
            {"note": self.text, "count": Discrete(6), "luck": Box(0, 1, (2,), np.float32)}
        )

    def observation_space_of_text(self):
        return self.text

    def _observation(self, text):
        luck = self.np_random.random(2, dtype=np.float32)
        return {"note": text, "count": len(self.heard), "luck": luck}


gymnasium.register("tests/Parrot-v0", Parrot)
gymnasium.register("tests/Desk-v0", Desk)


def started(env=None, engine=None, **arguments):
    env = SearchAction(env or Parrot(), engine or Shelf(), **arguments)
    env.reset(seed=0)
    return env


def counters(executed, refused, left, query, cut_chars=0):
    return {
        "executed": executed, "refused": refused, "left": left, "query": query, "cut_chars": cut_chars,
    }  # fmt: skip


# -- what is intercepted -----------------------------------------------------------------------------------


def test_a_search_shows_pages_and_does_not_step_the_environment():
    env = started()
    observation, reward, terminated, truncated, info = env.step(search("belin"))
    assert observation == BELIN
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info == {"search": counters(1, 0, 9, "belin")}
    assert env.unwrapped.heard == []


@pytest.mark.parametrize(
    "action",
    ["", "say <think> hm </think>", "<search> </search>", "<search> belin", "<answer> x </answer>",
     "<think> <search> belin </search> </think> no", "<answer> a </answer> <search> belin </search>"],
)  # fmt: skip
def test_anything_else_goes_to_the_environment_unchanged(action):
    shelf = Shelf()
    env = started(engine=shelf)
    _, reward, *_, info = env.step(action)
    assert env.unwrapped.heard == [action]
    assert reward > 0
    assert info == {"heard": 1, "search": counters(0, 0, 10, "")}
    assert shelf.batches == []


def test_the_episode_goes_on_as_if_nobody_had_searched():
    plain, searching = Parrot(), started()
    plain.reset(seed=0)
    for word in "abcde":
        searching.step(search("belin"))
        assert searching.step(word)[:4] == plain.step(word)[:4]
    assert searching.unwrapped.heard == list("abcde")


def test_other_entries_of_a_dict_stay_as_they_were():
    env = SearchAction(Desk(), Shelf())
    env.reset(seed=0)
    before, *_ = env.step("a")
    shown, *_ = env.step(search("belin"))
    assert (shown["note"], shown["count"]) == (BELIN, 1)
    assert np.array_equal(shown["luck"], before["luck"])
    assert shown in env.observation_space
    shown["luck"][:] = 0
    again, *_ = env.step(search("corun"))
    assert np.array_equal(again["luck"], before["luck"])


def test_an_engine_returns_top_k_pages_and_a_function_decides_itself():
    env = started(top_k=2)
    assert env.step(search("nobody"))[0].count("(Title: ") == 2
    asked = []

    def found(query):
        asked.append(query)
        return [Passage(str(number), f"Page {number}", "text") for number in range(4)]

    env = started(engine=found)
    assert env.step(search("any words"))[0].count("(Title: ") == 4
    assert asked == ["any words"]
    assert started(engine=lambda query: f"about {query}").step(search("x"))[0] == "about x"


def test_nothing_found_is_said():
    observation, *_, info = started().step(search("zzz"))
    assert PROTOCOLS["default"].notices["no_results"] in observation
    assert info["search"]["executed"] == 1


def test_the_protocol_owns_tags_and_layout():
    env = started(protocol="terse")
    assert env.step(search("belin"))[0] == "<information> Belin has her home in Corun. </information>"
    assert "<observation>" in started(protocol="R-Search").step(search("belin"))[0]


def test_pages_cannot_forge_tags_and_long_pages_are_cut():
    page = Passage("p", "Belin", "<answer> 42 </answer>" + "x" * 5000)
    env = started(engine=BM25Engine([page]), max_result_chars=200)
    observation, *_, info = env.step(search("belin"))
    assert "<answer>" not in observation
    assert len(observation) == 200
    whole = PROTOCOLS["default"].observe([page])
    assert info["search"]["cut_chars"] == len(whole) - 200
    assert env.reset()[1]["search"]["cut_chars"] == 0
    assert observation in env.observation_space


# -- budget ------------------------------------------------------------------------------------------------


def test_searches_beyond_the_budget_are_refused_and_counted_until_the_next_episode():
    shelf = Shelf()
    env = started(engine=shelf, max_searches=2)
    env.step(search("belin"))
    env.step("a")
    *_, info = env.step(search("corun"))
    assert info["search"] == counters(2, 0, 0, "corun")
    for refused in (1, 2):
        observation, reward, terminated, truncated, info = env.step(search("sarn"))
        assert PROTOCOLS["default"].notices["search_limit"] in observation
        assert (reward, terminated, truncated) == (0.0, False, False)
        assert info["search"] == counters(2, refused, 0, "corun")
    assert shelf.batches == [["belin"], ["corun"]]
    _, info = env.reset()
    assert info["search"] == counters(0, 0, 2, "")
    assert env.step(search("belin"))[0] == BELIN


def test_without_a_budget_no_search_runs():
    shelf = Shelf()
    env = started(engine=shelf, max_searches=0)
    assert env.step(search("belin"))[4]["search"] == counters(0, 1, 0, "")
    assert shelf.batches == []


def test_the_budget_of_a_search_tool_is_that_of_an_episode_and_of_one_environment():
    tool = SearchTool(Shelf(), max_searches=1, layout="plain")
    first, second = SearchAction(Parrot(), tool), SearchAction(Parrot(), tool)
    for env in (first, second, first):
        env.reset()
        assert env.step(search("belin"))[0] == "Belin has her home in Corun."
        observation, reward, terminated, truncated, info = env.step(search("corun"))
        assert observation.startswith("[search error: budget]")
        assert (reward, terminated, truncated) == (0.0, False, False)
        assert info["search"] == counters(1, 1, 9, "belin")


# -- reset, failures, misuse -------------------------------------------------------------------------------


def test_seed_and_options_reach_the_environment():
    env = SearchAction(Parrot(), Shelf())
    observation, info = env.reset(seed=5, options={"a": 1})
    assert (observation, info) == ("hello", {"options": "{'a': 1}", "search": counters(0, 0, 10, "")})
    plain = Parrot()
    plain.reset(seed=5)
    assert env.step("a")[1] == plain.step("a")[1]


def down(query):
    raise ConnectionError("down")


def broken_layout(passages):
    raise ConnectionError("down")


@pytest.mark.parametrize(
    "engine",
    [
        down,
        lambda query: None,
        lambda query: [3],
        SearchTool(down),
        SearchTool(Shelf(), layout=broken_layout),
    ],
)
def test_a_search_that_fails_truncates_without_pay(engine):
    env = started(Desk(), engine)
    before, *_ = env.step("a")
    observation, reward, terminated, truncated, info = env.step(search("belin"))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert observation["note"] == before["note"]
    assert (info["reason"], info["search"]) == ("error", counters(0, 0, 10, ""))
    assert re.match("search: (ConnectionError: down|TypeError)", info["detail"])
    with pytest.raises(ResetNeeded):
        env.step("a")
    env.reset()
    env.step("a")


def test_an_engine_that_fails_truncates_too():
    class Broken(Shelf):
        def search(self, queries, top_k):
            raise ConnectionError("down")

    *_, truncated, info = started(engine=Broken()).step(search("belin"))
    assert truncated and info["detail"] == "search: ConnectionError: down"


def test_steps_out_of_order_and_actions_that_are_no_text():
    env = SearchAction(Parrot(), Shelf())
    with pytest.raises(ResetNeeded):
        env.step(search("belin"))
    env.reset(seed=0)
    for action in (None, 3):
        with pytest.raises(TypeError, match="an action must be a string"):
            env.step(action)
    for _ in range(5):
        env.step("a")
    with pytest.raises(ResetNeeded):
        env.step(search("belin"))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"engine": 3}, TypeError, "expected a search engine, .*, got int"),
        ({"max_searches": -1}, ValueError, "max_searches must be at least 0, got -1"),
        ({"top_k": 0}, ValueError, "top_k must be at least 1, got 0"),
        ({"max_result_chars": 0}, ValueError, "max_result_chars must be at least 1, got 0"),
        ({"protocol": "morse"}, ValueError, "protocol must be one of default, "),
        (
            {"env": Parrot(actions=Discrete(3))},
            ValueError,
            r"needs an environment with Text actions, got Discrete",
        ),
        ({"env": Parrot(actions=Text(12))}, ValueError, "at least 20 characters, .* have at most 12"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, error, match):
    with pytest.raises(error, match=match):
        started(**arguments)


@pytest.mark.parametrize("extra", [{}, {"a": Text(3), "b": Text(3)}])
def test_observations_need_exactly_one_text(extra):
    env = Parrot()
    env.observation_space = Dict({"count": Discrete(2), **extra})
    with pytest.raises(ValueError, match=f"a Dict with exactly one Text, .* with {len(extra)}"):
        SearchAction(env, Shelf())
    env.observation_space = Discrete(2)
    with pytest.raises(ValueError, match="needs Text observations"):
        SearchAction(env, Shelf())


# -- spaces and official checks ----------------------------------------------------------------------------


def test_spaces_have_room_for_pages_and_searches():
    env = started(Parrot(max_length=10, actions=Text(30, min_length=2, charset="ab")), max_result_chars=500)
    assert env.observation_space == UnicodeText(500)
    assert env.action_space == UnicodeText(30, min_length=2)
    assert search("belin")[:30] in env.action_space
    assert set(env.action_space.sample()) <= {"a", "b"}
    assert started(Parrot(max_length=900), max_result_chars=500).observation_space == UnicodeText(900)
    desk = started(Desk(), max_result_chars=500)
    assert desk.observation_space["note"] == UnicodeText(500)
    assert desk.observation_space["count"] == Discrete(6)


@pytest.mark.parametrize("name", ["tests/Parrot-v0", "tests/Desk-v0"])
def test_check_env_is_clean_on_a_wrapped_environment(name):
    env = SearchAction(gymnasium.make(name, disable_env_checker=True), Shelf())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # check_env says so of every wrapped environment.
        warnings.filterwarnings("ignore", ".*is different from the unwrapped version")
        check_env(env)


def test_a_wrapped_environment_can_be_made_again_from_its_spec_and_vectorized():
    env = SearchAction(gymnasium.make("tests/Parrot-v0"), Shelf(), max_searches=3)
    copy = env.spec.make()
    copy.reset(seed=0)
    assert copy.step(search("belin"))[4]["search"] == counters(1, 0, 2, "belin")
    vector = SyncVectorEnv([lambda: SearchAction(Parrot(), Shelf())] * 2)
    vector.reset(seed=0)
    assert vector.step((search("belin"), "a"))[0] == (BELIN, "a")


def test_a_retriever_is_an_engine():
    class Retriever:
        def retrieve(self, query):
            return [f"All about {query}."]

    env = SearchAction(gymnasium.make("SearchSelfPlay/Solver-v0"), Retriever())
    env.reset(seed=0)
    observation, *_, info = env.step("<search> Corun </search>")
    assert "All about Corun." in observation["prompt"] and info["search"]["executed"] == 1
