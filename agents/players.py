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
from ssp_env.play import AnyPlayer


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
    they have an attribute `prompts` with the name of the one style that they read.

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
        styles = {
            role: (player if isinstance(player := players[role], str) else type(player).__name__, one.prompts)
            for role, one in made.items()
            if one.prompts
        }
        self.prompts = _common_style(styles, options) or options.prompts or default_prompts
        person = HumanPlayer(protocol=options.protocol_for(self.prompts))
        self.people = [person] if len(made) < len(players) else []
        self.players = {role: made[role].player if role in made else person for role in players}
        self.sources = {
            role: (made[role].model or str(name), made[role].back_end) if role in made else (HUMAN, "person")
            for role, name in players.items()
        }

    def _made(self, role: str, player: str | AnyPlayer) -> MadePlayer:
        if not isinstance(player, str):
            return player_names.own_player(player, role, self._options)
        if player in SCRIPTED[role]:
            return MadePlayer(scripted(role, player, self._sampling.seed), "terse", player, "scripted")
        # The folder of a run may hold a model for each role.
        by_role = player_names.has_model_by_role(Path(player))
        key = player, ("proposer" if role == "proposer" else "solver") if by_role else ""
        if key not in self._models:
            limit = self._max_new_tokens or default_max_new_tokens(player)
            sampling = replace(self._sampling, max_new_tokens=limit)
            options = replace(self._options, sampling=sampling)
            self._models[key] = player_names.player_by_name(role, player, options)
        return self._models[key]


def _common_style(styles: Mapping[str, tuple[str, Prompts]], options: PlayerOptions) -> Prompts | None:
    """The one prompt style of players that have one; None if there are none."""
    # Backwards, so that an error names the first role of a style, which is one the user chose.
    by_style = {style: f"{options.label(role)} {name}" for role, (name, style) in list(styles.items())[::-1]}
    if len(by_style) <= 1:
        return next(iter(by_style), None)
    if "terse" in by_style:
        terse = by_style.pop("terse")
        raise ValueError(
            f"{terse} plays the terse game only, {', '.join(by_style.values())} does not: "
            "choose scripted players and tiny checkpoints for all roles, or language models for all roles"
        )
    # Demonstrations are understood by every language model, instructions by instruction-tuned ones.
    return "few_shot"
