"""What the drivers do if a player, an engine, a reader or a judge breaks, is missing or cannot be asked."""

import asyncio
import logging
import re
from contextlib import nullcontext

import pytest

from ssp_env.game import Game, GameConfig, Task
from ssp_env.game.events import GameBroken
from ssp_env.play import Driver, Services, blocking, count_failures, play, play_async
from tests.game.doubles import (
    PERFECT,
    PROPOSAL,
    QUESTION,
    Script,
    Shelf,
    answer,
    search,
)
from tests.play.players import AsyncShelf, Batched, Broken, Hurried, Wanderer, make_games, recorded, shelf_of

PROPOSER = Script(*PROPOSAL)


# -- failures ----------------------------------------------------------------------------------------------


def test_an_engine_that_raises_breaks_its_games_and_no_others():
    games = make_games(4, ("good", "bad"), attempts=2)
    outcomes = play(
        games, proposer=PROPOSER, solver=PERFECT, search={"good": shelf_of("good"), "bad": Broken()}
    )
    assert [outcome.verdict for outcome in outcomes] == ["valid", "error", "valid", "error"]
    assert set(outcomes[1].rewards.values()) == {0.0}
    assert games[1].events[-1] == GameBroken(
        "proposer_0/search/0", "search for proposer: ConnectionError: no route to host"
    )


@pytest.mark.parametrize(
    "reply",
    [
        lambda queries: [],
        lambda queries: [["not a passage"] for _ in queries],
        lambda queries: None,
        lambda queries: [None for _ in queries],
    ],
)
def test_a_malformed_search_result_is_a_failure(reply):
    class Malformed(Shelf):
        def search(self, queries, top_k):
            return reply(queries)

    (outcome,) = play(make_games(1), proposer=PROPOSER, solver=PERFECT, search=Malformed())
    assert outcome.verdict == "error"


def test_an_engine_may_return_tuples():
    class Tuples(Shelf):
        def search(self, queries, top_k):
            return tuple(tuple(found) for found in super().search(queries, top_k))

    (outcome,) = play(make_games(1), proposer=PROPOSER, solver=PERFECT, search=Tuples())
    assert outcome.verdict == "valid"


def test_an_engine_that_breaks_in_the_solve_phase_takes_rewards_back():
    class Tiring(Shelf):
        def search(self, queries, top_k):
            if len(self.batches) >= 3:
                raise TimeoutError("tired")
            return super().search(queries, top_k)

    solver = Script(search("belin"), answer())
    games = make_games(2, attempts=2)
    outcomes = play(games, proposer=PROPOSER, solver=solver, reader=PERFECT, search=Tiring())
    assert [outcome.verdict for outcome in outcomes] == ["error", "error"]
    assert all(reward == 0.0 for outcome in outcomes for reward in outcome.rewards.values())


def test_noise_that_cannot_be_drawn_is_a_failure():
    class NoNoise(Shelf):
        def sample(self, rng, count, exclude):
            raise OSError("disk")

    (outcome,) = play(make_games(1), proposer=PROPOSER, solver=PERFECT, search=NoNoise())
    assert outcome.verdict == "error"


def test_a_reader_that_raises_makes_the_question_unknown_not_invalid():
    games = make_games(2)
    outcomes = play(games, proposer=PROPOSER, solver=PERFECT, reader=Broken(), search=Shelf())
    assert [outcome.verdict for outcome in outcomes] == ["error", "error"]
    assert games[0].events[-1] == GameBroken("read", "reader: TimeoutError: no reply")


class Fragile:
    """Raises in some games."""

    def __init__(self, player, *fatal):
        self.player = player
        self.fatal = fatal

    def act(self, view):
        if view.game_id in self.fatal:
            raise TimeoutError("no reply")
        return self.player.act(view)


def test_a_player_that_raises_ends_its_game_and_no_other():
    games = make_games(4)
    outcomes = play(games, proposer=PROPOSER, solver=Fragile(PERFECT, "g2"), reader=PERFECT, search=Shelf())
    assert [outcome.verdict for outcome in outcomes] == ["valid", "valid", "error", "valid"]
    assert set(outcomes[2].rewards.values()) == {0.0}
    assert games[2].events[-1] == GameBroken("solver_0/turn/0", "solver_0: TimeoutError: no reply")


def test_a_batch_that_raises_ends_every_game_in_it():
    solver = Batched(Fragile(PERFECT, "g1"))
    outcomes = play(make_games(3), proposer=PROPOSER, solver=solver, reader=PERFECT, search=Shelf())
    assert [outcome.verdict for outcome in outcomes] == ["error"] * 3


def test_a_reply_that_is_not_text_is_the_players_failure():
    class Numbers:
        def act(self, view):
            return 7

    games = make_games(1)
    play(games, proposer=Numbers(), solver=PERFECT, search=Shelf())
    assert games[0].events[-1].detail == (
        "proposer: ReplyError: Numbers.act must return text or a Reply, got 7"
    )


def forgets(messages):
    return None


async def forgets_later(messages):
    return None


@pytest.mark.parametrize("function", [forgets, forgets_later])
def test_a_function_that_returns_nothing_is_named(function):
    games = make_games(1)
    with blocking(function) if function is forgets_later else nullcontext(function) as proposer:
        play(games, proposer=proposer, solver=PERFECT, search=Shelf())
    said = f"proposer: ReplyError: {function.__name__} must return text or a Reply, got None"
    assert games[0].events[-1].detail == said


def test_one_reply_in_place_of_a_batch_is_refused():
    class Single:
        def act_batch(self, views):
            return "hm"

    games = make_games(1)
    play(games, proposer=Single(), solver=PERFECT, search=Shelf())
    assert "Single.act_batch must return a list with text or a Reply" in games[0].events[-1].detail


def test_the_traceback_of_a_player_goes_to_the_debug_log(caplog):
    with caplog.at_level(logging.DEBUG, "ssp_env.play"):
        play(make_games(1), proposer=Broken(), solver=PERFECT, search=Shelf())
    assert "proposer failed" in caplog.text
    assert 'raise TimeoutError("no reply")' in caplog.text


@pytest.mark.parametrize("run", [play, lambda *args, **options: asyncio.run(play_async(*args, **options))])
def test_the_first_failure_of_each_kind_is_a_warning_and_the_end_counts_them(run, caplog):
    class Moody(Wanderer):
        def act(self, view):
            number = int(view.game_id[1:])
            if view.phase == "solve" and number < 5:
                raise (TimeoutError if number % 2 else OSError)(f"no reply to {view.game_id}")
            return super().act(view)

    def drive(games):
        caplog.clear()
        run(games, proposer=Wanderer(), solver=Moody(), reader=Wanderer(), search=Shelf())
        assert {record.levelname for record in caplog.records} <= {"WARNING"}
        # Threads answer in any order: which game and which attempt is the first of a kind may differ.
        said = [re.sub(r"\b(g|solver_)\d", r"\1N", record.getMessage()) for record in caplog.records]
        return [*sorted(said[:2]), *said[2:]]

    firsts = [
        "game gN ended as error: solver_N: OSError: no reply to gN",
        "game gN ended as error: solver_N: TimeoutError: no reply to gN",
    ]
    games = make_games(6, attempts=2)
    *first, numbers = drive(games)
    assert first == firsts
    assert numbers.startswith("4 games ended as error: 2 times solver: ") and ", 2 times solver: " in numbers
    assert drive(make_games(2)) == firsts
    assert count_failures(game.outcome for game in games) == {
        "solver: OSError: no reply to g0": 2,
        "solver: TimeoutError: no reply to g1": 2,
    }


def test_many_bad_verdicts_are_one_kind(caplog):
    judge = iter(range(100)).__next__
    play(
        make_games(3, judge=True),
        proposer=PROPOSER,
        solver=Script(answer("Lady T.")),
        reader=PERFECT,
        search=Shelf(),
        judge=lambda request: f"Correct, {judge()} times: yes",
    )
    assert [record.getMessage() for record in caplog.records] == [
        "game g0 ended as error: judge for solver_0: expected True or False, got 'Correct, 0 times: yes'",
        "3 games ended as error: 3 times judge: expected True or False",
    ]


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize("drive", [play, lambda *args, **options: asyncio.run(play_async(*args, **options))])
@pytest.mark.parametrize("role", ["proposer", "solver", "reader", "search", "judge"])
def test_an_exception_that_has_no_text_ends_its_game_like_any_other(drive, role):
    class Mute(Shelf):
        def act(self, view):
            raise Unspeakable

        def search(self, queries, top_k):
            raise Unspeakable

        def __call__(self, request):
            raise Unspeakable

    games = make_games(1, judge=True)
    services = {
        "proposer": PROPOSER,
        "solver": Script(answer("Lady T.")),
        "reader": PERFECT,
        "search": Shelf(),
        "judge": lambda request: True,
    }
    drive(games, **{**services, role: Mute()})
    who = {"solver": "solver_0", "search": "search for proposer", "judge": "judge for solver_0"}
    assert games[0].events[-1].detail == (
        f"{who.get(role, role)}: Unspeakable: its message cannot be read, str() raised RuntimeError"
    )


@pytest.mark.parametrize("role", ["proposer", "solver"])
def test_what_a_player_raises_is_the_callers_if_wanted(role):
    players = {"proposer": PROPOSER, "solver": PERFECT, role: Broken()}
    with pytest.raises(TimeoutError, match="no reply"):
        play(make_games(1), **players, search=Shelf(), on_player_error="raise")


def test_a_reader_of_its_own_never_raises():
    (outcome,) = play(
        make_games(1),
        proposer=PROPOSER,
        solver=PERFECT,
        reader=Broken(),
        search=Shelf(),
        on_player_error="raise",
    )
    assert outcome.verdict == "error"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("role", ["proposer", "solver", "reader", "judge", "search"])
def test_an_interrupt_passes_through_and_loses_nothing(role, error):
    class Interrupted(Shelf):
        """Every service in one; the given role is interrupted once."""

        pending = True

        def interrupt(self, asked):
            if asked == role and self.pending:
                self.pending = False
                raise error

        def act(self, view):
            self.interrupt({"propose": "proposer", "verify": "reader", "solve": "solver"}[view.phase])
            return Wanderer().act(view)

        def search(self, queries, top_k):
            self.interrupt("search")
            return super().search(queries, top_k)

        def __call__(self, request):
            self.interrupt("judge")
            return True

    def driver_of(games, service):
        services = Services(
            proposer=service, solver=service, reader=service, judge=service, search=service, seed=2
        )
        return Driver(games, services)

    games, undisturbed = make_games(7, attempts=2, judge=True), make_games(7, attempts=2, judge=True)
    service = Interrupted()
    driver = driver_of(games, service)
    with pytest.raises(error):
        list(driver)
    service.pending = False
    list(driver)
    list(driver_of(undisturbed, service))
    assert recorded(games) == recorded(undisturbed)


def test_an_unknown_rule_for_player_errors_is_named():
    with pytest.raises(ValueError, match="on_player_error must be one of end_game, raise, got 'ignore'"):
        play([], proposer=PROPOSER, solver=PERFECT, search=Shelf(), on_player_error="ignore")


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        play([], proposer=PROPOSER, solver=PERFECT, search=Shelf(), seed=-1)


@pytest.mark.parametrize(
    ("services", "named"),
    [
        ({"proposer": Hurried(PROPOSER)}, "proposer"),
        ({"solver": Hurried(PERFECT), "reader": Hurried(PERFECT)}, "solver, reader"),
        ({"search": AsyncShelf()}, "search"),
        ({"search": {"left": Shelf(), "right": AsyncShelf()}}, "search"),
    ],
)
def test_asynchronous_services_are_sent_to_play_async(services, named):
    with pytest.raises(TypeError, match=f"need play_async .*; these services are asynchronous: {named}$"):
        play([], **{"proposer": PROPOSER, "solver": PERFECT, "search": Shelf(), **services})


def test_a_function_that_turns_out_asynchronous_is_a_failure():
    class Sneaky:
        def act(self, view):
            return Hurried(PERFECT).act(view)

    games = make_games(1)
    play(games, proposer=Sneaky(), solver=PERFECT, search=Shelf())
    assert "asynchronous services need play_async" in games[0].events[-1].detail


@pytest.mark.parametrize("verdict", [True, False])
def test_the_judge_decides_what_does_not_match(verdict):
    asked = []

    def judge(request):
        asked.append((request.question, request.candidate, request.golds))
        return verdict

    games = make_games(2, judge=True)
    outcomes = play(
        games,
        proposer=PROPOSER,
        solver=Script(answer("Lady T.")),
        reader=PERFECT,
        search=Shelf(),
        judge=judge,
    )
    assert [outcome.reason for outcome in outcomes] == ["solved" if verdict else "unsolved"] * 2
    assert asked == [(QUESTION, "Lady T.", ("Tavor",))] * 2


def test_no_verdict_is_a_failure():
    def raising(request):
        raise ConnectionError("gone")

    said = []
    for judge in (lambda request: None, raising, lambda request: "Correct"):
        games = make_games(1, judge=True)
        (outcome,) = play(
            games,
            proposer=PROPOSER,
            solver=Script(answer("Lady T.")),
            reader=PERFECT,
            search=Shelf(),
            judge=judge,
        )
        assert outcome.verdict == "error"
        assert outcome.rewards == {"proposer_0": 0.0, "solver_0": 0.0}
        said.append(games[0].events[-1].detail)
    assert said == [
        "judge for solver_0: expected True or False, got None",
        "judge for solver_0: ConnectionError: gone",
        "judge for solver_0: expected True or False, got 'Correct'",
    ]


# -- who is missing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("drive", [play, lambda *args, **options: asyncio.run(play_async(*args, **options))])
@pytest.mark.parametrize(
    ("missing", "error", "problem"),
    [
        ({"judge": None}, ValueError, r"put answers that fail exact match to a judge: pass judge="),
        ({"proposer": None}, ValueError, "game g0 has no question yet: pass proposer=, got None"),
        ({"solver": None}, TypeError, r"solver must be an agent with act\(view\), .*, got NoneType"),
        ({"search": None}, TypeError, "search: expected a search engine, .*, got NoneType"),
        ({"search": {"a": Shelf(), "": 5}}, TypeError, "search for corpus '': expected .*, got int"),
        ({"search": {"a": Shelf()}}, ValueError, "no search engine for corpus ''; there are engines for: a"),
        ({"judge": "gpt"}, TypeError, "judge must be a function from a Judge request .*, got str"),
        ({"judge": Script}, TypeError, "judge must be an object, got the class Script"),
    ],
)
def test_who_is_missing_or_cannot_be_asked_is_refused_before_the_first_turn(drive, missing, error, problem):
    games, proposer = make_games(2, judge=True), Script(*PROPOSAL)
    services = {"proposer": proposer, "solver": PERFECT, "search": Shelf(), "judge": lambda request: True}
    with pytest.raises(error, match=problem):
        drive(games, **{**services, **missing})
    assert not proposer.views and games[0].events == make_games(1, judge=True)[0].events


def test_games_that_start_with_a_question_need_no_proposer():
    game = Game(Task("Tavor", question=QUESTION), GameConfig())
    assert [outcome.reason for outcome in play([game], solver=PERFECT, search=Shelf())] == ["solved"]
