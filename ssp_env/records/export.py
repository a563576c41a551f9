"""Recorded games as training data: trajectories of players, chat rows, Parquet tables, and verl's rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssp_env.game import Game, GameConfig, Message, Read, Reply, Role, Turn
from ssp_env.game.events import AnswerScored, ReadingGiven, TurnTaken
from ssp_env.game.outcome import count_metrics
from ssp_env.game.trajectory import Segment, sampled_logprobs, sampled_mask, segments_of
from ssp_env.game.view import READINGS, ToolRole
from ssp_env.objects import missing_extra
from ssp_env.records.episode import Episode, json_line
from ssp_env.records.replay import Retold, Step, retold

if TYPE_CHECKING:
    import pyarrow


TRAINED_ROLES: tuple[Role, ...] = ("proposer", "solver")
ROWS_PER_BATCH = 512


@dataclass(frozen=True, slots=True)
class RecordedTrajectory:
    """One conversation of a game.

    Attributes:
        role: Who played.
        seat: `proposer_0`, `solver_0`, ...; `reader` for the RAG check, `reader/closed_book` and
            `reader/uniqueness` for the other readings.
        messages: The whole conversation; what the player wrote is as the game shows it in later turns, up to
            the end of the action.
        reward: Reward of the seat; None for the reader, who has none.
        correct: Whether the answer was right; None if none was scored.
        replies: What the player wrote, turn by turn, as sampled.
    """

    role: Role
    seat: str
    messages: tuple[Message, ...]
    reward: float | None
    correct: bool | None
    replies: tuple[Reply, ...] = ()

    @property
    def input_ids(self) -> tuple[int, ...]:
        """Tokens read and sampled, in order; empty if any turn came without tokens."""
        return tuple(chain.from_iterable(each.token_ids for each in self._segments))

    @property
    def loss_mask(self) -> tuple[int, ...]:
        """1 where `input_ids` were sampled, 0 where they were read."""
        return sampled_mask(self._segments)

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Log-probabilities at sampling time, 0 where tokens were read; empty if any turn came without."""
        return sampled_logprobs(self._segments)

    @property
    def _segments(self) -> tuple[Segment, ...]:
        """Tokens read and sampled by turns; nothing if any turn came without tokens."""
        return segments_of(self.replies) if all(reply.token_ids for reply in self.replies) else ()


def recorded_trajectories(told: Retold) -> list[RecordedTrajectory]:
    """Return the conversations of a replayed game, in the order in which they began."""
    conversations: dict[tuple[Role, str], tuple[tuple[Message, ...], tuple[Reply, ...]]] = {}
    for step in told.steps:
        if isinstance(step.request, Turn | Read) and isinstance(step.result, Reply):
            view = step.request.view
            key = (view.role, view.seat if view.probe is None else READINGS[view.probe])
            _, replies = conversations.get(key, ((), ()))
            said = _said(told.game, step)
            conversations[key] = ((*view.messages, said), (*replies, step.result))
    rewards = told.game.outcome.rewards if told.game.outcome else {}
    correct = {event.seat: event.correct for event in told.game.events if isinstance(event, AnswerScored)}
    return [
        RecordedTrajectory(role, seat, messages, rewards.get(seat), correct.get(seat), replies)
        for (role, seat), (messages, replies) in conversations.items()
    ]


def _said(game: Game, step: Step) -> Message:
    """The player's turn as its conversation shows it, up to the end of the action."""
    action = next(event.action for event in step.events if isinstance(event, TurnTaken | ReadingGiven))
    return game.protocol.said(action)


def chat_rows(
    episodes: Iterable[Episode], roles: Collection[Role] = TRAINED_ROLES, tool_role: ToolRole = "tool"
) -> Iterator[dict[str, Any]]:
    """Make one row per trajectory with `messages` in the conversational format of OpenAI and TRL.

    Games that failed and games whose rescoring is unknown have no rewards and give no rows.

    Args:
        episodes: The records.
        roles: Roles whose trajectories are made into rows.
        tool_role: Role of the messages the environment wrote; `user` for chat templates without `tool`.

    Raises:
        ValueError: If a record does not replay.
    """
    for episode in episodes:
        for trajectory in paid_trajectories(episode, roles):
            yield {
                **_about(episode, trajectory),
                "messages": [_chat_message(message, tool_role) for message in trajectory.messages],
            }


def trajectory_rows(
    episodes: Iterable[Episode], roles: Collection[Role] = TRAINED_ROLES, tool_role: ToolRole = "tool"
) -> Iterator[dict[str, Any]]:
    """Make the rows of `chat_rows` with the tokens beside the messages; arguments and errors are the same."""
    for episode in episodes:
        for trajectory in paid_trajectories(episode, roles):
            yield {
                **_about(episode, trajectory),
                "messages": [_flat_message(message, tool_role) for message in trajectory.messages],
                "input_ids": trajectory.input_ids,
                "loss_mask": trajectory.loss_mask,
                "logprobs": trajectory.logprobs,
            }


def game_rows(episodes: Iterable[Episode]) -> Iterator[dict[str, Any]]:
    """Make one row per game, failed ones included; figures are null where a rescoring is unknown."""
    for episode in episodes:
        task, outcome = episode.snapshot["task"], episode.outcome or {}
        rewards = outcome.get("rewards", {})
        yield {
            "game_id": episode.game_id,
            "corpus": task["corpus"],
            "answer": encodable(task["answer"]),
            "aliases": [encodable(alias) for alias in task["aliases"]],
            "hops": task["hops"],
            "question": encodable(outcome.get("question", "")),
            "verdict": outcome.get("verdict", "unknown"),
            "reason": outcome.get("reason", "unknown"),
            "success_rate": outcome.get("success_rate"),
            "rewards": [{"seat": seat, "reward": reward} for seat, reward in rewards.items()],
            **{name: outcome.get("metrics", {}).get(name) for name in count_metrics((), GameConfig())},
            "engine": episode.engine,
            "package": episode.package,
            "config": json_line((episode.scored_by or episode.snapshot)["config"]),
            "extra": json_line(episode.extra),
        }


def verl_rows(episodes: Iterable[Episode], data_source: str = "ssp_env") -> Iterator[dict[str, Any]]:
    """Make one row per valid question, with the columns verl and the released code of the paper train on.

    Args:
        episodes: The records.
        data_source: Name by which verl chooses a reward function.

    Raises:
        ValueError: If a record does not replay.
    """
    index = 0
    for episode in episodes:
        if episode.outcome is None or episode.outcome["verdict"] != "valid":
            continue
        requests = (step.request for step in retold(episode).steps)
        opening = next(
            found.view for found in requests if isinstance(found, Turn) and found.view.role == "solver"
        )
        task, question = episode.snapshot["task"], encodable(episode.outcome["question"])
        truth = {"target": [encodable(gold) for gold in (task["answer"], *task["aliases"])]}
        search = {"create_kwargs": {"data_source": data_source, "ground_truth": truth, "question": question}}
        yield {
            "data_source": data_source,
            "prompt": [_spoken(message, "tool") for message in opening.messages],
            "ability": "fact-reasoning",
            "reward_model": {"ground_truth": truth, "style": "rule"},
            "extra_info": {
                "index": index,
                "split": "train",
                "question": question,
                "game_id": episode.game_id,
                "hops": task["hops"],
                "success_rate": episode.outcome["success_rate"],
                "need_tools_kwargs": True,
                "tools_kwargs": {"search": search},
            },
        }
        index += 1


def write_jsonl(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write rows as JSON Lines to a new file, which appears when it is complete; return their number.

    Raises:
        ValueError: If the file exists.
    """

    def write(aside: Path) -> int:
        count = 0
        with aside.open("w", encoding="ascii", newline="\n") as file:
            for row in rows:
                file.write(json_line(row) + "\n")
                count += 1
        return count

    return publish(path, write)


def publish(path: Path, write: Callable[[Path], int]) -> int:
    """Let `write` fill a temporary file or folder beside `path`, rename that, and return what `write` did.

    Raises:
        ValueError: If the file exists.
    """
    if path.exists():
        raise ValueError(f"{path} exists already: choose another file, or delete it")
    aside = path.with_name(path.name + ".part")
    _remove(aside)
    try:
        count = write(aside)
    except BaseException:
        _remove(aside)
        raise
    aside.replace(path)
    return count


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def paid_trajectories(episode: Episode, roles: Collection[Role]) -> Iterator[RecordedTrajectory]:
    """Yield the conversations of a game; none if it failed or its rescoring is unknown: nobody is paid.

    Raises:
        ValueError: If the record does not replay.
    """
    if episode.outcome is not None and episode.outcome["verdict"] != "error":
        yield from (found for found in recorded_trajectories(retold(episode)) if found.role in roles)


def _about(episode: Episode, trajectory: RecordedTrajectory) -> dict[str, Any]:
    assert episode.outcome is not None
    return {
        "game_id": episode.game_id,
        "seat": trajectory.seat,
        "role": trajectory.role,
        "reward": trajectory.reward,
        "correct": trajectory.correct,
        "verdict": episode.outcome["verdict"],
        "reason": episode.outcome["reason"],
    }


def _chat_message(message: Message, tool_role: ToolRole) -> dict[str, Any]:
    """Role and content, and tool calls in OpenAI's shape if there are any."""
    return {**message.to_openai(tool_role), "content": encodable(message.content)}


def _flat_message(message: Message, tool_role: ToolRole) -> dict[str, str]:
    """The message with the same keys every time and text alone in them, as a table needs it."""
    calls = json.dumps(message.to_openai()["tool_calls"]) if message.tool_calls else ""
    return {**_spoken(message, tool_role), "tool_calls": calls, "tool_call_id": message.tool_call_id}


def _spoken(message: Message, tool_role: ToolRole) -> dict[str, str]:
    return {"role": message.to_openai(tool_role)["role"], "content": encodable(message.content)}


def encodable(text: str) -> str:
    """Replace lone surrogates by `?`; neither Parquet nor most readers of JSON take them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def write_parquet(rows: Iterable[Mapping[str, Any]], path: Path, schema: pyarrow.Schema) -> int:
    """Write rows to a new Parquet file, which appears when it is complete.

    Args:
        rows: The rows; a batch of them is in memory at a time.
        path: The file.
        schema: `games_schema()`, `trajectories_schema()` or `verl_schema()`.

    Returns:
        The number of rows.

    Raises:
        ModuleNotFoundError: If pyarrow is not installed.
        ValueError: If the file exists.
    """
    arrow = _pyarrow()
    from pyarrow.parquet import ParquetWriter

    def write(aside: Path) -> int:
        count, waiting = 0, iter(rows)
        with ParquetWriter(aside, schema) as writer:
            while batch := list(islice(waiting, ROWS_PER_BATCH)):
                writer.write_table(arrow.Table.from_pylist(batch, schema=schema))
                count += len(batch)
        return count

    return publish(path, write)


def games_schema() -> pyarrow.Schema:
    """Return the columns of `game_rows`; pyarrow must be installed."""
    arrow = _pyarrow()
    text, number = arrow.string(), arrow.float64()
    reward = arrow.struct([("seat", text), ("reward", number)])
    return arrow.schema(
        [
            *((name, text) for name in ("game_id", "corpus", "answer")),
            ("aliases", arrow.list_(text)),
            ("hops", arrow.int64()),
            *((name, text) for name in ("question", "verdict", "reason")),
            ("success_rate", number),
            ("rewards", arrow.list_(reward)),
            *((name, number) for name in count_metrics((), GameConfig())),
            *((name, text) for name in ("engine", "package", "config", "extra")),
        ]
    )


def trajectories_schema() -> pyarrow.Schema:
    """Return the columns of `trajectory_rows`; pyarrow must be installed."""
    arrow = _pyarrow()
    return arrow.schema(
        [
            *((name, arrow.string()) for name in ("game_id", "seat", "role")),
            ("reward", arrow.float64()),
            ("correct", arrow.bool_()),
            *((name, arrow.string()) for name in ("verdict", "reason")),
            ("messages", _messages("role", "content", "tool_calls", "tool_call_id")),
            ("input_ids", arrow.list_(arrow.int64())),
            ("loss_mask", arrow.list_(arrow.int8())),
            ("logprobs", arrow.list_(arrow.float64())),
        ]
    )


def verl_schema() -> pyarrow.Schema:
    """Return the columns of `verl_rows`; pyarrow must be installed."""
    arrow = _pyarrow()
    text = arrow.string()
    truth = arrow.struct([("target", arrow.list_(text))])
    created = arrow.struct([("data_source", text), ("ground_truth", truth), ("question", text)])
    extra_info = arrow.struct(
        [
            ("index", arrow.int64()),
            *((name, text) for name in ("split", "question", "game_id")),
            ("hops", arrow.int64()),
            ("success_rate", arrow.float64()),
            ("need_tools_kwargs", arrow.bool_()),
            ("tools_kwargs", arrow.struct([("search", arrow.struct([("create_kwargs", created)]))])),
        ]
    )
    return arrow.schema(
        [
            ("data_source", text),
            ("prompt", _messages("role", "content")),
            ("ability", text),
            ("reward_model", arrow.struct([("ground_truth", truth), ("style", text)])),
            ("extra_info", extra_info),
        ]
    )


def _messages(*keys: str) -> pyarrow.DataType:
    arrow = _pyarrow()
    return arrow.list_(arrow.struct([(key, arrow.string()) for key in keys]))


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise missing_extra("pyarrow", "parquet") from error
    return pyarrow
