"""Finished games to record."""

from hypothesis import strategies as st

from ssp_env.game import Game
from tests.game.doubles import QUESTION, answer, new_game, propose, read, say, search
from tests.game.random_games import fresh_games, results


@st.composite
def finished_games(draw: st.DrawFn) -> Game:
    """Random games under random rules, played to their end by random players."""
    game = draw(fresh_games())
    while game.requests():
        request = draw(st.sampled_from(game.requests()))
        game.submit(request.id, draw(results(request)))
    return game


def solved_game(**options: object) -> Game:
    """A proposer with three searches, a reader that is right, a solver that searches once and is right."""
    game = new_game(**{"noise_passages": 0, **options})
    propose(game)
    if game.config.rag_check:
        read(game)
    for seat in game.seats[1:]:
        say(game, seat, search("belin"), answer())
    return game


def refused_game() -> Game:
    """A question that is one word too short for its rules; nobody read or solved it."""
    game = new_game(min_question_words=len(QUESTION.split()) + 1)
    propose(game)
    return game
