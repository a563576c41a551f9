"""Prompts: they name the tags of the protocol in use and hold what the role needs."""

import pytest

from ssp_env.game import PROTOCOLS
from ssp_env.game.prompts import PROMPT_STYLES, prompt_style
from ssp_env.game.prompts.terse import PROMPT_WORDS
from ssp_env.passage import Passage

PAGES = [Passage("a", "Belin", "belin home corun"), Passage("b", "Corun", "corun mayor sarn")]


def text(messages):
    assert messages[-1].role == "user"
    assert all(message.role in ("system", "user", "assistant", "tool") for message in messages)
    return "\n".join(message.content for message in messages)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("name", PROMPT_STYLES)
def test_every_style_tells_every_role_what_it_needs(name, protocol):
    style, tags = prompt_style(name), PROTOCOLS[protocol]
    proposer = text(style.proposer(tags, "Tavor", 7))
    assert "Tavor" in proposer
    assert "7" in proposer
    assert "which river ?" in text(style.solver(tags, "which river ?"))
    reader = text(style.reader(tags, "which river ?", PAGES))
    assert "which river ?" in reader
    assert "belin home corun" in reader
    assert "corun mayor sarn" in reader


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_english_prompts_name_the_tags_of_the_protocol(protocol):
    style, tags = prompt_style("english"), PROTOCOLS[protocol]
    proposer = text(style.proposer(tags, "Tavor", 2))
    solver = text(style.solver(tags, "which river ?"))
    for tag, prompts in {
        tags.think: [proposer, solver],
        tags.search: [proposer, solver],
        tags.observation: [proposer, solver],
        tags.question: [proposer],
        tags.answer: [solver, text(style.reader(tags, "q", PAGES))],
    }.items():
        for prompt in prompts:
            assert f"<{tag}>" in prompt
    assert f"<{tags.answer}>" not in proposer
    assert f"<{tags.question}>" not in solver


def test_terse_prompts_word_for_word():
    style, tags = prompt_style("terse"), PROTOCOLS["terse"]
    assert text(style.proposer(tags, "tavor", 3)) == "propose 3 : tavor"
    assert text(style.solver(tags, "mother of home of belin ?")) == "solve mother of home of belin ?"
    reading = text(style.reader(tags, "mayor of corun ?", PAGES))
    assert reading == "read <information> belin home corun ; corun mayor sarn </information> mayor of corun ?"
    assert {"propose", "solve", "read", ":"} == set(PROMPT_WORDS)


def test_an_unknown_style_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="prompts must be one of english, few_shot, terse, got 'french'"):
        prompt_style("french")
