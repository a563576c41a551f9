"""Players by name: scripted strengths, SmolLM2, or whatever language model a folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agents.scripted import SCRIPTED, scripted
from ssp_env.play import AnyAgent

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SMOLLM2 = "smollm2"
Reads = Literal["terse", "few_shot", "english"]
"""Prompt style a player reads; scripted players and tiny policies read the terse one only."""


class Cast:
    """Who plays which role; a model named twice is loaded once.

    Args:
        names: Player names by role, roles being the keys of `SCRIPTED`: a strength of `SCRIPTED[role]`,
            `smollm2`, or a folder with a checkpoint.
        seed: Of every random choice the players make.
        temperature: Of sampling from language models.
        max_new_tokens: Most tokens of a turn of a language model.

    Attributes:
        prompts: Prompt style all players read.
        players: The player of each role.

    Raises:
        ValueError: If a name is unknown, or the players cannot play one game together.
        SmolLM2Missing: If SmolLM2 is wanted and not installed.
    """

    def __init__(
        self, names: Mapping[str, str], *, seed: int = 0, temperature: float = 0.7, max_new_tokens: int = 96
    ) -> None:
        self._seed = seed
        self._temperature = temperature
        self._max_new_tokens = max_new_tokens
        self._models: dict[str, tuple[AnyAgent, Reads]] = {}
        made = {role: self._player(role, name) for role, name in names.items()}
        self.players = {role: player for role, (player, _) in made.items()}
        self.prompts = _common_style({role: (names[role], reads) for role, (_, reads) in made.items()})

    def _player(self, role: str, name: str) -> tuple[AnyAgent, Reads]:
        if name in SCRIPTED[role]:
            return scripted(role, name, self._seed), "terse"
        if name not in self._models:
            self._models[name] = self._language_model(role, name)
        return self._models[name]

    def _language_model(self, role: str, name: str) -> tuple[AnyAgent, Reads]:
        from agents import smollm2

        if name == SMOLLM2:
            return self._chat_model(*smollm2.load(), "few_shot")
        if not Path(name, "config.json").is_file():
            raise ValueError(
                f"--{role} must be one of {', '.join(SCRIPTED[role])}, {SMOLLM2}, "
                f"or a folder with a checkpoint (config.json, model.safetensors, tokenizer), got {name!r}"
            )
        return self._checkpoint(Path(name))

    def _checkpoint(self, folder: Path) -> tuple[AnyAgent, Reads]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from agents import tiny_model
        from agents.tiny_policy import TinyPolicy

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        # A word-level tokenizer has a closing tag as one word.
        if "</search>" in tokenizer.get_vocab() and tokenizer.chat_template is None:
            model, words = tiny_model.load(folder)
            return TinyPolicy(model, words, temperature=self._temperature, seed=self._seed), "terse"
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="auto").eval()
        return self._chat_model(model, tokenizer, "english" if tokenizer.chat_template else "few_shot")

    def _chat_model(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, reads: Reads
    ) -> tuple[AnyAgent, Reads]:
        from agents.sampling_params import SamplingParams
        from agents.transformers_agent import TransformersAgent

        player = TransformersAgent(
            model,
            tokenizer,
            rendering="plain" if reads == "few_shot" else "chat",
            sampling=SamplingParams(
                temperature=self._temperature, max_new_tokens=self._max_new_tokens, seed=self._seed
            ),
        )
        return player, reads


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
