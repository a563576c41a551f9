"""What is trained: a causal language model that plays games and scores the tokens it sampled in them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from baselines.losses import sampled_logprobs_and_entropy
from baselines.policies.shared_prefixes import refuse_unable, states_in_trees
from baselines.samples import Batch
from ssp_env.play import AnyAgent

MakeAgent = Callable[[PreTrainedModel, int, str], AnyAgent]
"""Returns a player for a model, a seed and a version of the weights."""


class Scores(NamedTuple):
    """What a policy says about the sampled tokens of a batch.

    Attributes:
        logprobs: Log-probability of each sampled token at the sampling temperature, (batch, length), float32;
            0 outside the mask.
        entropy: Entropy in nats of the distribution that each token was sampled from, (batch, length).
        states: The trunk's last hidden state from which each sampled token was predicted, (n, hidden size),
            in the order of `batch.mask.nonzero()`. A value head reads it: what is known before the token.
    """

    logprobs: Tensor
    entropy: Tensor
    states: Tensor


class Policy(Protocol):
    """What the self-play loop and algorithms need of a policy.

    Attributes:
        temperature: Temperature at which its player samples.
        hidden_size: Width of the states that `score` returns.
    """

    temperature: float
    hidden_size: int

    @property
    def shares_prefixes(self) -> bool:
        """Whether conversations that begin alike cost less in one batch than in two."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its weights are; `score` and `states` return tensors there."""
        ...

    def agent(self, seed: int) -> AnyAgent:
        """Return a player that samples with the published weights."""
        ...

    def published(self, version: str) -> None:
        """Sample with the present weights from here on; replies carry this version."""
        ...

    def score(self, batch: Batch) -> Scores:
        """Score the sampled tokens of a batch with the present weights."""
        ...

    def states(self, batch: Batch) -> Tensor:
        """Return the states before the sampled tokens that `score` returns, without scoring."""
        ...

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that an optimiser may change."""
        ...

    def trainable_matrices(self) -> Iterator[nn.Parameter]:
        """Those of them that are matrices inside layers: no embedding, output layer, bias or norm."""
        ...

    def duplicate(self, *, trainable: bool) -> Policy:
        """Return a policy that starts with the present weights and goes its own way."""
        ...

    def state_dict(self) -> Mapping[str, Tensor]:
        """Return the weights that training changes."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Invert `state_dict`."""
        ...


class TokenScorer(nn.Module):
    """Runs a causal language model over whole conversations, and its output layer over sampled tokens only.

    Args:
        model: A causal language model of transformers, or one of peft around it.
        chunk_tokens: Most sampled tokens whose logits exist at a time. More are scored in chunks, which are
            computed again in the backward pass, so that memory does not grow with tokens x vocabulary.
        share_prefixes: Run conversations that begin alike through the model as trees (`shared_prefixes`).

    Raises:
        ValueError: If `share_prefixes` is set and the model cannot read trees.
    """

    def __init__(
        self, model: PreTrainedModel, chunk_tokens: int = 1024, *, share_prefixes: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.chunk_tokens = chunk_tokens
        self.share_prefixes = share_prefixes
        inner: Any = model
        if hasattr(model, "peft_config"):
            inner = inner.get_base_model()
        # Kept out of the module's own children, because they are the model's.
        self._parts = (inner, inner.base_model, inner.get_output_embeddings())
        self._plain_head = self._head_gives_the_logits()
        if share_prefixes:
            refuse_unable(*self._parts[:2], plain_head=self._plain_head)

    def states(self, ids: Tensor, attention: Tensor, mask: Tensor) -> Tensor:
        """Return the trunk's states from which the sampled tokens were predicted, (n, hidden size)."""
        model, trunk, _ = self._parts
        if self.share_prefixes:
            flat, places = states_in_trees(model, trunk, ids, attention)
            return flat[places[:, :-1][mask[:, 1:]]]
        hidden: Tensor = trunk(input_ids=ids, attention_mask=attention.long()).last_hidden_state
        return hidden[:, :-1][mask[:, 1:]]

    @torch.no_grad()
    def _head_gives_the_logits(self) -> bool:
        """Whether logits are the output layer's result; some models cap or scale them afterwards."""
        model, trunk, head = self._parts
        if head is None:
            return False
        # Several tokens, because the embedding of a padding token is 0, and so are its logits.
        ids = torch.arange(min(8, model.config.vocab_size), device=model.device)[None]
        expected = model(input_ids=ids).logits
        return bool(torch.equal(head(trunk(input_ids=ids).last_hidden_state), expected))

    def forward(
        self, ids: Tensor, attention: Tensor, mask: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities and entropies (n,), and states (n, hidden size), of the sampled tokens."""
        predicted = mask[:, 1:]
        targets = ids[:, 1:][predicted]
        model, _, head = self._parts
        if not self._plain_head:
            output = model(input_ids=ids, attention_mask=attention.long(), output_hidden_states=True)
            states = output.hidden_states[-1][:, :-1][predicted]
            logits = output.logits[:, :-1][predicted]
            return *sampled_logprobs_and_entropy(logits, targets, temperature), states
        states = self.states(ids, attention, mask)

        def score(chunk: Tensor, chunk_targets: Tensor) -> tuple[Tensor, Tensor]:
            return sampled_logprobs_and_entropy(head(chunk), chunk_targets, temperature)

        if len(targets) <= self.chunk_tokens:
            return *score(states, targets), states
        parts = [
            checkpoint(score, *pair, use_reentrant=False)
            for pair in zip(states.split(self.chunk_tokens), targets.split(self.chunk_tokens), strict=True)
        ]
        logprobs, entropies = (torch.cat(column) for column in zip(*parts, strict=True))
        return logprobs, entropies, states


class CausalLMPolicy:
    """A causal language model of transformers, full or with LoRA adapters.

    Args:
        model: The model; what requires a gradient is trained.
        make_agent: Makes its player.
        temperature: Sampling temperature of the player; it divides the logits in `score` as well.
        chunk_tokens: See `TokenScorer`.
        share_prefixes: See `TokenScorer`.
        autocast: Run the model in bfloat16 while the weights stay as they are, in float32.
        gradient_checkpointing: Compute activations again in the backward pass instead of keeping them.
        push: Sends the weights of a model under a version to wherever the player samples; None if it reads
            them from the model.

    Raises:
        ValueError: If the temperature is not above 0, the model has dropout and `gradient_checkpointing` is
            set (scores would differ from what was sampled), or it cannot read trees and `share_prefixes` is.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        make_agent: MakeAgent,
        *,
        temperature: float = 1.0,
        chunk_tokens: int = 1024,
        share_prefixes: bool = False,
        autocast: bool = False,
        gradient_checkpointing: bool = False,
        push: Callable[[PreTrainedModel, str], None] | None = None,
    ) -> None:
        if not temperature > 0:
            raise ValueError(f"a policy is trained at a temperature above 0, got {temperature}")
        if gradient_checkpointing:
            _refuse_dropout(model)
            # transformers 5.23 renames it; earlier versions have the old name only.
            name = "activation_checkpointing_enable"
            getattr(model, name, model.gradient_checkpointing_enable)({"use_reentrant": False})
        self.model = model.eval()
        self.temperature = temperature
        self.hidden_size: int = model.config.hidden_size
        self.version = "initial"
        self.scorer = TokenScorer(model, chunk_tokens, share_prefixes=share_prefixes)
        self._make_agent = make_agent
        self._autocast = autocast
        self._push = push
        self._checkpoints = gradient_checkpointing
        # A frozen copy has the same state, and nothing in it requires a gradient.
        self._trained = [name for name, weight in model.named_parameters() if weight.requires_grad]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    @property
    def shares_prefixes(self) -> bool:
        """Whether conversations that begin alike cost less in one batch than in two."""
        return self.scorer.share_prefixes

    def agent(self, seed: int) -> AnyAgent:
        """Return a new player: it holds no cache of earlier weights and draws numbers of its own."""
        return self._make_agent(self.model, seed, self.version)

    def published(self, version: str) -> None:
        """Sample with the present weights from here on; replies carry this version.

        Players of this process read the weights themselves, so only the name changes; a policy that samples
        on a server sends them there.
        """
        if self._push is not None:
            self._push(self.model, version)
        self.version = version

    def gather(self) -> None:
        """Bring `model` up to date; it is, unless something else is trained (`policies.sharding`)."""

    def score(self, batch: Batch) -> Scores:
        """Score the sampled tokens of a batch, on any device, with the present weights."""
        batch = batch.to(self.device)
        # transformers keeps activations unless the model trains; there is no dropout that this turns on.
        recompute = self._checkpoints and torch.is_grad_enabled()
        if recompute:
            self.scorer.model.train()
        with self._precision():
            logprobs, entropy, states = self.scorer(batch.ids, batch.attention, batch.mask, self.temperature)
        if recompute:
            self.scorer.model.eval()
        return Scores(scatter(logprobs, batch.mask), scatter(entropy, batch.mask), states)

    def states(self, batch: Batch) -> Tensor:
        """Return the trunk's states before the sampled tokens, (n, hidden size), without their logits."""
        batch = batch.to(self.device)
        with self._precision():
            return self.scorer.states(batch.ids, batch.attention, batch.mask)

    def _precision(self) -> AbstractContextManager[Any]:
        if not self._autocast:
            return nullcontext()
        return torch.autocast(self.model.device.type, dtype=torch.bfloat16)

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that an optimiser may change."""
        return (parameter for parameter in self.model.parameters() if parameter.requires_grad)

    def trainable_matrices(self) -> Iterator[nn.Parameter]:
        """Those of them that are matrices inside layers: no embedding, output layer, bias or norm."""
        ends = (self.model.get_input_embeddings(), self.model.get_output_embeddings())
        words = {id(weight) for end in ends if end is not None for weight in end.parameters()}
        return (p for p in self.trainable_parameters() if p.ndim == 2 and id(p) not in words)

    def duplicate(
        self, *, trainable: bool = False, push: Callable[[PreTrainedModel, str], None] | None = None
    ) -> CausalLMPolicy:
        """Return a policy that starts with the present weights; weights that are not trained are shared.

        Args:
            trainable: Whether an optimiser may change it; a reference or an opponent stays as it is.
            push: Sends its weights to wherever it samples. Without it, it plays in this process: what samples
                elsewhere holds the weights of this policy.
        """
        weights = dict(self.model.named_parameters())
        shared = {id(weight): weight for name, weight in weights.items() if name not in self._trained}
        duplicate = copy.copy(self)
        duplicate._push = push
        duplicate.model = copy.deepcopy(self.model, shared)
        for name, weight in duplicate.model.named_parameters():
            if name in self._trained:
                weight.requires_grad_(trainable)
        duplicate.scorer = TokenScorer(
            duplicate.model, self.scorer.chunk_tokens, share_prefixes=self.scorer.share_prefixes
        )
        return duplicate

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights that training changes."""
        weights = dict(self.model.named_parameters())
        return {name: weights[name].detach() for name in self._trained}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Invert `state_dict`.

        Raises:
            ValueError: If weights are missing, unknown or of another size.
        """
        own = self.state_dict()
        wrong = sorted(set(own) ^ set(state)) or [
            name for name in own if own[name].shape != state[name].shape
        ]
        if wrong:
            raise ValueError(
                f"the checkpoint does not fit the model: {len(wrong)} weights differ in name or size, "
                f"{wrong[0]} for example"
            )
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])


def scatter(values: Tensor, mask: Tensor) -> Tensor:
    """Put values of sampled tokens, (n,), in their places, (batch, length); 0 elsewhere."""
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)


def _refuse_dropout(model: PreTrainedModel) -> None:
    active = [
        name for name, module in model.named_modules() if isinstance(module, nn.Dropout) and module.p > 0
    ]
    rate = getattr(model.config, "attention_dropout", 0.0)
    if active or rate:
        where = active[0] if active else "attention_dropout of its configuration"
        raise ValueError(
            "gradient checkpointing runs the model in training mode, where dropout makes its scores differ "
            f"from what it sampled: set dropout to 0 (found in {where})"
        )
