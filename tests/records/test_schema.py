"""The published form: every line that is written keeps it, and its page shows it."""

import json
import re
from dataclasses import fields, replace

import jsonschema
import pytest
from hypothesis import given, settings

from ssp_env.records import Episode, episode_schema, first_difference, rescore
from ssp_env.records.episode import type_schema
from tests.records.games import finished_games, refused_game, solved_game
from tests.records.regenerate import PAGE, SCHEMA_FILE, example_text, page_text, schema_text

VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
REGENERATE = "if the change is meant, run: python -m tests.records.regenerate"


def test_the_published_schema_is_the_one_of_the_code():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), REGENERATE
    jsonschema.Draft202012Validator.check_schema(episode_schema())


def test_the_derived_parts_of_the_page_are_those_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == page_text(), REGENERATE


@settings(max_examples=150)
@given(finished_games())
def test_every_line_of_any_game_keeps_the_schema(game):
    VALIDATOR.validate(json.loads(Episode.of(game, "shelf", {"step": 1}).to_line()))


def test_rescored_lines_keep_the_schema_known_or_not():
    for game, changes in (
        (solved_game(), {"min_question_words": 0}),
        (refused_game(), {"min_question_words": 0}),
    ):
        episode = Episode.of(game)
        config = replace(episode.config, **changes)
        VALIDATOR.validate(json.loads(rescore(episode, config).to_line()))


@pytest.mark.parametrize("key", [field.name for field in fields(Episode)])
def test_no_key_may_be_missing_or_be_something_else(key):
    data = json.loads(Episode.of(solved_game()).to_line())
    without = {name: value for name, value in data.items() if name != key}
    for wrong in (without, {**data, key: 3.5}, {**data, "another": 1}):
        assert not VALIDATOR.is_valid(wrong)


@pytest.mark.parametrize("where", ["events", "inputs", "outcome"])
def test_a_misspelt_field_deep_in_a_line_breaks_the_schema(where):
    data = json.loads(Episode.of(solved_game()).to_line())
    part = {
        "events": data["events"][0],
        "inputs": data["snapshot"]["inputs"][0][1],
        "outcome": data["outcome"],
    }[where]
    name, value = next((name, value) for name, value in part.items() if name != "type")
    part["x" + name] = part.pop(name)
    assert value is not None and not VALIDATOR.is_valid(data)


def test_the_example_of_the_page_is_a_valid_episode_that_replays():
    example = PAGE.read_text(encoding="utf-8").split("### Example")[1].split("```json\n")[1].split("```")[0]
    assert example.strip() == example_text()
    VALIDATOR.validate(json.loads(example))
    assert first_difference(Episode.from_data(json.loads(example))) == ""


def test_the_field_table_names_every_key():
    table = PAGE.read_text(encoding="utf-8").split("## A line")[1].split("\n\n")[1]
    named = re.findall(r"^\| `([\w.]+)` \|", table, flags=re.MULTILINE)
    snapshot = VALIDATOR.schema["properties"]["snapshot"]["properties"]
    keys = [field.name for field in fields(Episode)]
    assert [name for name in named if "." not in name] == keys
    assert [name for name in named if "." in name] == [f"snapshot.{name}" for name in snapshot]


def test_a_type_without_a_rule_is_named():
    with pytest.raises(TypeError, match="no JSON Schema for the type"):
        type_schema(complex)
