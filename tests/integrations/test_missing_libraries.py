"""The search tool needs none of the frameworks; an adapter without its library says what to install."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
missing = "langchain_core llama_index openenv verifiers skyrl_gym nemo_gym openrlhf transformers torch"
sys.modules.update(dict.fromkeys(missing.split()))
import ssp_env.search.tool, ssp_env.integrations.trl
try:
    import {module}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("ssp_env.integrations.langchain", "langchain"),
        ("ssp_env.integrations.llamaindex", "llamaindex"),
        ("ssp_env.integrations.openenv", "openenv"),
        ("ssp_env.integrations.verifiers", "verifiers"),
        ("ssp_env.integrations.skyrl", "skyrl"),
        ("ssp_env.integrations.nemo_gym", "nemo-gym"),
        ("baselines.openrlhf", "openrlhf"),
    ],
)
def test_the_error_names_the_extra(module, extra):
    command = [sys.executable, "-c", WITHOUT.format(module=module)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"pip install 'ssp-env[{extra}]'" in said
