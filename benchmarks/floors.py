"""What players that do not learn are paid in the Gymnasium environments: `python -m benchmarks.floors`.

Random players choose among the actions that there are: those that are numbers by their mask, those that are
texts of the right form over words that they have read. Scripted ones follow a rule. All see what a learner
sees.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import gymnasium
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import ssp_env  # noqa: F401  (registers the environments)
from agents.scripted import ScriptedPlayer
from benchmarks.by_the_numbers import Mask, Numbers, ProposerByTheNumbers, SolverByTheNumbers
from ssp_env.cli.progress import tracked
from ssp_env.game import PROTOCOLS, View
from ssp_env.scoring import wilson_interval
from ssp_env.worlds import TERSE_RELATIONS, parse_facts

_TERSE = PROTOCOLS["terse"]
IDS = tuple(
    f"SearchSelfPlay/{role}{split}-v1" for role in ("Solver", "Proposer") for split in ("", "Heldout")
)
NUMERIC_IDS = tuple(name.replace("/", "/Numeric") for name in IDS)
Player = Callable[[View], str]
NumericPolicy = Callable[[Numbers, Mask], int]


class RandomPlayer:
    """Searches for a name that it has read, or ends its part, each half of the time."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, view: View) -> str:
        """Write an action of the right form."""
        opening, *later = [message.content for message in view.messages if message.role != "assistant"]
        names = [opening.split()[-1 if view.role == "proposer" else -2]]
        for shown in later:
            inside = shown.partition(f"<{_TERSE.observation}>")[2].rpartition(f"</{_TERSE.observation}>")[0]
            names += [name for fact in parse_facts(inside) for name in (fact.subject, fact.target)]
        name = str(self._rng.choice(names))
        if view.may_search and self._rng.random() < 0.5:
            return _TERSE.wrap(_TERSE.search, name)
        if view.role == "solver":
            return _TERSE.wrap(_TERSE.answer, name)
        relations = self._rng.choice(TERSE_RELATIONS, size=int(self._rng.integers(1, 4)))
        return _TERSE.wrap(_TERSE.question, f"{' of '.join([*relations, name])} ?")


def players(seed: int) -> Mapping[str, Player]:
    """Return the players, from the floor up."""
    weak = ScriptedPlayer(proposer="weak", solver="weak", seed=seed)
    best = ScriptedPlayer(proposer="strong", solver="perfect", seed=seed)
    return {"random": RandomPlayer(seed), "scripted, weak": weak.act, "scripted, best": best.act}


class RandomAction:
    """Chooses one of the actions that there are, all alike."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, observation: Numbers, mask: Mask) -> int:
        """Choose an action."""
        return int(self._rng.choice(np.flatnonzero(mask)))


def numeric_policies(name: str, seed: int) -> Mapping[str, NumericPolicy]:
    """Return the players of an environment in numbers, from the floor up."""
    rules = gymnasium.make(name).unwrapped.rules  # type: ignore[attr-defined]
    best = SolverByTheNumbers if "Solver" in name else ProposerByTheNumbers
    return {"random": RandomAction(seed), "scripted, best": best(rules)}


def numeric_rewards(name: str, policy: NumericPolicy, episodes: int, seed: int) -> list[float]:
    """Play episodes of an environment in numbers; return what each of them paid."""
    env = gymnasium.make(name, disable_env_checker=True)
    paid = []
    env.reset(seed=seed)
    for _ in range(episodes):
        (seen, info), over, reward = env.reset(), False, 0.0
        while not over:
            seen, found, terminated, truncated, info = env.step(policy(seen, info["action_mask"]))
            over, reward = terminated or truncated, float(found)
        paid.append(reward)
    return paid


def rewards(name: str, player: Player, episodes: int, seed: int) -> list[float]:
    """Play episodes of an environment; return what each of them paid."""
    env: Any = gymnasium.make(name, disable_env_checker=True).unwrapped
    paid = []
    env.reset(seed=seed)
    for _ in range(episodes):
        env.reset()
        over, reward = False, 0.0
        while not over:
            _, reward, terminated, truncated, _ = env.step(player(env.view))
            over = terminated or truncated
        paid.append(float(reward))
    return paid


def measured(paid: list[float]) -> dict[str, float]:
    """Return the mean reward and its 95 % interval; every episode pays 0 or 1 and has a world of its own."""
    low, high = wilson_interval(sum(reward == 1 for reward in paid), len(paid))
    return {"mean": float(np.mean(paid)), "low": low, "high": high}


def floors(name: str, episodes: int, seed: int) -> dict[str, dict[str, float]]:
    """Measure every player of an environment."""
    if name in NUMERIC_IDS:
        return {
            label: measured(numeric_rewards(name, policy, episodes, seed))
            for label, policy in numeric_policies(name, seed).items()
        }
    return {label: measured(rewards(name, player, episodes, seed)) for label, player in players(seed).items()}


def _cell(row: Mapping[str, float] | None) -> str:
    return f"{row['mean']:.3f} ({row['low']:.3f}..{row['high']:.3f})" if row else ""


def main(
    episodes: Annotated[int, typer.Option(help="Episodes of each player and environment.", min=2)] = 400,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    results: Annotated[Path, typer.Option(help="JSON file of the figures.")] = Path("results/floors.json"),
) -> None:
    """Play, print the table and write the figures."""
    console = Console()
    table = Table(title=f"Mean reward of {episodes} episodes (95 %)", title_justify="left")
    table.add_column("environment", no_wrap=True)
    for heading in players(seed):
        table.add_column(heading)
    figures: dict[str, Any] = {"episodes": episodes, "seed": seed, "rewards": {}}
    for name in tracked((*IDS, *NUMERIC_IDS), "playing"):
        found = figures["rewards"][name] = floors(name, episodes, seed)
        table.add_row(name.partition("/")[2], *(_cell(found.get(label)) for label in players(seed)))
    console.print(table)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
