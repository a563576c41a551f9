"""Builders of indexes that kill themselves: `python -m tests.search.bm25.killed`, one fork for each case.

A process of its own starts with one thread, so that it can be forked, and loads what they need once.
"""

import json
import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ssp_env.search.bm25 import builder, term_index, word_counts
from ssp_env.search.bm25.terms import BM25Settings
from ssp_env.worlds import World, world_preset
from tests.search.bm25.directories import ROOT

builder._CHECKPOINT, term_index._COMMIT = 100, 150
builder._REPORT = term_index._REPORT = word_counts._REPORT = 10


class Case(NamedTuple):
    """A builder that kills itself in a stage as soon as so many passages are done.

    It builds an index of a world, or adds the world's passages from `first` on to the index in `path`.
    """

    path: str
    stage: str
    at: int
    eager: int = 0
    first: int = 0


def kill(cases):
    """Run builders; return the path of each index, and the number of the signal that ended its builder."""
    command = [sys.executable, "-m", "tests.search.bm25.killed"]
    done = subprocess.run(command, input=json.dumps(cases), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    return [(Path(case.path), status) for case, status in zip(cases, json.loads(done.stdout), strict=True)]


def run(case):
    def progress(name, done, total):
        if name == case.stage and done >= case.at:
            os.kill(os.getpid(), signal.SIGKILL)

    pages = World(world_preset("small")).passages()
    if case.first:
        builder.add_passages(case.path, islice(pages, case.first, None), progress=progress)
    else:
        settings = BM25Settings(eager_up_to=case.eager)
        builder.build_index(pages, case.path, settings, source="the world", progress=progress)


def status_of(case):
    child = os.fork()
    if not child:
        run(case)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


if __name__ == "__main__":
    print(json.dumps([status_of(Case(*case)) for case in json.load(sys.stdin)]))
