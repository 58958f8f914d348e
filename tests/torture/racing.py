"""Two processes that want one run folder at the same moment."""

from __future__ import annotations

from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path

from slipstream.checkpoint import RunLock
from slipstream.errors import InputError
from torture.outcome import Outcome
from torture.processes import context

SECONDS = 60


def race(count: int, folder: Path) -> Outcome:
    """Let two processes take a run folder at once, so many times; exactly one is to get it."""
    outcome = Outcome("two processes on one folder")
    barrier = context().Barrier(2)
    racers = [_begun(folder, count, barrier) for _ in range(2)]
    for _ in range(count):
        outcome.tries += 1
        told = [receiver.recv() for receiver, _ in racers]
        outcome.expect(told.count("won") == 1, f"{told}")
        refusals = [text for text in told if text != "won"]
        named = all("is held by" in text and "\n" not in text for text in refusals)
        outcome.expect(named, f"{refusals}")
    for receiver, process in racers:
        receiver.close()
        process.join(SECONDS)
    return outcome


def _begun(folder: Path, count: int, barrier: Barrier) -> tuple[Connection, BaseProcess]:
    receiver, sender = context().Pipe(duplex=False)
    process = context().Process(
        target=_run, args=(str(folder), count, barrier, sender), daemon=True
    )
    process.start()
    sender.close()
    return receiver, process


def _run(folder: str, count: int, barrier: Barrier, sender: Connection) -> None:
    for _ in range(count):
        lock = RunLock(Path(folder))
        barrier.wait(SECONDS)
        try:
            lock.acquire()
            sender.send("won")
        except InputError as error:
            sender.send(str(error))
        # Nobody lets go before the other has tried.
        barrier.wait(SECONDS)
        lock.release()
