"""Plays every role with models behind a chat endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.chat_endpoint.client import ChatClient
from agents.chat_endpoint.stop_strings import restored, stop_strings
from agents.chat_endpoint.tokens import ConversationTrace
from agents.sampling_params import (
    ROLES,
    Role,
    SamplingByRole,
    SamplingParams,
    check_roles,
    role_of,
    sampling_by_role,
)
from ssp_env.game import PROTOCOLS, Protocol, Reply, View
from ssp_env.game.protocol import FinalKind
from ssp_env.play import chat_messages

_SEED_BITS = 31


class ChatEndpointAgent:
    """An `AsyncAgent` for `play_async`; `ssp_env.play.blocking` makes one for `play` of it.

    Searches are native tool calls if the protocol is (`PROTOCOLS["openai"]`), text otherwise. A reply carries
    no token ids: a chat endpoint renders the conversation by its own template, so that nobody here knows what
    its model read. With `require_logprobs` they are taken over where the endpoint proves what was read.

    Args:
        model: The model's name at the endpoint, or names by role.
        client: The endpoint; a `ChatClient` with its defaults if None.
        protocol: Tags or calls of the games it plays.
        sampling: How turns are sampled, or how by role.
        extra_body: Further fields of every request, or None to leave out one that is sent otherwise:
            `{"max_tokens": None, "max_completion_tokens": 512, "stop": None}` suits models that refuse stop
            strings.
        require_logprobs: Ask for token ids and log-probabilities, as a trainer needs them, and fail without.

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
    ) -> None:
        models = dict.fromkeys(ROLES, model) if isinstance(model, str) else model
        check_roles(models, "model")
        self.models = dict(models)
        self.client = client or ChatClient()
        self.protocol = protocol
        self.sampling = sampling_by_role(sampling)
        self.extra_body = dict(extra_body or {})
        self.require_logprobs = require_logprobs
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
        role = role_of(view)
        if role not in self.models:
            raise ValueError(f"model names no {role}; it names: {', '.join(self.models)}")
        final: FinalKind = "question" if view.phase == "propose" else "answer"
        may_search = view.phase != "verify"
        stops = stop_strings(self.protocol, final, may_search=may_search)
        completion = await self.client.acomplete(
            self.models[role],
            chat_messages(view),
            role=role,
            **{**self._fields(view, role, may_search), "stop": [*stops], **self.extra_body},
        )
        text = restored(completion, stops, self.protocol, final, may_search=may_search)
        calls = completion.tool_calls if may_search and self.protocol.calls == "native" else ()
        reply = Reply(text, tool_calls=calls)
        if not self.require_logprobs:
            return reply
        ends = self.protocol.parse(reply, final, may_search=may_search).kind == final or view.turns_left <= 1
        return self._trace.with_tokens(view, completion, reply, ends=ends)

    def _fields(self, view: View, role: Role, may_search: bool) -> dict[str, Any]:
        sampling = self.sampling[role]
        fields: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.limit(view),
            # Few endpoints take more bits.
            "seed": sampling.turn_seed(view) % 2**_SEED_BITS,
        }
        if self.protocol.calls == "native" and may_search:
            fields |= {"tools": self.protocol.tools(), "parallel_tool_calls": False}
        if self.require_logprobs:
            fields |= {"logprobs": True, "return_token_ids": True}
        return fields
