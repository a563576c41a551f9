"""Players of the terse game that follow a fixed rule at a named strength."""

from agents.scripted.mixture import Strength
from agents.scripted.player import SCRIPTED, ScriptedAgent, ScriptedPlayer, scripted
from agents.scripted.proposer import ScriptedProposer
from agents.scripted.reader import ScriptedReader
from agents.scripted.solver import ScriptedSolver

__all__ = [
    "SCRIPTED",
    "ScriptedAgent",
    "ScriptedPlayer",
    "ScriptedProposer",
    "ScriptedReader",
    "ScriptedSolver",
    "Strength",
    "scripted",
]
