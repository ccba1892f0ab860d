"""What a worker process does: it answers the tasks of its `DataLoader`, one after another."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import random
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, NoReturn

import numpy

from gpunn.backends.host.threads import set_num_threads
from gpunn.data.dataset import Dataset
from gpunn.data.fetch import Fetch, make_fetch
from gpunn.random import manual_seed

STOP = b""  # the last task; no pickle is empty


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker process knows of itself: see `get_worker_info`."""

    id: int
    num_workers: int
    seed: int
    dataset: Dataset[Any]


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Return the ``id``, ``num_workers``, ``seed`` and ``dataset`` of this worker process.

    None in the main process. An `IterableDataset` asks it which part of its items is its own.
    """
    return _worker_info


@dataclass(frozen=True)
class Job:
    """What every worker of a pool is told when it starts."""

    dataset: Dataset[Any]
    collate_fn: Callable[[Any], Any]
    batched: bool
    drop_last: bool
    init_fn: Callable[[int], Any] | None
    num_workers: int


class NewEpoch(NamedTuple):
    """The task to begin anew. Every other task is what the sampler yielded."""

    number: int
    base_seed: int


class WorkerError:
    """An exception on its way out of a worker: its type, and its traceback as text."""

    def __init__(self, worker_id: int, error: Exception) -> None:
        self.text = (
            f"Caught {type(error).__name__} in DataLoader worker process {worker_id}.\n"
            f"Original {''.join(traceback.format_exception(error))}"
        )
        self.type: type[Exception] = type(error)
        try:
            pickle.dumps(self.type)
        except Exception:  # a class made inside a function has no name to travel under
            self.type = RuntimeError

    def reraise(self) -> NoReturn:
        """Raise an exception of the original's type whose message ends with the traceback."""
        text = _PlainRepr(self.text) if issubclass(self.type, KeyError) else self.text
        try:
            error = self.type(text)
        except Exception:  # its constructor wants other arguments
            error = RuntimeError(text)
        raise error


class _PlainRepr(str):
    """A message that stays readable in a KeyError, which prints the repr of its argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def work(connection: Connection, inherited: list[Connection], job: Job, worker_id: int) -> None:
    """Answer tasks until told to stop: the body of a worker process.

    ``inherited`` are the parent's ends of pipes, of which a forked process has copies.
    """
    # The terminal sends Ctrl-C to the whole group of processes: the parent says what follows.
    # And a handler that the parent has for SIGTERM is not meant for its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    set_num_threads(1)  # the workers share the cores; `worker_init_fn` may set another number
    for other in inherited:  # as long as one is open, nobody can see that the parent has died
        other.close()

    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # One thread always reads, so that the parent never waits to hand over a task; one writes, so
    # that the next batch is made while the parent has not yet called for the last.
    threading.Thread(target=_read, args=(connection, tasks), daemon=True).start()
    threading.Thread(target=_write, args=(connection, answers), daemon=True).start()
    worker = _Worker(job, worker_id)
    while (task := tasks.get()) != STOP:
        if answer := worker.answer(task):
            answers.put(answer)


def _read(connection: Connection, tasks: queue.SimpleQueue[bytes]) -> None:
    try:
        while (task := connection.recv_bytes()) != STOP:
            tasks.put(task)
    except (EOFError, OSError):  # the parent has died
        os._exit(1)
    with contextlib.suppress(queue.Empty):  # nobody waits for these any more
        while True:
            tasks.get_nowait()
    tasks.put(STOP)


def _write(connection: Connection, answers: queue.SimpleQueue[bytes]) -> None:
    with contextlib.suppress(OSError):  # the parent no longer listens
        while True:
            connection.send_bytes(answers.get())


class _Worker:
    """What a worker keeps between tasks: the epoch, and the function that makes its batches."""

    def __init__(self, job: Job, worker_id: int) -> None:
        self._job = job
        self._id = worker_id
        self._epoch = -1
        self._fetch: Fetch | WorkerError | None = None
        self._initialised = False

    def answer(self, task: bytes) -> bytes | None:
        """Return the pickled pair of epoch and batch (or `End`, or `WorkerError`)."""
        try:
            todo = pickle.loads(task)
            if isinstance(todo, NewEpoch):
                self._epoch, self._fetch = todo.number, self._begin(todo.base_seed)
                return None
            batch = self._fetch(todo) if callable(self._fetch) else self._fetch
            return pickle.dumps((self._epoch, batch), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            return pickle.dumps((self._epoch, WorkerError(self._id, error)))

    def _begin(self, base_seed: int) -> Fetch | WorkerError:
        job, seed = self._job, base_seed + self._id
        _seed_everything(seed)
        global _worker_info
        _worker_info = WorkerInfo(self._id, job.num_workers, seed, job.dataset)
        try:
            if job.init_fn is not None and not self._initialised:
                job.init_fn(self._id)
            self._initialised = True
            return make_fetch(job.dataset, job.collate_fn, job.batched, job.drop_last)
        except Exception as error:  # the answer to every task of this epoch
            return WorkerError(self._id, error)


def _seed_everything(seed: int) -> None:
    manual_seed(seed)
    random.seed(seed)
    numpy.random.seed(seed % 2**32)  # noqa: NPY002 - the legacy stream is what datasets draw from
