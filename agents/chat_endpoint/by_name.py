"""Players named `chat:MODEL` or `chat:MODEL@URL`."""

from __future__ import annotations

from agents.chat_endpoint.agent import ChatEndpointAgent
from agents.chat_endpoint.client import ChatClient
from agents.player_names import MadePlayer, PlayerOptions


def chat_player(name: str, options: PlayerOptions) -> MadePlayer:
    """Make the player that `chat:` and `name` stand for.

    Raises:
        ValueError: If there is no model in the name, or the address or the key is none.

    >>> chat_player("llama@http://127.0.0.1:8000/v1", PlayerOptions()).player.client
    ChatClient('http://127.0.0.1:8000/v1')
    """
    # Models may have an @ in their names.
    model, at, address = name.partition("@http")
    if not model or model.startswith(("http://", "https://")):
        raise ValueError(f"expected chat:MODEL or chat:MODEL@URL, got {f'chat:{name}'!r}")
    client = ChatClient(
        f"http{address}" if at else None,
        api_key_variable=options.api_key_variable,
        concurrency=options.concurrency,
        ledger=options.ledger,
    )
    reads = options.prompts or "english"
    player = ChatEndpointAgent(model, client, protocol=options.protocol_for(reads), sampling=options.sampling)
    return MadePlayer(player, reads, model, "chat")
