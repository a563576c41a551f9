"""Noise in units of evidence: everything some other games found, or random pages if there are none."""

from ssp_env.game import Game, GameConfig, Task
from ssp_env.game.events import EvidenceMixed
from ssp_env.game.passage import Passage
from ssp_env.play import play
from tests.game.doubles import HOPELESS, PERFECT, Script, Shelf, question, search


class OwnPages(Shelf):
    """Every query finds one page of its own, besides what the shelf can sample."""

    def search(self, queries, top_k):
        return [[Passage(query, query, "page")] for query in queries]


class Proposer:
    """Searches twice, for words of its own game; game g0 finds four pages."""

    def act(self, view):
        searches = [search(f"{view.game_id} {letter}") for letter in "abcd"]
        return Script(*searches[: 4 if view.game_id == "g0" else 2], question()).act(view)


def played(count, units, solver=HOPELESS, engine=None, corpora=("",)):
    config = GameConfig(noise_unit="evidence", noise_passages=units)
    tasks = [Task("Tavor", id=f"g{k}", corpus=corpora[k % len(corpora)]) for k in range(count)]
    games = [Game(task, config, rng=k) for k, task in enumerate(tasks)]
    play(games, proposer=Proposer(), solver=solver, search=engine or OwnPages())
    return games


def noise_ids(game):
    (event,) = [event for event in game.events if isinstance(event, EvidenceMixed)]
    return event.noise_ids


def test_a_unit_is_all_that_another_game_found():
    for game in played(4, 2):
        sources = {noise_id.split()[0] for noise_id in noise_ids(game)}
        assert len(sources) == 2
        assert game.id not in sources
        assert len(noise_ids(game)) == sum(4 if source == "g0" else 2 for source in sources)


def test_fewer_units_come_if_there_are_fewer_games():
    first, second = played(2, 4)
    assert noise_ids(first) == {"g1 a", "g1 b"}
    assert len(noise_ids(second)) == 4


def test_pages_both_games_found_are_no_noise():
    class Same(Proposer):
        def act(self, view):
            return Script(search("x"), search("y"), question()).act(view)

    games = [Game(Task("Tavor", id=key), GameConfig(noise_unit="evidence", noise_passages=1)) for key in "ab"]
    play(games, proposer=Same(), solver=PERFECT, search=OwnPages())
    assert not any(noise_id in ("x", "y") for game in games for noise_id in noise_ids(game))


def test_a_lone_game_gets_random_pages_in_the_amount_of_its_own():
    (game,) = played(1, 2)
    assert len(noise_ids(game)) == 8
