"""Every check of an agent or a reader catches one that is broken in just this way."""

import random

import pytest

from agents.scripted import ScriptedPlayer
from ssp_env.game import GameConfig, Reply
from ssp_env.testing import ConformanceError, check_agent, check_reader

TERSE = {"propose": "<question> home of it all ? </question>", "solve": "<answer> it </answer>"}


class Plain:
    """A right agent: searches the last word it was asked about once, then ends."""

    def act(self, view):
        words = view.messages[0].content.split()
        if view.phase == "verify":
            return f"<answer> {words[-2]} </answer>"
        if view.searches_left and view.turns_left > 1 and view.messages[-1].role != "tool":
            return f"<search> {words[-2] if view.phase == 'solve' else words[-1]} </search>"
        return TERSE[view.phase]


class Batched:
    def act_batch(self, views):
        return [Reply(Plain().act(view), (1,), (-0.5,)) for view in views]


class Async:
    async def act(self, view):
        return Plain().act(view)


class Neither:
    pass


class Raises(Plain):
    def act(self, view):
        return {"propose": TERSE["propose"]}[view.phase]


class RaisesWithoutPages(Plain):
    def act(self, view):
        if view.messages[-1].role == "tool" and "none" in view.messages[-1].content:
            raise IndexError("no page")
        return super().act(view)


class Speechless(Plain):
    def act(self, view):
        return None if view.phase == "solve" else super().act(view)


class OneReply(Batched):
    def act_batch(self, views):
        return super().act_batch(views)[:1]


class NeedsAView(Batched):
    def act_batch(self, views):
        return [views[0].phase for _ in range(1)] and super().act_batch(views)


class Reorders(Batched):
    def act_batch(self, views):
        return super().act_batch(views[::-1])


class OneMemory(Plain):
    """Keeps the conversation in one place for all games."""

    def __init__(self):
        self.opening = ""

    def act(self, view):
        if len(view.messages) == 1:
            self.opening = view.messages[0].content
        return f"{self.opening} " + super().act(view)


class Sampler(Plain):
    def __init__(self):
        self.random = random.Random(0)

    def act(self, view):
        return f"{self.random.random()} " + super().act(view)


class SearchesForever(Plain):
    def act(self, view):
        return f"<search> {len(view.messages)} </search>" if view.phase == "solve" else super().act(view)


class NeverActs(Plain):
    def act(self, view):
        return "hm" if view.phase == "propose" else super().act(view)


class SearchesOnceTooOften(Plain):
    def act(self, view):
        left = view.searches_left > 0 or view.turns_left == 2
        if view.phase == "solve" and left and view.turns_left > 1:
            return f"<search> {len(view.messages)} </search>"
        return TERSE.get(view.phase) or super().act(view)


@pytest.mark.parametrize("agent", [Plain(), Batched(), Async()])
def test_right_agents_pass_however_they_are_called(agent):
    check_agent(agent)


@pytest.mark.parametrize("strength", ["strong", "weak"])
def test_the_scripted_agents_pass(strength):
    solver = "perfect" if strength == "strong" else "weak"
    check_agent(ScriptedPlayer(proposer=strength, solver=solver, reader="perfect"))


@pytest.mark.parametrize(
    ("agent", "problem"),
    [
        (Neither(), "got Neither"),
        (Raises(), "KeyError: 'solve'"),
        (RaisesWithoutPages(), "IndexError: no page"),
        (Speechless(), "text or a Reply in phase solve; got None"),
        (OneReply(), "2 replies to 2 views"),
        (NeedsAView(), "IndexError"),
        (Reorders(), "interleaved games, proposer"),
        (OneMemory(), "interleaved games, proposer"),
        (Sampler(), "interleaved games, proposer"),
        (SearchesForever(), "budgets, solver: expected a question or an answer"),
        (NeverActs(), "budgets, proposer: expected a question or an answer"),
        (SearchesOnceTooOften(), "budgets, solver: expected no search when View.searches_left is 0"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_agent_is_caught(agent, problem):
    with pytest.raises(ConformanceError) as error:
        check_agent(agent)
    assert problem in str(error.value) and "Why it matters: " in str(error.value)


def test_what_cannot_be_asked_of_every_agent_can_be_left_out():
    check_agent(Sampler(), deterministic=False)
    check_agent(SearchesForever(), keeps_budgets=False)
    check_agent(Raises(), roles=["proposer"])


def test_prose_games_are_played_too():
    class Prose:
        def act(self, view):
            if view.phase == "propose":
                return "<question> Who? </question>"
            page = view.messages[-1].content
            return f"<answer> {'Tavor' if 'Tavor was an astronomer' in page else 'Aller'} </answer>"

    check_agent(Prose(), config=GameConfig())
    check_reader(Prose(), config=GameConfig())


# -- readers -------------------------------------------------------------------------------------------


def test_the_scripted_reader_passes():
    check_reader(ScriptedPlayer(reader="perfect"))


@pytest.mark.parametrize(
    ("line", "check"),
    [("I think it is pizol", "reading"), ("<search> x </search>", "reading"), (TERSE["solve"], "recovery")],
)
def test_a_broken_reader_is_caught(line, check):
    class Reader:
        def act(self, view):
            assert view.phase == "verify"
            return line

    with pytest.raises(ConformanceError) as error:
        check_reader(Reader())
    assert error.value.check == check
    if check == "recovery":
        check_reader(Reader(), recovers=False)


def test_rules_without_a_reading_cannot_be_used_for_a_reader():
    with pytest.raises(ValueError, match="never ask a reader"):
        check_reader(Plain(), config=GameConfig(rag_check=False))


async def soon(view):
    return Plain().act(view)


@pytest.mark.parametrize("player", [Plain().act, soon])
def test_functions_are_checked_as_the_agents_they_become(player):
    check_agent(player)
    check_reader(player, recovers=False)


def test_a_function_that_breaks_is_caught():
    with pytest.raises(ConformanceError, match="text or a Reply in phase propose; got 7"):
        check_agent(lambda view: 7)


def test_a_class_is_refused():
    with pytest.raises(ConformanceError, match="the agent must be an object, got the class Plain"):
        check_agent(Plain)
