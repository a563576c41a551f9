"""The players of a game by role, and what they have in common: `Cast`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agents import player_names
from agents.human import HumanPlayer
from agents.player_names import HUMAN, MadePlayer, PlayerOptions, Prompts, default_max_new_tokens
from agents.sampling_params import DEFAULT_TEMPERATURE, SamplingParams
from agents.scripted import SCRIPTED, scripted
from ssp_env.game import PROTOCOLS
from ssp_env.play import AnyPlayer
from ssp_env.scenario import Scenario


def names_by_role(proposer: str, solver: str, reader: str = "") -> dict[str, str]:
    """Return the players' names by role, with whoever reads if nobody is named; none if the solver reads.

    Args:
        proposer: Name of the proposer.
        solver: Name of the solver.
        reader: Name of the reader; empty for the default: the solver, or somebody else beside a scripted or
            human one.

    >>> names_by_role("strong", "weak")["reader"], names_by_role("smollm2", "human")["reader"]
    ('perfect', 'smollm2')
    >>> names_by_role("smollm2", "smollm2")
    {'proposer': 'smollm2', 'solver': 'smollm2'}
    """
    if not reader and solver in SCRIPTED["solver"]:
        # Scripted solvers are too weak to read: few questions would pass their check.
        reader = "perfect"
    elif not reader and solver == HUMAN != proposer:
        # A person who had to read the evidence would not have to search for it.
        reader = "perfect" if proposer in SCRIPTED["proposer"] else proposer
    return {"proposer": proposer, "solver": solver, **({"reader": reader} if reader else {})}


class Cast:
    """Who plays which role; a model named twice is loaded once.

    All players of a game read prompts of one style. Scripted players and tiny policies read the terse one
    only, language models the one that suits them. Objects of your own read whatever the others read, unless
    they have an attribute `prompts` with the name of the one style that they read. A model of a training run
    reads what it read there, and speaks that protocol.

    Args:
        players: Players by role, roles being the keys of `SCRIPTED`. A player is a name, see
            `agents.player_names.possible_names`, or an object from which `ssp_env.play.as_agent` makes an
            agent.
        seed: Seed of every random choice the players make.
        temperature: Sampling temperature of language models.
        max_new_tokens: Most tokens of a turn of a language model; that of `default_max_new_tokens` if None.
        options: What else players made by name are told; its `sampling` is not used.
        default_prompts: The style of games in which no player has one and none is given by `options`.

    Attributes:
        prompts: Prompt style all players read.
        protocol: Name of the protocol all players speak; empty if they speak any.
        players: The player of each role.
        sources: Model and back end of each role's player.
        people: The players that are people.

    Raises:
        ValueError: If a role or a name is unknown, or the players cannot play one game together.
        TypeError: If an object is no player.
        SmolLM2Missing: If SmolLM2 is wanted and not installed.
    """

    def __init__(
        self,
        players: Mapping[str, str | AnyPlayer],
        *,
        seed: int = 0,
        temperature: float = DEFAULT_TEMPERATURE,
        max_new_tokens: int | None = None,
        options: PlayerOptions = PlayerOptions(),  # noqa: B008 - frozen
        default_prompts: Prompts = "english",
    ) -> None:
        if unknown := sorted(set(players) - set(SCRIPTED)):
            raise ValueError(f"unknown role {', '.join(unknown)}: the roles are {', '.join(SCRIPTED)}")
        self._sampling = SamplingParams(temperature=temperature, seed=seed)
        self._max_new_tokens = max_new_tokens
        self._options = options
        self._models: dict[tuple[str, str], MadePlayer] = {}
        made = {role: self._made(role, player) for role, player in players.items() if player != HUMAN}
        shown = {
            role: name if isinstance(name, str) else type(name).__name__ for role, name in players.items()
        }
        named = {role: f"{options.label(role)} {shown[role]}" for role in made}
        self.prompts = _common_style(named, made) or options.prompts or default_prompts
        self.protocol = _common_protocol(named, made)
        self._reads_terse_pages_only = any(one.reads_terse_pages_only for one in made.values())
        person = HumanPlayer(protocol=PROTOCOLS[self.protocol or options.protocol_for(self.prompts)])
        self.people = [person] if len(made) < len(players) else []
        self.players = {role: made[role].player if role in made else person for role in players}
        self.sources = {
            role: (made[role].model or str(name), made[role].back_end) if role in made else (HUMAN, "person")
            for role, name in players.items()
        }

    def in_scenario(self, scenario: Scenario) -> Scenario:
        """Return a scenario under the prompts and the protocol of these players.

        Raises:
            ValueError: If a player reads the pages of terse worlds only, and there are others.
        """
        if self._reads_terse_pages_only and not scenario.is_terse:
            raise ValueError(
                "scripted players and tiny checkpoints can read terse worlds only: choose the world 'tiny', "
                "or players that are language models, people or objects of your own"
            )
        scenario = scenario.with_prompts(self.prompts)
        if self.protocol in ("", scenario.rules.protocol):
            return scenario
        return scenario.with_rules({"protocol": self.protocol})

    def _made(self, role: str, player: str | AnyPlayer) -> MadePlayer:
        if not isinstance(player, str):
            return player_names.own_player(player, role, self._options)
        if player in SCRIPTED[role]:
            made = scripted(role, player, self._sampling.seed)
            return MadePlayer(made, "terse", player, "scripted", reads_terse_pages_only=True)
        # The folder of a run may hold a model for each role.
        by_role = player_names.has_model_by_role(Path(player))
        key = player, ("proposer" if role == "proposer" else "solver") if by_role else ""
        if key not in self._models:
            limit = self._max_new_tokens or default_max_new_tokens(player)
            sampling = replace(self._sampling, max_new_tokens=limit)
            options = replace(self._options, sampling=sampling)
            self._models[key] = player_names.player_by_name(role, player, options)
        return self._models[key]


def _common_style(named: Mapping[str, str], made: Mapping[str, MadePlayer]) -> Prompts | None:
    """The one prompt style of players that have one; None if there are none."""
    # Backwards, so that an error names the first role of a style, which is one the user chose.
    by_style = {made[role].prompts: role for role in list(made)[::-1] if made[role].prompts}
    if len(by_style) <= 1:
        return next(iter(by_style), None)
    if "terse" in by_style:
        role = by_style.pop("terse")
        others = ", ".join(named[other] for other in by_style.values())
        if not made[role].reads_terse_pages_only:
            raise ValueError(
                f"{named[role]} reads terse prompts, {others} does not: choose --prompts terse, which every "
                "language model can be shown"
            )
        raise ValueError(
            f"{named[role]} plays the terse game only, {others} does not: choose scripted players and tiny "
            "checkpoints for all roles, or language models for all roles"
        )
    # Demonstrations are understood by every language model, instructions by instruction-tuned ones.
    return "few_shot"


def _common_protocol(named: Mapping[str, str], made: Mapping[str, MadePlayer]) -> str:
    """The one protocol of players that have one; empty if there are none."""
    by_protocol = {made[role].protocol: named[role] for role in list(made)[::-1] if made[role].protocol}
    if len(by_protocol) > 1:
        spoken = ", ".join(f"{who} speaks {protocol}" for protocol, who in by_protocol.items())
        raise ValueError(
            f"all players of a game speak one protocol: {spoken}; choose one with --rule protocol=NAME"
        )
    return next(iter(by_protocol), "")
