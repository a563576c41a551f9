"""Jobs that run a few at a time, each in a process of its own, with a row of progress for each."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import TaskID

from ssp_env.cli.progress import progress_bar

POLL_SECONDS = 1.0
PLAIN_EVERY_SECONDS = 60.0


class JobFailed(RuntimeError):
    """A job ended with an error; the message names it and its log."""


@dataclass(frozen=True)
class Job:
    """A function that is called in a process of its own.

    Attributes:
        name: As people read it.
        function: A function that other processes can import.
        arguments: Its arguments.
        log: File that its output is appended to.
        needed: File that another job writes and this one waits for; None if it may start at once.
    """

    name: str
    function: Callable[..., None]
    arguments: tuple[Any, ...]
    log: Path
    needed: Path | None = None


def run_jobs(
    jobs: Sequence[Job],
    processes: int,
    console: Console,
    progress: Callable[[Job], str] = lambda job: job.name,
    *,
    keep_going: bool = False,
) -> None:
    """Run jobs in the order given, as far as what they need is there.

    Args:
        jobs: The jobs.
        processes: Number of jobs that run at a time.
        console: Shows a row for each job that runs; without a terminal, at most a line a minute, and none
            twice.
        progress: Says how far a running job is.
        keep_going: Start the other jobs although one has failed.

    Raises:
        JobFailed: If a job ended with an error, after the other running jobs have ended, or after all with
            `keep_going`; or at once if the waiting jobs need what no job writes.
        KeyboardInterrupt: After the running jobs have stopped.
    """
    waiting, running = list(jobs), dict[BaseProcess, Job]()
    failed: list[Job] = []
    shown_at = -PLAIN_EVERY_SECONDS
    with _Rows(len(jobs), console) as rows:
        try:
            while running or (waiting and (keep_going or not failed)):
                failed += _ended(running)
                goes_on = keep_going or not failed
                while len(running) < processes and goes_on and (job := _next(waiting)):
                    waiting.remove(job)
                    running[_start(job)] = job
                if waiting and not running and goes_on:
                    raise JobFailed(f"{waiting[0].name} waits for {waiting[0].needed}, which nobody writes")
                if (now := time.monotonic()) - shown_at > (0 if console.is_terminal else PLAIN_EVERY_SECONDS):
                    shown_at = now
                    rows.show(len(jobs) - len(waiting) - len(running), [*map(progress, running.values())])
                time.sleep(POLL_SECONDS)
        finally:
            # Ctrl-C reaches the jobs too, which save what they have.
            for process in running:
                process.join()
    if failed:
        others = f"; so did {', '.join(job.name for job in failed[1:])}" if failed[1:] else ""
        raise JobFailed(f"{failed[0].name} ended with an error: see {failed[0].log}{others}")


class _Rows:
    """A bar of how many jobs are done, and a row for each that runs; without a terminal, lines."""

    def __init__(self, jobs: int, console: Console) -> None:
        self._jobs, self._console = jobs, console
        self._bar = progress_bar(console=console)
        self._done = self._bar.add_task("runs done", total=jobs)
        self._running: list[TaskID] = []
        self._said = ""

    def __enter__(self) -> _Rows:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, running: Sequence[str]) -> None:
        """Say how many jobs are done and how far the others are."""
        if not self._console.is_terminal:
            line = " | ".join([f"{done}/{self._jobs} done", *running])
            if line != self._said:
                self._console.print(line, highlight=False, soft_wrap=True)
            self._said = line
            return
        self._bar.update(self._done, completed=done)
        while len(self._running) > len(running):
            self._bar.remove_task(self._running.pop())
        while len(self._running) < len(running):
            self._running.append(self._bar.add_task("", total=None))
        for task, described in zip(self._running, running, strict=True):
            self._bar.update(task, description=described)


def _next(waiting: Sequence[Job]) -> Job | None:
    return next((job for job in waiting if job.needed is None or job.needed.exists()), None)


def _start(job: Job) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=call, args=(job,), name=job.name)
    process.start()
    return process


def call(job: Job) -> None:
    """Call the function of a job, with its output in its log."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with (
        job.log.open("a", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        job.function(*job.arguments)


def _ended(running: dict[BaseProcess, Job]) -> list[Job]:
    """Take out the jobs whose processes have ended; return those that failed."""
    ended = [process for process in running if not process.is_alive()]
    jobs = {process: running.pop(process) for process in ended}
    return [job for process, job in jobs.items() if process.exitcode != 0]
