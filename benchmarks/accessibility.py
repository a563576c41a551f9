"""axe-core over pages, light and dark, wide and as on a phone: `python -m benchmarks.accessibility PATH...`.

Of a page that `ssp view` has written, every view is checked.

It needs Chromium, and axe-core, which is looked for where `npm install axe-core` puts it. It ends with status
1 if a page breaks a rule.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.chromium import Browser, Page
from ssp_env.cli.progress import tracked

AXE = Path("node_modules/axe-core/axe.min.js")
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "wide, light": {"width": 1280, "height": 900},
    "wide, dark": {"width": 1280, "height": 900, "dark": True},
    "phone, light": {"width": 390, "height": 844, "mobile": True},
    "phone, dark": {"width": 390, "height": 844, "mobile": True, "dark": True},
}


VIEWS = ("#game=A1", "#view=curves", "#view=figures")
"""What a page of `ssp view` shows beside the list that it opens with."""


def pages_of(paths: Sequence[Path]) -> list[Path]:
    """Return HTML files, those in folders included.

    Raises:
        FileNotFoundError: If there is none at a path.
    """
    found: list[Path] = []
    for path in paths:
        # The page for addresses that do not exist loads its styles from the root of a server.
        inside = (file for file in sorted(path.rglob("*.html")) if file.name != "404.html")
        files = list(inside) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise FileNotFoundError(f"expected an HTML file, or a folder with some, at {path}")
        found += files
    return found


def violations(page: Page, axe: str) -> list[dict[str, Any]]:
    """Return the rules that an open page breaks, with the elements that do."""
    page.evaluate(axe)
    # Only what breaks a rule, because the whole report of a long page is megabytes.
    found = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => JSON.stringify("
        "violations.map(({id, help, nodes}) =>"
        " ({id, help, nodes: nodes.map(node => node.target.join(' '))}))))"
    )
    return list(json.loads(found))


def checked(browser: Browser, files: Sequence[Path], axe: str) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yield every broken rule with its file and look."""
    for file in files:
        for look, options in LOOKS.items():
            page = browser.page(**options)
            page.goto(file.resolve().as_uri(), "body > *")
            page.wait("document.readyState === 'complete'")
            is_viewer = page.count("#help-button") > 0
            if is_viewer:
                page.wait("document.querySelector('#main #list') !== null")
            for violation in violations(page, axe):
                yield file, look, violation
            for view in VIEWS if is_viewer else ():
                show(page, view)
                for violation in violations(page, axe):
                    yield file, f"{look}, {view}", violation
            page.close()


def show(page: Page, view: str) -> None:
    """Go to a view of the viewer's page, and open all that can be unfolded in it."""
    page.evaluate(f"location.hash = {json.dumps(view)}; new Promise((done) => setTimeout(done, 300))")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def main(
    paths: Annotated[list[Path], typer.Argument(help="HTML files, or folders with some.")],
    axe: Annotated[Path, typer.Option(help="The file axe.min.js of axe-core.")] = AXE,
) -> None:
    """Check every page, and print which rules it breaks and where."""
    console = Console()
    if not axe.is_file():
        raise typer.BadParameter(f"{axe} is not there: npm install axe-core", param_hint="--axe")
    try:
        files = pages_of(paths)
        browser = Browser()
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    broken = 0
    try:
        for file in tracked(files, "checking pages"):
            for _, look, violation in checked(browser, [file], axe.read_text(encoding="utf-8")):
                broken += 1
                places = ", ".join(violation["nodes"][:3])
                said = f"{violation['help']}: {len(violation['nodes'])} times, at {places}"
                console.print(
                    f"{file} ({look}): {violation['id']}, {said}",
                    highlight=False,
                    soft_wrap=True,
                    markup=False,
                )
    finally:
        browser.close()
    looks = f"{len(files)} pages, each {', '.join(LOOKS)}"
    console.print(f"{looks}: {broken or 'no'} broken rules", highlight=False, soft_wrap=True)
    raise typer.Exit(int(broken > 0))


if __name__ == "__main__":
    typer.run(main)
