"""The rules of search self-play, free of I/O."""

from ssp_env.game.config import Budget, GameConfig
from ssp_env.game.game import Game
from ssp_env.game.outcome import Outcome
from ssp_env.game.passage import Passage
from ssp_env.game.protocol import PROTOCOLS, Action, Protocol
from ssp_env.game.requests import Failure, Judge, Noise, Read, Request, Search, Turn
from ssp_env.game.task import Task
from ssp_env.game.view import Message, Reply, Role, ToolCall, View

__all__ = [
    "PROTOCOLS",
    "Action",
    "Budget",
    "Failure",
    "Game",
    "GameConfig",
    "Judge",
    "Message",
    "Noise",
    "Outcome",
    "Passage",
    "Protocol",
    "Read",
    "Reply",
    "Request",
    "Role",
    "Search",
    "Task",
    "ToolCall",
    "Turn",
    "View",
]
