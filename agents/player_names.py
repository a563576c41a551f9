"""Which constructor a player's name stands for; a new back end is one more line in `BACK_ENDS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal, NamedTuple

from agents.sampling_params import SamplingParams
from ssp_env.game import PROTOCOLS, Protocol
from ssp_env.play import AnyAgent, AnyAsyncAgent

if TYPE_CHECKING:
    from agents.chat_endpoint import Ledger

Reads = Literal["terse", "few_shot", "drawn", "english"]
"""Prompt style a player reads; scripted players and tiny policies read the terse one only."""


@dataclass(frozen=True, kw_only=True)
class PlayerOptions:
    """What players made by name are told.

    Attributes:
        sampling: How language models sample.
        prompts: Prompt style they should read; the one that suits each of them if None.
        protocol: Name of the protocol of games that are not terse.
        api_key_variable: Environment variable with the key of chat endpoints.
        concurrency: Most requests that a chat endpoint gets at a time.
        ledger: Where the usage of all chat endpoints is added up; each has one of its own if None.
    """

    sampling: SamplingParams = SamplingParams()  # noqa: RUF009 - frozen
    prompts: Reads | None = None
    protocol: str = "default"
    api_key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 16
    ledger: Ledger | None = None

    def protocol_for(self, reads: Reads) -> Protocol:
        """Return the protocol of games with prompts of that style."""
        return PROTOCOLS["terse" if reads == "terse" else self.protocol]


class MadePlayer(NamedTuple):
    """A player that was made.

    Attributes:
        player: The player.
        reads: Prompt style it reads.
        model: Its model, by the name it has where it runs; empty if the player's own name is as good.
        back_end: What runs the model.
    """

    player: AnyAgent | AnyAsyncAgent
    reads: Reads
    model: str = ""
    back_end: str = "transformers"


@dataclass(frozen=True)
class BackEnd:
    """Players whose names begin with a prefix.

    Attributes:
        form: How such a name is written.
        constructor: `module:function`, imported when it is needed; the function takes what follows the prefix
            and the `PlayerOptions`, and returns a `MadePlayer`.
    """

    form: str
    constructor: str

    def make(self, rest: str, options: PlayerOptions) -> MadePlayer:
        """Call the constructor."""
        function: Callable[[str, PlayerOptions], MadePlayer] = resolve_name(self.constructor)
        return function(rest, options)


BACK_ENDS: Mapping[str, BackEnd] = {
    "chat": BackEnd("chat:MODEL[@URL]", "agents.chat_endpoint.by_name:chat_player"),
    "vllm": BackEnd("vllm:URL[,URL...] or vllm:FOLDER", "agents.vllm.by_name:vllm_player"),
}
"""Back ends by prefix, the part of a name before the first colon."""
