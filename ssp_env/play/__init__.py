"""Drive one game or thousands, round by round or with asyncio: fetch what they ask for until all are over.

`play` and `play_async` play games to their end; `Driver` and `AsyncDriver` go step by step. What happens in a
game is the same with all of them, however many games are at play and in whatever order answers arrive.
"""

from __future__ import annotations

from ssp_env.play.adapters import AnyPlayer, Runnable, as_agent, chat_messages
from ssp_env.play.agents import (
    Agent,
    AnyAgent,
    AnyAsyncAgent,
    AsyncAgent,
    AsyncBatchAgent,
    AsyncJudgeFunction,
    AsyncSearchEngine,
    BatchAgent,
    JudgeFunction,
    act_all,
    is_async_agent,
)
from ssp_env.play.async_driver import DEFAULT_THREADS, AsyncDriver, play_async
from ssp_env.play.blocking import blocking
from ssp_env.play.driver import Driver, play
from ssp_env.play.results import ask_judge, engine_of, guarded, run_searches, sample_noise
from ssp_env.play.schedule import DEFAULT_COHORT, Ended
from ssp_env.play.services import PlayerErrorRule, Services

__all__ = [
    "DEFAULT_COHORT",
    "DEFAULT_THREADS",
    "Agent",
    "AnyAgent",
    "AnyAsyncAgent",
    "AnyPlayer",
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
    "ask_judge",
    "blocking",
    "chat_messages",
    "engine_of",
    "guarded",
    "is_async_agent",
    "play",
    "play_async",
    "run_searches",
    "sample_noise",
]
