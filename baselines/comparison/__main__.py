"""`python -m baselines.comparison`: comparisons that train their own runs."""

import typer

from baselines.comparison.recipes import main

typer.run(main)
