"""Replies of reasoning models whose template ends the prompt with the opening think tag."""

import pytest

from ssp_env.game import PROTOCOLS, Game, Task

SAID = "Maybe <answer> Sarn </answer>? No.\n</think>\n\n<answer> Tavor </answer>"


def test_an_answer_in_the_thought_is_not_scored():
    game = Game(Task("Tavor", question="Who was mayor of Corun?"))
    game.submit("solver_0/turn/0", SAID)
    assert game.outcome.reason == "solved"


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name.startswith("default")])
def test_no_tag_protocol_reads_the_thought(name):
    action = PROTOCOLS[name].parse(SAID, "answer")
    assert (action.kind, action.content) == ("answer", "Tavor")


def test_a_rendered_prompt_says_that_the_turn_begins_in_a_thought():
    protocol = PROTOCOLS["default"]
    assert protocol.begins_in_thought("<|im_start|>assistant\n<think>\n")
    assert not protocol.begins_in_thought("<|im_start|>assistant\n<think>\n\n</think>\n")
