"""Control conditions: the question without search, or with the passages that its answer follows from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args

from baselines.evaluation.question_sets import Question
from ssp_env.game import GameConfig, View
from ssp_env.game.passage import Passage
from ssp_env.game.prompts import prompt_style
from ssp_env.game.shortening import shown_evidence
from ssp_env.objects import is_async
from ssp_env.play import AnyAgent, AnyAsyncAgent
from ssp_env.play.players import act_of
from ssp_env.scenario import Scenario
from ssp_env.search.corpus import open_source

Control = Literal["search", "closed-book", "gold-passages"]
CONTROLS: tuple[Control, ...] = get_args(Control)
"""`search` is the game itself; the others are one reading, without search."""
_SEARCHED = 50

Ask = Callable[[View], View]


def control_rules(rules: GameConfig, control: Control) -> GameConfig:
    """Return the rules of games under a control: one attempt, and for a reading one turn without search."""
    single = replace(rules, attempts=1, judge=False)
    if control == "search":
        return single
    single = replace(single, grounded=False)
    return replace(single, solver=replace(single.solver, max_searches=0, max_turns=1, retries=0))


def reading(player: AnyAgent | AnyAsyncAgent, ask: Ask) -> Any:
    """Return an agent that asks a player for a reading where the game asks for a solver's only turn.

    It is called as the player is: in batches or not, asynchronously or not.

    Args:
        player: The player.
        ask: Turns the view of the solver's turn into that of a reading.
    """
    batched = hasattr(player, "act_batch")
    function = act_of(player)

    def asked(given: Any) -> Any:
        return [ask(view) for view in given] if batched else ask(given)

    @wraps(function)
    def act(given: Any) -> Any:
        return function(asked(given))

    @wraps(function)
    async def async_act(given: Any) -> Any:
        return await function(asked(given))

    return SimpleNamespace(**{"act_batch" if batched else "act": async_act if is_async(function) else act})


def reading_view(view: View, rules: GameConfig, question: str, passages: Sequence[Passage] | None) -> View:
    """Return the view of a reading: of the passages, or from memory if they are None.

    >>> from ssp_env.game import Game, Task
    >>> game = Game(Task("Tavor", question="Who is mayor of Corun?", id="1"))
    >>> view = reading_view(game.requests()[0].view, game.config, game.question, None)
    >>> view.role, view.has_search_tool, view.probe
    ('reader', False, 'closed_book')
    """
    style = prompt_style(rules.prompts)
    if passages is None:
        messages = style.closed_book(rules, question)
    else:
        messages = style.reader(rules, question, shown_evidence(list(passages), rules).passages)
    return replace(
        view,
        phase="verify",
        messages=tuple(messages),
        turns_left=1,
        searches_left=0,
        opens_left=0,
        probe="closed_book" if passages is None else "recovery",
    )


class NothingFound:
    """An engine that finds nothing, for controls over questions without a corpus."""

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return no passage for any query."""
        return [[] for _ in queries]

    def fingerprint(self) -> str:
        """Say that there is nothing to search in."""
        return "nothing"


# -- gold passages -----------------------------------------------------------------------------------------


def gold_passages(
    questions: Sequence[Question], scenarios: Mapping[str, Scenario]
) -> dict[str, tuple[Passage, ...]]:
    """Return the passages that answers follow from, by the id of the task; nothing where one is missing.

    They are taken from the question set if it has their texts; else from a world by their ids, from the
    corpus file by their titles, or from what the engine finds for a title and has this very title.

    Args:
        questions: The questions, of one set.
        scenarios: What they are played in, by `Task.corpus`.

    Raises:
        ValueError: If no question of the set names any supporting passage.
    """
    if not any(question.titles or question.ids or question.passages for question in questions):
        raise ValueError(
            "the control gold-passages needs supporting passages, which no question of this set names: "
            "expected supporting_titles, supporting_facts with context, or paragraphs in the records "
            "or their metadata"
        )
    wanted = {title for question in questions if not question.passages for title in question.titles}
    by_title = _by_title(wanted, scenarios) if wanted else {}
    found: dict[str, tuple[Passage, ...]] = {}
    for question in questions:
        passages = question.passages or _in_world(question, scenarios)
        if not passages and question.titles and all(title in by_title for title in question.titles):
            passages = tuple(passage for title in question.titles for passage in by_title[title])
        if passages:
            found[question.task.id] = passages
    return found


def _in_world(question: Question, scenarios: Mapping[str, Scenario]) -> tuple[Passage, ...]:
    engine: Any = scenarios[question.task.corpus].engine
    if not question.ids or not hasattr(engine, "get_passages"):
        return ()
    passages = engine.get_passages(list(dict.fromkeys(question.ids)))
    return tuple(passages) if all(passages) else ()


def _by_title(titles: set[str], scenarios: Mapping[str, Scenario]) -> dict[str, list[Passage]]:
    scenario = scenarios[""] if "" in scenarios else next(iter(scenarios.values()))
    found: dict[str, list[Passage]] = {}
    corpus = scenario.config.corpus
    if corpus is not None:
        for passage in open_source(Path(corpus)).read(None, lambda done: None):
            if passage.title in titles:
                found.setdefault(passage.title, []).append(passage)
        return found
    asked = sorted(titles)
    for title, passages in zip(asked, scenario.engine.search(asked, _SEARCHED), strict=True):
        same = [passage for passage in passages if passage.title == title]
        if same:
            found[title] = sorted(same, key=lambda passage: passage.id)
    return found
