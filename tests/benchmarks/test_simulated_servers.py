"""Simulated servers: a clock that jumps, games that are the real ones, and the bound on their age."""

import asyncio
import json

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import simulated_servers
from benchmarks.simulated_servers import Cluster, SimulatedServers, Training
from benchmarks.virtual_clock import run
from ssp_env.game import View

SMALL = Cluster(servers=3, slots=2, batch=6, steps=3, attempts=2, update_seconds=30.0)


def simulated(**options):
    return run(Training(Cluster(**{**SMALL.__dict__, **options}), seed=1).simulate())


# -- the clock -----------------------------------------------------------------------------------------


def test_hours_pass_in_the_order_of_their_timers():
    seen = []

    async def wait(name, seconds):
        await asyncio.sleep(seconds)
        seen.append((name, round(asyncio.get_running_loop().time())))

    async def both():
        await asyncio.gather(wait("late", 7200), wait("early", 3600))

    run(both())
    assert seen == [("early", 3600), ("late", 7200)]


def test_a_simulation_that_stands_still_is_an_error():
    with pytest.raises(RuntimeError, match="all tasks wait"):
        run(asyncio.Event().wait())


# -- the servers ---------------------------------------------------------------------------------------


def test_more_conversations_than_slots_wait_and_a_full_server_is_slower():
    def seconds(conversations, slots):
        async def play():
            cluster = Cluster(servers=1, slots=slots, spread=0.0, turn_tokens=100, token_seconds=0.01)
            servers = SimulatedServers(cluster, seed=0)
            views = [View(f"game {n}", "solver_0", "solve", (), 3, 3) for n in range(conversations)]
            servers._player = Silent()
            await asyncio.gather(*map(servers.act, views))
            return asyncio.get_running_loop().time(), servers.load.waited

        return run(play())

    assert seconds(1, 1) == (pytest.approx(1.0), 0.0)
    assert seconds(3, 1) == (pytest.approx(3.0), pytest.approx(1.0 + 2.0))
    # Of two at a time the second is served at half the speed.
    assert seconds(2, 2) == (pytest.approx(2.0), 0.0)


class Silent:
    def act(self, view):
        return ""


# -- training ------------------------------------------------------------------------------------------


def test_synchronous_training_learns_from_new_games_alone_and_waits_for_the_longest():
    found = simulated()
    assert set(found.staleness) == {0} and len(found.staleness) == 18
    assert found.seconds == pytest.approx(found.waiting + 3 * 30.0)
    assert 0.0 < found.utilisation < 1.0


def test_asynchronous_training_is_faster_and_keeps_the_bound():
    slow, fast, faster = simulated(), simulated(staleness=1), simulated(staleness=2)
    assert max(fast.staleness) == 1 and max(faster.staleness) == 2
    assert slow.seconds > fast.seconds > faster.seconds
    assert fast.waiting < slow.waiting and fast.utilisation > slow.utilisation


def test_the_same_seed_gives_the_same_simulation():
    assert simulated(staleness=1) == simulated(staleness=1)


def test_the_command_writes_what_it_prints(tmp_path):
    app = typer.Typer()
    app.command()(simulated_servers.main)
    path = tmp_path / "results" / "found.json"
    arguments = ["--servers", "3", "--batch", "4", "--steps", "1", "--results", str(path)]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    written = json.loads(path.read_text())
    assert written["assumed"]["servers"] == 3 and len(written["found"]) == 4
    assert "synchronous" in told.output and "updates old" in told.output
