"""Games and views for tests of scripted players."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from agents.scripted import (
    ScriptedPlayer,
)
from ssp_env.game import PROTOCOLS, Action, Game, GameConfig, Message, Outcome, Task, View
from ssp_env.play import play
from ssp_env.search.bm25 import BM25Engine
from ssp_env.worlds import (
    TerseFact,
    World,
    WorldConfig,
    parse_facts,
)

CONFIG = GameConfig(
    protocol="terse", prompts="terse", top_k=2, min_question_words=4, noise_passages=4
).with_budget(max_searches=4, max_turns=6)
TERSE = PROTOCOLS["terse"]

PAGES = (
    "belin birthplace corun belin school dapol belin employer gatar",
    "corun mayor tavom corun architect belin corun employer gatar",
    "tavom birthplace dapol tavom school belin tavom biographer ritab",
)
NOISE = ("ritab birthplace dapol ritab school gatar", "gatar director belin gatar seat dapol", "none", "")


@cache
def world(index: int) -> World:
    return World(WorldConfig(index=index))


@cache
def engine(index: int) -> BM25Engine:
    return BM25Engine(world(index).passages(), stem=False, drop_stop_words=False)


ENGINES = {world(index).id: engine(index) for index in range(6)}


def new_games(hops: int, count: int = 48, attempts: int = 1, reachable: int = 0) -> list[Game]:
    """Games over six worlds whose answers end some path of `reachable` links, of `hops` links by default."""
    config = replace(CONFIG, attempts=attempts)
    rng = np.random.default_rng(hops)
    games = []
    for number in range(count):
        place = world(number % 6)
        answers = place.answers(reachable or hops)
        answer = answers[int(rng.integers(len(answers)))]
        task = Task(answer, hops=hops, id=f"{hops}-{number}", corpus=place.id)
        games.append(Game(task, config, rng=number))
    return games


def run(player: ScriptedPlayer, games: Sequence[Game]) -> list[Outcome]:
    return play(games, proposer=player, solver=player, search=ENGINES)


def asked_hops(game: Game) -> int | None:
    return World(WorldConfig.from_id(game.task.corpus)).hops_of(game.question)


def view_of(*contents: str, phase: str = "solve", turns_left: int = 5, searches_left: int = 4) -> View:
    """A view whose messages alternate between what the player wrote and what it was shown."""
    roles = ["user", *(("assistant", "tool") * len(contents))[: len(contents) - 1]]
    messages = tuple(Message(role, content) for role, content in zip(roles, contents))  # type: ignore[arg-type]
    return View("g", "solver_0", phase, messages, turns_left, searches_left)  # type: ignore[arg-type]


def shown(*pages: str) -> str:
    return f"<information> {' ; '.join(pages)} </information>"


class Recorder:
    """Plays as a scripted player does and keeps what it saw and wrote."""

    def __init__(self, player: ScriptedPlayer) -> None:
        self.player = player
        self.turns: list[tuple[View, str]] = []

    def act(self, view: View) -> str:
        reply = self.player.act(view)
        self.turns.append((view, reply))
        return reply


def recorded(hops: int, count: int, **strengths: str) -> list[tuple[View, str]]:
    """Every turn of some games."""
    recorder = Recorder(ScriptedPlayer(**strengths))
    play(new_games(hops, count), proposer=recorder, solver=recorder, search=ENGINES)
    return recorder.turns


def facts_shown(view: View) -> set[TerseFact]:
    observations = re.findall(
        r"<information>(.*?)</information>", "\n".join(m.content for m in view.messages)
    )
    return {fact for observation in observations for fact in parse_facts(observation)}


def taken_apart(reply: str, phase: str) -> tuple[list[TerseFact], Action]:
    """The facts quoted before an action, and the action; nothing else may be there.

    A proposer, who works backwards, quotes them as one chain: `corun is seat of belin is mayor of tavom`.
    """
    quoted, tag, written = reply.partition("<")
    words = quoted.split()
    facts = parse_facts(quoted)
    if phase == "propose":
        names, relations = words[::4], words[2::4]
        facts = [TerseFact(*fact) for fact in zip(names[1:], relations, names, strict=False)]
        assert {*words[1::4]} <= {"is"} and {*words[3::4]} <= {"of"} and len(words) in (0, 4 * len(facts) + 1)
    else:
        assert [word for fact in facts for word in fact] == words
    assert written.count("<") == 1  # of the closing tag
    assert reply.endswith(">")
    action = TERSE.parse(tag + written, "question" if phase == "propose" else "answer")
    assert action.kind != "malformed"
    return facts, action
