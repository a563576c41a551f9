"""A game as HTML for notebooks and as a picture: whole, and harmless whatever its texts are."""

import re
from html.parser import HTMLParser
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from ssp_env import search_self_play_v0
from ssp_env.game import Game
from ssp_env.records import Episode
from ssp_env.viewer.markup import COLUMNS, game_html, game_svg, marked
from ssp_env.viewer.notebook import load_ipython_extension, show
from tests.records.games import finished_games, solved_game
from tests.viewer.recorded import HOSTILE, broken_game, forged_game, hostile_game

TAGS = {"div", "p", "strong", "table", "tbody", "tr", "th", "td"}


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("make", [solved_game, forged_game, broken_game, hostile_game])
def test_html_shows_everything_and_runs_nothing(make):
    shown = Elements(game_html(make()))
    assert set(shown.tags) == TAGS and shown.attributes == {"style", "dir", "scope"}
    for said in ("proposer_0", "outcome", "rewards" if make is not broken_game else "the model is down"):
        assert said in shown.text
    if make is hostile_game:
        assert marked(HOSTILE) in shown.text and "\u202e" not in shown.text and "\u200b" not in shown.text


@settings(max_examples=25)
@given(finished_games())
def test_any_game_is_a_picture(game):
    root = ElementTree.fromstring(game_svg(game))
    assert {element.tag.split("}")[1] for element in root.iter()} == {"svg", "title", "style", "rect", "text"}
    height = float(root.get("height"))
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        assert float(element.get("y")) <= height and len(element.text or "") <= COLUMNS + 12
    Elements(game_html(game))


def test_a_picture_shortens_passages_and_keeps_what_was_written():
    svg = game_svg(forged_game())
    text = "\n".join(element.text or "" for element in ElementTree.fromstring(svg).iter())
    assert "2 retrieved, 2 noise" in text.replace("3", "2") and "✗ (malformed: no_action)" in text
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    wide = "漢字" * 100
    game = solved_game()
    lines = [
        line for line in game_svg(Game(game.task.__class__(wide, id="wide"))).split("<text") if "漢" in line
    ]
    assert len(lines) > 3 and all(
        len(re.findall("[漢字]", line)) <= (COLUMNS + 12) // 2 for line in lines[1:]
    )


def test_notebooks_show_games_and_records_alike():
    game = solved_game()
    assert show(game)._repr_html_() == show(Episode.of(game))._repr_html_() == game_html(game)
    assert str(show(game)).startswith("game task-0: Tavor (2 hops, also Tavor of Ruvia)\nproposer_0 ")
    assert show(game).svg() == game_svg(game)
    with pytest.raises(TypeError, match="expected a Game or an Episode, got str"):
        show("game")


def test_the_extension_registers_both():
    known = {}
    formatter = SimpleNamespace(for_type=lambda kind, function: known.update({kind: function}))
    load_ipython_extension(
        SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": formatter}))
    )
    game = solved_game()
    assert known[Game](game) == known[Episode](Episode.of(game)) == game_html(game)


def test_environments_render_html():
    env = search_self_play_v0.raw_env(scenario="tiny", render_mode="html")
    env.reset(seed=1)
    assert Elements(env.render()).text.startswith("game ")
