"""Which weights the servers serve, how they get new ones, and what a server must be before it may sample."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agents.sampling_params import SamplingParams
from agents.vllm.errors import LogprobsUnfit, RequestRefused, UnfitServer, VLLMError, WeightsNotUpdated
from agents.vllm.logprobs import LogprobsMode, are_fit, check_fit
from agents.vllm.server import Server
from ssp_env.game import Role

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SAMPLE_TEXT = "Which town? <search> Marta Velling </search>\n<answer> É, 12 </answer>"
DEV_MODE = "start it with VLLM_SERVER_DEV_MODE=1 in its environment"
RUNTIME_LORA = "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment"

_log = logging.getLogger("ssp_env.agents.vllm")


@dataclass
class ServedWeights:
    """The weights that every server shall serve; a server that comes back is brought up to date.

    Attributes:
        base: Name under which the base model is served.
        version: Version of the base model: the one servers were started with, or that of the last update.
        folder: Checkpoint of the last update; None before the first.
        adapters: Folder and version of each LoRA adapter by its name.
    """

    base: str = ""
    version: str = "initial"
    folder: Path | None = None
    adapters: dict[str, tuple[Path, str]] = field(default_factory=dict)

    @property
    def loaded(self) -> str:
        """Versions loaded since the servers were started; empty before the first.

        Each draws random numbers of its own, so that a trainer may play games of the same names again.
        """
        versions = [self.version] if self.folder is not None else []
        return "+".join([*versions, *(version for _, version in self.adapters.values())])

    def name_base(self, served: Mapping[str, int | None], url: str) -> None:
        """Take the model of a server as the base model; other names in its list are aliases or adapters.

        Raises:
            UnfitServer: If it serves no model.
        """
        names = [name for name, window in served.items() if window is not None]
        if not names:
            raise UnfitServer(f"{url} serves no model")
        if self.base not in names:
            self.base = names[0]

    async def bring_up_to_date(self, server: Server, served: Mapping[str, int | None]) -> None:
        """Find out which weights a server serves, and load what is missing.

        Raises:
            VLLMError: If it cannot be brought up to date.
        """
        stated = await server.stated_version()
        if self.folder is None and server.weights_unknown:
            raise UnfitServer(
                f"the weights of {server.url} are unknown since an update failed: update or restart it"
            )
        if self.folder is None:
            server.weights_version = stated or self.version
        elif server.weights_unknown or stated != self.version:
            await reload_weights(server, self.folder, self.version)
        else:
            server.weights_version = self.version
        for name, (folder, version) in self.adapters.items():
            if server.adapters.get(name, ("", ""))[0] not in served or server.adapters[name][1] != version:
                server.adapters.pop(name, None)
                await load_adapter(server, name, folder, version)

    async def update(
        self, servers: tuple[Server, ...], folder: Path, version: str
    ) -> dict[Server, VLLMError]:
        """Load a checkpoint into every server.

        Args:
            servers: The servers, none of which has a request of ours under way.
            folder: The checkpoint, as the servers see it.
            version: Its version.

        Returns:
            What went wrong, for each server that must not be used now.

        Raises:
            WeightsNotUpdated: If no server took it.
        """
        before = self.folder, self.version
        self.folder, self.version = folder, version

        async def change(server: Server) -> None:
            await reload_weights(server, folder, version)
            for name, adapter in self.adapters.items():
                await load_adapter(server, name, *adapter)

        try:
            return await _on_all(servers, change)
        except WeightsNotUpdated:
            self.folder, self.version = before
            raise

    async def update_adapter(
        self, servers: tuple[Server, ...], name: str, folder: Path, version: str
    ) -> dict[Server, VLLMError]:
        """Load a LoRA adapter into every server, in place of an earlier one of the name; as `update`."""
        problems = await _on_all(servers, lambda server: load_adapter(server, name, folder, version))
        self.adapters[name] = (folder, version)
        return problems


async def reload_weights(server: Server, folder: Path, version: str) -> None:
    """Load a checkpoint into one server while it samples nothing.

    Raises:
        UnfitServer: If it was not started for that.
        VLLMError: If it fails; the server's weights are unknown then, and it must not be used.
    """
    try:
        await server.post("/pause", mode="wait")
    except RequestRefused as error:
        raise UnfitServer(f"{server.url} cannot change its weights ({error}): {DEV_MODE}") from error
    server.weights_unknown = True
    try:
        arguments = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
        await server.post("/collective_rpc", arguments)
        # What was computed by the old weights must not be read by the new ones.
        reset = await server.post("/reset_prefix_cache")
        if reset is not None and not reset.get("success", True):
            raise UnfitServer(f"{server.url} did not reset its prefix cache after new weights: {reset}")
        await server.post("/update_weight_version", {"new_version": version})
    finally:
        await server.post("/resume")
    server.weights_version, server.weights_unknown = version, False


def served_name(name: str, version: str) -> str:
    """Return the name of one version of an adapter, one of its own, so that no cache takes it for another."""
    return f"{name}@{version}"


async def load_adapter(server: Server, name: str, folder: Path, version: str) -> None:
    """Load one version of a LoRA adapter into one server, and drop the one before.

    Raises:
        UnfitServer: If it was not started for that.
        VLLMError: If it fails.
    """
    before, served, copies = server.adapters.get(name), served_name(name, version), 1
    while True:
        try:
            await server.post("/v1/load_lora_adapter", {"lora_name": served, "lora_path": str(folder)})
            break
        except RequestRefused as error:
            if "already been loaded" not in str(error):
                raise UnfitServer(
                    f"{server.url} cannot load the adapter {folder}: {error}; {RUNTIME_LORA}"
                ) from error
            # What an earlier run left under this name has other weights.
            copies += 1
            served = f"{served_name(name, version)} ({copies})"
    server.adapters[name] = (served, version)
    if before is not None:
        await server.post("/v1/unload_lora_adapter", {"lora_name": before[0]})


async def _on_all(
    servers: tuple[Server, ...], change: Callable[[Server], Awaitable[None]]
) -> dict[Server, VLLMError]:
    results = await asyncio.gather(*map(change, servers), return_exceptions=True)
    problems: dict[Server, VLLMError] = {}
    for server, result in zip(servers, results, strict=True):
        if isinstance(result, VLLMError):
            problems[server] = result
        elif isinstance(result, BaseException):
            raise result
    if len(problems) == len(servers):
        raise WeightsNotUpdated("; ".join(map(str, problems.values()))) from next(iter(problems.values()))
    for server, problem in problems.items():
        _log.warning("%s is not used until it has the new weights: %s", server.url, problem)
    return problems


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
