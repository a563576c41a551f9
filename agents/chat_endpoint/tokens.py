"""Token ids and log-probabilities of replies, from endpoints that return them."""

from __future__ import annotations

from dataclasses import replace

from agents.chat_endpoint.completion import Completion
from agents.chat_endpoint.errors import LogprobsMissing
from ssp_env.game import Reply, View


class ConversationTrace:
    """Remembers what each conversation consists of, and adds tokens to replies as long as that holds.

    An endpoint renders the whole conversation anew for every turn. Where its template changes what was read
    or written before, no trainer may use that turn or a later one of the conversation: they are text alone.
    """

    def __init__(self) -> None:
        # Ids up to and with the last reply; None once they have changed.
        self._known: dict[tuple[str, str, str], tuple[int, ...] | None] = {}

    def with_tokens(self, view: View, completion: Completion, reply: Reply, *, ends: bool) -> Reply:
        """Return the reply with its tokens and what was read before it.

        Args:
            view: What the player saw.
            completion: What the endpoint returned.
            reply: The reply as text.
            ends: Whether the conversation is over with it.

        Raises:
            LogprobsMissing: If the endpoint returned no token ids or log-probabilities.
        """
        prompt, sampled, logprobs = completion.prompt_token_ids, completion.token_ids, completion.logprobs
        if not prompt or not sampled or len(logprobs) != len(sampled):
            raise LogprobsMissing(
                "expected token ids and log-probabilities, which this endpoint does not return: "
                "to train, play with the vLLM agent (`vllm:URL`), or leave require_logprobs out"
            )
        is_first = all(message.role != "assistant" for message in view.messages)
        known = () if is_first else self._known.get(view.conversation_id)
        faithful = known is not None and prompt[: len(known)] == known
        if ends:
            self._known.pop(view.conversation_id, None)
        else:
            self._known[view.conversation_id] = prompt + sampled if faithful else None
        if not faithful or known is None:
            return reply
        return replace(reply, token_ids=sampled, logprobs=logprobs, context_ids=prompt[len(known) :])
