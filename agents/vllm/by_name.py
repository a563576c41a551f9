"""Players by name: `vllm:http://a:8000,http://b:8000` for servers, `vllm:FOLDER` for an engine here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from agents.player_names import MadePlayer, PlayerOptions, Reads
from agents.vllm.errors import NoServerLeft
from agents.vllm.in_process import VLLMEngineAgent
from agents.vllm.served import VLLMServerAgent
from agents.vllm.server import server_url

if TYPE_CHECKING:
    from agents.conversation_tokens import Rendering

FORM = "vllm:URL[,URL...], vllm:FOLDER@URL[,URL...] if the servers' model folder is elsewhere, or vllm:FOLDER"


def vllm_player(rest: str, options: PlayerOptions) -> MadePlayer:
    """Make the player that a name stands for.

    Args:
        rest: The name behind `vllm:`.
        options: How it shall play.

    Raises:
        ValueError: If the name is malformed, or no tokenizer can be found.
        NoServerLeft: If no server can be reached.
    """
    folder, _, urls = rest.rpartition("@")
    if not urls.startswith(("http://", "https://")):
        folder, urls = rest, ""
    addresses = [server_url(url) for url in urls.split(",") if url]
    model, where = ("", Path(folder)) if folder else _served(addresses)
    if not (where / "config.json").is_file():
        raise ValueError(
            f"expected {FORM}, with a model and its tokenizer in the folder, got {rest!r} ({where})"
        )
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(where, local_files_only=True)
    reads: Reads = options.prompts or ("english" if tokenizer.chat_template else "few_shot")
    rendering: Rendering = "chat" if reads == "english" else "plain"
    protocol = options.protocol_for(reads)
    if addresses:
        served = VLLMServerAgent(
            addresses, tokenizer, sampling=options.sampling, protocol=protocol, rendering=rendering
        )
        return MadePlayer(served, reads, model or where.name, "vllm")
    engine = VLLMEngineAgent(
        where, tokenizer, sampling=options.sampling, protocol=protocol, rendering=rendering
    )
    return MadePlayer(engine, reads, str(where), "vllm")


def _served(addresses: list[str]) -> tuple[str, Path]:
    """Name of the model of the first server that answers, and the folder from which it was loaded."""
    problems = []
    for address in addresses:
        try:
            listed = httpx.get(f"{address}/v1/models", timeout=30.0).raise_for_status().json()
            model = listed["data"][0]
            return str(model["id"]), Path(model["root"])
        except httpx.HTTPError as error:
            problems.append(f"{address}: {type(error).__name__}: {error}")
        except (ValueError, KeyError, IndexError, TypeError):
            raise ValueError(f"{address} does not tell its model's folder: write {FORM}") from None
    raise NoServerLeft(f"no vLLM server can be reached: {'; '.join(problems)}")
