"""The command line `ssp`: the commands of this package, and those that other packages register.

`ssp_env` does not import the agents and trainers that are installed beside it; they register their commands
under the entry-point group `ssp.commands`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ssp_env.objects import missing_extra

if TYPE_CHECKING:
    import typer

COMMAND_GROUP = "ssp.commands"
INTERRUPTED = 130
"""Exit status after Ctrl-C, by the convention of shells: 128 plus the number of the signal."""
HELP = """Search self-play: a proposer writes questions, a solver answers them by searching.

Start with `ssp train` (learns on a CPU in minutes), `ssp play` (watch games) or `ssp world` (look at the
world they are played in). Every command explains itself: `ssp COMMAND --help`."""


def main() -> None:
    """Run the command line; user errors print one message, and neither they nor Ctrl-C print a traceback."""
    # The commands print failed games themselves.
    logging.getLogger("ssp_env.play").addHandler(logging.NullHandler())
    try:
        build_app()()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        sys.exit(f"ssp: {_with_remedy(error)}")
    except (ValueError, OSError) as error:
        sys.exit(f"ssp: {error}")


def build_app() -> typer.Typer:
    """Assemble the commands of this package and all registered commands.

    Raises:
        ModuleNotFoundError: If typer is not installed.
    """
    try:
        import typer
    except ModuleNotFoundError as error:
        raise missing_extra("typer", "cli") from error

    from ssp_env.cli.export import export
    from ssp_env.cli.index import app as index_app
    from ssp_env.cli.options import ssp_options
    from ssp_env.cli.replay import replay
    from ssp_env.cli.rescore import rescore
    from ssp_env.cli.search import search
    from ssp_env.cli.serve import serve
    from ssp_env.cli.view import view
    from ssp_env.cli.world import world

    app = typer.Typer(
        name="ssp",
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )

    app.callback()(ssp_options)
    for command in (world, search, serve, view, replay, rescore, export):
        app.command()(command)
    app.add_typer(index_app, name="index")
    _add_registered(app)
    return app


def _add_registered(app: typer.Typer) -> None:
    """Add the commands of other packages; one whose libraries are missing says so when it is called."""
    import typer

    for entry in sorted(entry_points(group=COMMAND_GROUP), key=lambda entry: entry.name):
        _check_not_hidden(entry.module.partition(".")[0])
        try:
            command = entry.load()
        except ModuleNotFoundError as error:
            said = _with_remedy(error)
            anything = {"allow_extra_args": True, "ignore_unknown_options": True}
            app.command(entry.name, help=f"({said.msg})", context_settings=anything)(_raising(said))
            continue
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=entry.name)
        else:
            app.command(entry.name)(command)


def _raising(error: ModuleNotFoundError) -> Callable[[], None]:
    """The command in the place of one whose libraries are missing: the others do without them."""

    def command() -> None:
        raise error

    return command


def _check_not_hidden(package: str) -> None:
    """Refuse a folder of the user's that hides a package installed beside this one.

    Raises:
        ValueError: If there is one; the message names it and says what to do.
    """
    spec, ours = find_spec(package), Path(__file__).resolve().parents[2] / package
    found = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    if ours.is_dir() and found and ours not in (folder.resolve() for folder in found):
        raise ValueError(
            f"the folder {found[0]} hides the package {package} of ssp-env, as it comes first on Python's "
            "path: leave its parent out of PYTHONPATH, rename the folder, or put it into a package of your "
            f"own, such as my_project/{package}"
        )


def _with_remedy(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Name the extra `train` if the error does not say yet what to install."""
    if error.name is None or "pip install" in error.msg:
        return error
    return missing_extra(error.name.partition(".")[0], "train")
