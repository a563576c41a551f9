"""Corpora of long passages: every player still sees what it is asked, and what was cut is counted."""

import pytest

from ssp_env import search_self_play_v0
from ssp_env.game import GameConfig, Task
from ssp_env.game.config import PROMPT_STYLES
from ssp_env.game.passage import Passage
from tests.game.doubles import QUESTION, answer, question, search

PADDING = " ".join(f"filler{number}" for number in range(30_000))
SHORT = [Passage(f"s{number}", f"Page {number}", f"page {number} {PADDING[:600]}") for number in range(499)]
LONG = [Passage(f"l{number}", f"Page {number}", f"page {number} {PADDING[:5000]}") for number in range(499)]
BOOK = Passage("book", "Corun", f"corun is a town {PADDING}"[:300_000])
TASK = Task("Tavor", hops=2, id="task")


class Everything:
    """An engine that finds the whole corpus for any query, in an order that depends on it."""

    def __init__(self, passages):
        self.passages = passages

    def search(self, queries, top_k):
        turned = self.passages[::-1]
        return [(self.passages if "corun" in query else turned)[:top_k] for query in queries]

    def fingerprint(self):
        return "everything"


def started(passages, top_k, **arguments):
    config = GameConfig(**{"top_k": top_k, "noise_passages": 0, **arguments.pop("rules", {})})
    engine = Everything([*passages, BOOK])
    env = search_self_play_v0.env(tasks=[TASK], search=engine, config=config, **arguments)
    env.reset(seed=0)
    return env


def prompt(env):
    observation = env.observe(env.agent_selection)
    assert observation in env.observation_space(env.agent_selection)
    return observation["prompt"]


@pytest.mark.parametrize("style", [style for style in PROMPT_STYLES if style != "terse"])
@pytest.mark.parametrize("top_k", [3, 500])
@pytest.mark.parametrize("passages", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("max_prompt_chars", [262_144, 8192])
def test_the_task_is_in_every_prompt(style, top_k, passages, max_prompt_chars):
    env = started(passages, top_k, max_prompt_chars=max_prompt_chars, rules={"prompts": style})
    for line in (search("corun"), search("belin"), question()):
        assert "Answer: Tavor" in prompt(env)
        env.step(line)
    assert env.observe("solver_0")["phase"] == 1
    assert prompt(env).endswith(f"Question: {QUESTION}")
    env.step(answer())
    for line in (search("corun"), search("belin"), search("sarn")):
        assert f"Question: {QUESTION}" in prompt(env)
        env.step(line)
    assert f"Question: {QUESTION}" in prompt(env)
    env.step(answer())
    assert env.infos["solver_0"]["verdict"] == "valid"


def test_a_reader_of_five_hundred_long_passages_sees_them_all_from_their_beginning():
    env = started(LONG, 500)
    for line in (search("corun"), search("belin"), question()):
        env.step(line)
    shown = prompt(env)
    assert shown.startswith(
        "You are a careful reading assistant.\nAnswer the question from the documents below"
    )
    assert all(f"(Title: {passage.title})\n{passage.text[:200]}" in shown for passage in [*LONG, BOOK])
    assert shown.count("characters left out]") == 500
    info = env.infos["solver_0"]
    assert (info["cut_prompt_chars"], info["cut_action_chars"]) == (0, 0)
    whole = sum(len(passage.title) + len(passage.text) for passage in [*LONG, BOOK])
    assert whole - 200_000 <= info["cut_passage_chars"] <= whole - 150_000


def test_what_was_cut_is_counted_for_each_agent():
    env = started(SHORT, 500, max_prompt_chars=50_000)
    env.step(search("corun"))
    info = env.infos["proposer_0"]
    lost = len(BOOK.text) - 4000
    assert lost <= info["cut_passage_chars"] <= lost + 40
    conversation = "\n".join(message["content"] for message in info["messages"])
    shown = prompt(env)
    assert len(shown) == 50_000
    assert info["cut_prompt_chars"] == len(conversation) - len(shown) + len("\n[...]\n")
    assert shown.endswith(conversation[-40_000:])
    for line in (search("belin"), question(), answer(), answer("x")):
        env.step(line)
    metrics = env.infos["proposer_0"]["metrics"]
    assert (
        metrics["cut_prompt_chars"] == sum(env.infos[agent]["cut_prompt_chars"] for agent in env.agents) > 0
    )
    assert env.infos["solver_0"]["cut_passage_chars"] >= lost
    assert env.infos["proposer_0"]["metrics"]["cut_passage_chars"] >= 3 * lost


def test_nothing_is_cut_of_ordinary_passages():
    env = search_self_play_v0.env()
    env.reset(seed=0)
    env.step(search("corun"))
    info = env.infos["proposer_0"]
    assert {info[name] for name in info if name.startswith("cut_")} == {0}


def test_where_a_function_reads_no_agent_is_shown_the_evidence():
    env = started(SHORT, 500, reader=lambda view: answer())
    for line in (search("corun"), search("belin"), question()):
        env.step(line)
    assert (env.observe("solver_0")["phase"], env.infos["solver_0"]["cut_passage_chars"]) == (2, 0)
