import asyncio

from agents import metering
from agents.metering import Meter, metered
from ssp_env.game import Reply


class Batch:
    def act_batch(self, views):
        return [Reply("a", (1, 2), (-1.0, -1.0)), "b"]


async def speak(view):
    return Reply("a", (1, 2, 3), (-1.0, -1.0, -1.0))


class Speaker:
    act = staticmethod(speak)


def test_turns_and_tokens_are_counted_and_an_agent_is_called_as_before():
    meter = Meter()
    batch, single = metered(Batch(), meter), metered(Speaker(), meter)
    assert not hasattr(batch, "act") and not hasattr(single, "act_batch")
    assert batch.act_batch([None, None])[1] == "b"
    assert asyncio.run(single.act(None)).text == "a"
    assert (meter.turns, meter.tokens) == (3, 5)
    assert meter.seconds > 0.0


def test_time_in_which_calls_overlap_counts_once(monkeypatch):
    clock = iter([10.0, 15.0, 20.0, 21.0])
    monkeypatch.setattr(metering, "perf_counter", lambda: next(clock))
    meter = Meter()
    with meter.call(), meter.call():
        pass
    with meter.call():
        pass
    assert meter.seconds == 6.0
