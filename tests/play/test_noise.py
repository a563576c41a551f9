"""The pool of evidence that games of a cohort draw noise from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import Game, GameConfig, Noise, Task
from ssp_env.game.passage import Passage
from ssp_env.play import play
from ssp_env.play.schedule import EvidencePool
from tests.game.doubles import PERFECT, PROPOSAL, Script, Shelf, new_game, say, search


class Pages:
    """Finds the pages a query names."""

    def search(self, queries, top_k):
        return [[Passage(name, name, "page") for name in query.split()][:top_k] for query in queries]


def game_that_found(name, *pages, corpus=""):
    game = Game(Task("Tavor", id=name, corpus=corpus), GameConfig(top_k=20))
    if pages:
        say(game, "proposer_0", search(" ".join(pages)), shelf=Pages())
    return game


def pool_of(games):
    pool = EvidencePool()
    for place, game in enumerate(games):
        pool.add(place, game)
    return pool


def request_of(game, count):
    return Noise("noise", count, frozenset(passage.id for passage in game.evidence))


def ids(draw):
    return [passage.id for passage in draw.passages]


NAMES = st.lists(st.sampled_from("abcdefghij"), max_size=6, unique=True)


@given(found=st.lists(NAMES, min_size=1, max_size=6), count=st.integers(0, 8), seed=st.integers(0, 9))
def test_a_draw_is_a_permutation_of_what_others_found(found, count, seed):
    games = [game_that_found(f"g{index}", *pages) for index, pages in enumerate(found)]
    draw = pool_of(games).draw(games[0], request_of(games[0], count), seed)
    others = sorted(set().union(*found) - set(found[0]))
    order = np.random.default_rng([seed, *b"g0"]).permutation(len(others))
    assert ids(draw) == [others[index] for index in order[:count]]
    assert draw.missing == count - len(draw.passages)
    assert draw.known == set(found[0]) | set(ids(draw))


def test_a_draw_does_not_depend_on_the_draws_before_or_the_order_of_arrival():
    games = [
        game_that_found("g0", "a", "b"),
        game_that_found("g1", "b", "c"),
        game_that_found("g2", "d", "e"),
    ]
    pool, backwards = pool_of(games), EvidencePool()
    for place in (2, 1, 0):
        backwards.add(place, games[place])
    request = request_of(games[0], 2)
    first = pool.draw(games[0], request, 5)
    pool.draw(games[1], request_of(games[1], 2), 5)
    assert ids(first) == ids(pool.draw(games[0], request, 5)) == ids(backwards.draw(games[0], request, 5))


def test_what_another_corpus_holds_is_never_drawn():
    games = [game_that_found("g0", "a", corpus="x"), game_that_found("g1", "b", corpus="y")]
    draw = pool_of(games).draw(games[0], request_of(games[0], 3), 0)
    assert draw.passages == [] and draw.missing == 3


def test_a_game_added_late_is_drawn_from():
    games = [game_that_found("g0", "a"), game_that_found("g1", "b"), game_that_found("g2", "c")]
    pool = pool_of(games[:2])
    assert ids(pool.draw(games[0], request_of(games[0], 9), 0)) == ["b"]
    pool.add(2, games[2])
    assert set(ids(pool.draw(games[0], request_of(games[0], 9), 0))) == {"b", "c"}


def test_any_id_seeds_a_draw():
    game = new_game(Task("Tavor", id="\ud800é"))
    assert EvidencePool().draw(game, Noise("noise", 2, frozenset()), 0).missing == 2


def whole_evidence(count):
    return Noise("noise", count, frozenset({"a"}), "evidence")


@pytest.mark.parametrize("seed", range(8))
def test_whole_evidence_comes_from_as_many_games_as_asked_for(seed):
    games = [
        game_that_found("g0", "a"),
        game_that_found("g1", "b", "c", "a"),
        game_that_found("g2", "d", "e"),
        game_that_found("g3"),
        game_that_found("g4", "f", "d"),
    ]
    draw = pool_of(games).draw(games[0], whole_evidence(2), seed)
    pairs = [{"b", "c", "d", "e"}, {"b", "c", "f", "d"}, {"d", "e", "f"}]
    assert set(ids(draw)) in pairs
    assert len(ids(draw)) == len(set(ids(draw)))
    assert draw.missing == 0


def test_other_games_evidence_is_not_topped_up():
    games = [game_that_found("g0", "a"), game_that_found("g1", "b", "c")]
    draw = pool_of(games).draw(games[0], whole_evidence(4), 0)
    assert ids(draw) == ["b", "c"]
    assert draw.missing == 0


def test_without_other_games_random_passages_stand_in_for_each_unit():
    games = [game_that_found("g0", "a", "b")]
    request = Noise("noise", 3, frozenset({"a", "b"}), "evidence")
    draw = pool_of(games).draw(games[0], request, 0)
    assert (ids(draw), draw.missing, draw.known) == ([], 6, {"a", "b"})


def test_an_engine_that_cannot_sample_is_named_once(caplog):
    def find_without_noise(query):
        return Shelf().search([query], 5)[0]

    for _ in range(2):
        play(
            [new_game(noise_passages=1)],
            proposer=Script(*PROPOSAL),
            solver=PERFECT,
            search=find_without_noise,
        )
    (record,) = [record for record in caplog.records if record.name == "ssp_env.noise"]
    assert "the search engine find_without_noise has no method sample" in record.getMessage()
