"""No information crosses: a solver never sees the answer or anything of the proposer's but the question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import PROTOCOLS, Game, GameConfig, Read, Search, Task, Turn
from ssp_env.game.prompts import PROMPT_STYLES
from tests.game.doubles import (
    QUESTION,
    Shelf,
    answer,
    propose,
    question,
    read,
    say,
    search,
    turn_of,
    write,
)

MARKER = "Zyxwvut"
SECRET = Task(MARKER, aliases=(f"{MARKER}son",), hops=3, id="t", provenance={"source": MARKER})
THOUGHT = f"the answer is {MARKER}, via qlink"


def everything_shown(game):
    return repr([request for request in game.requests() if isinstance(request, Turn)])


@pytest.mark.parametrize("style", PROMPT_STYLES)
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_a_solvers_view_never_holds_the_answer_or_the_proposers_words(style, protocol):
    config = GameConfig(protocol=protocol, prompts=style, attempts=2)
    game = Game(SECRET, config)
    assert MARKER in everything_shown(game)
    tags = game.protocol
    for query in ("belin", "corun", "sarn"):
        propose(game, write(tags, "search", query, THOUGHT))
    propose(game, write(tags, "question", QUESTION, THOUGHT))
    (request,) = game.requests()
    assert isinstance(request, Read)
    assert MARKER not in repr(request)
    assert "qlink" not in repr(request)
    read(game, answer(MARKER))
    queries = [write(tags, "search", query) for query in ("belin", "corun", "sarn")]
    for line in (queries[0], "malformed", *queries[1:]):
        for seat in ("solver_0", "solver_1"):
            shown = everything_shown(game)
            assert MARKER not in shown
            assert "qlink" not in shown
            assert QUESTION in shown
            say(game, seat, line)


def test_evidence_of_the_proposer_does_not_reach_the_solvers_attempt():
    game = Game(SECRET, GameConfig())
    propose(game)
    read(game, answer(MARKER))
    view = turn_of(game, "solver_0").view
    assert [message.role for message in view.messages] == ["system", "user"]
    assert "home in Corun" not in repr(view)
    assert view.searches_left == GameConfig().solver.max_searches


def test_the_reading_is_a_conversation_of_its_own():
    game = Game(SECRET, GameConfig())
    propose(game)
    (request,) = game.requests()
    reading = request.view
    read(game, "my notes " + answer(MARKER))
    attempt = turn_of(game, "solver_0").view
    assert reading.conversation_id != attempt.conversation_id
    assert "my notes" not in repr(attempt)


@given(
    st.lists(st.sampled_from([search("belin"), search("corun"), "hm", "<search> </search>"]), max_size=4),
    st.integers(1, 3),
)
def test_whatever_the_proposer_does_a_solver_sees_the_same(lines, attempts):
    def shown(extra):
        game = Game(
            SECRET, GameConfig(rag_check=False, attempts=attempts, min_searches=0).with_budget(retries=9), 0
        )
        propose(game, *extra, question())
        return [request.view for request in game.requests() if isinstance(request, Turn)]

    # An executed search must not be repeated, or the question breaks a rule.
    lines = list(dict.fromkeys(lines))
    assert shown(lines) == shown([])


def test_search_requests_carry_no_answer():
    game = Game(SECRET, GameConfig(rag_check=False))
    propose(game)
    game.submit(turn_of(game, "solver_0").id, search("belin"))
    (request,) = game.requests()
    assert isinstance(request, Search)
    assert MARKER not in repr(request)
    game.submit(request.id, Shelf().search([request.query], 3)[0])
