"""`ssp plan`: the table of the paper's run, its assumptions, and what it refuses."""

import pytest
import typer
from typer.testing import CliRunner

from baselines.plan.command import plan


def ssp_plan(*arguments):
    app = typer.Typer()
    app.command()(plan)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"})


def test_the_plan_of_the_papers_run():
    told = ssp_plan("--price", "2")
    assert told.exit_code == 0, told.output
    for figure in ("1,280", "memory of training, a GPU", "games in flight", "searches a second", "cost"):
        assert figure in told.output
    flat = " ".join(told.output.split())
    assert "solver_searches=4*" in flat and "none of this was measured on such GPUs" in flat
    assert "does not fit" not in flat


def test_measured_figures_replace_assumptions():
    told = ssp_plan("--assume", "solver_searches=2", "--set", "rules.attempts=8")
    flat = " ".join(told.output.split())
    assert "solver_searches=2," in flat and "turn_tokens=120*" in flat and "2,048" in flat


def test_what_does_not_fit_is_said():
    told = ssp_plan("--model", "32b", "--gpu", "a100")
    flat = " ".join(told.output.split())
    assert told.exit_code == 0 and "training needs" in flat and "raise --tensor-parallel" in flat


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "8b"], "got '8b'"),
        (["--gpu", "h1000"], "did you mean 'h100'"),
        (["--assume", "solver_serches=3"], "did you mean 'solver_searches'"),
        (["--gpus", "6", "--tensor-parallel", "4"], "cannot be divided"),
        (["--set", "rules.attemps=3"], "attempts"),
    ],
)
def test_bad_options_are_named(arguments, said):
    told = ssp_plan(*arguments)
    assert told.exit_code == 2 and said in " ".join(told.output.replace("│", " ").split())
