"""Every shell line of README and docs is run, page by page in one folder, or it is said why it is not."""

import re
import runpy
import shlex
import sys
import warnings

import pytest

from ssp_env import cli
from tests.markdown import PAGES, ROOT, blocks
from tests.shell_files import SUPPLIED, language_model, supply
from tests.shell_lines import RULES
from tests.shown_output import SHOWN

WALKS = [page for page in PAGES if blocks(page, "bash")]


def lines_of(page):
    for block in blocks(page, "bash"):
        yield from (line for line in block.splitlines() if shlex.split(line, comments=True))


def rule_of(line):
    """The first rule that is about a line."""
    bare = line.partition("  #")[0].strip()
    return next((rule for rule in RULES if re.search(rule.words, bare)), None)


@pytest.fixture(scope="session")
def babbler(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "babbler"
    language_model(folder)
    return folder


@pytest.fixture
def shell(tmp_path, babbler, monkeypatch):
    """Run a line in this process and return its exit status, or the message that it ended with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("agents.smollm2.checkpoint", lambda root=None: babbler)
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    # Pictures of runs take a second each, and have tests of their own.
    monkeypatch.setattr("baselines.runs.curves.plot_run", lambda *arguments: None)
    monkeypatch.setattr("webbrowser.open", lambda address: None)
    monkeypatch.setattr("uvicorn.Server.run", lambda server: setattr(server, "started", True))
    yield lambda line: run(shlex.split(line, comments=True), monkeypatch)
    for name in ("my_agents", "my_algorithms"):
        sys.modules.pop(name, None)


def run(words, monkeypatch):
    with monkeypatch.context() as patch, warnings.catch_warnings():
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(sys, "argv", words if words[0] == "ssp" else words[2:])
        try:
            if words[0] == "ssp":
                cli.main()
            else:
                assert words[:2] == ["python", "-m"], (
                    f"{shlex.join(words)} is neither run nor in tests/shell_lines.py"
                )
                # Modules that other tests have imported are run a second time.
                warnings.simplefilter("ignore", RuntimeWarning)
                runpy.run_module(words[2], run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            return ended.code or 0
    return 0


@pytest.mark.parametrize("page", WALKS, ids=lambda page: page.name)
def test_the_lines_of_a_page_run_one_after_the_other(page, shell, tmp_path, capsys):
    supply(page, tmp_path, shell)
    printed = []
    for line in lines_of(page):
        rule = rule_of(line)
        if rule is None or not rule.tested:
            assert shell(f"{line.partition('  #')[0]} {rule.added if rule else ''}") == 0, line
            printed += [text.rstrip() for text in capsys.readouterr().out.splitlines()]
    for shown in output_of(page):
        assert shown.rstrip() in "\n".join(printed)


def output_of(page):
    """The blocks of a page that show what its lines print."""
    name = page.relative_to(ROOT).as_posix()
    words = [one.words for one in SHOWN if (one.page, one.tested) == (name, "tests/test_shell_blocks.py")]
    return [text for text in blocks(page, "text") if any(word in text for word in words)]


def test_output_that_lines_print_is_compared():
    assert [page.name for page in WALKS if output_of(page)] == ["league.md"]


def test_the_table_is_about_lines_that_are_there_and_names_tests_that_are():
    used = {rule_of(line) for page in WALKS for line in lines_of(page)}
    assert [rule for rule in RULES if rule not in used] == []
    assert [rule for rule in RULES if not rule.reason or bool(rule.tested) == bool(rule.added)] == []
    assert [rule.tested for rule in RULES if not (ROOT / rule.tested).exists()] == []
    assert set(SUPPLIED) <= {page.name for page in WALKS}


def test_most_lines_are_run():
    ran = [line for page in WALKS for line in lines_of(page) if not getattr(rule_of(line), "tested", "")]
    assert len(ran) >= 80 and {line.split()[1] for line in ran} >= {"train", "play", "eval", "serve", "view"}
