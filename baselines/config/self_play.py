"""Options of the self-play loop: who plays whom, and what fills the solver's batch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from ssp_env.game import Role
from ssp_env.objects import check_least

CURRENT, FROZEN = "current", "frozen"
PAST = ("window", "pfsp")
"""Opponents that are past weights of the policy."""

READ_BY_THE_WARM_START = ("frozen_reader", "guide")
"""Defences for which the warm start reads; those of one's own may have it read too."""

REPLAYING = ("replay", "replay-reset", "prioritised")
"""Kinds of filling that ask earlier questions again."""

Weighting = Literal["squared", "linear", "variance"]
FillingKind = Literal["smaller", "resample", "dummy", "replay", "replay-reset", "prioritised"]


@dataclass(frozen=True)
class OpponentsConfig:
    """Who plays a role against the role that learns.

    Each is `current` (the weights that are being trained), `frozen` (the warm start), `window` (past weights,
    drawn uniformly), `pfsp` (past weights, drawn by how often the learner wins against them) or the name of a
    player. Nothing is trained on what an opponent did.

    Attributes:
        proposer: Who proposes to the solver. Empty for the usual: `current` if the proposer learns, else
            `frozen`.
        solver: Who solves what the proposer proposes, and reads for the RAG check; the same names.
        share: Share of a step's answers that are played against each opponent, if both roles learn; in the
            other games both seats have the current weights, and both learn. An opponent in the place of a
            role that does not learn plays every game.
        window: Number of past weights that are kept.
        every: Steps between them; the first are those that self-play began with.
        weighting: What `pfsp` draws by, of the learner's win rate p: `squared` (1-p)^2, `linear` 1-p, or
            `variance` p(1-p).
    """

    proposer: str = ""
    solver: str = ""
    share: float = 0.5
    window: int = 5
    every: int = 10
    weighting: Weighting = "squared"

    def __post_init__(self) -> None:
        check_least(1, **{f"opponents.{name}": getattr(self, name) for name in ("window", "every")})
        if not 0 < self.share <= 1:
            raise ValueError(f"opponents.share must be above 0 and at most 1, got {self.share}")

    def resolved(self, learning: Collection[Role]) -> dict[Role, str]:
        """Return who plays each role against the other one, with the usual opponents named.

        Raises:
            ValueError: If an opponent would leave a learning role without a game.
        """
        given: dict[Role, str] = {"proposer": self.proposer, "solver": self.solver}
        usual = {role: CURRENT if role in learning else FROZEN for role in given}
        found = {role: name or usual[role] for role, name in given.items()}
        if len(learning) > 1:
            taken = self.share * sum(name != CURRENT for name in found.values())
            if taken > 1 or (taken == 1 and CURRENT in found.values()):
                raise ValueError(
                    f"opponents.share of {self.share} leaves a role that learns without a game: expected "
                    "less than 1 with one opponent, and at most 0.5 with two"
                )
        for role in learning:
            if len(learning) == 1 and found[role] != CURRENT:
                other = "solver" if role == "proposer" else "proposer"
                raise ValueError(
                    f"opponents.{role} = {found[role]!r} would play against the {other}, which does not "
                    f"learn: leave it out, or let the {other} learn"
                )
        return found


@dataclass(frozen=True)
class FillingConfig:
    """What takes the place of invalid questions in the solver's batch.

    Attributes:
        kind: `smaller` (nothing), `resample` (further proposals), `dummy` (questions without a gradient),
            `replay` (earlier valid questions), `replay-reset` (the same, from a pool that is emptied every
            `reset_every` steps) or `prioritised` (earlier questions neither too old nor used too often, those
            preferred that the solver answers half of the time).
        distinct: Train the solver on the first of equal questions of a step only. Filling by further or by
            earlier questions always does.
        rounds: Most times that `resample` asks for further proposals.
        capacity: Most questions in the pool; the oldest make room.
        reset_every: Steps between two resets of `replay-reset`.
        max_age: Most steps that a question of `prioritised` is used after it was proposed.
        max_uses: Most times that a question of `prioritised` is asked again.
    """

    kind: FillingKind = "smaller"
    distinct: bool = False
    rounds: int = 3
    capacity: int = 2000
    reset_every: int = 10
    max_age: int = 20
    max_uses: int = 3

    def __post_init__(self) -> None:
        numbers = ("rounds", "capacity", "reset_every", "max_age", "max_uses")
        check_least(1, **{f"filling.{name}": getattr(self, name) for name in numbers})

    @property
    def drops_copies(self) -> bool:
        """Whether the solver is trained on the first of equal questions only."""
        return self.distinct or self.kind not in ("smaller", "dummy")
