"""What is sent again, after which pause, and when it is given up; pauses are jumped over and read off."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.http.policy import RETRIED_STATUSES, RetryPolicy, retry_after, send_with_retries
from tests.http.instant_loop import run_instantly

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
IN_HALF_A_MINUTE = "Wed, 21 Oct 2015 07:28:30 GMT"


@dataclass
class Reply:
    status: int = 200
    headers: dict = field(default_factory=dict)


def send(*outcomes, seed=0, **policy):
    """Try until the last of the outcomes; return what came of it and when each attempt was made."""
    times = []

    async def run():
        loop = asyncio.get_running_loop()
        rng = np.random.default_rng(seed)
        settings = RetryPolicy(**policy)

        async def attempt():
            times.append(loop.time())
            outcome = outcomes[min(len(times), len(outcomes)) - 1]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return await send_with_retries(attempt, settings, loop.time() + settings.timeout, rng)

    try:
        return run_instantly(run()), times
    except Exception as error:
        return error, times


BUSY, FINE, LOST = Reply(503), Reply(), httpx.ReadError("lost")


@pytest.mark.parametrize("status", RETRIED_STATUSES)
def test_statuses_that_may_pass_are_tried_again(status):
    reply, times = send(Reply(status), Reply(status), FINE)
    assert reply is FINE and len(times) == 3


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 404, 422, 501])
def test_other_statuses_are_tried_once(status):
    reply, times = send(Reply(status))
    assert reply.status == status and len(times) == 1


def test_the_statuses_are_a_setting():
    assert len(send(Reply(404), FINE, retried_statuses=(404,))[1]) == 2
    assert len(send(Reply(503), FINE, retried_statuses=(404,))[1]) == 1


def test_a_lost_connection_is_tried_again_and_the_last_loss_is_raised():
    assert send(LOST, FINE)[0] is FINE
    error, times = send(LOST, max_retries=3)
    assert error is LOST and len(times) == 4


@pytest.mark.parametrize("error", [TimeoutError("late"), httpx.DecodingError("bad"), ValueError("wrong")])
def test_other_errors_are_raised_at_once(error):
    assert send(error, FINE) == (error, [0.0])


def test_the_last_reply_is_returned_when_retries_are_used_up():
    reply, times = send(BUSY, max_retries=2)
    assert reply is BUSY and len(times) == 3


@given(st.integers(0, 2**32), st.floats(0.01, 2), st.floats(0.01, 20))
def test_pauses_double_up_to_the_longest_and_are_shortened_by_up_to_a_half(seed, backoff, longest):
    _, times = send(BUSY, max_retries=7, timeout=1e9, backoff=backoff, max_backoff=longest, seed=seed)
    for number, pause in enumerate(np.diff(times)):
        full = min(backoff * 2**number, longest)
        assert full / 2 * 0.999 <= pause <= full * 1.001


def test_pauses_repeat_with_the_seed_and_differ_without():
    assert send(BUSY, seed=1) == send(BUSY, seed=1)
    assert send(BUSY, seed=1)[1] != send(BUSY, seed=2)[1]


@pytest.mark.parametrize(
    "headers",
    [{"retry-after": "30"}, {"retry-after": " 30 "}, {"retry-after": IN_HALF_A_MINUTE, "date": DATE}],
)
def test_the_pause_that_the_service_asks_for_is_kept_to(headers):
    reply, times = send(Reply(429, headers), FINE, timeout=60)
    assert reply is FINE and times == [0.0, pytest.approx(30)]


def test_a_shorter_pause_than_our_own_does_not_shorten_it():
    _, times = send(Reply(503, {"retry-after": "1"}), FINE, backoff=20, max_backoff=20)
    assert times[1] >= 10


def test_a_pause_that_ends_after_the_deadline_is_not_begun():
    busy = Reply(429, {"retry-after": "30"})
    assert send(busy, FINE, timeout=30) == (busy, [0.0])
    assert send(busy, FINE, timeout=30.1)[0] is FINE
    reply, times = send(BUSY, max_retries=99, timeout=10, backoff=4)
    assert reply is BUSY and 2 <= len(times) <= 5 and times[-1] < 10


@pytest.mark.parametrize(
    "value", ["", "soon", "-3", "1.5", "٣", "Wed, 99 Oct 2015 07:28:00 GMT", DATE, "Wed, 21 Oct 99999"]
)
def test_a_wait_that_makes_no_sense_or_is_over_is_none(value):
    assert retry_after({"retry-after": value}) == 0.0


def test_a_date_counts_from_now_if_the_reply_has_none():
    until = format_datetime(datetime.now(timezone.utc) + timedelta(hours=1), usegmt=True)
    assert 3500 < retry_after({"retry-after": until}) <= 3600
    assert 3500 < retry_after({"retry-after": until, "date": "yesterday"}) <= 3600


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_header_gives_a_wait(value, date):
    assert retry_after({"retry-after": value, "date": date}) >= 0


@pytest.mark.parametrize(
    "settings",
    [{"timeout": 0}, {"timeout": float("nan")}, {"max_retries": -1}, {"backoff": -1}, {"max_backoff": -1}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        RetryPolicy(**settings)
