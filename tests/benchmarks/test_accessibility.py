"""Pages are checked in every look; what breaks a rule is named and fails the command."""

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import accessibility
from benchmarks.chromium import EXECUTABLE, NEEDED
from ssp_env.viewer.page import write_page
from tests.viewer.recorded import write_games

# Stands in for axe-core, whose rules are not ours to test: an image needs a text.
AXE = """
window.axe = {run: async (root, options) => ({violations: [...root.querySelectorAll("img:not([alt])")].length
  ? [{id: "image-alt", help: "Images need a text", nodes: [{target: ["img"]}]}] : []})};
"""


def check(*arguments):
    app = typer.Typer()
    app.command()(accessibility.main)
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.skipif(EXECUTABLE is None, reason=NEEDED)
def test_every_look_of_every_page_is_checked(tmp_path):
    (tmp_path / "axe.js").write_text(AXE)
    (tmp_path / "site" / "inner").mkdir(parents=True)
    (tmp_path / "site" / "good.html").write_text("<html><body><p>Text</p><img alt='a whale'></body></html>")
    (tmp_path / "site" / "404.html").write_text("<html><body><img></body></html>")
    told = check(tmp_path / "site", "--axe", tmp_path / "axe.js")
    assert told.exit_code == 0 and "1 pages" in told.output and "no broken rules" in told.output
    (tmp_path / "site" / "inner" / "bad.html").write_text("<html><body><img></body></html>")
    told = check(tmp_path / "site", "--axe", tmp_path / "axe.js")
    assert told.exit_code == 1 and "4 broken rules" in told.output
    for look in accessibility.LOOKS:
        assert f"bad.html ({look}): image-alt, Images need a text: 1 times, at img" in told.output
    assert "good.html (" not in told.output


@pytest.mark.skipif(EXECUTABLE is None, reason=NEEDED)
def test_every_view_of_the_viewer_is_checked(tmp_path):
    # Every page breaks a rule of these, whose element is the address of the view.
    violation = "{id: 'seen', help: 'Seen', nodes: [{target: [location.hash || 'list']}]}"
    (tmp_path / "axe.js").write_text(f"window.axe = {{run: async () => ({{violations: [{violation}]}})}};")
    write_page([write_games(tmp_path / "games.jsonl")], tmp_path / "games.html")
    told = check(tmp_path / "games.html", "--axe", tmp_path / "axe.js")
    for look in accessibility.LOOKS:
        assert f"games.html ({look}): seen, Seen: 1 times, at list" in told.output
        for view in accessibility.VIEWS:
            assert f"games.html ({look}, {view}): seen, Seen: 1 times, at {view}" in told.output


def test_what_is_missing_is_named(tmp_path):
    (tmp_path / "page.html").write_text("<p>Text</p>")
    told = check(tmp_path / "page.html", "--axe", tmp_path / "axe.js")
    assert told.exit_code == 2 and "npm install axe-core" in told.output
    (tmp_path / "axe.js").write_text(AXE)
    (tmp_path / "empty").mkdir()
    told = check(tmp_path / "empty", "--axe", tmp_path / "axe.js")
    assert told.exit_code == 2 and "expected an HTML file" in told.output
