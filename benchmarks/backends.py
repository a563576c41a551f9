"""Whether transformers and vLLM sample the same tokens: each turn that one played is replayed by the other.

Run with `python -m benchmarks.backends --vllm URL`, for a server started with
`vllm serve FOLDER --dtype float32 --logprobs-mode processed_logprobs`, where FOLDER holds SmolLM2: what
`python -c "from agents.smollm2 import checkpoint; print(checkpoint())"` prints.

Both take the most likely token in float32. A turn is replayed from the token ids that its player read, so
that a different token changes a single turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agents import smollm2
from agents.decode_loop import TurnRequest
from agents.sampling_params import SamplingParams
from agents.transformers_agent import TransformersAgent
from agents.vllm.served import VLLMServerAgent
from baselines.evaluation.agent_measurement import AgentTasks
from ssp_env.cli.progress import counted, waiting
from ssp_env.game import Reply, View
from ssp_env.play import AnyAgent, act_all, play
from ssp_env.scenario import open_scenario
from ssp_env.worlds import MAX_HOPS

TOLERANCE = 1e-2
NEAR_TIE = 1e-3


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn as it was sampled: the view and the token ids that the player read, and the tokens written."""

    view: View
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two samples of one turn compare.

    Attributes:
        equal: Whether all ids are equal.
        difference: Greatest difference of log-probabilities over the ids they share.
        gap: Difference of the log-probabilities of the first two tokens that differ; 0 if none differs.
    """

    equal: bool
    difference: float
    gap: float = 0.0


class Recorder:
    """Passes views on to a player and keeps every turn whose token ids are known."""

    def __init__(self, player: AnyAgent) -> None:
        self._player = player
        self._read: dict[tuple[str, str, str], tuple[int, ...]] = {}
        self.turns: list[Turn] = []
        self.without_ids = 0

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return the player's replies."""
        replies = act_all(self._player, views)
        for view, reply in zip(views, replies, strict=True):
            if not reply.context_ids:
                self.without_ids += 1
                continue
            prompt = self._read.get(view.conversation_id, ()) + reply.context_ids
            self._read[view.conversation_id] = prompt + reply.token_ids
            self.turns.append(Turn(view, prompt, reply.token_ids, reply.logprobs))
        return replies


def compare(one: Turn, other: Turn) -> Agreement:
    """Compare two samples of the same turn.

    >>> view = View("g", "solver_0", "solve", (), 1, 0)
    >>> compare(Turn(view, (1,), (5, 6), (-1.0, -2.0)), Turn(view, (1,), (5, 7), (-1.5, -2.25)))
    Agreement(equal=False, difference=0.5, gap=0.25)
    """
    pairs = list(zip(one.token_ids, other.token_ids, one.logprobs, other.logprobs))
    shared = next((place for place, pair in enumerate(pairs) if pair[0] != pair[1]), len(pairs))
    difference = max((abs(pair[2] - pair[3]) for pair in pairs[:shared]), default=0.0)
    parted = shared < len(pairs)
    gap = abs(pairs[shared][2] - pairs[shared][3]) if parted else 0.0
    return Agreement(one.token_ids == other.token_ids, difference, gap)


def replay_by_transformers(
    agent: TransformersAgent, sampling: SamplingParams, turns: Sequence[Turn]
) -> list[Turn]:
    """Sample every turn again from its prompt."""
    requests = [_request(agent, sampling, turn) for turn in turns]
    for request in requests:
        agent.loop.submit(request)
    agent.loop.run(requests)
    samples = [request.future.result() for request in requests]
    return [
        Turn(turn.view, turn.prompt_ids, sample.token_ids, sample.logprobs)
        for turn, sample in zip(turns, samples, strict=True)
    ]


def _request(agent: TransformersAgent, sampling: SamplingParams, turn: Turn) -> TurnRequest:
    params, view = sampling, turn.view
    return TurnRequest(
        key=(*view.conversation_id, len(view.messages)),
        role=view.role,
        prompt=turn.prompt_ids,
        limit=params.limit(view),
        temperature=params.temperature,
        top_p=params.top_p,
        rng=params.rng(view),
        is_finished=lambda ids: agent.conversations.is_finished(view, ids),
        is_last=lambda ids: True,
    )


async def replay_by_vllm(agent: VLLMServerAgent, turns: Sequence[Turn], concurrency: int) -> list[Turn]:
    """Sample every turn again from its prompt."""
    slots = asyncio.Semaphore(concurrency)

    async def replay(turn: Turn) -> Turn:
        async with slots:
            again = await agent.sample(turn.view, turn.prompt_ids)
        return Turn(turn.view, turn.prompt_ids, again.token_ids, again.logprobs)

    return list(await asyncio.gather(*map(replay, turns)))


def main(
    vllm: Annotated[str, typer.Option(help="Addresses of vLLM servers of SmolLM2, separated by commas.")],
    world: Annotated[str, typer.Option(help="World to search in, one of prose.")] = "small",
    corpus: Annotated[Path | None, typer.Option(help="Search this corpus instead of a world.")] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="Question set for the corpus; a world has its own."),
    ] = None,
    games: Annotated[int, typer.Option(help="Games per back end in which the model asks.", min=1)] = 50,
    known: Annotated[int, typer.Option(help="Known questions it answers besides.", min=0)] = 50,
    concurrency: Annotated[int, typer.Option(help="Games at a time.", min=1)] = 16,
    max_new_tokens: Annotated[int, typer.Option(help="Most tokens per turn.", min=1)] = 64,
    hops: Annotated[int, typer.Option(help="Hops to ask for.", min=1, max=MAX_HOPS)] = 1,
    by: Annotated[str, typer.Option(help="Who plays: vllm, transformers, or both in turn.")] = "both",
    seed: Annotated[int, typer.Option(help="Fixes world and tasks.", min=0)] = 0,
) -> None:
    """Play, replay, and print the agreement."""
    if by not in ("vllm", "transformers", "both"):
        raise typer.BadParameter(f"expected vllm, transformers or both, got {by!r}", param_hint="--by")
    console = Console()
    place: dict[str, Any] = {"split": "heldout", "index": seed} if corpus is None else {"corpus": corpus}
    scenario = open_scenario(
        None if corpus else world, **place, questions=questions, hops=(hops,), rules={"max_turns": 6}
    )
    tasks = AgentTasks.draw(scenario, games=games, known=known, seed=seed)
    sampling = SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=max_new_tokens, seed=seed)
    local, served = _both_back_ends(vllm, sampling)
    console.print(
        f"{scenario.description}; {games} games, {len(tasks.known)} known questions; seed {seed}",
        highlight=False,
    )
    if by != "transformers":
        turns = _played("vLLM", Recorder(served.blocking()), tasks, seed, concurrency, console)
        with waiting("transformers replays"):
            again = replay_by_transformers(local, sampling, turns)
        _print_agreement(console, "played by vLLM, replayed by transformers", turns, again)
    if by != "vllm":
        turns = _played("transformers", Recorder(local), tasks, seed, concurrency, console)
        with waiting("vLLM replays"):
            again = asyncio.run(replay_by_vllm(served, turns, concurrency))
        _print_agreement(console, "played by transformers, replayed by vLLM", turns, again)


def _both_back_ends(vllm: str, sampling: SamplingParams) -> tuple[TransformersAgent, VLLMServerAgent]:
    """Load SmolLM2 here, and connect to the servers that have it."""
    local = TransformersAgent.from_pretrained(
        smollm2.checkpoint(), dtype="float32", rendering="plain", sampling=sampling
    )
    served = VLLMServerAgent(
        vllm.split(","),
        local.conversations.tokenizer,
        sampling=sampling,
        rendering="plain",
        require_logprobs=True,
        timeout=1800.0,
    )
    served.connect()
    return local, served


def _played(
    name: str, player: Recorder, tasks: AgentTasks, seed: int, concurrency: int, console: Console
) -> list[Turn]:
    asked, known = tasks.open_games(tasks.scenario.with_prompts("few_shot").rules, seed)
    started = perf_counter()
    with counted(f"{name} plays", len(asked) + len(known)) as advance:
        outcomes = play(
            [*asked, *known],
            proposer=player,
            solver=player,
            search=tasks.scenario.search,
            seed=seed,
            concurrency=concurrency,
            on_player_error="raise",
            on_outcome=lambda game: advance(),
        )
    verdicts = {
        verdict: sum(each.verdict == verdict for each in outcomes)
        for verdict in ("valid", "invalid", "error")
    }
    by_role = Counter(turn.view.role for turn in player.turns)
    roles = ", ".join(f"{count} as {role}" for role, count in sorted(by_role.items()))
    console.print(
        f"{name}: {len(outcomes)} games over ({verdicts}), {len(player.turns)} turns with ids ({roles}), "
        f"{player.without_ids} without, {perf_counter() - started:.0f} s",
        highlight=False,
    )
    return player.turns


def _print_agreement(console: Console, title: str, turns: Sequence[Turn], again: Sequence[Turn]) -> None:
    found = [compare(one, other) for one, other in zip(turns, again, strict=True)]
    parted = [agreement for agreement in found if not agreement.equal]
    worst = max((agreement.difference for agreement in found), default=0.0)
    table = Table(title=title)
    table.add_column("figure")
    table.add_column("value", justify="right")
    rows = {
        "turns": str(len(found)),
        "turns with equal tokens": f"{1 - len(parted) / max(1, len(found)):.1%}",
        "greatest difference of log-probabilities": f"{worst:.1e}",
        f"turns with a difference above {TOLERANCE:g}": str(
            sum(each.difference > TOLERANCE for each in found)
        ),
        f"turns that part at a near tie (within {NEAR_TIE:g})": str(
            sum(each.gap <= NEAR_TIE for each in parted)
        ),
        "widest gap where turns part": f"{max((each.gap for each in parted), default=0.0):.1e}",
    }
    for figure, value in rows.items():
        table.add_row(figure, value)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
