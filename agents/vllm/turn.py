"""One turn, sampled by as many completions as it takes to end where it must."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.conversation_tokens import TokenIds
from agents.sampling_params import SamplingParams
from agents.vllm.completions import Completion, completion_request
from agents.vllm.errors import ServerUnavailable
from ssp_env.game import Protocol, View

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class SampledTurn:
    """Gathers the ids of one turn; does no I/O.

    A turn is over with its first complete action, the end-of-turn token or the token limit. vLLM can stop at
    texts only, and a closing tag completes no action where it stands alone or inside a thought. So the server
    is asked to stop at every closing tag, and where that was too early it is asked to go on.

    Args:
        view: The situation.
        prompt_ids: What the model reads.
        sampling: How it samples.
        stop: Closing tags that may complete an action.
        end_ids: Ids that end a turn.
        is_finished: Whether a turn is over after these ids.

    Attributes:
        token_ids: The ids so far.
        logprobs: What was reported for each; empty if any completion came without.
        weights_version: Version of the weights that sampled them.
        done: Whether the turn is over.
    """

    def __init__(
        self,
        view: View,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        *,
        stop: Sequence[str],
        end_ids: Sequence[int],
        is_finished: Callable[[Sequence[int]], bool],
    ) -> None:
        self._prompt_ids = tuple(prompt_ids)
        self._sampling = sampling
        self._limit = sampling.limit(view)
        self._seed = sampling.turn_seed(view)
        self._stop = stop
        self._end_ids = end_ids
        self._is_finished = is_finished
        self.start_again()

    def start_again(self) -> None:
        """Forget what was sampled."""
        self.token_ids: TokenIds = ()
        self.logprobs: tuple[float, ...] = ()
        self.weights_version = ""
        self.done = False

    def request(self) -> dict[str, Any]:
        """Return the body of the next request, all but the model's name."""
        return completion_request(
            self._prompt_ids + self.token_ids,
            self._sampling,
            max_tokens=self._limit - len(self.token_ids),
            # A seed opens the same stream again, which must not meet the same turn twice.
            seed=(self._seed + len(self.token_ids)) % 2**63,
            stop=self._stop,
            end_ids=self._end_ids,
        )

    def add(self, completion: Completion) -> None:
        """Take the answer to the request.

        Weights that changed since the turn began make it begin anew: no segment has two versions.

        Raises:
            ServerUnavailable: If the completion holds nothing.
        """
        if not completion.token_ids:
            raise ServerUnavailable("expected at least one sampled token, got none")
        if self.token_ids and completion.weights_version != self.weights_version:
            self.start_again()
            return
        begun, self.weights_version = len(self.token_ids), completion.weights_version
        ids = self.token_ids + completion.token_ids
        finished = (end for end in range(begun + 1, len(ids) + 1) if self._is_finished(ids[:end]))
        end = min(next(finished, len(ids) + 1), self._limit)
        self.done = end <= len(ids)
        complete = len(self.logprobs) == begun and len(completion.logprobs) == len(completion.token_ids)
        self.logprobs = (self.logprobs + completion.logprobs)[:end] if complete else ()
        self.token_ids = ids[:end]


def stop_texts(protocol: Protocol, view: View) -> tuple[str, ...]:
    """Closing tags that may end this turn; a reader has no search.

    >>> from ssp_env.game import PROTOCOLS
    >>> stop_texts(PROTOCOLS["default"], View("g", "proposer_0", "propose", (), 1, 1))
    ('</search>', '</question>')
    """
    stops = protocol.stop_strings("question" if view.phase == "propose" else "answer")
    if view.phase == "verify":
        return stops[-1:]
    return (*stops, "</tool_call>") if protocol.calls == "native" else stops


def end_ids_of(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Return the ids that end a turn: the tokenizer's, and those of the model it was loaded beside."""
    from transformers import GenerationConfig

    ends = [tokenizer.eos_token_id]
    folder = Path(tokenizer.name_or_path)
    if (folder / "generation_config.json").is_file():
        stated = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
        ends += stated if isinstance(stated, list) else [stated]
    return tuple(dict.fromkeys(end for end in ends if isinstance(end, int)))
