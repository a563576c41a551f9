"""Plays every role with models behind a chat endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from agents.chat_endpoint.client import ChatClient
from agents.chat_endpoint.completion import Completion
from agents.chat_endpoint.errors import LogprobsMissing
from agents.chat_roles import without_system
from agents.sampling_params import (
    SamplingByRole,
    SamplingParams,
    check_roles,
    sampling_by_role,
)
from ssp_env.game import PROTOCOLS, Protocol, Reply, Role, View
from ssp_env.game.view import ROLES, FinalKind, ToolRole
from ssp_env.play import chat_messages

_SEED_BITS = 31


class ChatEndpointAgent:
    """An `AsyncAgent` for `play_async`; `ssp_env.play.blocking` makes one for `play` of it.

    Searches are native tool calls if the protocol is (`PROTOCOLS["openai"]`), text otherwise. A reply carries
    no token ids: a chat endpoint renders the conversation by its own template, so that nobody here knows what
    its model read. With `require_logprobs` they are taken over where the endpoint proves what was read.

    Models whose templates refuse a system message (Gemma 2, Mistral 7B Instruct) need `system_role="user"`.

    An endpoint that sends the reasoning beside the text may still stop inside it. A turn that ends so is
    asked for again without stop strings, and none are sent to that model from then on.

    Args:
        model: The model's name at the endpoint, or names by role.
        client: The endpoint; a `ChatClient` with its defaults if None.
        protocol: Tags or calls of the games it plays.
        sampling: How turns are sampled, or how by role.
        extra_body: Further fields of every request, or None to leave out one that is sent otherwise:
            `{"max_tokens": None, "max_completion_tokens": 512, "stop": None}` suits models that refuse stop
            strings.
        require_logprobs: Ask for token ids and log-probabilities, as a trainer needs them, and fail without.
        begins_in_thought: Whether the text of every reply begins inside a thought: a reasoning model whose
            chat template writes `<think>`, at an endpoint that does not take the reasoning out (vLLM without
            `--reasoning-parser`). Nothing but the closing tag tells such a thought from the reply, so that no
            stop strings are sent, and a reply without that tag is reasoning as a whole.
        system_role: `user` puts the text of a system message at the beginning of the first user message.
        tool_role: Role of search results that answer no native call.

    Raises:
        ValueError: If a role is unknown or has no model, or `require_logprobs` meets a temperature other than
            1, whose log-probabilities chat endpoints do not report.
    """

    def __init__(
        self,
        model: str | Mapping[Role, str],
        client: ChatClient | None = None,
        *,
        protocol: Protocol = PROTOCOLS["default"],
        sampling: SamplingByRole = SamplingParams(),  # noqa: B008 - frozen
        extra_body: Mapping[str, Any] | None = None,
        require_logprobs: bool = False,
        begins_in_thought: bool = False,
        system_role: Literal["system", "user"] = "system",
        tool_role: ToolRole = "user",
    ) -> None:
        models = dict.fromkeys(ROLES, model) if isinstance(model, str) else model
        check_roles(models, "model")
        self.models = dict(models)
        self.client = client or ChatClient()
        self.protocol = protocol
        self.sampling = sampling_by_role(sampling)
        self.extra_body = dict(extra_body or {})
        self.require_logprobs = require_logprobs
        self.begins_in_thought = begins_in_thought
        self._system_role = system_role
        self._tool_role = tool_role
        # Models whose reasoning, which comes beside the text, has been cut by a stop string.
        self._without_stops: set[str] = set()
        if require_logprobs and any(self.sampling[role].temperature != 1 for role in self.models):
            raise ValueError(
                "require_logprobs needs temperature 1: chat endpoints report log-probabilities before the "
                "temperature is applied; the vLLM agent (`vllm:URL`) has them at any temperature"
            )
        self._trace = ConversationTrace()

    async def act(self, view: View) -> Reply:
        """Ask the endpoint for the turn.

        Raises:
            ChatError: If it gives none.
            ValueError: If the view asks for a role without a model.
        """
        role, final, has_search_tool = view.role, view.final_action, view.has_search_tool
        if role not in self.models:
            raise ValueError(f"model names no {role}; it names: {', '.join(self.models)}")
        stops = self.protocol.stop_strings(final, has_search_tool=has_search_tool)
        if self.begins_in_thought or self.models[role] in self._without_stops:
            stops = ()
        completion = await self._complete(view, stops)
        if stops and _stopped_in_thought(completion):
            self._without_stops.add(self.models[role])
            stops = ()
            completion = await self._complete(view, stops)
        text = restored(completion, stops, self.protocol, final, has_search_tool=has_search_tool)
        if self.begins_in_thought:
            text = self.protocol.close_thought(text)
        calls = completion.tool_calls if has_search_tool and self.protocol.calls == "native" else ()
        reply = Reply(text, tool_calls=calls)
        if not self.require_logprobs:
            return reply
        action = self.protocol.parse(reply, final, has_search_tool=has_search_tool)
        ends = action.kind == final or view.turns_left <= 1
        return self._trace.with_tokens(view, completion, reply, ends=ends)

    async def _complete(self, view: View, stops: Sequence[str]) -> Completion:
        fields = {**self._fields(view), "stop": [*stops] or None, **self.extra_body}
        messages = chat_messages(view, self._tool_role)
        if self._system_role == "user":
            messages = without_system(messages)
        return await self.client.acomplete(self.models[view.role], messages, role=view.role, **fields)

    def _fields(self, view: View) -> dict[str, Any]:
        sampling = self.sampling[view.role]
        fields: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.limit(view),
            # Few endpoints take more bits.
            "seed": sampling.turn_seed(view) % 2**_SEED_BITS,
        }
        if self.protocol.calls == "native" and view.has_search_tool:
            fields |= {"tools": self.protocol.tools(), "parallel_tool_calls": False}
        if self.require_logprobs:
            fields |= {"logprobs": True, "return_token_ids": True}
        return fields


def _stopped_in_thought(completion: Completion) -> bool:
    """Whether a stop string ended the reasoning, so that no text could follow it."""
    return (
        completion.reasoned
        and not completion.text.strip()
        and not completion.tool_calls
        and completion.finish_reason == "stop"
        and completion.stop_string != ""
    )


def restored(
    completion: Completion,
    stops: Sequence[str],
    protocol: Protocol,
    final: FinalKind,
    *,
    has_search_tool: bool,
) -> str:
    """Return the text of a completion with the stop string that ended it.

    An endpoint that names the stop string is believed. Others say `stop` for a stop string and for the
    model's own end of turn alike; then the tag of the last action that was opened and not closed is taken to
    be the one. So a model that ends its turn without a closing tag is forgiven behind such an endpoint.

    >>> from ssp_env.game import PROTOCOLS
    >>> said = Completion("Hm. <search> blue whale ", finish_reason="stop")
    >>> restored(said, ["</search>", "</answer>"], PROTOCOLS["default"], "answer", has_search_tool=True)
    'Hm. <search> blue whale </search>'
    """
    text = completion.text

    def is_complete(reply: str) -> bool:
        return protocol.parse(reply, final, has_search_tool=has_search_tool).code != "no_action"

    if completion.finish_reason != "stop" or is_complete(text):
        return text
    if completion.stop_string is not None:
        return text + completion.stop_string if completion.stop_string in stops else text
    closing = [stop for stop in stops if is_complete(text + stop)]
    return text + max(closing, key=lambda stop: text.rfind(f"<{stop[2:]}"), default="")


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
