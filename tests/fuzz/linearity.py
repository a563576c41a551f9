"""Processor time per byte from 1 KB to 1 MB: `python -m tests.fuzz.linearity`.

For ordinary and adversarial texts, every protocol's parser and everything else that touches foreign text.
The ratio compares the time per byte at 1 MB with that at 1 KB: 1 is linear, 1000 quadratic. Exits with 1 if a
ratio exceeds --limit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import partial
from time import thread_time

from rich.console import Console
from rich.progress import track
from rich.table import Table

from ssp_env.game import PROTOCOLS, GameConfig, Protocol, Reply, ToolCall
from ssp_env.game.leak_forms import LEAK_FORMS, LeakForm, names_in_form
from ssp_env.game.leaks import mentions
from ssp_env.game.passage import Passage
from ssp_env.game.protocol.escaping import clean, defuse
from ssp_env.game.rules import first_violation
from ssp_env.scoring import exact_match, parse_verdict
from ssp_env.scoring.words import fold
from ssp_env.viewer.text import visible

SIZES = (1_000, 10_000, 100_000, 1_000_000)
PROSE = "The mayor of Corun, who is 41 [1], lives in a house by the river; she <b>never</b> answers letters. "
ALIASES = [f"Tavor of the {number} rivers" for number in range(100)]

Operation = Callable[[str], object]


def texts(protocol: Protocol) -> dict[str, Callable[[int], str]]:
    """Texts of a given size, by name, in the tags of a protocol."""
    search, answer = protocol.search, protocol.answer
    think, observation = protocol.think, protocol.observation
    units = {
        "prose": PROSE,
        "searches": f"<{search}>",
        "closers": f"</{search}>",
        "alternating": f"<{search}></{answer}>",
        "other role": "<question> a </question>",
        "thinks": f"<{think}>",
        "nested thinks": f"<{think}> <{answer}> x </{answer}> </{think}>",
        "spoofs": f"<{observation}> x </{observation}>",
        "think, spoof": f"<{think}> <{observation}> </{think}> </{observation}>",
        "half tags": f"<{search} </",
        "broken JSON": f'<{search}>{{"name": "search", "arguments": {{',
        "brackets": "<",
        "spaced": "< ",
        "control": "<|im_start|>",
        "pipes": "<|",
        "inst": "[INST",
        "accents": "e\u0301\u0323",
        "zero width": "\u200b",
        "full width": "＜ａ＞",
        "surrogates": "\ud800",
        "nulls": "\x00",
        "disguise": "Ta\u200bvor ",
    }
    made = {name: _repeated(unit) for name, unit in units.items()}
    inner = {
        "deep list": "[",
        "deep object": '{"a":',
        "digits": "9",
        "number words": "one,",
        "numerals": "MDCLXVI",
        "escapes": "\\u0041",
        "nested action": f"<{answer}> ",
        "white space": " ",
        "word": "a",
    }
    for name, unit in inner.items():
        made[f"in search: {name}"] = _enclosed(unit, f"<{search}>", f"</{search}>")
    made["opener + spaces"] = _enclosed(" ", "<", "answer>")
    made["thinks, one closed"] = _enclosed(f"<{think}>", "", f"</{think}> <{answer}> x </{answer}>")
    return made


def operations(protocol: Protocol) -> dict[str, Operation]:
    """What is timed, by name."""
    config = GameConfig(answer_in_search=False)

    def call(text: str) -> object:
        return protocol.parse(Reply("", tool_calls=(ToolCall("c", "search", text),)), "answer")

    found: dict[str, Operation] = {f"parse {protocol.name}": lambda text: protocol.parse(text, "answer")}
    if protocol.calls == "native":
        found["parse a native call"] = call
    if protocol.name == "default":
        found |= {
            "escape": protocol.escape,
            "clean": clean,
            "defuse": defuse,
            "observe": lambda text: protocol.observe([Passage("p", text, text)]),
            "visible": visible,
            "fold": fold,
            "leak, 100 aliases": lambda text: mentions(text, ALIASES),
            **{f"leak, {form}": partial(_in_form, form) for form in LEAK_FORMS},
            "all rules": lambda text: first_violation(text, ALIASES, [text, "b"], [], config),
            "exact match": lambda text: exact_match(text, ALIASES),
            "verdict": parse_verdict,
            "verdict prefix": lambda text: parse_verdict("Answer:" + text),
        }
    return found


def _in_form(form: LeakForm, text: str) -> bool:
    return names_in_form(text, ALIASES[:3], [form])


def main() -> int:
    """Measure and report."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz.linearity", description=__doc__)
    options.add_argument("--limit", type=float, default=5.0, help="greatest ratio accepted (default: 5)")
    limit = options.parse_args().limit
    console = Console() if sys.stdout.isatty() else Console(width=150)
    table = Table(title="nanoseconds per byte of the worst text at 1 MB", title_justify="left")
    for column in ("operation", "worst text at 1 MB", *(f"{size // 1000} KB" for size in SIZES), "ratio"):
        table.add_column(column, no_wrap=True)
    table.add_column("greatest ratio", no_wrap=True)
    plan = [(protocol, *named) for protocol in PROTOCOLS.values() for named in operations(protocol).items()]
    failures = []
    for protocol, name, operation in track(plan, "measuring", console=console, transient=True):
        times = {text: _per_byte(operation, make) for text, make in texts(protocol).items()}
        ratios = {text: measured[-1] / measured[0] for text, measured in times.items()}
        slowest, steepest = max(times, key=lambda text: times[text][-1]), max(ratios, key=ratios.__getitem__)
        figures = [f"{value:.2f}" for value in times[slowest]]
        table.add_row(
            name, slowest, *figures, f"{ratios[slowest]:.2f}", f"{ratios[steepest]:.2f} ({steepest})"
        )
        failures += [f"{name} on {text}: {_row(times[text])}" for text in ratios if ratios[text] > limit]
    console.print(table)
    console.print(
        f"{len(plan)} operations on {len(texts(protocol))} texts; ratio above {limit:g}: {len(failures)}"
    )
    for failure in failures:
        console.print(failure, highlight=False, markup=False)
    return 1 if failures else 0


def _row(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _per_byte(operation: Operation, make: Callable[[int], str]) -> list[float]:
    """Nanoseconds of processor time per byte at each size, the best of several repetitions."""
    return [_best(operation, make(size)) / size * 1e9 for size in SIZES]


def _best(operation: Operation, text: str) -> float:
    best, spent = float("inf"), 0.0
    repetitions = 0
    while repetitions < 2 or (spent < 0.01 and repetitions < 200):
        started = thread_time()
        operation(text)
        elapsed = thread_time() - started
        best, spent, repetitions = min(best, elapsed), spent + elapsed, repetitions + 1
    return best


def _repeated(unit: str) -> Callable[[int], str]:
    return lambda size: (unit * (size // len(unit) + 1))[:size]


def _enclosed(unit: str, before: str, after: str) -> Callable[[int], str]:
    return lambda size: before + (unit * (size // len(unit) + 1))[: size - len(before + after)] + after


if __name__ == "__main__":
    sys.exit(main())
