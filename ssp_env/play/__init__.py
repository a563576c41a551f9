"""Drive one game or thousands, round by round or with asyncio: serve their requests until all games are over.

`play` and `play_async` play games to their end; `Driver` and `AsyncDriver` advance them step by step. All
four produce the same games, however many games are in progress and in whatever order answers arrive.
"""

from __future__ import annotations

from ssp_env.play.async_driver import DEFAULT_THREADS, AsyncDriver, play_async
from ssp_env.play.driver import Driver, play
from ssp_env.play.players import (
    Agent,
    AnyAgent,
    AnyAsyncAgent,
    AnyPlayer,
    AsyncAgent,
    AsyncBatchAgent,
    AsyncJudgeFunction,
    BatchAgent,
    JudgeFunction,
    Runnable,
    act_all,
    as_agent,
    as_judge,
    as_replies,
    blocking,
    chat_messages,
    is_async_agent,
)
from ssp_env.play.results import ask_judge, count_failures, guarded, run_searches, sample_noise
from ssp_env.play.schedule import DEFAULT_COHORT, Ended
from ssp_env.play.services import (
    AnyEngine,
    AnySearch,
    AsyncSearchEngine,
    PlayerErrorRule,
    Services,
    as_engines,
    engine_of,
)

__all__ = [
    "DEFAULT_COHORT",
    "DEFAULT_THREADS",
    "Agent",
    "AnyAgent",
    "AnyAsyncAgent",
    "AnyEngine",
    "AnyPlayer",
    "AnySearch",
    "AsyncAgent",
    "AsyncBatchAgent",
    "AsyncDriver",
    "AsyncJudgeFunction",
    "AsyncSearchEngine",
    "BatchAgent",
    "Driver",
    "Ended",
    "JudgeFunction",
    "PlayerErrorRule",
    "Runnable",
    "Services",
    "act_all",
    "as_agent",
    "as_engines",
    "as_judge",
    "as_replies",
    "ask_judge",
    "blocking",
    "chat_messages",
    "count_failures",
    "engine_of",
    "guarded",
    "is_async_agent",
    "play",
    "play_async",
    "run_searches",
    "sample_noise",
]
