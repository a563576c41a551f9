"""LoRA adapters by role: one model in memory, each role reads and writes through an adapter of its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.sampling_params import check_roles
from ssp_env.game import Role
from ssp_env.objects import missing_extra

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def with_adapters(
    model: PreTrainedModel, adapters: Mapping[Role, str | Path]
) -> tuple[PreTrainedModel, dict[Role, str]]:
    """Load adapters into a model.

    Args:
        model: A model of transformers, or one of peft already.
        adapters: By role, a folder that `save_pretrained` of peft wrote, or the name of an adapter that the
            model has. Roles left out play with the base model. A folder named twice is loaded once.

    Returns:
        The model of peft around it, in evaluation mode, and the adapter's name per role.

    Raises:
        ModuleNotFoundError: If peft is not installed; the message says how to install it.
        ValueError: If a role does not exist, or there is no such adapter.
    """
    check_roles(adapters, "adapters")
    if find_spec("peft") is None:
        raise missing_extra("peft", "lora")
    names: dict[Role, str] = {}
    for role, adapter in adapters.items():
        known: dict[str, object] = getattr(model, "peft_config", {})
        name = str(adapter)
        if name not in known:
            if not Path(adapter, "adapter_config.json").is_file():
                loaded = f"; adapters of this model: {', '.join(known)}" if known else ""
                raise ValueError(
                    f"the adapter of the {role} must be a folder with adapter_config.json and "
                    f"adapter_model.safetensors, got {name!r}{loaded}"
                )
            # Names become keys of modules, which may hold no dot.
            name = name.replace(".", "_")
            if name not in known:
                model = _loaded(model, Path(adapter), name)
        names[role] = name
    model.eval()
    return model, names


def _loaded(model: Any, folder: Path, name: str) -> Any:
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        return PeftModel.from_pretrained(model, str(folder), adapter_name=name)
    model.load_adapter(str(folder), adapter_name=name)
    return model
