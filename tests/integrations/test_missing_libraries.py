"""The search tool needs none of the frameworks; an adapter without its library says what to install."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
missing = "langchain_core llama_index openenv verifiers skyrl_gym nemo_gym transformers torch"
sys.modules.update(dict.fromkeys(missing.split()))
import ssp_env.search.tool, ssp_env.integrations.trl
try:
    import ssp_env.integrations.{module}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("langchain", "langchain"),
        ("llamaindex", "llamaindex"),
        ("openenv", "openenv"),
        ("verifiers", "verifiers"),
        ("skyrl", "skyrl"),
        ("nemo_gym", "nemo-gym"),
    ],
)
def test_the_error_names_the_extra(module, extra):
    command = [sys.executable, "-c", WITHOUT.format(module=module)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"pip install 'ssp-env[{extra}]'" in said
