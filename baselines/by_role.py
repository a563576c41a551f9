"""Things, such as policies, that both roles share or have one each: made once, and named in checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from ssp_env.game import Role

LEARNING_ROLES: tuple[Role, ...] = ("solver", "proposer")
"""The roles that learn, in the order in which they are updated (SSP algorithm 1)."""

T = TypeVar("T")
Made = TypeVar("Made")


def by_role(one: T | Mapping[Role, T]) -> dict[Role, T]:
    """Return what each role has, given by role or as one for both."""
    return dict(one) if isinstance(one, Mapping) else dict.fromkeys(LEARNING_ROLES, one)


def distinct(of_roles: Mapping[Role, T]) -> dict[str, T]:
    """Return what roles have, each thing once: by role, or under an empty name if there is only one.

    >>> shared = [1]
    >>> distinct({"solver": shared, "proposer": shared}), distinct({"solver": [1], "proposer": [1]})
    ({'': [1]}, {'solver': [1], 'proposer': [1]})
    """
    if len({id(thing) for thing in of_roles.values()}) == 1:
        return {"": next(iter(of_roles.values()))}
    return {str(role): thing for role, thing in of_roles.items()}


def made_of(of_roles: Mapping[Role, T], make: Callable[[T], Made]) -> dict[Role, Made]:
    """Return by role what is made of the thing that the role has, made once of what roles share."""
    made = {name: make(thing) for name, thing in distinct(of_roles).items()}
    return {role: made[role if role in made else ""] for role in of_roles}


def joined(states: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """Return the states of several owners as one, under `owner/name`, or `name` for an owner without a name.

    >>> joined({"solver": {"bias": 1}, "proposer": {"bias": 2}}), joined({"": {"bias": 1}})
    ({'solver/bias': 1, 'proposer/bias': 2}, {'bias': 1})
    """
    return {
        f"{owner}/{name}" if owner else name: value
        for owner, state in states.items()
        for name, value in state.items()
    }


def state_of(owner: str, states: Mapping[str, T]) -> dict[str, T]:
    """Return the state of one of the owners that `joined` had."""
    start = f"{owner}/" if owner else ""
    return {name.removeprefix(start): value for name, value in states.items() if name.startswith(start)}
