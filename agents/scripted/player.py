"""One object that plays every role of the terse game, and the roles' strengths by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from agents.scripted.mixture import Strength
from agents.scripted.proposer import PROPOSER_STRENGTHS, ScriptedProposer
from agents.scripted.reader import READER_STRENGTHS, ScriptedReader
from agents.scripted.solver import SOLVER_STRENGTHS, ScriptedSolver
from ssp_env.game import View

ScriptedAgent: TypeAlias = ScriptedProposer | ScriptedSolver | ScriptedReader

_ROLES: Mapping[str, type[ScriptedProposer] | type[ScriptedSolver] | type[ScriptedReader]] = MappingProxyType(
    {"proposer": ScriptedProposer, "solver": ScriptedSolver, "reader": ScriptedReader}
)

SCRIPTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "proposer": tuple(PROPOSER_STRENGTHS),
        "solver": tuple(SOLVER_STRENGTHS),
        "reader": tuple(READER_STRENGTHS),
    }
)
"""Names of the strengths, by role."""


def scripted(role: str, strength: Strength, seed: int = 0) -> ScriptedAgent:
    """Build a scripted agent.

    Args:
        role: A key of `SCRIPTED`.
        strength: One of `SCRIPTED[role]`, or weights of one's own by strategy.
        seed: Seed of every random choice.

    Raises:
        ValueError: If there is no such role or strength.
    """
    if role not in _ROLES:
        raise ValueError(f"a scripted role is one of {', '.join(_ROLES)}, got {role!r}")
    try:
        return _ROLES[role](strength, seed)
    except ValueError as error:
        raise ValueError(f"scripted {role}: {error}") from None


class ScriptedPlayer:
    """Plays all roles, each at its own strength; the view says which role is asked.

    Args:
        proposer: Strength of the proposer.
        solver: Strength of the solver.
        reader: Strength of the reader in the RAG check.
        seed: Seed of every random choice.

    Raises:
        ValueError: If a strength is unknown.
    """

    prompts = "terse"
    """The prompt style it reads."""

    def __init__(
        self,
        *,
        proposer: Strength = "weak",
        solver: Strength = "weak",
        reader: Strength = "perfect",
        seed: int = 0,
    ) -> None:
        self._by_role = {
            "proposer": scripted("proposer", proposer, seed),
            "solver": scripted("solver", solver, seed),
            "reader": scripted("reader", reader, seed),
        }

    def act(self, view: View) -> str:
        """Reply in the role the view asks for."""
        return self._by_role[view.role].act(view)
