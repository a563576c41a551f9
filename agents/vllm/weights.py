"""Which weights the servers serve, and how they get new ones between two turns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.vllm.errors import RequestRefused, UnfitServer, VLLMError, WeightsNotUpdated
from agents.vllm.server import Server

_log = logging.getLogger("ssp_env.agents.vllm")
DEV_MODE = "start it with VLLM_SERVER_DEV_MODE=1 in its environment"
RUNTIME_LORA = "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment"


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

    def name_base(self, served: Mapping[str, int | None], url: str) -> None:
        """Take the model of a server for the base model; its other names are aliases, and adapters.

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
            if served_name(name, version) not in served:
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
    before, served = server.adapters.get(name), served_name(name, version)
    try:
        await server.post("/v1/load_lora_adapter", {"lora_name": served, "lora_path": str(folder)})
    except RequestRefused as error:
        if "already been loaded" not in str(error):
            raise UnfitServer(
                f"{server.url} cannot load the adapter {folder}: {error}; {RUNTIME_LORA}"
            ) from error
    server.adapters[name] = (served, version)
    if before is not None and before[0] != served:
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
