"""Every option of the game, with the defaults of the published method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ssp_env.game.prompts import PROMPT_STYLES
from ssp_env.game.protocol import PROTOCOLS

RewardShape = Literal["1-acc", "4p(1-p)", "format_only"]
REWARD_SHAPES: tuple[RewardShape, ...] = ("1-acc", "4p(1-p)", "format_only")


@dataclass(frozen=True, slots=True)
class GameConfig:
    """Rules of one game.

    Attributes:
        protocol: Name of a preset in `PROTOCOLS`.
        prompts: Name of a prompt style in `PROMPT_STYLES`.
        attempts: K, independent attempts of the solver per valid question.
        top_k: Passages returned per search.
        max_searches: Searches executed per seat; later ones get a notice (paper section 4.1: 10).
        max_turns: Turns a seat may take; a search asked for in the last one is not executed.
        retries: Malformed turns a seat may take before it forfeits.
        min_searches: Searches the proposer must have made, all different (released code: 2).
        min_chars: Least length of a question in characters.
        max_chars: Greatest length of a question in characters.
        min_words: Least number of white-space separated words in a question.
        answer_in_search: Whether the proposer's searches may name the answer.
        rag_check: Whether a question must pass the RAG check to be valid.
        noise_passages: Noise passages mixed into the reader's evidence (paper table 3: 4).
        judge: Whether an answer that fails exact match goes to a judge.
        reward: Shape of the proposer's reward in the solver's mean success p.
        invalid_reward: The proposer's reward for an invalid question (a negative one collapses training,
            paper appendix B.3).

    Raises:
        ValueError: If an option is out of its range; the message names the range.
    """

    protocol: str = "default"
    prompts: str = "english"
    attempts: int = 1
    top_k: int = 3
    max_searches: int = 10
    max_turns: int = 12
    retries: int = 1
    min_searches: int = 2
    min_chars: int = 10
    max_chars: int = 1000
    min_words: int = 10
    answer_in_search: bool = True
    rag_check: bool = True
    noise_passages: int = 4
    judge: bool = False
    reward: RewardShape = "1-acc"
    invalid_reward: float = 0.0

    def __post_init__(self) -> None:
        choices = (
            ("protocol", self.protocol, tuple(PROTOCOLS)),
            ("prompts", self.prompts, PROMPT_STYLES),
            ("reward", self.reward, REWARD_SHAPES),
        )
        for name, value, known in choices:
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        least = {
            "attempts": 1, "top_k": 1, "max_searches": 0, "max_turns": 1, "retries": 0, "min_searches": 0,
            "min_chars": 0, "min_words": 0, "noise_passages": 0, "max_chars": self.min_chars,
        }  # fmt: skip
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}, got {getattr(self, name)}")


TERSE_RULES = GameConfig(
    protocol="terse",
    prompts="terse",
    top_k=2,
    max_searches=4,
    max_turns=6,
    min_chars=6,
    min_words=4,
)
"""Rules that fit the short questions of a terse world."""
