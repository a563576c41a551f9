"""What a server must be before it may sample for a player; each check says what to change."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agents.sampling_params import Role, SamplingParams
from agents.vllm.errors import LogprobsUnfit, UnfitServer
from agents.vllm.logprobs import LogprobsMode, are_fit, check_fit
from agents.vllm.server import Server
from agents.vllm.weights import ServedWeights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SAMPLE_TEXT = "Which town? <search> Marta Velling </search>\n<answer> É, 12 </answer>"

_log = logging.getLogger("ssp_env.agents.vllm")


@dataclass
class Admission:
    """Admits servers to a pool.

    Attributes:
        models: Model or adapter that each role asks for; an empty name is the server's model.
        sampling: How turns are sampled.
        tokenizer: The player's; the server must have the same.
        require_logprobs: Whether log-probabilities must be those a trainer needs.
        weights: What the servers serve.
        context_window: Tokens that must fit; None takes what the first server admits.
        logprobs_fit: Per way of sampling, whether every server so far reports usable log-probabilities.
    """

    models: Mapping[Role, str]
    sampling: Sequence[SamplingParams]
    tokenizer: PreTrainedTokenizerBase
    require_logprobs: bool
    weights: ServedWeights
    context_window: int | None = None
    logprobs_fit: dict[SamplingParams, bool] = field(default_factory=dict)
    _checked: dict[Server, LogprobsMode] = field(default_factory=dict)

    async def __call__(self, server: Server) -> None:
        """Admit a server.

        Raises:
            UnfitServer: If it runs and may not be used.
            ServerUnavailable: If it cannot be reached.
        """
        served = await server.models()
        self.weights.name_base(served, server.url)
        await self.weights.bring_up_to_date(server, served)
        base = self.weights.base
        for model in filter(None, self.models.values()):
            if model not in served and model not in server.adapters:
                raise UnfitServer(
                    f"{server.url} serves {', '.join(served) or 'nothing'}, and no model {model!r}: "
                    "pass the name it was started with (--served-model-name)"
                )
        self._check_window(server, served)
        # These cannot change while the same kind of server runs at an address.
        if server not in self._checked:
            await self._check_tokenizer(server, base)
            await self._check_logprobs(server, base)

    def _check_window(self, server: Server, served: Mapping[str, int | None]) -> None:
        fits = served[self.weights.base] or 0
        if self.context_window is None:
            self.context_window = fits
        if fits < self.context_window:
            raise UnfitServer(
                f"the context window of {server.url} holds {fits} tokens, {self.context_window} are needed: "
                f"start it with --max-model-len {self.context_window}, or pass context_window={fits}"
            )

    async def _check_tokenizer(self, server: Server, model: str) -> None:
        theirs = await server.tokenize(model, SAMPLE_TEXT)
        ours = list(self.tokenizer(SAMPLE_TEXT, add_special_tokens=False)["input_ids"])
        if theirs is not None and theirs != ours:
            raise UnfitServer(
                f"{server.url} has another tokenizer than the player: token ids would mean other words; "
                "give the player the tokenizer of the model that is served"
            )

    async def _check_logprobs(self, server: Server, model: str) -> None:
        mode = await server.logprobs_mode(model)
        for sampling in self.sampling:
            try:
                check_fit(mode, sampling, server.url)
            except LogprobsUnfit as error:
                if self.require_logprobs:
                    raise
                _log.info("replies come without log-probabilities: %s", error)
            self.logprobs_fit[sampling] = self.logprobs_fit.get(sampling, True) and are_fit(mode, sampling)
        self._checked[server] = mode
