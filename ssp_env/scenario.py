"""Everything a game is played in, opened in one place: engine, answers, known questions, rules, oracle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ssp_env.data import read_answers, read_questions, short_titles
from ssp_env.data.tasks import MAX_TITLE_WORDS, MIN_TEXT_WORDS
from ssp_env.game import Budget, Game, GameConfig, Task
from ssp_env.game.audit import Oracle
from ssp_env.game.config import TERSE_RULES, check_names
from ssp_env.game.passage import Passage
from ssp_env.game.rewards import written_reward
from ssp_env.objects import check_least, load_object
from ssp_env.search.adapters import as_engine, name_of_engine
from ssp_env.search.corpus import open_source
from ssp_env.search.engine import SearchEngine
from ssp_env.search.opening import Encoding, needs_passages, open_engine, untold
from ssp_env.worlds import WORLD_PRESETS, World, WorldConfig, world_preset
from ssp_env.worlds.config import Split
from ssp_env.worlds.world import Compositions

SCENARIO_VERSION = 1
HOPS = (1, 2, 3)
QUESTIONS_PER_HOPS = 40

Engines: TypeAlias = SearchEngine | Mapping[str, SearchEngine]
Rules: TypeAlias = GameConfig | Mapping[str, Any]
Watch: TypeAlias = Callable[[Iterable[Passage]], Iterable[Passage]]


@dataclass(frozen=True, kw_only=True)
class ScenarioConfig:
    """What `open_scenario` was asked for; its arguments say what the attributes mean."""

    world: str | None = None
    split: Split = "train"
    index: int = 0
    corpus: str | os.PathLike[str] | None = None
    search: Any = None
    answers: str | os.PathLike[str] | Sequence[str | Task] | None = None
    questions: str | os.PathLike[str] | Sequence[Task] | None = None
    hops: Sequence[int] = HOPS
    prompts: str | None = None
    rules: Rules = field(default_factory=dict)
    oracle: Oracle | str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain data for JSON or YAML, with the version of its form.

        Raises:
            TypeError: If an engine or an oracle was given as an object: name it as `module:object` instead.
            ValueError: If the reward is a function that other processes cannot import.
        """
        values = {option.name: _plain(option.name, getattr(self, option.name)) for option in fields(self)}
        given = {name: value for name, value in values.items() if value not in (None, {})}
        return {"version": SCENARIO_VERSION, **given}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScenarioConfig:
        """Read what `to_dict` wrote, or what somebody wrote by hand; `version` may be left out there.

        Raises:
            ValueError: If the data is of another version, has an unknown key (the nearest one is named), or a
                value that is no plain data.
        """
        version = data.get("version", SCENARIO_VERSION)
        if version != SCENARIO_VERSION:
            raise ValueError(f"expected a scenario of version {SCENARIO_VERSION}, got version {version!r}")
        values = {name: value for name, value in data.items() if name != "version"}
        check_names(values, [option.name for option in fields(cls)], "scenario option")
        for name in values.keys() - {"search", "oracle", "rules"}:
            if not isinstance(values[name], str | int | list | tuple | os.PathLike | None):
                kind = type(values[name]).__name__
                raise ValueError(f"expected text, a number or a list as {name} of a scenario, got {kind}")
        try:
            for name in ("answers", "questions"):
                if isinstance(values.get(name), list):
                    values[name] = [_task(entry) for entry in values[name]]
            if "hops" in values:
                values["hops"] = tuple(values["hops"])
        except TypeError as error:
            raise ValueError(f"expected lists of tasks and of hops in a scenario: {error}") from error
        return cls(**values)


class Scenario:
    """What games are played in; `open_scenario` makes one.

    Attributes:
        config: What it was opened from.
        search: The search engine, or engines by `Task.corpus`, as `ssp_env.play.play` takes them.
        rules: The rules of every game.
        world: The generated world; None over a corpus.
        description: What it is, in a few words.
        oracle: Knows the right answers of questions; None if nobody does.
    """

    def __init__(self, config: ScenarioConfig, world: World | None, search: Engines, name: str) -> None:
        self.config = config
        self.world = world
        self.search = search
        self.description = name
        self.rules = _rules(config, self.is_terse)
        given = load_object(config.oracle, "oracle") if isinstance(config.oracle, str) else config.oracle
        self.oracle: Oracle | None = given or (world.answers_to if world else None)

    @property
    def engine(self) -> SearchEngine:
        """The one search engine.

        Raises:
            ValueError: If there are several, by `Task.corpus`: see `search`.
        """
        if isinstance(self.search, Mapping):
            raise ValueError(f"there is an engine for each of {', '.join(self.search)}: choose one of search")
        return self.search

    @property
    def is_terse(self) -> bool:
        """Whether passages are word-level text, which tiny models and scripted players read."""
        return self.world is not None and self.world.config.rendering == "terse"

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """The answers to ask for, once for each number of hops.

        Raises:
            ValueError: If there are none: an answer file is empty, or no title of the corpus will do.
        """
        config, answers = self.config, self.config.answers
        if answers is None and self.world is not None:
            return self.world.tasks(config.hops)
        if answers is None:
            return _asked(_short_titles(self), config.hops)
        if isinstance(answers, str | os.PathLike):
            return tuple(task for hops in config.hops for task in read_answers(answers, hops=hops))
        return _asked(answers, config.hops)

    @cached_property
    def questions(self) -> tuple[Task, ...]:
        """The questions whose answer is known: those that were given, or 40 per number of hops of a world.

        Questions of a training world have no pair of relations that is held out for evaluation.
        """
        given = self.config.questions
        if isinstance(given, str | os.PathLike):
            return tuple(read_questions(given))
        if given is not None:
            return tuple(given)
        if self.world is None:
            return ()
        compositions: Compositions = "train" if self.world.config.split == "train" else "all"
        rng = np.random.default_rng(0)
        drawn = [
            question.task
            for hops in self.config.hops
            for question in self.world.questions(hops, QUESTIONS_PER_HOPS, rng, compositions)
        ]
        return tuple(
            replace(task, id=f"{self.world.id}/question/{number}") for number, task in enumerate(drawn)
        )

    def draw_tasks(self, count: int, seed: int = 0) -> list[Task]:
        """Draw answers to ask for, every one once before any comes again; their ids count from 1."""
        rng = np.random.default_rng(seed)
        rounds = -(-count // len(self.tasks))
        order = [int(place) for _ in range(rounds) for place in rng.permutation(len(self.tasks))]
        return _numbered(self.tasks[place] for place in order[:count])

    def draw_questions(self, count: int, seed: int = 0) -> list[Task]:
        """Draw different questions whose answer is known; a world has as many as are asked for.

        Raises:
            ValueError: If there are fewer.
        """
        rng = np.random.default_rng(seed)
        if self.config.questions is None and self.world is not None:
            shares = np.bincount(np.arange(count) % len(self.config.hops), minlength=len(self.config.hops))
            drawn = [
                question.task
                for hops, share in zip(self.config.hops, shares.tolist(), strict=True)
                for question in (self.world.questions(hops, share, rng) if share else ())
            ]
            return _numbered(drawn)
        if count > len(self.questions):
            raise ValueError(f"{count} questions were asked for, but there are {len(self.questions)}")
        return [self.questions[place] for place in rng.permutation(len(self.questions))[:count].tolist()]

    def games(
        self, tasks: Iterable[Task] | None = None, seed: int = 0, *, copies: int | None = None
    ) -> list[Game]:
        """Open games about tasks, the scenario's own by default; `seed` fixes shuffles and noise.

        Args:
            tasks: Answers to ask for, or questions.
            seed: Seed of the first game; the next ones count on from it.
            copies: Games per task, one after another: a group of trainers that compare proposals for one
                answer, or attempts at one question. Their ids are numbered; without, there is one game per
                task with the id of the task.

        >>> scenario = open_scenario("tiny")
        >>> len(scenario.games()), scenario.games()[0].phase
        (72, 'propose')
        >>> [game.id for game in scenario.games(scenario.draw_tasks(2), copies=2)]
        ['1/0', '1/1', '2/0', '2/1']
        """
        chosen = self.tasks if tasks is None else tasks
        count = 1 if copies is None else copies
        check_least(1, copies=count)
        return [
            Game(task, self.rules, seed + number * count + copy, f"{task.id or number}/{copy}" * bool(copies))
            for number, task in enumerate(chosen)
            for copy in range(count)
        ]

    def with_prompts(self, prompts: str) -> Scenario:
        """Return this scenario under the rules for players that read another style of prompts."""
        if prompts == self.rules.prompts:
            return self
        rules = self.config.rules
        if not isinstance(rules, GameConfig):
            rules = {name: rule for name, rule in rules.items() if name != "prompts"}
        return self._changed(replace(self.config, prompts=prompts, rules=rules))

    def with_rules(self, rules: Rules) -> Scenario:
        """Return this scenario under a whole `GameConfig`, or with the rules changed that a mapping names.

        >>> open_scenario("tiny").with_rules({"attempts": 4}).rules.attempts
        4
        """
        if not isinstance(rules, GameConfig):
            given = self.config.rules
            rules = given.changed(rules) if isinstance(given, GameConfig) else {**given, **rules}
        return self._changed(replace(self.config, rules=rules))

    def to_dict(self) -> dict[str, Any]:
        """Return what the scenario was opened from as plain data, as `ScenarioConfig.to_dict` does."""
        return self.config.to_dict()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scenario:
        """Open the scenario that plain data names, as a YAML file of another framework holds it.

        >>> Scenario.from_dict({"world": "tiny", "split": "heldout", "rules": {"attempts": 4}}).rules.attempts
        4
        """
        return _open(ScenarioConfig.from_dict(data))

    def _changed(self, config: ScenarioConfig) -> Scenario:
        return Scenario(config, self.world, self.search, self.description)


def open_scenario(
    world: str | None = None,
    *,
    split: Split = "train",
    index: int = 0,
    corpus: str | os.PathLike[str] | None = None,
    search: Any = None,
    answers: str | os.PathLike[str] | Sequence[str | Task] | None = None,
    questions: str | os.PathLike[str] | Sequence[Task] | None = None,
    hops: Sequence[int] = HOPS,
    prompts: str | None = None,
    rules: Rules | None = None,
    oracle: Oracle | str | None = None,
    watch: Watch | None = None,
    encoding: Encoding = untold,
) -> Scenario:
    """Open everything a game is played in: a generated world, or a corpus with answers and questions.

    Args:
        world: Preset of a generated world (`tiny`, `small`, `large`) or the id of one
            (`prose_full_5000x3-train-0`); `tiny` if there is neither a corpus nor an engine.
        split: `train`, or `heldout` for worlds that nothing trains on.
        index: Number of the world within its split.
        corpus: File or folder of passages to play over instead of a world.
        search: What searches: nothing for BM25 over world or corpus; `dense:MODEL` or `hybrid:MODEL` for an
            encoder of sentence-transformers; an index directory that `ssp index build` made; the URL of a
            server of Search-R1's protocol; `module:object`; or an engine, a retriever, a search function, or
            engines by `Task.corpus`.
        answers: Answers to ask for: an answer file, or answers and tasks themselves. By default a world's
            entities, or short titles of a corpus.
        questions: Questions whose answer is known: a question file, or tasks that have a question. By default
            those a world has.
        hops: Numbers of hops to ask for; tasks that state their own keep it.
        prompts: Style of prompts the players read; `terse` in a terse world by default, else `english`.
        rules: A whole `GameConfig`, or the rules that differ from the usual ones: names of `GameConfig`, of
            `Budget` for all seats, or a mapping of a seat (`proposer`, `solver`) to its budget.
        oracle: Knows the right answers of questions, for the audit; a world brings its own.
        watch: Wrapped around the passages while they are indexed, to show progress.
        encoding: Told how many texts an encoder has done, which takes longer than all else.

    Raises:
        ValueError: If names are unknown, options exclude each other or a file is malformed; the message says
            what was expected.

    >>> scenario = open_scenario("tiny", split="heldout", index=7)
    >>> scenario.description, scenario.rules.protocol, scenario.tasks[0].hops
    ('world tiny-heldout-7, 24 passages', 'terse', 1)
    """
    config = ScenarioConfig(
        world="tiny" if world is None and corpus is None and needs_passages(search) else world,
        split=split, index=index, corpus=corpus, search=search, answers=answers, questions=questions,
        hops=tuple(hops), prompts=prompts, rules={} if rules is None else rules, oracle=oracle,
    )  # fmt: skip
    return _open(config, watch, encoding)


def bm25_options(world: World | None) -> dict[str, bool]:
    """Return how BM25 reads the passages: invented words have no stem, and a query means all of them."""
    terse = world is not None and world.config.rendering == "terse"
    return {"stem": not terse, "all_words_first": terse}


def _open(config: ScenarioConfig, watch: Watch | None = None, encoding: Encoding = untold) -> Scenario:
    _check(config)
    world = None if config.world is None else _world(config)
    engine, described = _engine(config, world, watch, encoding)
    return Scenario(config, world, engine, described)


def _check(config: ScenarioConfig) -> None:
    if config.world is not None and config.corpus is not None:
        raise ValueError(
            f"world and corpus exclude each other, got {config.world!r} and {os.fspath(config.corpus)!r}"
        )
    if not config.hops or any(type(hops) is not int or hops < 1 for hops in config.hops):
        raise ValueError(f"hops must be whole numbers of at least 1, got {list(config.hops)}")


def _world(config: ScenarioConfig) -> World:
    name = str(config.world)
    if name in WORLD_PRESETS or "-" not in name:
        return World(world_preset(name, split=config.split, index=config.index))
    if config.split != "train" or config.index:
        raise ValueError(f"the id {name!r} names split and index already: leave out split and index")
    return World(WorldConfig.from_id(name))


def _engine(
    config: ScenarioConfig, world: World | None, watch: Watch | None, encoding: Encoding
) -> tuple[Engines, str]:
    """Open what searches, and say what it searches."""
    if isinstance(config.search, Mapping):
        return {corpus: as_engine(engine) for corpus, engine in config.search.items()}, "engines by corpus"
    searcher = "" if config.search in (None, "bm25") else name_of_engine(config.search)
    name = f"world {world.id}" if world else os.path.basename(os.fspath(config.corpus or "")) or searcher
    engine = open_engine(
        config.search,
        lambda: _passages(config, world) if watch is None else watch(_passages(config, world)),
        encoding=encoding,
        **bm25_options(world),
    )
    size = f", {len(engine):,} passages" if isinstance(engine, Sized) else ""
    return engine, name + size + (f", searched by {searcher}" if searcher not in ("", name) else "")


def _passages(config: ScenarioConfig, world: World | None) -> Iterable[Passage]:
    if world is not None:
        return world.passages()
    if config.corpus is None:
        raise ValueError("expected a world, a corpus or something that searches, got none of them")
    return open_source(Path(config.corpus)).read(None, lambda done: None)


def _rules(config: ScenarioConfig, terse: bool) -> GameConfig:
    """The rules of a style of prompts, with those changed that were given."""
    if isinstance(config.rules, GameConfig):
        return config.rules if config.prompts is None else replace(config.rules, prompts=config.prompts)
    prompts = config.rules.get("prompts", config.prompts) or ("terse" if terse else "english")
    usual = TERSE_RULES if prompts == "terse" else GameConfig(prompts=prompts)
    return usual.changed(config.rules)


# -- tasks -----------------------------------------------------------------------------------------------


def _asked(answers: Iterable[str | Task], hops: Sequence[int]) -> tuple[Task, ...]:
    """Ask for plain answers once per number of hops; tasks state their own."""
    answers = list(answers)
    tasks = [answer for answer in answers if isinstance(answer, Task)]
    plain = [answer for answer in answers if not isinstance(answer, Task)]
    return (*tasks, *_numbered(Task(answer, hops=number) for number, answer in product(hops, plain)))


def _numbered(tasks: Iterable[Task]) -> list[Task]:
    return [replace(task, id=str(number)) for number, task in enumerate(tasks, start=1)]


def _short_titles(scenario: Scenario) -> list[str]:
    path = scenario.config.corpus
    if path is None:
        raise ValueError("there is nothing to ask for: give answers, a file or a list of them")
    titles = short_titles(_passages(scenario.config, None))
    if not titles:
        raise ValueError(
            f"{path} has no passage with a title of at most {MAX_TITLE_WORDS} words and a text of at least "
            f"{MIN_TEXT_WORDS} to ask for: give answers of your own"
        )
    return titles


# -- plain data ------------------------------------------------------------------------------------------


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, GameConfig):
        return value.to_dict()
    if isinstance(value, Mapping) and name == "rules":
        rules = {key: asdict(rule) if isinstance(rule, Budget) else rule for key, rule in value.items()}
        return rules | ({"reward": written_reward(value["reward"])} if "reward" in value else {})
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [asdict(entry) if isinstance(entry, Task) else entry for entry in value]
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(
        f"a scenario whose {name} is an object cannot be written as plain data: name it as module:object, "
        f"got {type(value).__name__}"
    )


def _task(entry: Any) -> str | Task:
    if not isinstance(entry, Mapping):
        return str(entry)
    check_names(entry, [option.name for option in fields(Task)], "key of a task")
    return Task(**{**entry, "aliases": tuple(entry.get("aliases", ()))})
