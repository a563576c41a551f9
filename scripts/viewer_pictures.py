"""The pictures of docs/viewer.md: `python -m scripts.viewer_pictures RUN OTHER_RUN GAME`, run in a clone.

GAME is the line of the game that is shown, in RUN's episodes.jsonl. Look at every picture afterwards.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from benchmarks.chromium import Browser
from ssp_env.viewer.page import write_page

DESKTOP, PHONE = (1280, 860), (390, 844)
READER = "#game [id$=reader-title]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw desktop and phone, light and dark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs=2, type=Path, help="folders of two runs")
    parser.add_argument("game", type=int, help="line of a game of the first")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the pictures")
    options = parser.parse_args(arguments)
    game = f"#game=A{options.game}"
    browser = Browser()
    with tempfile.TemporaryDirectory() as folder:
        address = (Path(folder) / "view.html").resolve()
        write_page(options.runs, address)
        try:
            for name, fragment, size, is_dark, place in (
                ("game", f"{game}&reason=solved", DESKTOP, False, ""),
                ("game-dark", f"{game}&reason=solved", DESKTOP, True, READER),
                ("curves", "#view=curves", DESKTOP, False, ""),
                ("phone", game, PHONE, False, READER),
                ("phone-dark", "#reason=solved", PHONE, True, ""),
            ):
                page = browser.page(*size, mobile=size == PHONE, dark=is_dark)
                page.goto(address.as_uri() + fragment)
                page.wait("document.readyState === 'complete'")
                if "game=" in fragment:
                    page.wait("document.querySelector('#game-title')")
                if place:
                    page.wait(f"document.querySelector({json.dumps(place)})")
                    page.evaluate(f"document.querySelector({json.dumps(place)}).scrollIntoView()")
                page.evaluate("new Promise((done) => setTimeout(done, 500))")
                picture = options.out / f"viewer-{name}.png"
                page.screenshot(picture)
                # A third of the size; a few hues change slightly.
                Image.open(picture).convert("RGB").quantize(256).save(picture, optimize=True)
                assert not page.errors, page.errors
                page.close()
        finally:
            browser.close()


if __name__ == "__main__":
    main()
