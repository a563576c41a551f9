"""The container file copies what there is, installs extras that exist and starts a command that does."""

import json
import re
from pathlib import Path

import pytest
import typer

from ssp_env.cli.serve import serve

ROOT = Path(__file__).resolve().parents[2]
LINES = [line.partition(" ")[::2] for line in (ROOT / "Containerfile").read_text().splitlines()]


def given(instruction):
    return [rest for name, rest in LINES if name == instruction]


def test_what_is_copied_exists_and_is_what_the_package_is_built_from():
    copied = {name for rest in given("COPY") for name in rest.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    packages = {"ssp_env", "ssp_env_verifiers", "agents", "baselines"}
    files = {"pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "constraints.txt"}
    assert packages | files <= copied


def test_the_extras_are_those_of_the_package():
    (run,) = given("RUN")
    extras = re.search(r"'\.\[(.*?)\]'", run)[1].split(",")
    declared = (ROOT / "pyproject.toml").read_text()
    assert extras and all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in extras)


@pytest.mark.parametrize("more", [None, ["--world", "tiny", "--mcp", "http"]])
def test_the_command_is_one_that_ssp_serve_understands(more):
    (entry,), (usual,) = given("ENTRYPOINT"), given("CMD")
    words = [*json.loads(entry), *(json.loads(usual) if more is None else more)]
    assert words[:2] == ["ssp", "serve"]
    app = typer.Typer()
    app.command()(serve)
    with typer.main.get_command(app).make_context("serve", words[2:]) as context:
        assert context.params["host"] == "0.0.0.0"
        assert given("EXPOSE") == [str(context.params["port"])]
