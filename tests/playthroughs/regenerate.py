"""Golden playthroughs: scripted games written out in full, one file each beside this one.

`python -m tests.playthroughs.regenerate --check` plays them again and shows how they differ from the files,
with status 1 if they do; without `--check` it writes the files anew. Look at the difference before you commit
it.
"""

import argparse
import difflib
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from ssp_env.game import (
    Game,
    GameConfig,
    Reply,
    Request,
    View,
)
from ssp_env.game.requests import Result
from ssp_env.viewer.text import render_events, render_outcome, render_task
from tests.game.doubles import rules
from tests.playthroughs.scenarios import SCENARIOS, Scenario

FOLDER = Path(__file__).parent


def open_game(scenario: Scenario) -> Game:
    """The game of a scenario before its first turn."""
    task = replace(scenario.task, question=scenario.question)
    return Game(task, rules(**scenario.rules), rng=0, earlier=scenario.earlier)


def finished_game(scenario: Scenario) -> Game:
    """The game of a scenario after its last turn."""
    game, said = open_game(scenario), dict[str, int]()
    while game.requests():
        request = game.requests()[0]
        game.submit(request.id, scenario.result(request, said))
    return game


def playthrough(scenario: Scenario) -> str:
    """Play a scenario and write down everything that was asked, answered, recorded and paid."""
    game = open_game(scenario)
    parts = [scenario.about + "\n", render_task(scenario.task), f"rules: {_changed(game.config)}\n"]
    shown: dict[tuple[str, str, str], int] = {}
    said: dict[str, int] = {}
    while game.requests():
        request = game.requests()[0]
        parts.append("\n" + "\n".join(_asked(request, shown)) + "\n")
        result = scenario.result(request, said)
        parts.append(_answered(result) + "\n")
        game.submit(request.id, result)
    assert game.outcome is not None
    assert {seat: len(lines) for seat, lines in scenario.lines.items()} == said, "some lines were never said"
    metrics = ", ".join(f"{name} {value:g}" for name, value in game.outcome.metrics.items())
    parts += [
        "\n== events\n",
        render_events(game.events),
        render_outcome(game.outcome),
        f"metrics: {metrics}\n",
    ]
    return "".join(parts)


def _changed(config: GameConfig) -> str:
    published = asdict(GameConfig())
    changed = [
        f"{seat}.{key}={value}"
        for seat in ("proposer", "solver")
        for key, value in asdict(getattr(config, seat)).items()
        if value != published[seat][key]
    ]
    changed += [
        f"{key}={value}"
        for key, value in asdict(config).items()
        if key not in ("proposer", "solver") and value != published[key]
    ]
    return ", ".join(changed) or "published"


def _asked(request: Request, shown: dict[tuple[str, str, str], int]) -> Iterator[str]:
    view = getattr(request, "view", None)
    if isinstance(view, View):
        budget = f"turns left {view.turns_left}, searches left {view.searches_left}"
        yield f"== {request.id} ({view.probe or view.phase}, {budget})"
        for message in view.messages[shown.get(view.conversation_id, 0) :]:
            to = f" to {message.tool_call_id}" if message.tool_call_id else ""
            yield f"[{message.role}{to}]\n{message.content}"
            yield from (f"{call.id}: {call.name} {call.arguments}" for call in message.tool_calls)
        shown[view.conversation_id] = len(view.messages)
    else:
        yield f"== {request.id}"
        for key, value in sorted(asdict(request).items()):
            yield f"{key}: {sorted(value) if isinstance(value, frozenset) else value}"


def _answered(result: Result) -> str:
    if isinstance(result, list):
        return "-> " + (", ".join(passage.id for passage in result) or "nothing")
    if isinstance(result, Reply):
        calls = "; ".join(f"{call.id}: {call.name} {call.arguments}" for call in result.tool_calls)
        return f"-> {result.text} ({calls})"
    return f"-> {result}"


def difference(name: str) -> str:
    """How a game differs from its file, as a unified diff; empty if it does not."""
    path = FOLDER / f"{name}.txt"
    on_file = path.read_bytes().decode() if path.exists() else ""
    played = playthrough(SCENARIOS[name])
    return "".join(
        line if line.endswith("\n") else line + "\n"
        for line in difflib.unified_diff(
            on_file.splitlines(keepends=True),
            played.splitlines(keepends=True),
            f"{path.name} (on file)",
            f"{path.name} (played now)",
        )
    )


def main() -> None:
    """Write every playthrough anew, or compare."""
    parser = argparse.ArgumentParser(description="Write the golden playthroughs anew, or compare with them.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; show differences, status 1 if any"
    )
    if parser.parse_args().check:
        differences = [text for name in SCENARIOS if (text := difference(name))]
        print("".join(differences), end="")
        sys.exit(f"{len(differences)} of {len(SCENARIOS)} games differ" if differences else 0)
    for name, scenario in SCENARIOS.items():
        (FOLDER / f"{name}.txt").write_bytes(playthrough(scenario).encode())


if __name__ == "__main__":
    main()
