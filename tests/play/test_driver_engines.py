"""Passages that a driver finds: noise of other games and of the corpus, and engines of several kinds."""

import asyncio

import pytest

from ssp_env.game.passage import Passage
from ssp_env.play import Services, play, play_async
from tests.game.doubles import (
    HOPELESS,
    PERFECT,
    PROPOSAL,
    Script,
    Shelf,
    question,
    search,
)
from tests.play.players import make_games, noise_ids, recorded, shelf_of

PROPOSER = Script(*PROPOSAL)


# -- noise -------------------------------------------------------------------------------------------------


def test_noise_comes_from_the_other_games_evidence_first():
    class OwnPages(Shelf):
        """Every query finds one page of its own; the corpus has none to sample."""

        def search(self, queries, top_k):
            return [[Passage(query, query, "page")] for query in queries]

        def sample(self, rng, count, exclude):
            return []

    class Proposer:
        def act(self, view):
            lines = [search(f"{view.game_id} a"), search(f"{view.game_id} b"), question()]
            return Script(*lines).act(view)

    games = make_games(4, noise_passages=3)
    play(games, proposer=Proposer(), solver=HOPELESS, search=OwnPages())
    for game in games:
        assert len(noise_ids(game)) == 3
        assert not any(noise_id.startswith(game.id) for noise_id in noise_ids(game))
    assert len({noise_ids(game) for game in games}) > 1


def test_noise_is_topped_up_from_the_corpus():
    games = make_games(1, noise_passages=4)
    play(games, proposer=PROPOSER, solver=PERFECT, search=Shelf())
    assert len(noise_ids(games[0])) == 4
    assert not noise_ids(games[0]) & {"p0", "p1", "p2"}


def test_noise_never_comes_from_another_corpus():
    games = make_games(4, ("left", "right"), noise_passages=4)
    engines = {"left": shelf_of("left"), "right": shelf_of("right")}
    play(games, proposer=PROPOSER, solver=PERFECT, search=engines)
    for game in games:
        assert all(noise_id.startswith(game.task.corpus) for noise_id in noise_ids(game))


def test_the_seed_chooses_the_noise():
    def drawn(seed):
        games = make_games(3, noise_passages=2)
        play(games, proposer=PROPOSER, solver=PERFECT, search=Shelf(), seed=seed)
        return [noise_ids(game) for game in games]

    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(6)}) > 1
    assert len(set(drawn(3))) > 1, "every game draws its own noise"


def test_an_engine_that_cannot_sample_gives_no_noise():
    class SearchOnly:
        search = Shelf().search

        def fingerprint(self):
            return "x"

    games = make_games(1)
    (outcome,) = play(games, proposer=PROPOSER, solver=PERFECT, search=SearchOnly())
    assert noise_ids(games[0]) == frozenset()
    assert outcome.reason == "solved"


# -- corpora -----------------------------------------------------------------------------------------------


def test_every_game_searches_its_own_corpus():
    engines = {"left": shelf_of("left"), "right": shelf_of("right")}
    games = make_games(4, ("left", "right"))
    play(games, proposer=PROPOSER, solver=PERFECT, search=engines)
    for game in games:
        assert {passage.id.split("/")[0] for passage in game.evidence} == {game.task.corpus}
    assert [len(batch) for batch in engines["left"].batches] == [2, 2, 2]


def test_a_corpus_without_an_engine_is_named_before_anything_is_played():
    proposer = Script(*PROPOSAL)
    with pytest.raises(
        ValueError, match=r"no search engine for corpus 'moon'; there are engines for: left, right"
    ):
        play(
            make_games(1, ("moon",)),
            proposer=proposer,
            solver=PERFECT,
            search={"left": Shelf(), "right": Shelf()},
        )
    assert proposer.views == []


def test_top_k_is_the_games_own():
    class Counting(Shelf):
        def search(self, queries, top_k):
            self.top_k = [*getattr(self, "top_k", []), top_k]
            return super().search(queries, top_k)

    shelf = Counting()
    play(make_games(2, top_k=5), proposer=PROPOSER, solver=PERFECT, search=shelf)
    assert set(shelf.top_k) == {5}


# -- engines of one's own ----------------------------------------------------------------------------------


class Retriever:
    """What LangChain calls a retriever."""

    def invoke(self, query):
        return Shelf().search([query], 3)[0]


class Nodes:
    """What LlamaIndex calls a retriever."""

    def retrieve(self, query):
        return Shelf().search([query], 3)[0]


def look_up(query, top_k):
    return Shelf().search([query], top_k)[0]


async def look_up_soon(query):
    return look_up(query, 3)


@pytest.mark.parametrize("engine", [Retriever(), Nodes(), look_up, look_up_soon])
def test_retrievers_and_functions_are_engines(engine):
    expected = play(games := make_games(3), proposer=PROPOSER, solver=PERFECT, search=look_up)
    for engines in (engine, {"": engine}):
        played, awaited = make_games(3), make_games(3)
        assert play(played, proposer=PROPOSER, solver=PERFECT, search=engines) == expected
        asyncio.run(play_async(awaited, proposer=PROPOSER, solver=PERFECT, search=engines))
        assert recorded(played) == recorded(awaited) == recorded(games)
    assert [outcome.reason for outcome in expected] == ["solved"] * 3


def test_a_function_that_serves_two_corpora_stays_one_engine_and_a_mapping_of_engines_stays_itself():
    services = Services(proposer=PROPOSER, solver=PERFECT, search={"a": look_up, "b": look_up})
    assert services.search["a"] is services.search["b"]
    engines = {"a": Shelf(), "b": Shelf()}
    assert Services(proposer=PROPOSER, solver=PERFECT, search=engines).search is engines
