"""Objects are loaded by name, and errors say what is wrong; coroutine functions are told from others."""

import subprocess
import sys
from functools import partial
from textwrap import dedent

import pytest

from ssp_env.objects import is_async, is_object_name, load_object
from ssp_env.play import as_agent


async def wait(query):
    return query


class Waiter:
    async def __call__(self, query):
        return query

    async def ask(self, query):
        return query


@pytest.mark.parametrize(
    "function", [wait, Waiter(), Waiter().ask, partial(wait, "a"), partial(partial(wait))]
)
def test_coroutine_functions_are_known(function):
    assert is_async(function)


@pytest.mark.parametrize("function", [len, str, lambda query: wait, partial(len), Waiter, None, 5])
def test_nothing_else_is_one(function):
    assert not is_async(function)


@pytest.mark.parametrize(
    "name", ["a:b", "my_project.players:Careful.quick", "my.py:agent", "over/there:agent"]
)
def test_names_of_objects_are_recognised(name):
    assert is_object_name(name)


@pytest.mark.parametrize(
    "name", ["weak", "runs/first", "chat:gpt-5", "vllm:http://host:8000", "C:\\runs", "a:", ":b"]
)
def test_other_names_are_not(name):
    assert not is_object_name(name)


MODULE = """
    from functools import partial


    class Mute:
        def __init__(self, word="hm"):
            self.word = word

        def act(self, view):
            return self.word

    class Picky:
        def __init__(self, model, *, size): ...

    class Broken:
        def __init__(self):
            raise RuntimeError("no weights")

    def make_mute():
        return Mute("made")

    def make_nothing():
        return None

    def plays(view):
        return "plays"

    async def plays_soon(view):
        return "soon"

    def plays_anything(*views):
        return "anything"

    quiet = Mute("quiet")
    half = partial(Mute, "half")
    number = 5
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The current folder of a user, with a module and a package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    (tmp_path / "own_players.py").write_text(dedent(MODULE))
    (tmp_path / "own_broken.py").write_text("import no_such_library\n")
    (tmp_path / "own_exits.py").write_text("import sys\nsys.exit('usage: ...')\n")
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").touch()
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "mine.py").write_text("player = 1")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "says"),
    [("quiet", "quiet"), ("Mute", "hm"), ("make_mute", "made"), ("half", "half"), ("plays", "plays"),
     ("plays_anything", "anything"), ("quiet.act", "quiet")],
)  # fmt: skip
def test_an_object_a_class_a_factory_and_a_function_are_loaded_from_the_current_folder(project, name, says):
    assert load_object(f"own_players:{name}", "player", as_agent).act(None) == says


def test_a_coroutine_function_is_the_object_itself(project):
    assert is_async(load_object("own_players:plays_soon", "player"))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("own_players", "expected a name such as package.module:object"),
        ("own_player:quiet", "there is no module own_player: sought in {here} and among the "),
        ("own_package.sub:quiet", "there is no module own_package.sub: "),
        ("own_players.sub:quiet", "there is no module own_players.sub: "),
        ("agents.mine:player", "the folder {here}/agents is hidden by "),
        ("agents:Mine", "the module agents has no attribute 'Mine'; the folder {here}/agents is hidden by "),
        ("own_players.py:quiet", "expected a module, got a file: call it own_players:quiet in the folder"),
        ("./own_players.py:quiet", "call it own_players:quiet"),
        ("own_players:quite", "the module own_players has no attribute 'quite'; did you mean 'quiet'?"),
        ("own_players:quiet.actt", "quiet has no attribute 'actt'; did you mean 'act'?"),
        ("own_broken:quiet", "importing own_broken raised ModuleNotFoundError: No module named 'no_such"),
        ("own_broken:quiet", "own_broken.py:1)"),
        ("own_exits:quiet", "importing own_exits raised SystemExit: usage: ..."),
        ("own_players:Broken", "Broken() raised RuntimeError: no weights ("),
        ("own_players:Broken", "own_players.py:17)"),
        ("own_players:Picky", "the class Picky cannot be made without model, size: name an object"),
        ("own_players:number", "player must be "),
        ("own_players:make_nothing", "got NoneType"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_says_what_was_expected_and_what_came(project, name, problem):
    with pytest.raises(ValueError) as refused:
        load_object(name, "player", as_agent)
    assert str(refused.value).startswith(f"player {name!r}: ")
    assert problem.format(here=project) in str(refused.value)


def test_a_hidden_folder_is_named_where_a_module_imports_from_it(project):
    (project / "own_importer.py").write_text("from agents.mine import player\n")
    with pytest.raises(ValueError, match=r"agents is hidden by .*: rename it, or put it into a package"):
        load_object("own_importer:player")


def test_the_current_folder_is_found_by_a_script_that_is_installed_elsewhere(project):
    code = "import sys; sys.path[0] = '/nowhere'; from ssp_env.objects import load_object as load; "
    code += "load('own_players:quiet')"
    subprocess.run([sys.executable, "-c", code], check=True)
