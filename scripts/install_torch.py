"""Install the pinned torch: a CPU build unless TORCH=cuda, and never several gigabytes of CUDA by accident.

`make` runs this script with the interpreter of its virtual environment. Only torch itself is installed; its
dependencies come with the packages that are installed after it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
CUDA_PACKAGE = re.compile(r"(nvidia|cuda|triton)\b")


def main() -> int:
    """Install the build of torch that the variable TORCH names, and return the exit status."""
    flavour = os.environ.get("TORCH", "cpu")
    if flavour not in ("cpu", "cuda"):
        print(f"TORCH must be cpu or cuda, got {flavour!r}", file=sys.stderr)
        return 2
    requirement = pinned_requirement(CONSTRAINTS.read_text())
    installed = installed_version()
    if installed is not None and satisfies(installed, requirement, flavour):
        print(f"torch {installed} is installed")
        return 0
    arguments = ["--no-deps", *(["--force-reinstall"] if installed else []), requirement]
    if flavour == "cuda":
        return pip("install", *arguments)
    # A short timeout, so that a machine that cannot reach this index loses seconds, not minutes.
    if pip("install", *arguments, "--index-url", CPU_INDEX, "--timeout", "10", "--retries", "1") == 0:
        return 0
    print(f"{CPU_INDEX} did not deliver {requirement}; looking in pip's default index")
    cuda = cuda_packages(requirement)
    if cuda:
        print(refusal(requirement, cuda), file=sys.stderr)
        return 1
    return pip("install", *arguments)


def pinned_requirement(constraints: str) -> str:
    """Return the line that pins torch.

    Raises:
        ValueError: If the constraints do not pin torch.
    """
    match = re.search(r"^torch==\S+", constraints, re.MULTILINE)
    if match is None:
        raise ValueError(f"expected a line `torch==VERSION` in {CONSTRAINTS}")
    return match[0]


def installed_version() -> str | None:
    """Return the version of the installed torch with its build tag, such as `2.13.0+cpu`, or None."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def satisfies(installed: str, requirement: str, flavour: str) -> bool:
    """Whether the installed build has the right version and, for `cuda`, is not a CPU build."""
    version, _, build = installed.partition("+")
    return requirement == f"torch=={version}" and not (flavour == "cuda" and build == "cpu")


def cuda_packages(requirement: str) -> list[str]:
    """Return the names of the CUDA packages that pip would install along with the requirement.

    Raises:
        SystemExit: If pip cannot resolve the requirement; pip has printed the reason.
    """
    options = ("--dry-run", "--quiet", "--ignore-installed", "--report", "-")
    command = [sys.executable, "-m", "pip", "install", *options, requirement]
    report = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if report.returncode:
        sys.exit(report.returncode)
    names = [item["metadata"]["name"] for item in json.loads(report.stdout)["install"]]
    return sorted(name for name in names if CUDA_PACKAGE.match(name))


def refusal(requirement: str, cuda: list[str]) -> str:
    """Return a message that says why nothing was installed and what to do about it."""
    return (
        f"Stopped: the {requirement} that pip finds is a CUDA build. With it come {len(cuda)} more packages,"
        f" several gigabytes in all:\n{', '.join(cuda)}.\n"
        f"For a CPU build, make {CPU_INDEX} reachable, or put a CPU wheel where pip looks"
        " (PIP_FIND_LINKS=FOLDER).\n"
        "If you want the CUDA build, say so: TORCH=cuda."
    )


def pip(*arguments: str) -> int:
    """Run the pip of this interpreter and return its exit status."""
    return subprocess.run([sys.executable, "-m", "pip", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
