"""The `ssp` command: collects the commands of this package and those registered beside it.

`ssp_env` does not import the agents and trainers that are installed beside it; they register their commands
under the entry-point group `ssp.commands`.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

COMMAND_GROUP = "ssp.commands"
HELP = """Search self-play: a proposer writes questions, a solver answers them by searching.

Start with `ssp train` (learns on a CPU in minutes), `ssp play` (watch games) or `ssp world` (look at the
world they are played in). Every command explains itself: `ssp COMMAND --help`."""


def main() -> None:
    """Run the command line; what the user got wrong is answered in one message, never with a traceback."""
    try:
        import typer  # noqa: F401 - asked for here so that the message names the extra
    except ModuleNotFoundError:
        sys.exit("The ssp command needs typer and rich. Install them with: pip install 'ssp-env[cli]'")
    try:
        build_app()()
    except ModuleNotFoundError as error:
        named = "pip install" in str(error)  # as `missing_extra` writes it
        sys.exit(f"ssp: {error}" if named else f"ssp: {error}. Install it with: pip install 'ssp-env[train]'")
    except (ValueError, OSError) as error:
        sys.exit(f"ssp: {error}")


def build_app() -> typer.Typer:
    """Assemble the commands of this package and every registered one."""
    import typer

    from ssp_env.cli.index import app as index_app
    from ssp_env.cli.records import export, replay, rescore
    from ssp_env.cli.serve import serve
    from ssp_env.cli.world import search, world

    app = typer.Typer(
        name="ssp",
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    for command in (world, search, serve, replay, rescore, export):
        app.command()(command)
    app.add_typer(index_app, name="index")
    for entry in sorted(entry_points(group=COMMAND_GROUP), key=lambda entry: entry.name):
        app.command(entry.name)(entry.load())
    return app
