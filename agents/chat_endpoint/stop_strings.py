"""Giving a reply back the closing tag at which a chat endpoint stopped, which endpoints cut off."""

from __future__ import annotations

from collections.abc import Sequence

from agents.chat_endpoint.completion import Completion
from ssp_env.game import Protocol
from ssp_env.game.protocol import FinalKind


def stop_strings(protocol: Protocol, final: FinalKind, *, may_search: bool) -> tuple[str, ...]:
    """Return the closing tags of the actions a seat may take."""
    stops = protocol.stop_strings(final)
    # A reader's search is no action: stopping there would cut off the answer that follows.
    return stops if may_search else stops[-1:]


def restored(
    completion: Completion, stops: Sequence[str], protocol: Protocol, final: FinalKind, *, may_search: bool
) -> str:
    """Return the text of a completion with the stop string that ended it.

    An endpoint that names the stop string is believed. Others say `stop` for a stop string and for the
    model's own end of turn alike; then the tag of the last action that was opened and not closed is taken to
    be the one. So a model that ends its turn without a closing tag is forgiven behind such an endpoint.

    >>> from ssp_env.game import PROTOCOLS
    >>> said = Completion("Hm. <search> blue whale ", finish_reason="stop")
    >>> restored(said, ["</search>", "</answer>"], PROTOCOLS["default"], "answer", may_search=True)
    'Hm. <search> blue whale </search>'
    """
    text = completion.text

    def is_complete(reply: str) -> bool:
        return protocol.parse(reply, final, may_search=may_search).code != "no_action"

    if completion.finish_reason != "stop" or is_complete(text):
        return text
    if completion.stop_string is not None:
        return text + completion.stop_string if completion.stop_string in stops else text
    closing = [stop for stop in stops if is_complete(text + stop)]
    return text + max(closing, key=lambda stop: text.rfind(f"<{stop[2:]}"), default="")
