"""Texts in many languages for `benchmarks.languages`, from HTML pages of published packages.

`python -m benchmarks.language_texts OUT help-ja=FOLDER-OR-FILE ...` writes OUT/help-ja.txt: the paragraphs of
all pages below the folder, a blank line between two. A paragraph that occurred under an earlier name is left
out, so name English first: then what nobody has translated is left out. docs/search.md names the packages.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from lxml import html

from ssp_env.cli.progress import tracked

LEAST_CHARACTERS = 30


def paragraphs(page: Path) -> Iterator[str]:
    """Yield the paragraphs of a page that have some length, each on one line."""
    tree = html.fromstring(page.read_bytes(), parser=html.HTMLParser(encoding="utf-8"))
    for paragraph in tree.iter("p"):
        text = " ".join(paragraph.text_content().split())
        if len(text) >= LEAST_CHARACTERS:
            yield text


def collect(source: Path) -> list[str]:
    """Return the paragraphs of a page, or of all pages below a folder, each once.

    Raises:
        FileNotFoundError: If there is no page.
    """
    pages = sorted(source.rglob("*.html")) if source.is_dir() else [source]
    if not pages or not pages[0].is_file():
        raise FileNotFoundError(f"expected a page or a folder of *.html, got {source}")
    return list(dict.fromkeys(text for page in tracked(pages, "reading pages") for text in paragraphs(page)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a file for each NAME=SOURCE."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.language_texts", description=__doc__)
    options.add_argument("out", type=Path, help="folder for the texts")
    options.add_argument("sources", nargs="+", metavar="NAME=SOURCE", help="a page, or a folder of pages")
    chosen = options.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    for name, _, source in (text.partition("=") for text in chosen.sources):
        found = [text for text in collect(Path(source)) if text not in seen]
        seen.update(found)
        (chosen.out / f"{name}.txt").write_text("\n\n".join(found) + "\n", encoding="utf-8")
        print(f"{name}: {len(found):,} paragraphs")


if __name__ == "__main__":
    main()
