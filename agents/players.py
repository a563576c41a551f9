"""Players by name: scripted strengths, language models in folders or behind endpoints, people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agents.human import HumanPlayer
from agents.player_names import BACK_ENDS, MadePlayer, PlayerOptions, Reads
from agents.sampling_params import SamplingParams
from agents.scripted import SCRIPTED, scripted
from ssp_env.play import AnyPlayer, as_agent

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SMOLLM2 = "smollm2"
HUMAN = "human"


def possible_names(role: str) -> str:
    """Return what a player of a role may be called.

    >>> possible_names("reader").partition(", vllm:")[0]
    'perfect, guess (scripted), smollm2, human, chat:MODEL[@URL]'
    """
    forms = [back_end.form for back_end in BACK_ENDS.values()]
    named = ", ".join([SMOLLM2, HUMAN, *forms])
    return f"{', '.join(SCRIPTED[role])} (scripted), {named}, or a folder with a model"


class Cast:
    """Who plays which role; a model named twice is loaded once.

    Args:
        players: Players by role, roles being the keys of `SCRIPTED`. A player is a name, see
            `possible_names`; or an agent, or what `ssp_env.play.as_agent` makes one of.
        seed: Of every random choice the players make.
        temperature: Of sampling from language models.
        max_new_tokens: Most tokens of a turn of a language model.
        options: What else players made by name are told; its `sampling` is not used.

    Attributes:
        prompts: Prompt style all players read.
        players: The player of each role.
        sources: Model and back end of each role's player.
        people: The players that are people.

    Raises:
        ValueError: If a role or a name is unknown, or the players cannot play one game together.
        SmolLM2Missing: If SmolLM2 is wanted and not installed.
    """

    def __init__(
        self,
        players: Mapping[str, str | AnyPlayer],
        *,
        seed: int = 0,
        temperature: float = 0.7,
        max_new_tokens: int = 96,
        options: PlayerOptions = PlayerOptions(),  # noqa: B008 - frozen
    ) -> None:
        if unknown := sorted(set(players) - set(SCRIPTED)):
            raise ValueError(f"unknown role {', '.join(unknown)}: the roles are {', '.join(SCRIPTED)}")
        self._seed = seed
        sampling = SamplingParams(temperature=temperature, max_new_tokens=max_new_tokens, seed=seed)
        self._options = replace(options, sampling=sampling)
        self._models: dict[str, MadePlayer] = {}
        made = {role: self._made(role, player) for role, player in players.items() if player != HUMAN}
        styles = {
            role: (player if isinstance(player := players[role], str) else type(player).__name__, one.reads)
            for role, one in made.items()
        }
        self.prompts = _common_style(styles) if styles else self._options.prompts or "english"
        person = HumanPlayer(protocol=self._options.protocol_for(self.prompts))
        self.people = [person] if len(made) < len(players) else []
        self.players = {role: made[role].player if role in made else person for role in players}
        self.sources = {
            role: (made[role].model or str(name), made[role].back_end) if role in made else (HUMAN, "person")
            for role, name in players.items()
        }

    def _made(self, role: str, player: str | AnyPlayer) -> MadePlayer:
        if not isinstance(player, str):
            reads = self._options.prompts or "english"
            return MadePlayer(as_agent(player, role), reads, type(player).__name__, "Python")
        if player in SCRIPTED[role]:
            return MadePlayer(scripted(role, player, self._seed), "terse", player, "scripted")
        if player not in self._models:
            self._models[player] = self._by_name(role, player)
        return self._models[player]

    def _by_name(self, role: str, name: str) -> MadePlayer:
        from agents import smollm2

        if name == SMOLLM2:
            return self._chat_model(*smollm2.load(), "few_shot")
        prefix, colon, rest = name.partition(":")
        if colon and prefix in BACK_ENDS:
            return BACK_ENDS[prefix].make(rest, self._options)
        folder = Path(name)
        if (folder / "config.json").is_file():
            return self._checkpoint(folder)
        if folder.is_dir():
            found = _shortened(sorted(path.name for path in folder.iterdir())) or "nothing"
            problem = f"expected config.json, weights and a tokenizer in it, found {found}"
            raise ValueError(f"--{role}: there is no model in the folder {name!r}: {problem}")
        missing = "; there is no folder of that name" if "/" in name or "\\" in name else ""
        raise ValueError(f"--{role} must be one of {possible_names(role)}, got {name!r}{missing}")

    def _checkpoint(self, folder: Path) -> MadePlayer:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from agents import tiny_model
        from agents.tiny_policy import TinyPolicy

        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"the folder {str(folder)!r} has no tokenizer that can be read: save it there with "
                f"tokenizer.save_pretrained ({error})"
            ) from error
        # A word-level tokenizer has a closing tag as one word.
        if "</search>" in tokenizer.get_vocab() and tokenizer.chat_template is None:
            model, words = tiny_model.load(folder)
            sampling = self._options.sampling
            return MadePlayer(
                TinyPolicy(model, words, temperature=sampling.temperature, seed=self._seed), "terse"
            )
        if tokenizer.chat_template is None and self._options.prompts == "english":
            raise ValueError(
                f"the tokenizer in {str(folder)!r} has no chat template, which english prompts need: choose "
                "--prompts few_shot, or set tokenizer.chat_template and save the tokenizer again"
            )
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="auto").eval()
        return self._chat_model(model, tokenizer, "english" if tokenizer.chat_template else "few_shot")

    def _chat_model(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, suits: Reads
    ) -> MadePlayer:
        from agents.transformers_agent import TransformersAgent

        reads = self._options.prompts or suits
        player = TransformersAgent(
            model,
            tokenizer,
            protocol=self._options.protocol_for(reads),
            rendering="chat" if reads == "english" else "plain",
            sampling=self._options.sampling,
        )
        return MadePlayer(player, reads)


def _common_style(readers: Mapping[str, tuple[str, Reads]]) -> Reads:
    """The one prompt style that all players read."""
    # Backwards, so that an error names the first role of a style, which is one the user chose.
    by_style = {reads: f"--{role} {name}" for role, (name, reads) in list(readers.items())[::-1]}
    if len(by_style) == 1:
        return next(iter(by_style))
    if "terse" in by_style:
        terse = by_style.pop("terse")
        raise ValueError(
            f"{terse} plays the terse game only, {', '.join(by_style.values())} does not: "
            "choose scripted players and tiny checkpoints for all roles, or language models for all roles"
        )
    # Demonstrations are understood by every language model, instructions by instruction-tuned ones.
    return "few_shot"


def _shortened(names: Sequence[str], most: int = 5) -> str:
    return ", ".join([*names[:most], *["..."] * (len(names) > most)])
