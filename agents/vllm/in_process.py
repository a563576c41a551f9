"""Players sampled by a vLLM engine in this process, in batches or for asynchronous drivers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.conversation_tokens import ConversationTokens, Overflow, Prompt, Rendering
from agents.sampling_params import SamplingByRole, SamplingParams, prompt_room, sampling_by_role
from agents.vllm.errors import VLLMError
from agents.vllm.logprobs import are_fit
from agents.vllm.turn import Completion, SampledTurn, check_temperature, end_ids_of, stop_texts
from ssp_env.game import PROTOCOLS, Protocol, Reply, View
from ssp_env.objects import missing_extra

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class EngineAgent(ABC):
    """Plays every role with a vLLM engine in this process.

    Args:
        folder: The model, as `from_pretrained` expects it.
        tokenizer: Its tokenizer; read from the folder if None.
        sampling: How turns are sampled, by role or for all of them.
        protocol: Tags of the games it plays.
        rendering: How messages become text, see `ConversationTokens`.
        context_window: Most tokens of prompt and reply together.
        on_overflow: What happens to longer prompts, see `ConversationTokens`.
        weights_version: Version of the weights in the folder.
        engine: Further options of vLLM's engine, such as `dtype` or `tensor_parallel_size`.

    Raises:
        ModuleNotFoundError: If vLLM is not installed.
        ValueError: If an option is out of its range.
    """

    def __init__(
        self,
        folder: Path,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        sampling: SamplingByRole = SamplingParams(),  # noqa: B008 - frozen
        protocol: Protocol = PROTOCOLS["default"],
        rendering: Rendering = "chat",
        context_window: int = 4096,
        on_overflow: Overflow = "cut",
        weights_version: str = "initial",
        **engine: Any,
    ) -> None:
        self._vllm = _vllm()
        self.sampling = sampling_by_role(sampling)
        for each in self.sampling.values():
            check_temperature(each)
        tokenizer = _tokenizer_in(folder) if tokenizer is None else tokenizer
        self._end_ids = end_ids_of(tokenizer)
        self._protocol = protocol
        self.weights_version = weights_version
        # The version that was loaded since the engine was opened, which draws random numbers of its own.
        self._loaded = ""
        self.conversations = ConversationTokens(
            tokenizer,
            protocol=protocol,
            rendering=rendering,
            max_prompt_tokens=prompt_room(self.sampling, context_window),
            on_overflow=on_overflow,
            end_ids=self._end_ids,
        )
        # The mode holds for the whole engine; it is the one that fits most ways of sampling.
        processed = all(are_fit("processed_logprobs", each) for each in self.sampling.values())
        self._logprobs_mode: Any = "processed_logprobs" if processed else "raw_logprobs"
        self._options: dict[str, Any] = {
            "model": str(folder),
            "max_model_len": context_window,
            "logprobs_mode": self._logprobs_mode,
            "enable_prefix_caching": True,
            **engine,
        }
        self._open()

    @abstractmethod
    def _open(self) -> None:
        """Prepare the engine."""

    def _begin(self, view: View) -> tuple[Prompt, SampledTurn]:
        """Return what the model reads and the turn that it shall sample."""
        prompt = self.conversations.prompt(view)
        turn = SampledTurn(
            view,
            prompt.token_ids,
            self.sampling[view.role],
            stop=stop_texts(self._protocol, view),
            end_ids=self._end_ids,
            is_finished=lambda ids: self.conversations.is_finished(view, ids),
            weights_version=self._loaded,
        )
        return prompt, turn

    def _end(self, view: View, prompt: Prompt, turn: SampledTurn) -> Reply:
        """Return the reply that a turn came to."""
        fit = are_fit(self._logprobs_mode, self.sampling[view.role])
        reply = self.conversations.reply(view, prompt, turn.token_ids, turn.logprobs if fit else ())
        return replace(reply, weights_version=turn.weights_version)

    def _params(self, request: dict[str, Any]) -> Any:
        """Return the request to a server as parameters of an engine."""
        elsewhere = ("prompt", "add_special_tokens", "return_token_ids")
        given = {name: value for name, value in request.items() if name not in elsewhere}
        return self._vllm.SamplingParams(**given)

    def _completion(self, output: Any) -> Completion:
        """Take ids and log-probabilities out of what an engine returns."""
        (sampled,) = output.outputs
        if sampled.finish_reason not in ("stop", "length"):
            raise VLLMError(f"the engine gave a turn up: {sampled.finish_reason}")
        ids = tuple(sampled.token_ids)
        logprobs = tuple(each[token].logprob for token, each in zip(ids, sampled.logprobs, strict=True))
        return Completion(ids, logprobs, self.weights_version)


class VLLMEngineAgent(EngineAgent):
    """Plays every role in batches, with a vLLM engine in this process.

    See `EngineAgent` for the arguments; further ones are options of `vllm.LLM`.
    """

    def _open(self) -> None:
        self._engine: Any = self._vllm.LLM(**self._options)

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return one reply per view, in order."""
        begun = [self._begin(view) for view in views]
        while going := [turn for _, turn in begun if not turn.done]:
            requests = [turn.request() for turn in going]
            outputs = self._engine.generate(
                [{"prompt_token_ids": request["prompt"]} for request in requests],
                [self._params(request) for request in requests],
                use_tqdm=False,
            )
            for turn, output in zip(going, outputs, strict=True):
                turn.add(self._completion(output))
        return [self._end(view, *each) for view, each in zip(views, begun, strict=True)]

    def update_weights(self, folder: Path, version: str) -> None:
        """Load a checkpoint between two batches; later turns name its version."""
        self._engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
        if not self._engine.reset_prefix_cache():
            raise VLLMError("the engine did not reset its prefix cache after new weights")
        self.weights_version = self._loaded = version


class AsyncVLLMEngineAgent(EngineAgent):
    """The same player for `play_async`: turns join the running batch as they come.

    See `EngineAgent` for the arguments; further ones are options of `vllm.AsyncEngineArgs`.
    """

    def _open(self) -> None:
        # The engine starts with the first turn, on the event loop it will run on.
        self._running: Any = None
        self._numbers = count()

    @property
    def _engine(self) -> Any:
        if self._running is None:
            arguments = self._vllm.AsyncEngineArgs(**self._options)
            self._running = self._vllm.AsyncLLMEngine.from_engine_args(arguments)
        return self._running

    async def act(self, view: View) -> Reply:
        """Return the turn; the first one starts the engine."""
        prompt, turn = self._begin(view)
        while not turn.done:
            turn.add(await self._complete(turn.request()))
        return self._end(view, prompt, turn)

    async def update_weights(self, folder: Path, version: str) -> None:
        """Load a checkpoint between two turns; turns under way begin anew where they must go on."""
        engine = self._engine
        await engine.pause_generation(mode="wait")
        try:
            await engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
            await engine.reset_prefix_cache()
            self.weights_version = self._loaded = version
        finally:
            await engine.resume_generation()

    def close(self) -> None:
        """End the engine's processes."""
        if self._running is not None:
            self._running.shutdown()
            self._running = None

    async def _complete(self, request: dict[str, Any]) -> Completion:
        prompt = {"prompt_token_ids": request["prompt"]}
        outputs = self._engine.generate(prompt, self._params(request), f"turn-{next(self._numbers)}")
        # The last one holds the whole turn.
        return self._completion([output async for output in outputs][-1])


def _tokenizer_in(folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer


def _vllm() -> Any:
    try:
        import vllm
    except ModuleNotFoundError as error:
        raise missing_extra("vllm", "vllm") from error
    return vllm
