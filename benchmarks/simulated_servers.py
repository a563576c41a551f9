"""A thousand servers on one core: `python -m benchmarks.simulated_servers`.

Real games of scripted players are scheduled by `ssp_env.play.AsyncDriver`, as they are for real servers; only
the servers and the search are simulated, on a clock that jumps. A server has slots, and the more of them are
taken the slower each is; lengths of turns are lognormal, so that some games take far longer than most. In
synchronous training all servers wait for the longest game of a step and for the update. In asynchronous
training games go on while the trainer updates, and begin only as long as none will be older than a bound when
it is learnt from.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from agents.scripted import ScriptedPlayer
from benchmarks.virtual_clock import run
from ssp_env import open_scenario
from ssp_env.cli.progress import tracked
from ssp_env.game import Game, Passage, View
from ssp_env.play.async_driver import AsyncDriver
from ssp_env.play.services import Services
from ssp_env.scenario import Scenario


@dataclass(frozen=True)
class Cluster:
    """What is simulated. Every figure is an assumption.

    Attributes:
        servers: Servers that sample.
        slots: Conversations that one samples at a time; more wait.
        turn_tokens: Median tokens of a turn.
        spread: Standard deviation of their logarithm.
        token_seconds: Seconds of a token on an idle server.
        full_slowdown: Factor on that when all slots are taken.
        search_seconds: Seconds of a batch of searches.
        update_seconds: Seconds of an update.
        batch: Games of a step.
        staleness: Most updates between the weights that began a game and those that learn from it; 0 is
            synchronous.
        steps: Updates.
        attempts: Attempts of a game.
        cohort: Games whose evidence is noise for each other, all of which must have proposed before one is
            checked; None for all of a step.
    """

    servers: int = 1000
    slots: int = 4
    turn_tokens: float = 120.0
    spread: float = 0.8
    token_seconds: float = 0.02
    full_slowdown: float = 2.0
    search_seconds: float = 0.2
    update_seconds: float = 60.0
    batch: int = 1000
    staleness: int = 0
    steps: int = 4
    attempts: int = 4
    cohort: int | None = None


@dataclass
class Load:
    """What the servers did.

    Attributes:
        seconds: Slot seconds that were spent on tokens.
        tokens: Tokens sampled.
        waited: Seconds that turns waited for a free slot.
    """

    seconds: float = 0.0
    tokens: float = 0.0
    waited: float = 0.0


class SimulatedServers:
    """Plays as a scripted player does, on servers that take their time.

    Args:
        cluster: The servers.
        seed: Seed of the lengths of turns.
    """

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster, self._seed = cluster, seed
        self._player = ScriptedPlayer(proposer="strong", solver="weak", reader="perfect", seed=seed)
        self._free = [asyncio.Semaphore(cluster.slots) for _ in range(cluster.servers)]
        self._taken = [0] * cluster.servers
        self.load = Load()

    async def act(self, view: View) -> str:
        """Take a slot of the server of this conversation for the time of the turn's tokens."""
        key = "/".join(view.conversation_id)
        # A conversation stays on its server, where its prefix is cached.
        server = zlib.crc32(key.encode()) % self._cluster.servers
        asked = asyncio.get_running_loop().time()
        async with self._free[server]:
            started = asyncio.get_running_loop().time()
            self._taken[server] += 1
            tokens = self._tokens(f"{key}/{len(view.messages)}")
            share = (self._taken[server] - 1) / max(1, self._cluster.slots - 1)
            rate = self._cluster.token_seconds * (1 + (self._cluster.full_slowdown - 1) * share)
            await asyncio.sleep(tokens * rate)
            self._taken[server] -= 1
            self.load.waited += started - asked
            self.load.seconds += tokens * rate
            self.load.tokens += tokens
        return self._player.act(view)

    def _tokens(self, key: str) -> float:
        rng = np.random.default_rng([self._seed, zlib.crc32(key.encode())])
        return float(self._cluster.turn_tokens * np.exp(self._cluster.spread * rng.standard_normal()))


class SimulatedSearch:
    """A search server that answers a batch after a while.

    Args:
        scenario: What is searched.
        seconds: Seconds of a batch.
    """

    def __init__(self, scenario: Scenario, seconds: float) -> None:
        self._engine: Any = scenario.engine
        self._seconds = seconds

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Search after a while."""
        await asyncio.sleep(self._seconds)
        return self.search(queries, top_k)

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Search at once; drivers prefer `asearch`."""
        found: list[list[Passage]] = self._engine.search(queries, top_k)
        return found

    async def sample(self, rng: np.random.Generator, count: int, exclude: Collection[str]) -> list[Passage]:
        """Draw passages after a while."""
        await asyncio.sleep(self._seconds)
        drawn: list[Passage] = self._engine.sample(rng, count, exclude)
        return drawn

    def fingerprint(self) -> str:
        """Return that of the engine."""
        return str(self._engine.fingerprint())


@dataclass
class Simulation:
    """What came out.

    Attributes:
        seconds: Simulated seconds of all steps.
        utilisation: Share of all slot seconds that were spent on tokens.
        tokens_a_second: Tokens of all servers.
        staleness: Of each game that was learnt from, the updates since it began.
        waiting: Seconds that the trainer waited for games.
    """

    seconds: float = 0.0
    utilisation: float = 0.0
    tokens_a_second: float = 0.0
    waiting: float = 0.0
    staleness: list[int] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Return plain figures."""
        plain = {name: value for name, value in asdict(self).items() if name != "staleness"}
        return {
            **plain,
            "mean_staleness": float(np.mean(self.staleness)),
            "most_staleness": float(max(self.staleness)),
        }


class Training:
    """A trainer that takes batches of games as they end, and begins no game that would be too old.

    Args:
        cluster: What is simulated.
        seed: Seed of tasks and lengths.
    """

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster, self.version = cluster, 0
        self._scenario = open_scenario("tiny", rules={"attempts": cluster.attempts})
        self._begun: dict[str, int] = {}
        self._seed, self._waves = seed, 0

    async def simulate(self) -> Simulation:
        """Play and update for as many steps as are asked for."""
        clock = asyncio.get_running_loop().time
        servers = SimulatedServers(self.cluster, self._seed)
        engine = SimulatedSearch(self._scenario, self.cluster.search_seconds)
        ready: asyncio.Queue[Game] = asyncio.Queue()
        found = Simulation()
        waves = [
            asyncio.create_task(self._wave(servers, engine, ready)) for _ in range(1 + self.cluster.staleness)
        ]
        for _ in range(self.cluster.steps):
            started = clock()
            batch = [await ready.get() for _ in range(self.cluster.batch)]
            found.waiting += clock() - started
            await asyncio.sleep(self.cluster.update_seconds)
            found.staleness += [self.version - self._begun[game.id] for game in batch]
            self.version += 1
            if len(waves) < self.cluster.steps + self.cluster.staleness:
                waves.append(asyncio.create_task(self._wave(servers, engine, ready)))
        found.seconds = clock()
        slots = self.cluster.servers * self.cluster.slots
        found.utilisation = servers.load.seconds / (slots * found.seconds)
        found.tokens_a_second = servers.load.tokens / found.seconds
        for wave in waves:
            wave.cancel()
        await asyncio.gather(*waves, return_exceptions=True)
        return found

    async def _wave(
        self, player: SimulatedServers, engine: SimulatedSearch, ready: asyncio.Queue[Game]
    ) -> None:
        """Play the games of one step; `ready` gets each as soon as it ends."""
        services = Services(proposer=player, solver=player, reader=player, search=engine, seed=self._seed)
        games, cluster = self._games(), self.cluster
        driver = AsyncDriver(games, services, cohort=cluster.cohort, concurrency=cluster.batch)
        async with driver:
            async for ended in driver:
                ready.put_nowait(ended.game)

    def _games(self) -> list[Game]:
        self._waves += 1
        tasks = self._scenario.draw_tasks(self.cluster.batch, seed=self._waves)
        rules, seed = self._scenario.rules, self._seed
        games = [
            Game(task, rules, np.random.default_rng([seed, self._waves, number]), f"{self._waves}/{number}")
            for number, task in enumerate(tasks)
        ]
        self._begun.update(dict.fromkeys((game.id for game in games), self.version))
        return games


def main(
    servers: Annotated[int, typer.Option(help="Servers.", min=1)] = 1000,
    batch: Annotated[int, typer.Option(help="Games of a step.", min=1)] = 1000,
    steps: Annotated[int, typer.Option(help="Updates.", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    results: Annotated[Path, typer.Option(help="JSON file of the figures.")] = Path(
        "results/simulated_servers.json"
    ),
) -> None:
    """Simulate synchronous training, and asynchronous training of growing staleness."""
    console = Console()
    base = Cluster(servers=servers, batch=batch, steps=steps, cohort=64)
    kinds: Mapping[str, Mapping[str, Any]] = {
        "synchronous, noise from all": {"staleness": 0, "cohort": None},
        "synchronous": {"staleness": 0},
        "1 update old": {"staleness": 1},
        "2 updates old": {"staleness": 2},
    }
    found = {}
    for name, options in tracked(kinds.items(), "simulating"):
        found[name] = run(Training(replace(base, **options), seed).simulate())
    figures = {name: simulated.figures() for name, simulated in found.items()}
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({"assumed": asdict(base), "seed": seed, "found": figures}, indent=1) + "\n")
    table = Table("training at most", *("seconds", "tokens/s", "slots used", "trainer waited", "updates old"))
    for name, each in figures.items():
        table.add_row(
            name,
            f"{each['seconds']:,.0f}",
            f"{each['tokens_a_second']:,.0f}",
            f"{each['utilisation']:.0%}",
            f"{each['waiting']:,.0f}",
            f"{each['mean_staleness']:.2f}",
        )
    console.print(table, f"figures: {results}", sep="\n", highlight=False)


if __name__ == "__main__":
    typer.run(main)
