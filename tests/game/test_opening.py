"""Opening parts of pages: what may be opened, what it costs, and that it is evidence like what was found."""

import json

import pytest

from ssp_env import search_self_play_v0
from ssp_env.game import PROTOCOLS, Game, Task
from ssp_env.game.events import NoticeGiven, PageOpened
from ssp_env.game.passage import Passage
from ssp_env.game.requests import Open
from ssp_env.play import play
from ssp_env.records import Episode, first_difference
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.parts import PartSize, cut_pages
from ssp_env.viewer.text import render_events
from tests.envs.games import finish
from tests.game.doubles import Script, answer, open_requests, question, rules, say, search, turn_of

BOOK = Passage(
    "harbours.md",
    "Harbours",
    "The town of Corun has a harbour. Belin has her home there. "
    "Its mayor of many years is Sarn. People like him a lot. "
    "The mother of Sarn is Tavor. She was a weaver by trade.",
)
OTHERS = [Passage(f"n{number}", f"Nobody {number}", "Nobody lives in Elsewhere.") for number in range(6)]
ENGINE = BM25Engine([*cut_pages([BOOK], PartSize(words=12, overlap=0)), *OTHERS])
QUESTION = Task("Tavor", question="Who is the mother of the mayor of the town where Belin has her home?")
OPENING = [name for name, protocol in PROTOCOLS.items() if protocol.open]


def solving(protocol="default-open", **options):
    return Game(QUESTION, rules(protocol=protocol, **options))


def serve(game):
    while found := [request for request in game.requests() if not hasattr(request, "view")]:
        request = found[0]
        if isinstance(request, Open):
            game.submit(request.id, [page for page in ENGINE.get_passages([request.passage_id]) if page])
        else:
            game.submit(request.id, ENGINE.search([request.query], request.top_k)[0])


def act(game, *lines, seat="solver_0"):
    for line in lines:
        game.submit(turn_of(game, seat).id, line)
        serve(game)


def last_message(game, seat="solver_0"):
    return turn_of(game, seat).view.messages[-1].content


def opened(reference):
    return f"<open> {reference} </open>"


def test_a_result_names_the_part_and_another_part_can_be_opened():
    game = solving(top_k=1)
    act(game, search("Belin home"))
    assert "Doc 1 (Title: Harbours, page: harbours.md#1/3)" in last_message(game)
    act(game, opened("harbours.md#3"))
    assert "Doc 1 (Title: Harbours, page: harbours.md#3/3)" in last_message(game)
    assert "The mother of Sarn is Tavor." in last_message(game)
    (event,) = [event for event in game.events if isinstance(event, PageOpened)]
    assert (event.seat, event.passage_id) == ("solver_0", "harbours.md#3/3")
    act(game, answer("Tavor"))
    assert game.outcome.reason == "solved"
    assert game.outcome.metrics["solver_opens"] == 1.0
    assert "open        for solver_0: harbours.md#3/3" in render_events(game.events)


@pytest.mark.parametrize("protocol", OPENING)
def test_every_protocol_that_opens_writes_what_it_reads(protocol):
    game = solving(protocol, top_k=1)
    syntax = game.protocol
    act(game, syntax.write("search", "Belin home"), syntax.write("open", "harbours.md#2"))
    assert "Its mayor of many years is Sarn." in last_message(game)
    assert turn_of(game, "solver_0").view.opens_left == 9


@pytest.mark.parametrize("reference", ["harbours.md#2", "harbours.md#2/3", "harbours.md#2/99"])
def test_a_part_may_be_named_with_and_without_the_number_of_parts(reference):
    game = solving(top_k=1)
    act(game, search("Belin home"), opened(reference))
    assert "page: harbours.md#2/3" in last_message(game)


def test_a_page_alone_is_its_first_part_and_a_whole_page_can_be_read_again():
    game = solving(top_k=1)
    act(game, search("mother weaver"), opened("harbours.md"))
    assert "page: harbours.md#1/3" in last_message(game)
    act(game, search("Elsewhere"), opened("n0"))
    assert "Nobody lives in Elsewhere." in last_message(game)


@pytest.mark.parametrize("reference", ["n0", "harbours.md#4", "other.md#1", "harbours.md#0", "harbours"])
def test_what_no_search_has_listed_is_never_opened(reference):
    game = solving(top_k=1)
    act(game, search("Belin home"), opened(reference))
    assert "No search of yours has listed this part of a page." in last_message(game)
    assert [event.notice for event in game.events if isinstance(event, NoticeGiven)] == ["not_listed"]
    assert turn_of(game, "solver_0").view.opens_left == 10


def test_searches_of_another_seat_list_nothing():
    game = solving(top_k=1, attempts=2)
    act(game, search("Belin home"))
    act(game, opened("harbours.md#2"), seat="solver_1")
    assert "No search of yours has listed" in last_message(game, "solver_1")


def test_the_budget_of_opened_parts_is_its_own():
    game = solving(top_k=1, max_opens=1, max_searches=1)
    act(game, search("Belin home"), opened("harbours.md#2"), opened("harbours.md#3"))
    assert "No more parts of pages can be opened." in last_message(game)
    view = turn_of(game, "solver_0").view
    assert (view.opens_left, view.searches_left, view.may_open) == (0, 0, False)


def test_published_protocols_open_nothing():
    game = solving("default", top_k=1)
    act(game, search("Belin home"))
    assert "page:" not in last_message(game)
    act(game, opened("harbours.md#2"))
    assert "no complete action" in last_message(game)
    assert "solver_opens" not in game.outcome.metrics if game.outcome else True
    assert turn_of(game, "solver_0").view.opens_left == 0


def proposer(*lines):
    asked = "Who is the mother of the man who has long been mayor where Belin has her home?"
    return Script(search("Belin home"), *lines, question(asked))


def test_what_the_proposer_opened_is_evidence_that_the_reader_reads():
    shown = []

    def reader(view):
        shown.append(view.messages[-1].content)
        return answer("Tavor") if "The mother of Sarn is Tavor." in shown[-1] else answer("nobody")

    def game():
        config = rules(protocol="default-open", top_k=1, min_searches=1, noise_passages=2)
        return Game(Task("Tavor", hops=1), config)

    solver = Script(answer("nobody"))
    (without,) = play([game()], proposer=proposer(), solver=solver, search=ENGINE, reader=reader)
    assert without.reason == "not_recovered"
    with_it = game()
    finding = proposer(opened("harbours.md#3"))
    play([with_it], proposer=finding, solver=solver, search=ENGINE, reader=reader)
    assert with_it.outcome.reason == "unsolved"
    assert "page: harbours.md#3/3" in shown[-1]
    assert with_it.outcome.metrics["proposer_opens"] == 1.0
    assert Game.restore(json.loads(json.dumps(with_it.snapshot()))).events == with_it.events
    assert first_difference(Episode.from_data(json.loads(Episode.of(with_it).to_line()))) == ""


def test_an_engine_that_cannot_open_is_refused_before_the_first_game():
    with pytest.raises(ValueError, match=r"default-open opens parts.*get_passages\(ids\), got .* without it"):
        play([solving()], proposer=None, solver=Script(answer()), search=lambda query: [])


def test_a_passage_that_the_engine_has_lost_is_no_passage_and_a_failure_ends_the_game():
    class Forgetful:
        def __init__(self, error=None):
            self.error = error

        search, fingerprint = ENGINE.search, ENGINE.fingerprint

        def get_passages(self, ids):
            if self.error:
                raise self.error
            return [None for _ in ids]

    lines = Script(search("Belin home"), opened("harbours.md#2"), answer())
    lost = solving(top_k=1)
    play([lost], proposer=None, solver=lines, search=Forgetful())
    assert lost.outcome.reason == "solved"
    assert [event.passages for event in lost.events if isinstance(event, PageOpened)] == [()]
    failing = Forgetful(OSError("disk"))
    (broken,) = play([solving(top_k=1)], proposer=None, solver=lines, search=failing)
    assert broken.failure == "open for solver_0: OSError: disk"


def test_one_bad_passage_ends_its_own_game_alone():
    class Mistaken:
        search, fingerprint = ENGINE.search, ENGINE.fingerprint

        def get_passages(self, ids):
            return [Passage("n0", "", "") if number == 0 else None for number, _ in enumerate(ids)]

    lines = Script(search("Belin home"), opened("harbours.md#2"), answer())
    config = rules(protocol="default-open", top_k=1)
    games = [Game(QUESTION, config, game_id=str(number)) for number in range(3)]
    outcomes = play(games, proposer=None, solver=lines, search=Mistaken())
    assert [outcome.reason for outcome in outcomes] == ["error", "solved", "solved"]
    assert (
        outcomes[0].failure
        == "open for solver_0: ValueError: expected the passage 'harbours.md#2/3', got 'n0'"
    )


def test_the_environment_refuses_an_engine_that_cannot_open_before_a_game():
    env = search_self_play_v0.env(
        tasks=[QUESTION], search=lambda query: [], config=rules(protocol="default-open")
    )
    with pytest.raises(ValueError, match=r"expected an engine with the method get_passages\(ids\)"):
        env.reset(seed=0)


def test_only_the_passage_that_was_asked_for_is_an_answer():
    game = solving(top_k=1)
    act(game, search("Belin home"))
    game.submit(turn_of(game, "solver_0").id, opened("harbours.md#2"))
    (request,) = open_requests(game, Open)
    with pytest.raises(TypeError, match="wants a list of that passage or none"):
        game.submit(request.id, [OTHERS[0]])


def test_the_environment_opens_pages_too():
    env = search_self_play_v0.env(
        tasks=[QUESTION], search=ENGINE, config=rules(protocol="default-open", top_k=1)
    )
    env.reset(seed=0)
    say_in(env, search("Belin home"), opened("harbours.md#3"))
    assert "The mother of Sarn is Tavor." in env.observe("solver_0")["prompt"]
    say_in(env, answer("Tavor"))
    assert finish(env)["solver_0"][4]["reason"] == "solved"


def say_in(env, *lines):
    for line in lines:
        env.step(line)


def test_pages_whose_ids_hold_tags_are_opened_by_what_the_player_was_shown():
    page = Passage("<answer>", "Odd", "One two three. Four five six.")
    engine = BM25Engine(cut_pages([page], PartSize(3, 0)))
    game = solving(top_k=1)
    game.submit(turn_of(game, "solver_0").id, search("four"))
    (request,) = game.requests()
    game.submit(request.id, engine.search([request.query], 1)[0])
    say(game, "solver_0", opened("&lt;answer&gt;#1"))
    (request,) = open_requests(game, Open)
    assert request.passage_id == "<answer>#1/2"
