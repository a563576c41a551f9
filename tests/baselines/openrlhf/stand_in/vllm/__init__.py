"""As much of vLLM as OpenRLHF's rollout actor uses: an engine that says what a script wants."""

from copy import deepcopy
from dataclasses import dataclass
from types import SimpleNamespace

from tests.baselines.openrlhf.script import Script, tokenizer

__version__ = "0.29.0"


@dataclass
class SamplingParams:
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int | None = None
    min_tokens: int = 0
    skip_special_tokens: bool = True
    logprobs: int | None = None
    stop: list | None = None
    stop_token_ids: list | None = None
    include_stop_str_in_output: bool = False


class AsyncEngineArgs:
    def __init__(self, **options):
        self.options = options


class AsyncLLMEngine:
    """Streams, as vLLM does: every output holds all that was sampled so far."""

    def __init__(self):
        self.tokenizer, self.script, self.calls = tokenizer(), Script(), []
        self.finish_reason = None
        self.output_processor = SimpleNamespace(get_num_unfinished_requests=lambda: 0)

    @classmethod
    def from_engine_args(cls, options):
        return cls()

    async def is_sleeping(self):
        return False

    async def generate(self, prompt, params, request_id):
        ids = list(prompt["prompt_token_ids"])
        self.calls.append((ids, deepcopy(params)))
        sampled, text, reason = [], "", "length"
        for id_ in self.script.unsaid(self.tokenizer, ids)[: params.max_tokens]:
            sampled.append(id_)
            text += self.tokenizer.decode([id_])
            yield self._output(sampled, params, None)
            if id_ in params.stop_token_ids or any(text.endswith(stop) for stop in params.stop):
                reason = "stop"
                break
        yield self._output(sampled, params, self.finish_reason or reason)

    def _output(self, sampled, params, reason):
        logprobs = [{id_: SimpleNamespace(logprob=logprob(id_)), -1: None} for id_ in sampled]
        said = SimpleNamespace(
            token_ids=list(sampled),
            text=self.tokenizer.decode(sampled),
            finish_reason=reason,
            logprobs=None if params.logprobs is None else logprobs,
        )
        return SimpleNamespace(outputs=[said])


def logprob(id_):
    return -(1 + id_ % 7) / 8
