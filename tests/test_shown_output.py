"""What the pages show as printed is compared with what is printed, or it is said why it is not."""

import json
import re

from tests.markdown import PAGES, ROOT, blocks
from tests.shown_output import SHOWN

EXAMPLES = ROOT / "examples" / "README.md"


def shown_blocks():
    """Page and text of every block that is neither run nor read, and of comments on lines of their own."""
    for page in (*PAGES, EXAMPLES):
        name = page.relative_to(ROOT).as_posix()
        text = page.read_text(encoding="utf-8")
        fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL)
        yield from ((name, block) for language, block in fenced if language in ("", "text", "console"))
        for block in blocks(page, "bash"):
            yield from ((name, line) for line in block.splitlines() if line.startswith("#"))


def test_every_block_that_shows_output_is_compared_or_has_a_reason():
    found = {
        (page, text): [one for one in SHOWN if one.page == page and one.words in text]
        for page, text in shown_blocks()
    }
    assert [key for key, those in found.items() if len(those) != 1] == []
    assert {one for those in found.values() for one in those} == set(SHOWN)
    assert [one for one in SHOWN if not (one.tested or one.reason)] == []
    assert [one.tested for one in SHOWN if one.tested and not (ROOT / one.tested).exists()] == []


def block(page, words):
    (text,) = [text for name, text in shown_blocks() if name == page and words in text]
    return text


def test_the_table_of_a_run_has_the_figures_of_the_results():
    """The table of the run of seed 0, that of all seeds and README's are those of the committed results."""
    results = json.loads((ROOT / "results" / "self_play_tiny.json").read_text(encoding="utf-8"))
    measured = results["heldout"]["preset"]
    ended = [f"{measured[hops]['runs']['0']:.3f}" for hops in "123"]
    cells = [line.split("│") for line in block("docs/results.md", "Held-out").splitlines() if "│" in line]
    assert [row[4].strip() for row in cells] == ended
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in readme.splitlines() if re.match(r"\| \d hops? \|", line)]
    assert [row[3].strip() for row in rows] == ended
    assert [row[2].strip() for row in rows] == [row[2].strip() for row in cells]
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").partition("self_play_tiny.json")[0]
    for seed in range(5):
        (line,) = re.findall(rf"^\| {seed} \|(.*)$", page, flags=re.MULTILINE)
        values = [cell.split()[0] for cell in line.split("|")[:3]]
        assert values == [f"{measured[hops]['runs'][str(seed)]:.3f}" for hops in "123"]


def test_the_folders_of_the_layout_are_there():
    layout = block("docs/getting-started.md", "what a user installs")
    names = re.findall(r"^ *([\w./]+/(?:  [\w./]+)*)", layout, re.MULTILINE)
    inner = [name for line in names for name in line.split()]
    assert len(inner) > 12
    assert [
        one for one in inner if not any((ROOT / above / one).is_dir() for above in (".", "ssp_env"))
    ] == []
