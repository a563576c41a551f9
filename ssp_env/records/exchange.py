"""Recorded games in the formats of other tools: logs of Inspect, and ATIF trajectories."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import ssp_env
from ssp_env.game import Message, Reply, Role
from ssp_env.game.view import ROLES, ToolRole
from ssp_env.records.episode import Episode, json_line
from ssp_env.records.export import TRAINED_ROLES, RecordedTrajectory, encodable, paid_trajectories, publish

ATIF_VERSION = "ATIF-v1.7"
INSPECT_VERSION = 2
"""Version of the form of Inspect's logs, by inspect_ai 0.3."""
PLAYERS = "ssp-env/players"
"""Stands for the model in Inspect's logs: records name no player, only the version of the weights."""


# -- ATIF --------------------------------------------------------------------------------------------------


def write_atif(episodes: Iterable[Episode], folder: Path, roles: Collection[Role] = ROLES) -> int:
    """Write one ATIF document per game into a new folder, which appears when it is complete.

    Args:
        episodes: The records; games that failed, or whose rescoring is unknown, are left out.
        folder: The folder.
        roles: Roles whose conversations are written.

    Returns:
        The number of documents.

    Raises:
        ValueError: If the folder exists, or a record does not replay.
    """

    def write(aside: Path) -> int:
        aside.mkdir()
        count = 0
        for document in atif_documents(episodes, roles):
            count += 1
            text = json.dumps(document, allow_nan=False)
            (aside / f"game-{count:06d}.json").write_text(text + "\n", encoding="ascii")
        return count

    return publish(folder, write)


def atif_documents(episodes: Iterable[Episode], roles: Collection[Role] = ROLES) -> Iterator[dict[str, Any]]:
    """Make one ATIF document per game.

    Its own steps are those of the proposer, or the question that was given; the last one tells the outcome
    and refers to the conversations of readers and solvers, which are embedded.

    Raises:
        ValueError: If a record does not replay.
    """
    for number, episode in enumerate(episodes, start=1):
        found = list(paid_trajectories(episode, roles))
        if not found or episode.outcome is None:
            continue
        embedded = [trajectory for trajectory in found if trajectory.role != "proposer"]
        steps = [step for trajectory in found if trajectory.role == "proposer" for step in _steps(trajectory)]
        if not steps:
            steps = [{"source": "user", "message": encodable(episode.outcome["question"])}]
        steps.append(_ending(episode, embedded))
        document = {
            **_trajectory(f"{number}/{encodable(episode.game_id)}", "proposer", steps),
            "session_id": encodable(episode.game_id),
            "notes": "One game of search self-play, in the spectator's view.",
            "extra": _about(episode),
        }
        if embedded:
            document["subagent_trajectories"] = [
                {
                    **_trajectory(trajectory.seat, trajectory.role, list(_steps(trajectory))),
                    "extra": {"reward": trajectory.reward, "correct": trajectory.correct},
                }
                for trajectory in embedded
            ]
        yield document


def _trajectory(name: str, role: Role, steps: list[dict[str, Any]]) -> dict[str, Any]:
    tokens = [step["metrics"] for step in steps if "metrics" in step]
    return {
        "schema_version": ATIF_VERSION,
        "trajectory_id": name,
        "agent": {"name": f"ssp-env/{role}", "version": ssp_env.__version__},
        "steps": [{"step_id": number, **step} for number, step in enumerate(steps, start=1)],
        "final_metrics": {
            "total_steps": len(steps),
            "total_prompt_tokens": sum(metrics["prompt_tokens"] for metrics in tokens),
            "total_completion_tokens": sum(metrics["completion_tokens"] for metrics in tokens),
        },
    }


def _ending(episode: Episode, embedded: Sequence[RecordedTrajectory]) -> dict[str, Any]:
    """The last step of a game: what came of it, and who else took part."""
    outcome = episode.outcome or {}
    step: dict[str, Any] = {
        "source": "system",
        "message": f"{outcome['verdict']}: {outcome['reason']}",
        "extra": {"rewards": outcome["rewards"], "metrics": outcome["metrics"]},
    }
    if embedded:
        results = [
            {"subagent_trajectory_ref": [{"trajectory_id": trajectory.seat}], "content": trajectory.role}
            for trajectory in embedded
        ]
        step["observation"] = {"results": results}
    return step


def _steps(trajectory: RecordedTrajectory) -> Iterator[dict[str, Any]]:
    """The steps of a conversation: what was returned to a turn belongs to its step."""
    spoken = sum(message.role == "assistant" for message in trajectory.messages)
    examples, read, turns = spoken - len(trajectory.replies), 0, iter(trajectory.replies)
    step: dict[str, Any] | None = None
    for message in trajectory.messages:
        if message.role == "tool" and step is not None and step["source"] == "agent":
            results = step.setdefault("observation", {"results": []})["results"]
            called = {"source_call_id": message.tool_call_id} if message.tool_call_id else {}
            results.append({**called, "content": encodable(message.content)})
            continue
        if step is not None:
            yield step
        step = _step(message)
        if message.role == "assistant":
            if examples > 0:
                examples -= 1
                step["is_copied_context"] = True
                continue
            reply = next(turns)
            step["llm_call_count"] = 1
            if reply.token_ids:
                read += len(reply.context_ids)
                step["metrics"] = _metrics(reply, read)
                read += len(reply.token_ids)
            if reply.weights_version:
                step["extra"] = {"weights_version": encodable(reply.weights_version)}
    if step is not None:
        yield step


def _step(message: Message) -> dict[str, Any]:
    sources = {"assistant": "agent", "system": "system"}
    step: dict[str, Any] = {
        "source": sources.get(message.role, "user"),
        "message": encodable(message.content),
    }
    if message.tool_calls:
        step["tool_calls"] = [
            {"tool_call_id": call.id, "function_name": call.name, "arguments": arguments_of(call.arguments)}
            for call in message.tool_calls
        ]
    return step


def _metrics(reply: Reply, read: int) -> dict[str, Any]:
    """What is known of the tokens of a turn that was sampled after `read` tokens."""
    found = {
        "prompt_tokens": read,
        "completion_tokens": len(reply.token_ids),
        "completion_token_ids": list(reply.token_ids),
    }
    return found | ({"logprobs": list(reply.logprobs)} if reply.logprobs else {})


def arguments_of(text: str) -> dict[str, Any]:
    """Return the arguments of a call as an object; what a model wrote instead of one is kept as `arguments`.

    >>> arguments_of('{"query": "whale"}'), arguments_of("whale")
    ({'query': 'whale'}, {'arguments': 'whale'})
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"arguments": encodable(text)}


def _about(episode: Episode) -> dict[str, Any]:
    task, outcome = episode.snapshot["task"], episode.outcome or {}
    audit = episode.extra.get("audit", {})
    about = {
        "game_id": encodable(episode.game_id),
        "answer": encodable(task["answer"]),
        "hops": task["hops"],
        "question": encodable(outcome["question"]),
        **{name: outcome[name] for name in ("verdict", "reason", "success_rate")},
        "engine": episode.engine,
    }
    step = {"step": episode.extra["step"]} if "step" in episode.extra else {}
    truth = {"label_true": audit["label_true"]} if "label_true" in audit else {}
    return {**about, **step, **truth}


# -- Inspect -----------------------------------------------------------------------------------------------


def write_inspect(
    episodes: Iterable[Episode],
    path: Path,
    *,
    created: datetime,
    roles: Collection[Role] = TRAINED_ROLES,
    tool_role: ToolRole = "tool",
) -> int:
    """Write a log that `inspect view` and `inspect_ai.log.read_eval_log` read, one sample per conversation.

    Attempts of the solver at one question are epochs of one sample.

    Args:
        episodes: The records; games that failed, or whose rescoring is unknown, are left out.
        path: New file, whose name ends in `.json` for Inspect to find it.
        created: When the games were recorded, which the log must say and no record knows.
        roles: Roles whose conversations are written.
        tool_role: Role of the messages the environment wrote.

    Returns:
        The number of samples.

    Raises:
        ValueError: If the file exists, or a record does not replay.
    """
    samples = inspect_samples(episodes, roles, tool_role)
    return publish(path, lambda aside: _write_log(samples, aside, path.name, created))


def _write_log(samples: Iterable[Mapping[str, Any]], path: Path, name: str, created: datetime) -> int:
    scores: dict[str, list[float]] = defaultdict(list)
    count = 0
    # The totals stand before the samples, where Inspect looks for them.
    with tempfile.TemporaryFile("w+", encoding="ascii") as written:
        for sample in samples:
            written.write(("," if count else "") + json_line(sample))
            count += 1
            for score, found in sample["scores"].items():
                scores[score].append(float(found["value"]))
        written.seek(0)
        with path.open("w", encoding="ascii", newline="\n") as file:
            file.write(json_line(_log_head(name, created, count, scores))[:-1] + ', "samples": [')
            shutil.copyfileobj(written, file)
            file.write("]}\n")
    return count


def inspect_samples(
    episodes: Iterable[Episode],
    roles: Collection[Role] = TRAINED_ROLES,
    tool_role: ToolRole = "tool",
) -> Iterator[dict[str, Any]]:
    """Make one sample of an Inspect log per conversation; arguments and errors are as in `write_inspect`."""
    for number, episode in enumerate(episodes, start=1):
        task = episode.snapshot["task"]
        golds = [encodable(gold) for gold in (task["answer"], *task["aliases"])]
        for trajectory in paid_trajectories(episode, roles):
            role, _, attempt = trajectory.seat.partition("_")
            messages = [_inspect_message(message, tool_role) for message in trajectory.messages]
            yield {
                "id": f"{number}/{encodable(episode.game_id)}/{role}",
                "epoch": int(attempt or 0) + 1,
                "input": golds[0] if trajectory.role == "proposer" else encodable(_question(episode)),
                "target": golds,
                "messages": messages,
                "output": _inspect_output(messages[-1]),
                "scores": _inspect_scores(trajectory),
                "metadata": {**_about(episode), "seat": trajectory.seat, "role": trajectory.role},
                "model_usage": {PLAYERS: _usage(trajectory)},
            }


def _question(episode: Episode) -> str:
    return str((episode.outcome or {}).get("question") or episode.snapshot["task"]["question"])


def _inspect_message(message: Message, tool_role: ToolRole) -> dict[str, Any]:
    said: dict[str, Any] = {**message.to_openai(tool_role), "content": encodable(message.content)}
    if message.tool_calls:
        said["tool_calls"] = [
            {
                "id": call.id,
                "function": call.name,
                "arguments": arguments_of(call.arguments),
                "type": "function",
            }
            for call in message.tool_calls
        ]
    return said


def _inspect_output(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": PLAYERS, "choices": [{"message": message, "stop_reason": "stop"}]}


def _inspect_scores(trajectory: RecordedTrajectory) -> dict[str, Any]:
    values = {"correct": trajectory.correct, "reward": trajectory.reward}
    return {name: {"value": float(value)} for name, value in values.items() if value is not None}


def _usage(trajectory: RecordedTrajectory) -> dict[str, int]:
    read = sum(len(reply.context_ids) for reply in trajectory.replies)
    written = sum(len(reply.token_ids) for reply in trajectory.replies)
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


def _log_head(
    name: str, created: datetime, count: int, scores: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    moment = created.astimezone(timezone.utc).isoformat(timespec="seconds")
    identity = hashlib.sha256(f"{name} {moment}".encode("utf-8", "replace")).hexdigest()[:22]
    return {
        "version": INSPECT_VERSION,
        "status": "success",
        "eval": {
            **dict.fromkeys(("eval_id", "run_id", "task_id"), identity),
            "created": moment,
            "task": "search_self_play",
            "dataset": {"name": encodable(name), "samples": count},
            "model": PLAYERS,
            "config": {},
            "packages": {"ssp-env": ssp_env.__version__},
        },
        "plan": {"name": "recorded", "steps": []},
        "results": {
            "total_samples": count,
            "completed_samples": count,
            "scores": [
                {
                    "name": score,
                    "scorer": score,
                    "scored_samples": len(values),
                    "metrics": {"mean": {"name": "mean", "value": sum(values) / len(values)}},
                }
                for score, values in scores.items()
            ],
        },
        "stats": {"started_at": moment, "completed_at": moment},
    }
