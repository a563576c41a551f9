"""The game as an environment of verifiers v1, and so of prime-rl: seats `proposer`, `solver` and `reader`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from ssp_env.game import Game, Task, View
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.integrations.configured import configured_scenario
from ssp_env.integrations.libraries import check_version
from ssp_env.objects import load_object, missing_extra
from ssp_env.play import as_judge, play_async
from ssp_env.scenario import HOPS, Scenario

try:
    import verifiers.v1 as vf
    from pydantic import Field
except ImportError as error:
    raise missing_extra("verifiers", "verifiers") from error

check_version("verifiers", at_least="0.4", below="0.5", tested="0.4.0")

try:
    # prime-rl pays hierarchically only where the configuration is this package's.
    from proposer_solver import ProposerSolverEnvConfig as _EnvConfig
except ImportError:
    _EnvConfig = vf.EnvConfig

_ENDED_BY_LIMIT = ""
"""What a seat says whose run has reached a limit of verifiers: nothing, which the rules call malformed."""


def _seat() -> vf.AgentConfig:
    """Configure an agent that only talks, in a process here; the default of verifiers is a cloud sandbox."""
    return vf.AgentConfig(harness={"id": "null"}, runtime={"type": "subprocess"})


class AnswerData(vf.TaskData):
    """An answer to ask for, or a question whose answer is known."""

    answer: str
    aliases: list[str] = Field(default_factory=list)
    hops: int = 1
    question: str = ""
    corpus: str = ""


class AnswerTask(vf.Task[AnswerData]):
    """One game."""


class SearchSelfPlayConfig(vf.TasksetConfig):
    """What is played in: the arguments of `open_scenario`, of which one must name a corpus."""

    world: str | None = None
    split: str = "train"
    index: int = 0
    corpus: str | None = None
    search: str | None = None
    answers: str | list[str] | None = None
    questions: str | None = None
    hops: list[int] = Field(default_factory=lambda: list(HOPS))
    prompts: str | None = None
    rules: dict[str, Any] = Field(default_factory=dict)
    ask: str = Field("answers", pattern="^(answers|questions)$")
    """`answers` to write questions for, or known `questions`, where nobody proposes."""


class SearchSelfPlayTaskset(vf.Taskset[AnswerTask, SearchSelfPlayConfig]):
    """The answers or the known questions of a scenario."""

    def load(self) -> Iterable[AnswerTask]:
        """Give a task per answer and number of hops, or per question.

        Raises:
            ValueError: If the configuration names no corpus, or there is nothing to ask.
        """
        scenario = scenario_of(self.config)
        asked = scenario.questions if self.config.ask == "questions" else scenario.tasks
        if not asked:
            raise ValueError("the scenario has no questions: name a file of them (env.taskset.questions)")
        for task in asked:
            data = {name: getattr(task, name) for name in ("id", "answer", "hops", "question", "corpus")}
            yield AnswerTask(AnswerData(**data, aliases=list(task.aliases)), self.config.task)


class SearchSelfPlayEnvConfig(_EnvConfig):
    """Who plays, how many attempts a question gets, and which seats are trained."""

    taskset: SearchSelfPlayConfig = SearchSelfPlayConfig()
    proposer: vf.AgentConfig = _seat()
    solver: vf.AgentConfig = _seat()
    reader: vf.AgentConfig = _seat()
    """Answers the RAG check; it is never trained."""
    n: int = Field(4, ge=1)
    """Attempts of the solver at each valid question."""
    train_proposer: bool = True
    train_solver: bool = True
    judge: str | None = None
    """Decides answers that fail exact match, as `module:object`, where the rules ask for it."""


class SearchSelfPlayEnv(vf.Env[SearchSelfPlayEnvConfig]):
    """One episode is one game; each seat's trace has its own reward, `game`.

    A game in which a search, a judge or a model breaks down fails the episode and pays nobody.

    Raises:
        ValueError: If the configuration names no corpus, `env.judge` names no judge, or the rules ask for a
            judge and none is named.
    """

    def __init__(self, config: SearchSelfPlayEnvConfig) -> None:
        super().__init__(config)
        scenario = scenario_of(config.taskset)
        self._scenario = scenario.with_rules({"attempts": config.n})
        self._judge = load_object(config.judge, "judge", as_judge) if config.judge else None
        if self._scenario.rules.judge and not self._judge:
            raise ValueError("the rules ask a judge (judge=true): name one as module:object (env.judge)")

    async def setup(self, agents: vf.Agents) -> None:
        """Say which seats are trained."""
        agents.proposer.trainable = self.config.train_proposer
        agents.solver.trainable = self.config.train_solver
        agents.reader.trainable = False

    async def run(self, task: AnswerTask, agents: vf.Agents) -> None:
        """Play one game and pay its seats.

        Raises:
            RuntimeError: If the game ended as `error`.
        """
        data = task.data
        asked = Task(data.answer, tuple(data.aliases), data.hops, data.question, data.id or "", data.corpus)
        game = Game(asked, self._scenario.rules, rng=data.idx or 0)
        async with AsyncExitStack() as open_interactions:
            players = _Players(agents, data, open_interactions)
            await play_async(
                [game], proposer=players, solver=players, reader=players, search=self._scenario.search,
                judge=self._judge,
            )  # fmt: skip
        outcome = game.outcome
        assert outcome is not None
        if outcome.verdict == "error":
            raise RuntimeError(f"the game failed: {outcome.failure}")
        for (_, seat, phase), interaction in players.interactions.items():
            if phase in ("propose", "solve"):
                interaction.trace.record_reward("game", outcome.rewards[seat])
            if seat == PROPOSER_SEAT:
                interaction.trace.record_metrics(_told(outcome.success_rate, outcome.metrics))


class _Players:
    """All seats of one game, each a conversation that verifiers holds open between its turns."""

    def __init__(self, agents: vf.Agents, data: AnswerData, stack: AsyncExitStack) -> None:
        self._agents, self._data, self._stack = agents, data, stack
        self.interactions: dict[tuple[str, str, str], Any] = {}
        self._ended: set[tuple[str, str, str]] = set()

    async def act(self, view: View) -> str:
        """Send a seat what it has not read yet, and return what its agent says.

        Raises:
            RuntimeError: If the model behind it failed.
        """
        seat = view.conversation_id
        if seat in self._ended:
            return _ENDED_BY_LIMIT
        told = view.to_openai("user")
        if seat not in self.interactions:
            system = "\n".join(said["content"] for said in told if said["role"] == "system")
            opened = vf.Task(vf.TaskData(idx=self._data.idx, prompt=None, system_prompt=system or None))
            agent = getattr(self._agents, view.role)
            self.interactions[seat] = await self._stack.enter_async_context(agent.interaction(opened))
        interaction = self.interactions[seat]
        segment = await interaction.turn(_unread(told))
        if segment.terminated:
            if error := interaction.trace.last_error:
                raise RuntimeError(f"{error.type}: {error.message}")
            self._ended.add(seat)
            return _ENDED_BY_LIMIT
        return str(segment.last_reply)


def _unread(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What came after the seat's last reply, without the system prompt, which the task holds."""
    replies = [place for place, said in enumerate(told) if said["role"] == "assistant"]
    return [said for said in told[replies[-1] + 1 if replies else 0 :] if said["role"] != "system"]


def _told(success_rate: float | None, metrics: Mapping[str, float]) -> dict[str, float]:
    return {**metrics, "valid": float(success_rate is not None), "success_rate": success_rate or 0.0}


def scenario_of(config: SearchSelfPlayConfig) -> Scenario:
    """Open what a configuration names, once per process.

    Raises:
        ValueError: If it names no corpus.
    """
    named = config.model_dump(include=set(_SCENARIO_OPTIONS), exclude_none=True)
    return configured_scenario(named, "env.taskset")


_SCENARIO_OPTIONS = (
    "world", "split", "index", "corpus", "search", "answers", "questions", "hops", "prompts", "rules",
)  # fmt: skip
