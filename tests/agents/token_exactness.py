"""Checks that a trainer gets the ids that were sampled, unmasked and with the right log-probabilities."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from agents.decode_loop import DecodeLoop, TurnRequest
from baselines.samples import Batch, Sample, collate, micro_batches
from tests.logprobs import token_logprobs

TOLERANCE = 1e-4


class NotExact(AssertionError):
    """What a trainer gets is not what was sampled."""


class Tap:
    """Notes every turn at the source: what the model was given, and what was drawn from its logits."""

    def __init__(self, loop: DecodeLoop) -> None:
        self.turns: dict[tuple[str, str], list[TurnRequest]] = {}
        submit = loop.submit

        def noted(request: TurnRequest) -> None:
            game_id, seat, phase = request.key  # type: ignore[misc]
            if phase in ("propose", "solve"):
                self.turns.setdefault((game_id, seat), []).append(request)
            submit(request)

        loop.submit = noted  # type: ignore[method-assign]


def check_exactness(
    samples: Sequence[Sample],
    turns: Mapping[tuple[str, str], Sequence[TurnRequest]],
    model: PreTrainedModel,
    temperature: float,
) -> int:
    """Compare a trainer's tensors with what was sampled; return the number of sampled tokens.

    Raises:
        NotExact: If an id, the mask or a log-probability differs.
    """
    if {(each.game_id, each.seat) for each in samples} != set(turns):
        raise NotExact("other conversations were sampled than those that the trainer gets")
    for group in micro_batches([sample.length for sample in samples], 20_000):
        chosen = [samples[place] for place in group]
        batch = collate(chosen)
        with torch.inference_mode():
            logits = model(input_ids=batch.ids, attention_mask=batch.attention.long()).logits
        recomputed = token_logprobs(logits, batch.ids, temperature)
        for row, sample in enumerate(chosen):
            where = f"game {sample.game_id}, {sample.seat}"
            _check_row(batch, row, turns[sample.game_id, sample.seat], recomputed[row], where)
    return sum(sample.sampled_count for sample in samples)


def _check_row(
    batch: Batch, row: int, turns: Sequence[TurnRequest], recomputed: torch.Tensor, where: str
) -> None:
    ids = batch.ids[row][batch.attention[row]].tolist()
    samples = [turn.future.result() for turn in turns]
    if ids != [*turns[-1].prompt, *samples[-1].token_ids]:
        raise NotExact(f"{where}: the ids are not those that were read and sampled")
    mask, logprobs = np.zeros(len(batch.ids[row]), dtype=bool), np.zeros(len(batch.ids[row]))
    for turn, sample in zip(turns, samples, strict=True):
        start, stop = len(turn.prompt), len(turn.prompt) + len(sample.token_ids)
        if ids[:stop] != [*turn.prompt, *sample.token_ids]:
            raise NotExact(f"{where}: earlier ids changed after they were sampled")
        mask[start:stop], logprobs[start:stop] = True, sample.logprobs
    if batch.mask[row].tolist() != mask.tolist():
        raise NotExact(f"{where}: other tokens are unmasked than those that were sampled")
    if not np.allclose(batch.sampled_logprobs[row], logprobs, atol=1e-6):
        raise NotExact(f"{where}: the log-probabilities are not those that were recorded")
    off = np.abs(recomputed.numpy() - logprobs)[mask].max()
    if not off <= TOLERANCE:
        raise NotExact(f"{where}: a forward pass gives log-probabilities {off:g} away from the recorded ones")
