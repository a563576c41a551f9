"""What jobs in processes of their own do in tests; importing it loads nothing else."""

from pathlib import Path


def fails(name: str) -> None:
    raise RuntimeError(name)


def writes(path: Path) -> None:
    path.write_text("done")
