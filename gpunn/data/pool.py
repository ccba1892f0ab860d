"""The parent's side of the workers: it starts, asks, hears and ends them.

Each worker has a pipe of its own and answers its tasks in order, so the order in which the parent
asks is the order of the batches. Workers share nothing, no queue and no lock: one that is killed
leaves nothing behind that could block the others.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import time
import weakref
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from gpunn.data.worker import STOP, Job, NewEpoch, work

_FAREWELL = 2.0  # seconds in which a worker may finish its batch before it is terminated


class _Worker(NamedTuple):
    process: BaseProcess
    connection: Connection


class WorkerPool:
    """``job.num_workers`` processes that make batches; ended by ``close``, or with the object."""

    def __init__(self, job: Job, context: BaseContext, timeout: float) -> None:
        self._timeout = timeout
        self.epoch = -1
        self._workers: list[_Worker] = []
        self.close = weakref.finalize(self, _end, self._workers, os.getpid())
        try:
            for worker_id in range(job.num_workers):
                self._workers.append(self._start(job, context, worker_id))
        except BaseException:
            self.close()
            raise

    def _start(self, job: Job, context: Any, worker_id: int) -> _Worker:
        ours, theirs = Pipe()
        forked = context.get_start_method() == "fork"
        inherited = [ours, *(worker.connection for worker in self._workers)] if forked else []
        process: BaseProcess = context.Process(
            target=work,
            args=(theirs, inherited, job, worker_id),
            name=f"DataLoader worker {worker_id}",
            daemon=True,
        )
        try:
            process.start()
        except BaseException as error:
            ours.close()
            if not forked:
                error.add_note(
                    "in starting a DataLoader worker: the dataset, collate_fn and worker_init_fn "
                    "are pickled for it, so functions and classes must stand at the top level of "
                    "a module; or take num_workers=0"
                )
            raise
        finally:
            theirs.close()
        return _Worker(process, ours)

    @property
    def closed(self) -> bool:
        """Whether the workers have been ended."""
        return not self.close.alive

    def begin(self, base_seed: int) -> int:
        """Begin an epoch, and return its number. What was asked before is not heard any more."""
        self.epoch += 1
        for worker_id in range(len(self._workers)):
            self.ask(worker_id, NewEpoch(self.epoch, base_seed))
        return self.epoch

    def ask(self, worker_id: int, task: Any) -> None:
        """Give a worker a task."""
        content = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
        worker = self._worker(worker_id)
        try:
            worker.connection.send_bytes(content)
        except OSError:
            raise self._lost(worker) from None

    def hear(self, worker_id: int) -> Any:
        """Wait for a worker's next answer: a batch, `End` or a `WorkerError`."""
        while True:
            epoch, answer = pickle.loads(self._receive(self._worker(worker_id)))
            if epoch == self.epoch:
                return answer

    def _worker(self, worker_id: int) -> _Worker:
        if self.closed:
            raise RuntimeError("the workers of this DataLoader's iterator have been shut down")
        return self._workers[worker_id]

    def _receive(self, worker: _Worker) -> bytes:
        if not wait([worker.connection, worker.process.sentinel], self._timeout or None):
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        try:
            if not worker.connection.poll():  # the process has ended
                raise EOFError
            return worker.connection.recv_bytes()
        except (EOFError, OSError):
            raise self._lost(worker) from None
        except BaseException:  # Ctrl-C in the middle of a message: the rest of it makes no sense
            self.close()
            raise

    def _lost(self, worker: _Worker) -> RuntimeError:
        worker.process.join(1)
        pid, code = worker.process.pid, worker.process.exitcode
        self.close()
        if code is not None and code < 0:
            how = f"killed by signal {-code}, {signal.strsignal(-code)}"
            if -code == getattr(signal, "SIGKILL", None):  # Windows has none
                how += " (out of memory?)"
        else:
            how = f"exit code {code}; if it said why, it said so on stderr"
        return RuntimeError(f"DataLoader worker (pid(s) {pid}) exited unexpectedly: {how}")


def _end(workers: list[_Worker], owner: int) -> None:
    """End the processes; in a forked child, which doesn't own them, only close its copies."""
    owned = os.getpid() == owner
    for worker in workers:
        if owned:
            with contextlib.suppress(OSError):
                worker.connection.send_bytes(STOP)
        worker.connection.close()
    if owned:
        deadline = time.monotonic() + _FAREWELL
        for process, _ in workers:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.terminate()
                process.join(1)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
    workers.clear()
