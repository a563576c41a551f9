"""A player sampled by vLLM servers over HTTP, for asynchronous and for blocking drivers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.conversation_tokens import ConversationTokens, Overflow, Rendering
from agents.sampling_params import (
    SamplingByRole,
    SamplingParams,
    check_roles,
    prompt_room,
    sampling_by_role,
)
from agents.vllm.errors import VLLMError, WeightsNotUpdated
from agents.vllm.pool import ServerPool
from agents.vllm.server import Server, server_url
from agents.vllm.turn import SampledTurn, check_temperature, end_ids_of, stop_texts
from agents.vllm.weights import Admission, ServedWeights
from ssp_env.game import PROTOCOLS, Protocol, Reply, Role, View
from ssp_env.game.view import ROLES
from ssp_env.http import HTTPService, RequestPolicy, RetryPolicy, arun, run
from ssp_env.http.concurrency import gather

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

API_KEY_VARIABLE = "SSP_VLLM_API_KEY"
DEFAULT_POLICY = RetryPolicy(timeout=120.0, max_retries=7, backoff=0.5, max_backoff=15.0)
MOST_RESTARTS = 3
"""How often a turn begins anew because the weights changed while it was sampled."""


class VLLMServerAgent:
    """Plays every role with a model that vLLM servers hold.

    A turn ends where `TransformersAgent` ends it: with the first complete action, an end-of-turn token or the
    token limit. Its prompt holds the same ids. Nothing is sent before `connect` or the first turn. It pickles
    with its conversations and without its connections and key; a copy reads its key from the environment.

    Args:
        urls: Addresses of the servers; all serve the same model.
        tokenizer: The model's tokenizer.
        model: Name under which the model is served; by role if roles have LoRA adapters of their own. An
            empty name takes the base model of the servers.
        sampling: How turns are sampled, by role or for all of them.
        protocol: Tags of the games it plays.
        rendering: How messages become text, see `ConversationTokens`.
        context_window: Most tokens of prompt and reply together; the servers' own limit if None.
        on_overflow: What happens to longer prompts, see `ConversationTokens`.
        end_ids: Ids that end a turn; those of the tokenizer and of the generation_config.json beside it if
            None, as `TransformersAgent` has them.
        require_logprobs: Whether replies must carry the log-probabilities a trainer needs. If not, they are
            left out wherever the servers report others (see `agents.vllm.logprobs`).
        api_key: Sent as bearer token; by default the environment's `SSP_VLLM_API_KEY`, if set.
        timeout: Seconds for one completion.
        concurrency: Most requests under way per server.
        policy: How often and how long all servers are tried for one turn.
        weights_version: Version of the weights that servers were started with, unless they state another.

    Raises:
        ValueError: If there is no server, an address is none, or an option is out of its range.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        *,
        model: str | Mapping[Role, str] = "",
        sampling: SamplingByRole = SamplingParams(),  # noqa: B008 - frozen
        protocol: Protocol = PROTOCOLS["default"],
        rendering: Rendering = "chat",
        context_window: int | None = None,
        on_overflow: Overflow = "cut",
        end_ids: Sequence[int] | None = None,
        require_logprobs: bool = False,
        api_key: str | None = None,
        timeout: float = 300.0,
        concurrency: int = 64,
        policy: RetryPolicy = DEFAULT_POLICY,
        weights_version: str = "initial",
    ) -> None:
        self._urls = list(dict.fromkeys(map(server_url, [urls] if isinstance(urls, str) else urls)))
        if not self._urls:
            raise ValueError("expected the address of at least one server")
        self.sampling = sampling_by_role(sampling)
        for each in self.sampling.values():
            check_temperature(each)
        self._models = _by_role(model)
        self.tokenizer, self.protocol, self.rendering = tokenizer, protocol, rendering
        self._end_ids = end_ids_of(tokenizer) if end_ids is None else tuple(end_ids)
        self._request_policy = RequestPolicy(
            timeout=timeout, max_retries=0, concurrency=concurrency, max_bytes=2**26
        )
        self._require_logprobs, self._context_window, self._policy = require_logprobs, context_window, policy
        self.weights = ServedWeights(self._models["solver"], weights_version)
        self.sampled_tokens = 0
        self.conversations = ConversationTokens(
            tokenizer,
            protocol=protocol,
            rendering=rendering,
            # Until the servers have told their context window, there is room for anything.
            max_prompt_tokens=prompt_room(self.sampling, context_window) if context_window else sys.maxsize,
            on_overflow=on_overflow,
            end_ids=self._end_ids,
        )
        self._open(os.environ.get(API_KEY_VARIABLE, "") if api_key is None else api_key)

    def _open(self, key: str) -> None:
        """Make what belongs to this process: the connections, and what has been found out over them."""
        self._servers = tuple(Server(url, HTTPService(self._request_policy), key) for url in self._urls)
        self._admission = Admission(
            self._models,
            tuple(dict.fromkeys(self.sampling.values())),
            self.tokenizer,
            self._require_logprobs,
            self.weights,
            self._context_window,
        )
        self._pool = ServerPool(self._servers, self._admission, self._policy)
        self._connecting = asyncio.Lock()
        self._connected = False

    def __getstate__(self) -> dict[str, Any]:
        of_this_process = ("_servers", "_admission", "_pool", "_connecting", "_connected")
        return {name: value for name, value in self.__dict__.items() if name not in of_this_process}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open(os.environ.get(API_KEY_VARIABLE, ""))

    # -- playing ---------------------------------------------------------------------------------------

    async def act(self, view: View) -> Reply:
        """Return the turn, with its token ids and, if they are what a trainer needs, log-probabilities.

        Raises:
            VLLMError: If no server can sample it, or what runs at an address is unfit; the message says why.
        """
        return await arun(self._act(view))

    async def sample(self, view: View, prompt_ids: Sequence[int]) -> SampledTurn:
        """Sample the turn of a view after a prompt given as ids, and remember nothing; for measurements.

        Raises:
            VLLMError: As `act`.
        """
        return await arun(self._sample(view, prompt_ids))

    def blocking(self) -> BlockingPlayer:
        """Return this player for drivers that wait: it takes batches, and samples them side by side."""
        return BlockingPlayer(self)

    def connect(self) -> None:
        """Find out now whether the servers can be used.

        Raises:
            UnfitServer: If one of them runs with other options than are needed.
            NoServerLeft: If none can be reached.
        """
        run(self._connect())

    def close(self) -> None:
        """Close the connections; the next turn opens them again."""
        for server in self._servers:
            server.service.close()

    async def _connect(self) -> None:
        async with self._connecting:
            if self._connected:
                return
            await self._pool.connect()
            assert self._admission.context_window is not None
            self.conversations.max_prompt_tokens = prompt_room(self.sampling, self._admission.context_window)
            self._connected = True

    async def _act(self, view: View) -> Reply:
        await self._connect()
        prompt = self.conversations.prompt(view)
        turn = await self._sample(view, prompt.token_ids)
        self.sampled_tokens += len(turn.token_ids)
        fit = self._admission.logprobs_fit.get(self.sampling[view.role])
        reply = self.conversations.reply(view, prompt, turn.token_ids, turn.logprobs if fit else ())
        return replace(reply, weights_version=turn.weights_version)

    async def _sample(self, view: View, prompt_ids: Sequence[int]) -> SampledTurn:
        await self._connect()
        role = view.role
        turn = SampledTurn(
            view,
            prompt_ids,
            self.sampling[role],
            stop=stop_texts(self.protocol, view),
            end_ids=self._end_ids,
            is_finished=lambda ids: self.conversations.is_finished(view, ids),
            weights_version=self.weights.loaded,
        )
        restarts = 0
        while not turn.done:
            model = self._models[role] or self.weights.base
            turn.add(await self._pool.complete(view.conversation_id, turn.request(), model))
            restarts += not turn.token_ids
            if restarts > MOST_RESTARTS:
                raise VLLMError(f"the weights changed {restarts} times during one turn")
        return turn

    # -- new weights -----------------------------------------------------------------------------------

    async def update_weights(self, folder: Path, version: str) -> None:
        """Load a checkpoint into every server, between two turns of every game.

        A server that fails is not used again until it has these weights.

        Args:
            folder: The checkpoint, at the path where the servers see it.
            version: Recorded with every turn sampled from now on; another one each time.

        Raises:
            WeightsNotUpdated: If no server took it; the message says what to change.
        """
        await arun(self._update(lambda: self.weights.update(self._servers, folder, version)))

    async def update_adapter(self, folder: Path, version: str, roles: Sequence[Role] = ROLES) -> None:
        """Load a LoRA adapter into every server and let roles play with it from now on.

        Args:
            folder: The adapter, at the path where the servers see it.
            version: Recorded with every turn of these roles, behind that of the base model and a `+`.
            roles: Who plays with it.

        Raises:
            WeightsNotUpdated: If no server took it; the message says what to change.
        """
        check_roles(dict.fromkeys(roles, ""), "an adapter")
        name = "-".join(roles)

        async def update() -> dict[Server, VLLMError]:
            problems = await self.weights.update_adapter(self._servers, name, folder, version)
            self._models.update(dict.fromkeys(roles, name))
            return problems

        await arun(self._update(update))

    async def _update(self, update: Callable[[], Awaitable[dict[Server, VLLMError]]]) -> None:
        await self._connect()
        async with self._pool.gate.update():
            try:
                problems = await update()
            except WeightsNotUpdated as error:
                for server in self._servers:
                    self._pool.failed(server, error)
                raise
            for server, problem in problems.items():
                self._pool.failed(server, problem)


class BlockingPlayer:
    """The same player for `play`, `Driver` and everybody else who waits."""

    def __init__(self, player: VLLMServerAgent) -> None:
        self._player = player

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return one reply per view, in order; the first turn that fails is raised and cancels the others.

        Raises:
            VLLMError: As `VLLMServerAgent.act`.
        """
        return run(gather([self._player._act(view) for view in views], max(1, len(views))))


def _by_role(model: str | Mapping[Role, str]) -> dict[Role, str]:
    if isinstance(model, str):
        return dict.fromkeys(ROLES, model)
    check_roles(model, "model")
    return {role: model.get(role, "") for role in ROLES}
