"""How fast language models play: KV caches kept between turns, against reading the history again each turn.

`python -m benchmarks.agents_speed` needs SmolLM2 (`make smollm2`); `--vllm URL` adds a server.
Every player samples every token, but a script replaces the sampled tokens, so that all play the same
games: turns of searches with a fixed number of tokens, until the proposer's turns are used up. The tokens of
a server cannot be replaced: it samples the same number, and its replies are the words of the script.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from agents import smollm2
from agents.sampling_params import SamplingParams
from agents.transformers_agent import AsyncTransformersAgent, TransformersAgent
from ssp_env.cli.progress import counted
from ssp_env.game import Game, GameConfig, Reply, Task, View
from ssp_env.game.events import TurnTaken
from ssp_env.play import play, play_async
from ssp_env.search.bm25 import BM25Engine
from ssp_env.worlds import World, world_preset

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

OPENING, CLOSING = "<search>", "</search>"
WORDS = (
    " the town where a famous engineer who built an old stone bridge over some wide river near another "
    "small village was born and later lived with her family before she moved away to teach young people "
    "music at one university in that northern country during its long cold winter months"
)
Play = Callable[[Sequence[Game]], object]
_NAIVE = "generate() over the history"


def main(
    concurrency: Annotated[str, typer.Option(help="Games at a time, one measurement each.")] = "1,8",
    turns: Annotated[int, typer.Option(help="Turns per game.", min=1)] = 8,
    new_tokens: Annotated[int, typer.Option(help="Tokens per turn.", min=3, max=40)] = 32,
    repeats: Annotated[int, typer.Option(help="Measurements in turn; medians are shown.", min=1)] = 3,
    dtype: Annotated[str, typer.Option(help="Precision: float32 or bfloat16.")] = "float32",
    vllm: Annotated[str, typer.Option(help="Address of a vLLM server, such as http://localhost:8000.")] = "",
    reread_up_to: Annotated[
        int, typer.Option(help="Most games at a time that generate() plays, which takes long.", min=1)
    ] = 8,
) -> None:
    """Measure, and print a table."""
    console = Console()
    model, tokenizer = smollm2.load(dtype=getattr(torch, dtype))
    script = Script.write(tokenizer, new_tokens)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    workload = Workload.open(turns)
    players: dict[str, Callable[[], Play]] = {
        _NAIVE: lambda: workload.sync(RereadingAgent(model, tokenizer, script)),
        "ours, play": lambda: workload.sync(_agent(model, tokenizer, new_tokens)),
        "ours, play_async": lambda: workload.asynchronous(
            AsyncTransformersAgent(_agent(model, tokenizer, new_tokens))
        ),
    }
    if vllm:
        players["vLLM, play_async"] = lambda: workload.asynchronous(ServerAgent(vllm, script))
    sizes = [int(size) for size in concurrency.split(",")]
    seconds: dict[int, dict[str, list[float]]] = {}
    with script.overrule(model), counted("playing", len(sizes) * len(players) * repeats) as advance:
        for size in sizes:
            playing = [name for name in players if name != _NAIVE or size <= reread_up_to]
            seconds[size] = {name: [] for name in playing}
            for _ in range(repeats):
                for name in players:
                    if name in playing:
                        seconds[size][name].append(workload.measure(players[name](), size, script))
                    advance()
    title = f"SmolLM2-135M, {dtype}: {turns} turns of {new_tokens} tokens, few-shot prompts"
    console.print(_table(title, seconds, turns * new_tokens))


def _table(title: str, seconds: Mapping[int, Mapping[str, Sequence[float]]], tokens: int) -> Table:
    """Show the speeds of players by games at a time, each game of a number of tokens."""
    table = Table(title=title)
    for heading in ("player", "games at a time", "tokens/s", "games/min", "ratio to generate()"):
        table.add_column(heading, justify="left" if heading == "player" else "right")
    for size, by_player in seconds.items():
        for name, spent in by_player.items():
            rate = size / median(spent)
            figures = f"{rate * tokens:.1f}", f"{rate * 60:.2f}"
            table.add_row(name, str(size), *figures, _ratio(by_player.get(_NAIVE), spent))
    return table


def _ratio(naive: Sequence[float] | None, spent: Sequence[float]) -> str:
    """Return the speed of a player relative to another one: the median over the repeats."""
    if naive is None:
        return "-"
    return f"{median(theirs / mine for theirs, mine in zip(naive, spent, strict=True)):.2f}"


def _agent(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, new_tokens: int) -> TransformersAgent:
    sampling = SamplingParams(temperature=0.0, max_new_tokens=new_tokens)
    return TransformersAgent(model, tokenizer, rendering="plain", sampling=sampling)


@dataclass(frozen=True)
class Script:
    """The search that every turn consists of; no token occurs twice, so that each determines the next one.

    Attributes:
        token_ids: The turn.
        text: The turn as text.
    """

    token_ids: tuple[int, ...]
    text: str

    @classmethod
    def write(cls, tokenizer: PreTrainedTokenizerBase, tokens: int) -> Script:
        """Write a turn of this number of tokens; the tags become tokens of their own."""
        tokenizer.add_tokens([OPENING, CLOSING])
        encoded: list[int] = tokenizer(WORDS, add_special_tokens=False)["input_ids"]
        words = dict.fromkeys(encoded)
        opening, closing = (int(tokenizer.get_vocab()[tag]) for tag in (OPENING, CLOSING))
        ids = (opening, *list(words)[: tokens - 2], closing)
        if len(ids) != tokens:
            raise ValueError(f"the script has words for {len(words) + 2} tokens, got new_tokens={tokens}")
        return cls(ids, str(tokenizer.decode(list(ids))))

    @contextmanager
    def overrule(self, model: PreTrainedModel) -> Iterator[None]:
        """Replace every sampled token by the next token of the script."""
        following = torch.full((model.config.vocab_size,), self.token_ids[0])
        following[list(self.token_ids[:-1])] = torch.tensor(self.token_ids[1:])

        def raise_logits(module: object, args: object, kwargs: dict[str, Any], output: Any) -> None:
            rows = torch.arange(len(output.logits))
            output.logits[rows, -1, following[kwargs["input_ids"][:, -1]]] += 1e4

        hook = model.register_forward_hook(raise_logits, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


class RereadingAgent:
    """The baseline: `generate` of transformers reads the whole conversation again in every turn."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, script: Script) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._script = script

    @torch.inference_mode()
    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return one turn per view."""
        texts = ["".join(f"{message.content}\n" for message in view.messages) for view in views]
        inputs = self._tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
        ids = self._model.generate(  # type: ignore[operator]
            **inputs,
            max_new_tokens=len(self._script.token_ids),
            do_sample=False,
            eos_token_id=self._script.token_ids[-1],
        )[:, inputs["input_ids"].shape[1] :]
        return [
            Reply(text, tuple(row))
            for text, row in zip(self._tokenizer.batch_decode(ids), ids.tolist(), strict=True)
        ]


class ServerAgent:
    """Lets a server sample as many tokens as the script has, and replies with the words of the script."""

    def __init__(self, url: str, script: Script) -> None:
        self._url = url
        self._script = script
        self._model = httpx.get(f"{url}/v1/models").raise_for_status().json()["data"][0]["id"]

    async def act(self, view: View) -> Reply:
        """Return the script's turn once the server has sampled one."""
        size = len(self._script.token_ids)
        request = {
            "model": self._model,
            "prompt": "".join(f"{message.content}\n" for message in view.messages),
            "max_tokens": size,
            "min_tokens": size,
            "ignore_eos": True,
        }
        async with httpx.AsyncClient(timeout=600) as client:
            answer = await client.post(f"{self._url}/v1/completions", json=request)
        answer.raise_for_status()
        return Reply(self._script.text, self._script.token_ids)


@dataclass(frozen=True)
class Workload:
    """Games over one world in which the proposer searches until its turns are used up."""

    engine: BM25Engine
    answers: tuple[str, ...]
    turns: int

    @classmethod
    def open(cls, turns: int) -> Workload:
        """Generate a world and index it."""
        world = World(world_preset("small"))
        questions = world.questions(2, 64, np.random.default_rng(0))
        return cls(BM25Engine(world.passages()), tuple(known.answer for known in questions), turns)

    def sync(self, player: Any) -> Play:
        """Play with a player that takes batches."""
        return lambda games: play(
            games, proposer=player, solver=player, search=self.engine, on_player_error="raise"
        )

    def asynchronous(self, player: Any) -> Play:
        """Play with a player of coroutines."""
        return lambda games: asyncio.run(
            play_async(games, proposer=player, solver=player, search=self.engine, on_player_error="raise")
        )

    def measure(self, run: Play, count: int, script: Script) -> float:
        """Return the seconds that a player takes for this number of games.

        Raises:
            RuntimeError: If a player wrote anything but the script.
        """
        config = GameConfig(prompts="few_shot").with_budget(max_turns=self.turns, max_searches=self.turns)
        answers = [self.answers[number % len(self.answers)] for number in range(count)]
        games = [Game(Task(answer, id=str(number)), config) for number, answer in enumerate(answers)]
        started = perf_counter()
        run(games)
        spent = perf_counter() - started
        for game in games:
            said = [event.reply.text for event in game.events if isinstance(event, TurnTaken)]
            if said != [script.text] * self.turns:
                raise RuntimeError(f"expected {self.turns} times {script.text!r}, got {said}")
        return spent


if __name__ == "__main__":
    typer.run(main)
