"""Plays question sets with players, keeps every answer, and goes on where it was stopped."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from agents.player_names import PlayerOptions, Prompts, default_max_new_tokens
from agents.players import Cast
from agents.scripted import SCRIPTED
from baselines.evaluation.agent_measurement import file_name
from baselines.evaluation.answers import SUFFIX, Answer, AnswerFile, header
from baselines.evaluation.controls import Control, control_rules, gold_passages, reading, reading_view
from baselines.evaluation.question_sets import Question, QuestionSet
from ssp_env.game import Failure, Game, GameConfig, View
from ssp_env.game.leaks import public_id
from ssp_env.game.passage import Passage
from ssp_env.play import is_async_agent, play, play_async
from ssp_env.records import EpisodeWriter, keep_episodes
from ssp_env.scenario import Scenario

NO_PASSAGES = "its supporting passages are neither in the question set nor found by their titles"
TOGETHER = 256
"""Games that are played at a time; a kill loses those that have not ended."""


@dataclass(frozen=True)
class Attempt:
    """One game: an attempt at a question.

    Attributes:
        set: Name of the question set.
        question: The question.
        number: Number of the attempt.
        game: The game.
    """

    set: str
    question: Question
    number: int
    game: Game


@dataclass(frozen=True)
class Evaluation:
    """What is played; the same for all players.

    Attributes:
        sets: The question sets.
        scenarios: What they are played in, by `Task.corpus`; a corpus of one's own has the key "".
        control: `search` for the game itself, or a control without search.
        attempts: Attempts at each question, each a game of its own.
        temperature: Sampling temperature of language models; 0 is greedy.
        seed: Seed of sampling.
        max_new_tokens: Most tokens of a turn of a language model; None means `default_max_new_tokens`.
        players: Further options of the players; its `sampling` and `ledger` are not used.
        folder: Folder in which answers and games are kept; None keeps none.
    """

    sets: Sequence[QuestionSet]
    scenarios: Mapping[str, Scenario]
    control: Control = "search"
    attempts: int = 1
    temperature: float = 0.0
    seed: int = 0
    max_new_tokens: int | None = None
    players: PlayerOptions = PlayerOptions()  # noqa: RUF009 - frozen
    folder: Path | None = None

    @property
    def games(self) -> int:
        """Number of games of each player."""
        return self.attempts * sum(len(one.questions) for one in self.sets)

    @cached_property
    def engine(self) -> str:
        """Fingerprint of what is searched; of several worlds, of all their engines."""
        prints = [scenario.engine.fingerprint() for scenario in self.scenarios.values()]
        return prints[0] if len(prints) == 1 else hashlib.sha256("".join(sorted(prints)).encode()).hexdigest()

    def path_of(self, player: str) -> Path | None:
        """Return the file in which the answers of a player are kept."""
        return None if self.folder is None else self.folder / f"{file_name(player)}{SUFFIX}"

    def games_of(self, player: str) -> Path | None:
        """Return the file in which the games of a player are kept as records."""
        return None if self.folder is None else self.folder / f"{file_name(player)}.games.jsonl"

    def make(self, name: str) -> tuple[Any, GameConfig]:
        """Make a player, and the rules with the prompts that it reads.

        Args:
            name: Name of the player; see `agents.player_names.possible_names`.

        Raises:
            ValueError: If the player is unknown or cannot play these games.
        """
        role = "solver" if self.control == "search" else "reader"
        if role == "reader" and name in SCRIPTED["solver"] and name not in SCRIPTED["reader"]:
            raise ValueError(
                f"the scripted player {name} does not read: with --control {self.control} scripted "
                f"players are {', '.join(SCRIPTED['reader'])}"
            )
        scenario = next(iter(self.scenarios.values()))
        cast_ = Cast(
            {role: name},
            seed=self.seed,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            options=self.players,
            default_prompts=cast(Prompts, scenario.rules.prompts),
        )
        rules = control_rules(cast_.in_scenario(scenario).rules, self.control)
        return cast_.players[role], rules

    def run(
        self,
        name: str,
        advance: Callable[[], None] = lambda: None,
        made: tuple[Any, GameConfig] | None = None,
    ) -> tuple[Answer, ...]:
        """Let one player answer all questions; return the answers in the order of the sets.

        Attempts that failed in an earlier run of the same folder are played again.

        Args:
            name: Name of the player; see `agents.player_names.possible_names`.
            advance: Called whenever a game ends, and once for every answer that was kept.
            made: What `make` returned for the player; it is made now if None.

        Raises:
            ValueError: If the player is unknown or cannot play these games, if the folder holds answers to
                other questions or under other options, or another process writes there.
        """
        player, rules = made or self.make(name)
        attempts = self._attempts(rules)
        path = self.path_of(name)
        with _locked(path):
            kept = None if path is None else AnswerFile(path, header(name, self.options(name, rules)))
            answers = {} if kept is None else {answer.key: answer for answer in kept.kept}
            games = self._records(name, [one for one in attempts if _key(one) in answers])
            left = [one for one in attempts if _key(one) not in answers]
            for _ in range(len(attempts) - len(left)):
                advance()
            by_id = {one.game.id: one for one in left}

            def on_outcome(game: Game) -> None:
                one = by_id[game.id]
                answer = Answer.of(game, self._searched(one.question), one.set, one.number)
                answers[answer.key] = answer
                if games is not None and kept is not None:
                    beside = {"player": name, "control": self.control, "temperature": self.temperature}
                    # The answer comes last: a record without one is of a game that is played again.
                    games.write(game, self.engine, beside)
                    kept.write(answer)
                advance()

            try:
                self._drive(player, rules, left, on_outcome)
            finally:
                if games is not None and kept is not None:
                    games.close()
                    kept.close()
        return tuple(answers[_key(one)] for one in attempts)

    def _records(self, name: str, answered: Sequence[Attempt]) -> EpisodeWriter | None:
        """Open the file of records, without games that have no answer."""
        path = self.games_of(name)
        if path is None:
            return None
        ids = {one.game.id for one in answered}
        keep_episodes(path, lambda episode: episode.game_id in ids)
        return EpisodeWriter(path, append=True)

    def options(self, name: str, rules: GameConfig) -> dict[str, Any]:
        """Return everything that the answers depend on, as plain data."""
        return {
            "control": self.control,
            "attempts": self.attempts,
            "temperature": self.temperature,
            "seed": self.seed,
            "max_new_tokens": self.max_new_tokens or default_max_new_tokens(name),
            "engine": self.engine,
            "sets": {
                one.name: {"questions": len(one.questions), "digest": one.digest()} for one in self.sets
            },
            "rules": rules.to_dict(),
        }

    def _attempts(self, rules: GameConfig) -> list[Attempt]:
        return [
            Attempt(
                one.name,
                question,
                number,
                Game(question.task, rules, game_id=f"{one.name}/{question.task.id}/{number}"),
            )
            for one in self.sets
            for question in one.questions
            for number in range(self.attempts)
        ]

    def _searched(self, question: Question) -> Question:
        """Return the question without its supporting passages where nobody searches for them."""
        return question if self.control == "search" else replace(question, titles=(), ids=())

    def _drive(
        self, player: Any, rules: GameConfig, left: Sequence[Attempt], on_outcome: Callable[[Game], None]
    ) -> None:
        """Play all games; what a player raises ends its own games alone."""
        forget = getattr(player, "forget", lambda: None)
        if self.control != "search":
            player = reading(player, self._asking(rules, left, on_outcome))
        engines = {corpus: scenario.engine for corpus, scenario in self.scenarios.items()}
        options: dict[str, Any] = {"solver": player, "search": engines, "seed": self.seed}
        options |= {"on_outcome": on_outcome, "concurrency": TOGETHER}
        games = [one.game for one in left if one.game.outcome is None]
        if is_async_agent(player):
            asyncio.run(play_async(games, **options))
            return
        for start in range(0, len(games), TOGETHER):
            play(games[start : start + TOGETHER], **options)
            forget()

    def _asking(
        self, rules: GameConfig, left: Sequence[Attempt], on_outcome: Callable[[Game], None]
    ) -> Callable[[View], View]:
        """Return what turns a solver's view into that of a reading; end games that lack their passages."""
        by_view = {public_id(one.game.id, one.question.task.golds): one for one in left}
        if self.control == "closed-book":
            return lambda view: reading_view(view, rules, by_view[view.game_id].question.task.question, None)
        passages = self._passages()
        for one in left:
            if (one.set, one.question.task.id) not in passages:
                one.game.submit(one.game.requests()[0].id, Failure(NO_PASSAGES))
                on_outcome(one.game)

        def ask(view: View) -> View:
            one = by_view[view.game_id]
            given = passages[one.set, one.question.task.id]
            return reading_view(view, rules, one.question.task.question, given)

        return ask

    def _passages(self) -> dict[tuple[str, str], tuple[Passage, ...]]:
        return {
            (one.name, identifier): passages
            for one in self.sets
            for identifier, passages in gold_passages(one.questions, self.scenarios).items()
        }


def _key(one: Attempt) -> tuple[str, str, int]:
    return one.set, one.question.task.id, one.number


def _locked(path: Path | None) -> Any:
    """Keep other processes from writing the same answers.

    Raises:
        ValueError: If one does.
    """
    if path is None:
        return nullcontext()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"another process is writing {path}: wait until it has ended, or stop it") from error
    lock.release()
    return lock
