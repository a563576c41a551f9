"""Environments of one agent over the shelf of the game tests."""

from dataclasses import replace

import ssp_env  # noqa: F401  (registers the environments)
from agents.scripted import ScriptedPlayer
from ssp_env.envs.single_agent import ProposerEnv, SolverEnv
from ssp_env.game import GameConfig
from tests.game.doubles import (
    PERFECT,
    QUESTION,
    TASK,
    Shelf,
)

IDS = ["SearchSelfPlay/Solver-v0", "SearchSelfPlay/Proposer-v0"]
KNOWN = replace(TASK, question=QUESTION)
SCRIPTED = ScriptedPlayer(proposer="perfect", solver="perfect")


def solver(**arguments):
    """The solver's environment over the shelf, with one question."""
    return SolverEnv(**{"questions": [KNOWN], "search": Shelf(), **arguments})


CLOSED_BOOK = GameConfig(rag_check=False, closed_book=True)


def solver_against(proposer, **arguments):
    rules = {"reader": PERFECT, "tasks": [TASK], **arguments}
    return SolverEnv(proposer=proposer, search=Shelf(), **rules)


def proposer(**arguments):
    """The proposer's environment over the shelf, against a solver that knows."""
    return ProposerEnv(**{"tasks": [TASK], "search": Shelf(), "solver": PERFECT, **arguments})


def say(env, *lines):
    for line in lines:
        returned = env.step(line)
    return returned


def frozen_error(view):
    raise ConnectionError("the model server is down")
