"""What is derived from the code: the JSON Schema of a record, and the event table and example of its page.

`python -m tests.records.regenerate` writes them anew after events, rules or outcome have got other fields.
"""

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

from ssp_env.game import Game, GameConfig, Task
from ssp_env.game.events import Event
from ssp_env.game.passage import Passage
from ssp_env.records import Episode, episode_schema

ROOT = Path(__file__).parents[2]
SCHEMA_FILE = ROOT / "ssp_env" / "records" / "episode.schema.json"
PAGE = ROOT / "docs" / "records.md"


def schema_text() -> str:
    return json.dumps(episode_schema(), indent=1) + "\n"


def page_text() -> str:
    """The page with its derived parts replaced."""
    page = PAGE.read_text(encoding="utf-8")
    for name, text in {"events": event_table(), "example": f"```json\n{example_text()}\n```\n"}.items():
        page, count = re.subn(
            rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)",
            lambda match, text=text: f"{match[1]}\n{text}\n{match[2]}",
            page,
            flags=re.DOTALL,
        )
        assert count == 1, f"docs/records.md has no place for {name}"
    return page


def event_table() -> str:
    rows = []
    for kind in get_args(Event):
        meaning = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
        names = ", ".join(f"`{field.name}`" for field in fields(kind))
        rows.append(f"| `{kind.__name__}` | {names} | {meaning} |\n")
    return "| type | fields | meaning |\n|---|---|---|\n" + "".join(rows)


def example_text() -> str:
    """The example episode, one line per key and per item of its lists."""
    return _laid_out(json.loads(example().to_line()))


def example() -> Episode:
    """A short game in the terse rules: one search, one question, one answer."""
    config = GameConfig(
        protocol="terse", prompts="terse", top_k=1, min_searches=1, min_question_words=4, rag_check=False
    )
    game = Game(Task("tavor", id="task-7", corpus="demo"), config, rng=5)
    page = Passage("p1", "sarn", "sarn mother tavor", 1.25)
    for result in (
        "<search> sarn </search>",
        [page],
        "<question> mother of sarn ? </question>",
        "<answer> tavor </answer>",
    ):
        game.submit(game.requests()[0].id, result)
    # The package's own version would change the page with every release.
    return replace(Episode.of(game, engine="3f0c7a", extra={"step": 120}), package="0.1.0")


def _laid_out(data: Mapping[str, Any], indent: str = "") -> str:
    lines = []
    for key, value in data.items():
        if key in ("inputs", "events"):
            items = ",\n".join(f"{indent}    {json.dumps(item)}" for item in value)
            lines.append(f"{indent}  {json.dumps(key)}: [\n{items}\n{indent}  ]")
        elif key == "snapshot":
            lines.append(f"{indent}  {json.dumps(key)}: {_laid_out(value, indent + '  ')}")
        else:
            lines.append(f"{indent}  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def main() -> None:
    """Write the schema file and the page anew."""
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    PAGE.write_text(page_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
