"""The model of a run: opened by its name, trained as a policy, and saved where players find it."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from agents import smollm2, tiny_model
from agents.conversation_tokens import ConversationTokens, Rendering
from agents.player_names import SMOLLM2, model_of_run
from agents.sampling_params import SamplingParams
from agents.tiny_policy import TinyPolicy
from agents.transformers_agent import TransformersAgent
from baselines.by_role import LEARNING_ROLES, by_role
from baselines.config import TrainConfig
from baselines.config.model import ModelConfig
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.seeding import derive_seed
from ssp_env.game import PROTOCOLS, Role
from ssp_env.game.view import ROLES
from ssp_env.objects import missing_extra
from ssp_env.play import AnyAgent
from ssp_env.worlds import terse_vocabulary

if TYPE_CHECKING:
    from agents.vllm.in_process import VLLMEngineAgent
    from agents.vllm.served import VLLMServerAgent

ADAPTER = "adapter"
"""Folder of the LoRA adapter inside that of a saved model, whose weights have it merged in."""


def open_model(config: TrainConfig, workspace: Path) -> TinyModel | LanguageModel:
    """Open the model that a configuration names, ready to be trained.

    Args:
        config: Configuration of the run.
        workspace: Folder for weights on their way to a server.

    Raises:
        ValueError: If it cannot play the games of the configuration.
        FileNotFoundError: If there is no model in the folder.
    """
    return TinyModel(config) if config.model.is_tiny else LanguageModel(config, workspace)


def policies_of_roles(
    opened: TinyModel | LanguageModel, config: TrainConfig, frozen: CausalLMPolicy | None
) -> dict[Role, CausalLMPolicy]:
    """Return the policy of each role when self-play begins.

    Args:
        opened: The model, warm-started; its own policy is trained in any case.
        config: Configuration of the run.
        frozen: The warm start, which stays as it is: the policy of a role that does not learn, if roles have
            one each.
    """
    if config.policies == "shared":
        return by_role(opened.policy)
    if len(config.learning) > 1:
        return {"solver": opened.policy, "proposer": opened.second_policy()}
    assert frozen is not None
    return {role: opened.policy if role in config.learning else frozen for role in LEARNING_ROLES}


def check_model(folder: Path, config: TrainConfig) -> None:
    """Check that a run can start from the model in a folder, as far as that can be seen quickly.

    Raises:
        FileNotFoundError: If the folder holds no checkpoint.
        ValueError: If the checkpoint cannot be read, or is of another kind or size than the configuration's.
    """
    if config.model.is_tiny:
        opened = TinyModel(config)
        opened.restore(opened.policy, folder)
        return
    needed = f"{ADAPTER}/adapter_config.json" if config.model.lora_rank else "config.json"
    if not (folder / needed).is_file():
        raise FileNotFoundError(f"no warm start in {folder}: expected {needed} in it")


class TinyModel:
    """The Llama that starts from random weights.

    Args:
        config: Configuration of the run.

    Attributes:
        policy: Plays and learns.
        tokenizer: One token a word.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self.tokenizer = tiny_model.build_tokenizer(PROTOCOLS[config.game.protocol], terse_vocabulary())
        model: Any = tiny_model.build_model(len(self.tokenizer), seed=config.seed, **config.model.sizes())
        self.model: LlamaForCausalLM = model.to(_device(config.model.device))
        self.policy = CausalLMPolicy(self.model, self._player, temperature=config.temperature)

    def _player(self, model: PreTrainedModel, seed: int, version: str) -> TinyPolicy:
        player = TinyPolicy(model, self.tokenizer, temperature=self._config.temperature, seed=seed)
        player.published(version)
        return player

    def second_policy(self) -> CausalLMPolicy:
        """Return another policy to be trained, which starts with the present weights."""
        return self.policy.duplicate(trainable=True)

    def save(self, folder: Path, policy: CausalLMPolicy | None = None) -> None:
        """Write weights, configuration and tokenizer into a folder that players are made of.

        Args:
            folder: The folder.
            policy: A policy of this model; `self.policy` if None.
        """
        model: Any = (policy or self.policy).model
        tiny_model.save(model, self.tokenizer, folder)

    def restore(self, policy: CausalLMPolicy, folder: Path) -> None:
        """Give a policy of this model the weights that `save` wrote.

        Raises:
            FileNotFoundError: If there are none in the folder.
            ValueError: If they cannot be read, or are of another size.
        """
        saved = dict(tiny_model.load(folder)[0].named_parameters())
        own = policy.state_dict()
        if {name: weight.shape for name, weight in saved.items()} != {
            name: weight.shape for name, weight in own.items()
        }:
            raise ValueError(
                f"the model in {folder} has other sizes than those of the preset {self._config.preset!r}"
            )
        policy.load_state_dict(saved)


class LanguageModel:
    """A causal language model of transformers, all of whose weights are trained, or LoRA adapters on them.

    Args:
        config: Configuration of the run.
        workspace: Folder for weights on their way to a server.

    Attributes:
        policy: Plays and learns.
        model: The model.
        tokenizer: Its tokenizer.
        rendering: How messages become text.

    Raises:
        ValueError: If the model has no chat template and needs one, or an option does not fit it.
        FileNotFoundError: If there is no model in the folder.
    """

    def __init__(self, config: TrainConfig, workspace: Path) -> None:
        self._config, self._workspace = config, workspace
        options = config.model
        self.folder = find_model(options.name)
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            self.folder, local_files_only=True
        )
        model: Any = AutoModelForCausalLM.from_pretrained(
            self.folder, dtype=options.dtype, local_files_only=True
        )
        if options.lora_rank:
            model = with_lora(model, options, derive_seed(config.seed, "lora"))
        self.model: PreTrainedModel = model.to(_device(options.device)).eval()
        self.rendering: Rendering = rendering_of(config, self.tokenizer)
        self._sampling = SamplingParams(config.temperature, 1.0, config.rollout.max_new_tokens)
        self._vllm: VLLMServerAgent | VLLMEngineAgent | None = None
        # Which roles vLLM plays with the weights of which model; beside a second policy, the solver's reads.
        both = config.policies == "shared" or len(config.learning) < 2
        self._served: list[tuple[PreTrainedModel, tuple[Role, ...]]] = [
            (self.model, ROLES if both else ("solver", "reader"))
        ]
        self.policy = CausalLMPolicy(
            self.model,
            self._player,
            temperature=config.temperature,
            chunk_tokens=options.chunk_tokens,
            share_prefixes=options.share_prefixes,
            autocast=options.autocast,
            gradient_checkpointing=options.gradient_checkpointing,
            push=None if config.rollout.engine == "transformers" else self._push,
        )

    @property
    def context_window(self) -> int:
        """Most tokens of prompt and reply together."""
        return self._config.rollout.context_window or int(self.model.config.max_position_embeddings)

    def conversations(self) -> ConversationTokens:
        """Return an empty record of conversations as token ids, rendered as the players render them."""
        return conversations_of(self._config, self.tokenizer, self.context_window)

    def second_policy(self) -> CausalLMPolicy:
        """Return another policy to be trained, the proposer's, which starts with the present weights."""
        second = self.policy.duplicate(
            trainable=True, push=None if self._config.rollout.engine == "transformers" else self._push
        )
        self._served.append((second.model, ("proposer",)))
        return second

    # -- playing ---------------------------------------------------------------------------------------

    def _player(self, model: PreTrainedModel, seed: int, version: str) -> AnyAgent:
        if self._vllm is not None and any(model is served for served, _ in self._served):
            return self._vllm if hasattr(self._vllm, "act_batch") else self._vllm.blocking()
        sampling = SamplingParams(self._sampling.temperature, 1.0, self._sampling.max_new_tokens, seed)
        player = TransformersAgent(
            model,
            self.tokenizer,
            protocol=PROTOCOLS[self._config.game.protocol],
            rendering=self.rendering,
            sampling=sampling,
            context_window=self.context_window,
            batch_tokens=self._config.rollout.batch_tokens,
        )
        player.published(version)
        return player

    def _push(self, model: PreTrainedModel, version: str) -> None:
        """Give vLLM the weights of a model, an adapter to servers that shall not get whole checkpoints.

        Raises:
            VLLMError: If it does not take them; the message says what to change.
        """
        from ssp_env.http import run

        if self._vllm is None:
            self._vllm = self._open_vllm()
        roles = next(roles for served, roles in self._served if served is model)
        start = "published-" if roles == ROLES else f"published-{'-'.join(roles)}-"
        target = self._workspace / f"{start}{version}"
        options = self._config.rollout
        if self._config.model.lora_rank and options.urls and not options.merge_adapter:
            self._save_adapter(target, model)
            run(self._vllm.update_adapter(target.resolve(), version, roles))  # type: ignore[union-attr]
        elif options.urls:
            self.save(target)
            run(self._vllm.update_weights(target.resolve(), version))  # type: ignore[arg-type]
        else:
            self.save(target)
            self._vllm.update_weights(target.resolve(), version)
        for older in self._workspace.glob(f"{start}*"):
            if older != target:
                shutil.rmtree(older)

    def _open_vllm(self) -> VLLMServerAgent | VLLMEngineAgent:
        config, protocol = self._config, PROTOCOLS[self._config.game.protocol]
        sampling = SamplingParams(
            self._sampling.temperature, 1.0, self._sampling.max_new_tokens, derive_seed(config.seed, "vllm")
        )
        if config.rollout.urls:
            from agents.vllm.served import VLLMServerAgent

            return VLLMServerAgent(
                config.rollout.urls,
                self.tokenizer,
                sampling=sampling,
                protocol=protocol,
                rendering=self.rendering,
                context_window=config.rollout.context_window or None,
                require_logprobs=config.learner.old_logprobs == "sampled",
            )
        from agents.vllm.in_process import VLLMEngineAgent

        return VLLMEngineAgent(
            self.folder,
            self.tokenizer,
            sampling=sampling,
            protocol=protocol,
            rendering=self.rendering,
            context_window=self.context_window,
        )

    # -- saving ----------------------------------------------------------------------------------------

    def save(self, folder: Path, policy: CausalLMPolicy | None = None) -> None:
        """Write weights, configuration and tokenizer into a folder that players are made of.

        A LoRA adapter is merged into the weights, and stands beside them in the folder `adapter`.

        Args:
            folder: The folder.
            policy: A policy of this model; `self.policy` if None.
        """
        model = (policy or self.policy).model
        if self._config.model.lora_rank:
            self._save_adapter(folder / ADAPTER, model)
            merged: Any = copy.deepcopy(model)
            merged.merge_and_unload().save_pretrained(folder)
        else:
            model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _save_adapter(self, folder: Path, model: Any) -> None:
        model.save_pretrained(str(folder), save_embedding_layers=False)

    def restore(self, policy: CausalLMPolicy, folder: Path) -> None:
        """Give a policy of this model the weights that `save` wrote.

        Raises:
            FileNotFoundError: If there are none in the folder.
            ValueError: If they do not fit.
        """
        check_model(folder, self._config)
        policy.load_state_dict(
            _adapter_weights(folder / ADAPTER, policy)
            if self._config.model.lora_rank
            else _weights(folder, self._config.model)
        )


def conversations_of(
    config: TrainConfig, tokenizer: PreTrainedTokenizerBase, context_window: int
) -> ConversationTokens:
    """Return an empty record of conversations as token ids, rendered as the players of a run render them."""
    return ConversationTokens(
        tokenizer,
        protocol=PROTOCOLS[config.game.protocol],
        rendering=rendering_of(config, tokenizer),
        max_prompt_tokens=context_window - config.rollout.max_new_tokens,
    )


def rendering_of(config: TrainConfig, tokenizer: PreTrainedTokenizerBase) -> Rendering:
    """Return how the messages of a run become text.

    Raises:
        ValueError: If that is the chat template, and the tokenizer has none.
    """
    wanted = config.rollout.rendering
    if wanted == "auto":
        return "chat" if tokenizer.chat_template and config.game.prompts == "english" else "plain"
    if wanted == "chat" and not tokenizer.chat_template:
        raise ValueError(
            f"the tokenizer of {find_model(config.model.name)} has no chat template, which rollout.rendering "
            "'chat' needs: choose 'plain', or set tokenizer.chat_template and save the tokenizer again"
        )
    return wanted


def _weights(folder: Path, options: ModelConfig) -> dict[str, Tensor]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=options.dtype, local_files_only=True)
    return dict(model.named_parameters())


def _adapter_weights(folder: Path, policy: CausalLMPolicy) -> dict[str, Tensor]:
    """Return the weights of an adapter under the names that they have in the policy's model."""
    saved = load_file(folder / "adapter_model.safetensors")
    # peft leaves the adapter's name out of the file.
    names = {name.replace(".default.", "."): name for name in policy.state_dict()}
    return {names.get(name, name): weight for name, weight in saved.items()}


def find_model(name: str) -> Path:
    """Return the folder of a model by name.

    Raises:
        FileNotFoundError: If there is no model.
        SmolLM2Missing: If SmolLM2 is wanted and not installed.
    """
    folder = smollm2.checkpoint() if name == SMOLLM2 else model_of_run(Path(name))
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"no model in {name!r}: model.name must be tiny, smollm2, or a folder with config.json, weights "
            "and a tokenizer"
        )
    return folder


def with_lora(model: PreTrainedModel, options: ModelConfig, seed: int) -> PreTrainedModel:
    """Put adapters on all linear layers; equal seeds give equal adapters."""
    try:
        from peft import LoraConfig, get_peft_model
    except ModuleNotFoundError as error:
        raise missing_extra("peft", "lora") from error
    adapters = LoraConfig(
        r=options.lora_rank,
        lora_alpha=int(options.lora_alpha),
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted: Any = get_peft_model(model, adapters)
    return adapted  # type: ignore[no-any-return]


def _device(name: str) -> torch.device:
    """Return a device by name; `auto` takes a GPU if there is one."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
