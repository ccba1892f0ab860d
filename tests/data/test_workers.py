"""DataLoader with worker processes: order, seeds, errors, deaths, and nothing left behind."""

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import numpy
import pytest

import gpunn
from gpunn.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

pytestmark = [
    pytest.mark.skipif(
        "fork" not in multiprocessing.get_all_start_methods(), reason="needs processes that fork"
    ),
    # Python 3.12's word on a fork beside NumPy's threads, which are at rest.
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]


class Items(Dataset[Any]):
    """``make(index)`` for each index."""

    def __init__(self, count: int, make: Any) -> None:
        self.count = count
        self.make = make

    def __getitem__(self, index: int) -> Any:
        return self.make(index)

    def __len__(self) -> int:
        return self.count


class Shares(IterableDataset[int]):
    """Worker ``i`` has ``counts[i]`` items; ``100 * i + 0, 1, ...``."""

    def __init__(self, *counts: int) -> None:
        self.counts = counts

    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        assert info is not None
        return iter(range(100 * info.id, 100 * info.id + self.counts[info.id]))


def forked(dataset: Any, *args: Any, num_workers: int = 2, **kwargs: Any) -> DataLoader[Any]:
    kwargs = {"multiprocessing_context": "fork", "timeout": 30, **kwargs}
    return DataLoader(dataset, *args, num_workers=num_workers, **kwargs)


def plain(value: Any) -> Any:
    if isinstance(value, gpunn.Tensor):
        return value.tolist()
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def seeded(seed: int) -> gpunn.Generator:
    return gpunn.Generator().manual_seed(seed)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test may leave a process or an open file."""
    resource_tracker.ensure_running()  # which multiprocessing starts, and keeps, when it spawns
    before = open_files()
    yield
    if multiprocessing.active_children() or open_files() > before:
        gc.collect()  # what a caught error's traceback holds in a cycle
    assert multiprocessing.active_children() == []
    assert open_files() <= before


# Batches ----------------------------------------------------------------------------------

DATA = TensorDataset(gpunn.arange(23) * 2, gpunn.arange(46.0).reshape(23, 2))


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_batches_are_those_of_one_process(num_workers: int):
    for options in ({"shuffle": True}, {"drop_last": True}, {"batch_size": None}):
        options = {"batch_size": 4, **options}
        expected = DataLoader(DATA, generator=seeded(1), **options)
        loader = forked(DATA, num_workers=num_workers, generator=seeded(1), **options)
        assert len(loader) == len(expected)
        for _ in range(2):
            assert plain(list(loader)) == plain(list(expected))


def test_order_is_kept_when_workers_differ_in_speed():
    def slow_at_first(index: int) -> int:
        time.sleep(0.05 if index in (0, 5) else 0)
        return index

    loader = forked(Items(12, slow_at_first), 1, num_workers=3, prefetch_factor=3)
    assert plain(list(loader)) == [[i] for i in range(12)]


def test_batches_are_writable_and_of_any_kind():
    def make(index: int) -> dict[str, Any]:
        return {"x": numpy.full(3, index), "name": f"item {index}"}

    (batch,) = forked(Items(2, make), 2)
    assert (plain(batch["x"]), batch["name"]) == ([[0] * 3, [1] * 3], ["item 0", "item 1"])
    batch["x"] += 1
    assert plain(batch["x"]) == [[1] * 3, [2] * 3]


def test_large_tasks_and_large_batches_do_not_block():
    """Both directions of the pipes full at once: neither side may wait for the other."""
    count = 120_000
    batches = [list(range(count))] * 6
    loader = forked(TensorDataset(gpunn.arange(count)), batch_sampler=batches, prefetch_factor=3)
    assert [len(batch) for (batch,) in loader] == [count] * 6


def test_at_most_prefetch_factor_batches_per_worker_are_under_way():
    def ask() -> Iterator[int]:
        for index in range(20):
            asked.append(index)
            yield index

    asked: list[int] = []
    batches = iter(forked(Items(20, int), 1, sampler=ask(), prefetch_factor=3))
    assert len(asked) == 6
    next(batches)
    assert len(asked) == 7


def test_iterable_datasets_take_turns_as_pytorchs():
    data = pytest.importorskip("torch.utils.data")

    class Theirs(data.IterableDataset):
        def __iter__(self) -> Iterator[int]:
            info = data.get_worker_info()
            return iter(range(100 * info.id, 100 * info.id + counts[info.id]))

    for counts in ((7, 2), (0, 5), (3, 3), (0, 0)):
        ours = forked(Shares(*counts), 2)
        theirs = data.DataLoader(Theirs(), 2, num_workers=2, multiprocessing_context="fork")
        assert plain(list(ours)) == [batch.tolist() for batch in theirs]


def test_iterable_datasets_unbatched_and_persistent():
    loader = forked(Shares(3, 1), None, persistent_workers=True)
    assert list(loader) == list(loader) == [0, 100, 1, 2]


def test_too_many_items_of_an_iterable_dataset_warn():
    class Duplicated(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(range(6))

        def __len__(self) -> int:
            return 6

    loader = forked(Duplicated(), 2)
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="__iter__ has to ask get_worker_info"):
        assert sum(1 for _ in loader) == 6
    shares = forked(Shares(3, 3), 2)  # two batches that are not full: as they should be
    shares.dataset.__class__.__len__ = lambda self: 6  # type: ignore[attr-defined]
    try:
        assert len(shares) == 3
        assert sum(1 for _ in shares) == 4
    finally:
        del shares.dataset.__class__.__len__  # type: ignore[attr-defined]


# Seeds and what a worker knows ------------------------------------------------------------


def draws(_: int) -> list[float]:
    info = get_worker_info()
    assert info is not None
    return [
        info.id,
        info.seed,
        gpunn.initial_seed(),
        gpunn.rand(()).item(),
        random.random(),
        numpy.random.rand(),  # noqa: NPY002
    ]


def epoch(loader: DataLoader[Any]) -> Any:
    return plain([[field.item() for field in batch] for batch in loader])


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_are_seeded_from_the_generator(persistent: bool):
    loader = forked(Items(8, draws), 1, generator=seeded(4), persistent_workers=persistent)
    start = loader.generator.get_state()
    first, second = epoch(loader), epoch(loader)
    base = first[0][1]
    assert [item[:2] for item in first] == [[i % 2, base + i % 2] for i in range(8)]
    assert all(item[2] == item[1] for item in first)
    for stream in (3, 4, 5):  # every draw its own: between workers, and between epochs
        assert len({item[stream] for item in first + second}) == 16

    gpunn.rand(())  # what else is drawn here doesn't matter
    loader.generator.set_state(start)
    assert [epoch(loader), epoch(loader)] == [first, second]

    expected = seeded(base)
    assert first[0][3] == gpunn.rand((), generator=expected).item()
    assert first[0][4] == random.Random(base).random()


def test_persistent_workers_draw_the_same_numbers_as_others():
    epochs = [
        [epoch(loader), epoch(loader)]
        for persistent in (False, True)
        for loader in [
            forked(Items(5, draws), 1, generator=seeded(4), persistent_workers=persistent)
        ]
    ]
    assert epochs[0] == epochs[1]


def test_workers_leave_the_parents_streams_alone():
    gpunn.manual_seed(0)
    list(forked(DATA, 4, generator=seeded(1)))
    state = gpunn.get_rng_state()
    assert gpunn.random.initial_seed() == 0
    gpunn.manual_seed(0)
    assert gpunn.get_rng_state().tolist() == state.tolist()


def test_worker_info():
    def know(index: int) -> list[Any]:
        info = get_worker_info()
        assert info is not None
        return [info.id, info.num_workers, len(info.dataset)]

    assert get_worker_info() is None
    assert list(forked(Items(3, know), None, num_workers=3)) == [[0, 3, 3], [1, 3, 3], [2, 3, 3]]
    assert get_worker_info() is None


def test_workers_share_the_cores_and_compute():
    """One thread each; what the parent's threads were doing at the fork does not matter."""

    def item(index: int) -> tuple[int, float]:
        x = gpunn.ones(2**19)
        return gpunn.get_num_threads(), gpunn.nn.functional.relu(x).sum().item()

    before = gpunn.get_num_threads()
    gpunn.set_num_threads(3)
    try:
        item(0)  # now there are threads
        loader = forked(Items(4, item), None, num_workers=2)
        assert [tuple(answer) for answer in loader] == [(1, 2.0**19)] * 4
    finally:
        gpunn.set_num_threads(before)


def test_worker_init_fn_is_called_once_per_worker_and_may_change_the_dataset():
    def init(worker_id: int) -> None:
        info = get_worker_info()
        assert info is not None
        info.dataset.calls = [*getattr(info.dataset, "calls", []), worker_id]

    dataset = Items(4, lambda _: dataset.calls)
    loader = forked(dataset, None, worker_init_fn=init, persistent_workers=True)
    assert list(loader) == list(loader) == [[0], [1], [0], [1]]


# Errors -----------------------------------------------------------------------------------


class TwoArgumentsError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def failing(error: Exception) -> Any:
    def make(index: int) -> int:
        if index == 2:
            raise error
        return index

    return make


@pytest.mark.parametrize(
    ("error", "arrives_as"),
    [
        (ValueError("item 2 is bad"), ValueError),
        (KeyError("item 2 is bad"), KeyError),
        (FileNotFoundError(2, "item 2 is bad"), FileNotFoundError),
        (TwoArgumentsError(1, 2), RuntimeError),
        (type("Local", (ValueError,), {})("item 2 is bad"), RuntimeError),
        (StopIteration("item 2 is bad"), RuntimeError),
    ],
)
def test_an_error_arrives_with_its_traceback_and_can_be_passed_over(
    error: Exception, arrives_as: type[Exception]
):
    batches = iter(forked(Items(5, failing(error)), 1))
    assert plain([next(batches), next(batches)]) == [[0], [1]]
    with pytest.raises(arrives_as) as caught:
        next(batches)
    text = str(caught.value)
    assert type(caught.value) is arrives_as
    assert "in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n" in text
    assert "in make\n    raise error" in text
    assert text.count("\n") > 5  # a KeyError too has its lines
    assert plain(list(batches)) == [[3], [4]]


def test_errors_outside_of_the_items():
    def fail(*_: Any) -> Any:
        raise ValueError("not today")

    class Unready(IterableDataset[int]):
        __iter__ = fail

    for loader in (
        forked(DATA, 2, worker_init_fn=fail),
        forked(DATA, 2, collate_fn=fail),
        forked(Unready(), 2),
        forked(DATA, 2, worker_init_fn=fail, persistent_workers=True),
    ):
        for _ in range(2):
            with pytest.raises(
                ValueError, match=r"^Caught ValueError in DataLoader worker process 0"
            ):
                next(iter(loader))


def test_a_batch_that_cannot_travel():
    loader = forked(Items(2, lambda _: lambda: None), None)
    with pytest.raises(Exception, match=r"(?s)Caught .* in DataLoader worker process 0.*pickle"):
        next(iter(loader))


def test_an_error_of_the_sampler_is_raised():
    def indices() -> Iterator[int]:
        yield 0
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(forked(DATA, 1, sampler=indices()))


# Deaths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            r"killed by signal 9, Killed \(out of memory\?\)",
        ),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "killed by signal 15, Terminated"),
        (lambda: os._exit(3), "exit code 3"),
        (lambda: sys.exit(0), "exit code 0"),
    ],
)
@pytest.mark.parametrize("persistent", [False, True])
def test_a_dead_worker_is_an_error(end: Any, text: str, persistent: bool):
    def make(index: int) -> int:
        if index == 3:
            end()
        return index

    loader = forked(Items(9, make), 1, persistent_workers=persistent)
    batches = iter(loader)
    with pytest.raises(RuntimeError, match=rf"DataLoader worker \(pid\(s\) \d+\) exited .*{text}"):
        list(batches)
    with pytest.raises(RuntimeError, match="have been shut down"):
        next(batches)
    assert plain(next(iter(loader))) == [0]  # a new epoch has new workers


def test_a_terminated_worker_where_there_is_no_sigkill(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(signal, "SIGKILL")  # as on Windows
    loader = forked(Items(2, lambda index: os.kill(os.getpid(), signal.SIGTERM)), None)
    with pytest.raises(RuntimeError, match="exited unexpectedly: killed by signal 15"):
        list(loader)


def test_a_worker_killed_in_the_middle_of_a_message():
    def make(index: int) -> Any:
        if index == 1:
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)
        return numpy.zeros(4_000_000)  # more than fits in the pipe

    loader = forked(Items(2, make), None, num_workers=1)
    batches = iter(loader)
    time.sleep(0.6)  # by then the first batch is half written
    with pytest.raises(RuntimeError, match="exited unexpectedly: killed by signal 9"):
        list(batches)


def test_timeout(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gpunn.data.pool._FAREWELL", 0.1)
    batches = iter(forked(Items(4, lambda index: time.sleep(index * 60)), None, timeout=0.8))
    assert next(batches) is None
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0.8 seconds"):
        next(batches)


def test_workers_end_with_a_loop_that_breaks_off():
    for batch in forked(DATA, 1):
        assert plain(batch[0]) == [0]
        break
    assert multiprocessing.active_children() == []


def test_breaking_off_does_not_wait_for_what_was_asked_for():
    batches = iter(forked(Items(9, lambda _: time.sleep(0.2)), None, prefetch_factor=9))
    next(batches)
    start = time.monotonic()
    del batches
    assert time.monotonic() - start < 1  # one item each, not nine


def test_a_worker_that_will_not_end_is_terminated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gpunn.data.pool._FAREWELL", 0.1)
    batches = iter(forked(Items(9, lambda index: time.sleep(60 * index)), None))
    next(batches)
    start = time.monotonic()
    del batches
    assert time.monotonic() - start < 2


def test_an_error_in_the_loop_ends_the_workers():
    def train() -> None:
        for _ in forked(DATA, 1):
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        train()


def test_persistent_workers_are_the_same_processes_until_the_loader_goes():
    loader = forked(Items(4, lambda _: os.getpid()), None, persistent_workers=True)
    first, second = list(loader), list(loader)
    assert first == second
    assert len(set(first)) == 2
    next(iter(loader))  # breaks off
    assert list(loader) == first
    assert len(multiprocessing.active_children()) == 2
    del loader
    assert multiprocessing.active_children() == []
    other = list(forked(Items(2, lambda _: os.getpid()), None))
    assert not set(other) & set(first)


def test_a_newer_iterator_takes_persistent_workers():
    loader = forked(DATA, 8, persistent_workers=True)
    old = iter(loader)
    next(old)
    new = iter(loader)
    with pytest.raises(RuntimeError, match="newer iterator of this DataLoader"):
        next(old)
    assert plain(list(new)) == plain(list(DataLoader(DATA, 8)))


def test_two_iterators_have_their_own_workers():
    loader = forked(DATA, 8)
    a, b = iter(loader), iter(loader)
    expected = plain(list(DataLoader(DATA, 8)))
    assert plain([next(a), next(b), next(a), next(b)]) == [
        expected[0], expected[0], expected[1], expected[1],
    ]  # fmt: skip
    del a
    assert plain(list(b)) == expected[2:]


def test_workers_that_cannot_start_leave_nothing():
    unpicklable = Items(3, lambda index: index)
    with pytest.raises(Exception, match=r"pickle|local object") as error:
        iter(forked(unpicklable, 1, multiprocessing_context="spawn"))
    (note,) = error.value.__notes__
    assert "must stand at the top level of a module; or take num_workers=0" in note


# Whole programs ---------------------------------------------------------------------------


def run(path: Path, program: str, **options: Any) -> subprocess.Popen[str]:
    script = path / "program.py"
    script.write_text(program)
    folder = str(Path(gpunn.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": folder, "OMP_NUM_THREADS": "1"},
        **options,
    )


SPAWNING = """
import sys
import gpunn
from gpunn.data import DataLoader, Dataset, get_worker_info

class Draws(Dataset):
    def __getitem__(self, index):
        return index, get_worker_info().id, gpunn.rand(2)
    def __len__(self):
        return 5

def init(worker_id):
    assert get_worker_info().id == worker_id

if __name__ == "__main__":
    loaders = [
        DataLoader(Draws(), 2, shuffle=True, num_workers=2, worker_init_fn=init, timeout=60,
                   multiprocessing_context=method, generator=gpunn.Generator().manual_seed(0))
        for method in sys.argv[1:] or ("fork", "spawn", "forkserver")
    ]
    epochs = [[[field.tolist() for field in batch] for batch in loader] for loader in loaders]
    assert epochs[0] == epochs[1] == epochs[2], epochs
    print(sorted(index for batch in epochs[0] for index in batch[0]))
"""


def test_every_start_method_gives_the_same_batches(tmp_path: Path):
    program = run(tmp_path, SPAWNING)
    out, err = program.communicate(timeout=60)
    assert (out, err, program.returncode) == ("[0, 1, 2, 3, 4]\n", "", 0)


FORGOTTEN = """
import os, signal, sys, time
import gpunn.data.pool
from gpunn.data import DataLoader, Dataset

gpunn.data.pool._FAREWELL = 0.1
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

class Slow(Dataset):
    def __getitem__(self, index):
        with open(sys.argv[0] + f".{os.getpid()}", "w"):
            pass
        time.sleep(0 if index < 2 else 60)
        return index
    def __len__(self):
        return 9

loaders = [iter(DataLoader(Slow(), 1, num_workers=2, multiprocessing_context="fork")) for _ in "ab"]
for loader in loaders:
    next(loader), next(loader)
print("ready", flush=True)
ENDING
"""


def alive(path: Path) -> list[int]:
    """The workers of a program that still run."""
    found = []
    for file in path.glob("program.py.*"):
        pid = int(file.suffix[1:])
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            continue
        found += [] if state == "Z" else [pid]  # a zombie is over
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["exit", "Ctrl-C", "killed"])
def test_workers_end_with_the_program(tmp_path: Path, how: str):
    ending = "sys.exit(0)" if how == "exit" else "time.sleep(60)"
    program = run(tmp_path, FORGOTTEN.replace("ENDING", ending), start_new_session=True)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    assert how == "exit" or len(alive(tmp_path)) == 4
    if how == "Ctrl-C":
        time.sleep(0.5)  # until it sleeps, too
        os.killpg(program.pid, signal.SIGINT)  # as the terminal does: all processes
    elif how == "killed":
        program.kill()
    _, err = program.communicate(timeout=30)
    if how == "Ctrl-C":  # the workers don't add their tracebacks
        assert err.count("Traceback") == 1
        assert err.rstrip().endswith("KeyboardInterrupt")
    else:
        assert err == ""
    deadline = time.monotonic() + 10
    while alive(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert alive(tmp_path) == []
