"""The lockstep driver: rounds, batches, mapping of corpora, and what if something outside breaks."""

import asyncio
import logging
import re
import weakref
from contextlib import nullcontext

import pytest

from ssp_env.game import Game, GameConfig, Reply, Task
from ssp_env.game.events import EvidenceMixed, GameBroken
from ssp_env.game.passage import Passage
from ssp_env.play import Driver, Services, act_all, blocking, count_failures, play, play_async
from tests.game.doubles import (
    HOPELESS,
    PERFECT,
    PROPOSAL,
    QUESTION,
    Script,
    Shelf,
    answer,
    question,
    search,
)
from tests.play.players import AsyncShelf, Batched, Broken, Hurried, Wanderer, make_games, recorded, shelf_of

PROPOSER = Script(*PROPOSAL)


def noise_ids(game):
    (event,) = [event for event in game.events if isinstance(event, EvidenceMixed)]
    return event.noise_ids


# -- known outcomes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "proposer_reward", "solver_reward"), [(PERFECT, 0.0, 1.0), (HOPELESS, 1.0, 0.0)]
)
def test_known_outcomes(solver, proposer_reward, solver_reward):
    games = make_games(attempts=3)
    for outcome in play(games, proposer=PROPOSER, solver=solver, reader=PERFECT, search=Shelf()):
        assert outcome.verdict == "valid"
        assert outcome.rewards["proposer_0"] == proposer_reward
        assert [outcome.rewards[f"solver_{k}"] for k in range(3)] == [solver_reward] * 3


def test_outcomes_come_in_the_order_of_the_games():
    games = make_games(3)
    scripts = {"g0": PROPOSAL, "g1": (question("short"),), "g2": ("hm", "hm")}

    class ByGame:
        def act(self, view):
            return Script(*scripts[view.game_id]).act(view)

    outcomes = play(games, proposer=ByGame(), solver=PERFECT, search=Shelf())
    assert [outcome.reason for outcome in outcomes] == ["solved", "too_short", "malformed"]
    assert outcomes == [game.outcome for game in games]


def test_every_end_is_reported_once():
    ended = []
    games = make_games(3)
    play(
        games,
        proposer=PROPOSER,
        solver=PERFECT,
        search=Shelf(),
        on_outcome=lambda game: ended.append(game.id),
    )
    assert sorted(ended) == ["g0", "g1", "g2"]


def test_games_already_over_are_left_alone():
    games = make_games(2)
    play(games[:1], proposer=PROPOSER, solver=PERFECT, search=Shelf())
    events = list(games[0].events)
    outcomes = play(games, proposer=PROPOSER, solver=HOPELESS, reader=PERFECT, search=Shelf())
    assert [outcome.reason for outcome in outcomes] == ["solved", "unsolved"]
    assert games[0].events == events


def test_no_games_no_outcomes():
    assert play([], proposer=PROPOSER, solver=PERFECT, search=Shelf()) == []


def test_games_need_distinct_ids():
    with pytest.raises(ValueError, match="distinct ids"):
        play([*make_games(1), *make_games(1)], proposer=PROPOSER, solver=PERFECT, search=Shelf())


# -- lockstep ----------------------------------------------------------------------------------------------


def test_playing_twice_gives_the_same_events():
    first, second = make_games(5, attempts=2), make_games(5, attempts=2)
    for games in (first, second):
        play(games, proposer=Wanderer(), solver=Wanderer(), search=Shelf(), seed=1)
    assert [game.events for game in first] == [game.events for game in second]


def test_agents_and_engines_are_asked_in_batches():
    shelf, proposer, solver = Shelf(), Batched(PROPOSER), Batched(PERFECT)
    play(make_games(6, attempts=2), proposer=proposer, solver=solver, search=shelf)
    assert proposer.sizes == [6, 6, 6, 6]
    assert solver.sizes == [6, 12]
    assert [len(batch) for batch in shelf.batches] == [6, 6, 6]


def test_one_agent_in_both_roles_gets_one_batch_a_round():
    both = Batched(Wanderer())
    games = make_games(4, rag_check=False)
    play(games, proposer=both, solver=both, search=Shelf())
    assert max(both.sizes) == 4
    assert all(game.outcome.verdict == "valid" for game in games)


def test_attempts_wait_for_proposals_so_that_their_batch_is_large():
    solver = Batched(PERFECT)
    games = [
        *make_games(2, rag_check=False),
        Game(Task("Tavor", question=QUESTION, id="known")),
    ]
    play(games, proposer=PROPOSER, solver=solver, search=Shelf())
    assert solver.sizes == [3]


def test_an_agent_must_give_one_reply_per_view():
    class Silent:
        def act_batch(self, views):
            return []

    games = make_games(2)
    play(games, proposer=Silent(), solver=PERFECT, search=Shelf())
    assert [game.events[-1].detail for game in games] == [
        "proposer: ValueError: the agent was asked for 2 replies and gave 0"
    ] * 2


def test_act_all_keeps_tokens():
    class Tokens:
        def act(self, view):
            return Reply("x", (1,), (-0.5,))

    assert act_all(Tokens(), [None]) == [Reply("x", (1,), (-0.5,))]
    assert act_all(Script("plain"), []) == []


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


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
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


# -- games of all kinds ------------------------------------------------------------------------------------


def test_known_questions_and_proposals_play_together():
    games = [*make_games(2), Game(Task("Tavor", question=QUESTION, id="known"))]
    outcomes = play(games, proposer=PROPOSER, solver=PERFECT, search=Shelf())
    assert [outcome.reason for outcome in outcomes] == ["solved"] * 3
    assert not any(isinstance(event, EvidenceMixed) for event in games[2].events)


def test_noise_waits_until_nobody_proposes():
    class Slow:
        """Game g2 finds three pages more than the others, after they have asked their questions."""

        def act(self, view):
            extra = [search("nothing"), search("nobody")] if view.game_id == "g2" else []
            return Script(*PROPOSAL[:2], *extra, question()).act(view)

    games = make_games(3, noise_passages=3)
    play(games, proposer=Slow(), solver=PERFECT, search=Shelf())
    assert noise_ids(games[0]) == noise_ids(games[1]) == {"n0", "n1", "n2"}


# -- step by step ------------------------------------------------------------------------------------------


def services(**others):
    return Services(**{"proposer": PROPOSER, "solver": PERFECT, "search": Shelf(), **others})


def test_a_step_serves_one_round():
    proposer = Batched(PROPOSER)
    games = make_games(3)
    driver = Driver(games, services(proposer=proposer))
    assert driver.step() == []
    assert proposer.sizes == [3]
    assert [len(game.events) for game in games] == [1, 1, 1]
    assert driver.alive == 3 and not driver.done


def test_games_can_be_looked_at_between_steps_and_end_as_with_play():
    games, others = make_games(7, attempts=2), make_games(7, attempts=2)
    driver = Driver(games, services(proposer=Wanderer(), solver=Wanderer()))
    ended = []
    while not driver.done:
        ended += driver.step()
        assert all(Game.restore(game.snapshot()).requests() == game.requests() for game in games)
    play(others, proposer=Wanderer(), solver=Wanderer(), search=Shelf())
    assert recorded(games) == recorded(others)
    assert sorted(end.index for end in ended) == list(range(7))
    assert all(games[end.index] is end.game for end in ended)


def test_a_step_after_the_end_does_nothing():
    driver = Driver(make_games(1), services())
    list(driver)
    assert driver.done
    assert driver.step() == []


def test_stepping_can_stop_and_another_driver_go_on():
    games, others = make_games(5), make_games(5)
    first = Driver(games, services(proposer=Wanderer(), solver=Wanderer()))
    for _ in range(4):
        first.step()
    restored = [Game.restore(game.snapshot()) for game in games]
    play(restored, proposer=Wanderer(), solver=Wanderer(), search=Shelf())
    play(others, proposer=Wanderer(), solver=Wanderer(), search=Shelf())
    assert recorded(restored) == recorded(others)


def test_a_stream_of_games_is_forgotten_as_it_ends():
    alive = weakref.WeakSet()
    most = 0

    def stream():
        nonlocal most
        for index in range(200):
            game = Game(Task("Tavor", id=f"g{index}"), GameConfig())
            alive.add(game)
            most = max(most, len(alive))
            yield game
            del game

    outcomes = play(stream(), proposer=Wanderer(), solver=Wanderer(), search=Shelf(), concurrency=8, cohort=4)
    assert len(outcomes) == 200
    assert most <= 8 + 4 + 1, "one more than the limit: the games that ended in a round leave after it"


def test_outcomes_of_a_stream_come_in_order():
    games = make_games(30)
    outcomes = play(iter(games), proposer=Wanderer(), solver=Wanderer(), search=Shelf(), concurrency=3)
    assert outcomes == [game.outcome for game in games]


def test_games_over_when_they_come_are_not_reported():
    games, reported = make_games(3), []
    play(games[1:2], proposer=PROPOSER, solver=PERFECT, search=Shelf())
    outcomes = play(
        games,
        proposer=PROPOSER,
        solver=PERFECT,
        search=Shelf(),
        on_outcome=lambda game: reported.append(game.id),
    )
    assert len(outcomes) == 3
    assert reported == ["g0", "g2"]


def test_every_reading_goes_to_the_reader():
    reader, solver = Script(answer()), Script(answer())
    play(make_games(2), proposer=PROPOSER, solver=solver, reader=reader, search=Shelf())
    assert {view.phase for view in reader.views} == {"verify"}
    assert {view.phase for view in solver.views} == {"solve"}
