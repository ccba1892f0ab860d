"""Train a small CNN on handwritten digits: ``python -m gpunn.examples.mnist``.

By default on the 10,000 MNIST digits that come with gpunn, on the GPU where there is one; with
``--data DIR`` on the whole of MNIST. Prints the held-out accuracy and writes the weights, a
checkpoint to go on from, and the learning curves.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gpunn
from gpunn import nn
from gpunn.data.datasets import MNIST, DataFileError, MNIST10k
from gpunn.examples.training import CheckpointError, Pair, Run, Settings, ctrl_c_stops
from gpunn.serialization import CorruptFileError, RefusedFileError

if TYPE_CHECKING:
    from types import ModuleType

DEFAULTS: dict[str, Any] = {"epochs": 8, "batch_size": 64, "lr": 0.05, "seed": 0}
FULL_EPOCHS = 4  # with --data: 60,000 digits need fewer rounds


def make_model() -> nn.Sequential:
    """The CNN of the README: (N, 1, 28, 28) -> (N, 10) scores."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=5),  # 28x28 -> 24x24
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> 12x12
        nn.Conv2d(16, 32, kernel_size=5),  # -> 8x8
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> 4x4
        nn.Flatten(),
        nn.Linear(4 * 4 * 32, 10),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0, 2 for a mistake, 130 after Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    try:
        plot = _need("matplotlib.figure")
        tqdm = _need("tqdm").tqdm
        device = _device(args.device)
        train, held_out = _digits(args.data)
        checkpoint = Path(args.out) / "checkpoint.pt"
        state = _read_checkpoint(checkpoint) if args.resume else None
        run = Run(
            _seeded_model(args, state), train, held_out, _settings(args, state, train), device
        )
        if state is not None:
            try:
                run.load(state)
            except CheckpointError as error:
                raise _MistakeError(f"{checkpoint}: {error}") from None
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        return _train(run, checkpoint, _command(argv), tqdm, plot)
    except _MistakeError as mistake:
        print(f"mnist: {mistake}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mnist: {error.filename or args.out}: {error.strerror or error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gpunn.examples.mnist",
        description="Train a small CNN on handwritten digits.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Ctrl-C saves a checkpoint; the same command with --resume goes on from it.",
    )
    add = parser.add_argument
    add("--data", metavar="DIR", help="the whole MNIST in IDX files, plain or .gz "
        "(default: the 10,000 digits that come with gpunn)")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--epochs", type=_positive, help=f"rounds through the data "
        f"(default: {DEFAULTS['epochs']}; with --data {FULL_EPOCHS})")  # fmt: skip
    add("--batch-size", type=_positive, help=f"images per step (default: {DEFAULTS['batch_size']})")
    add("--lr", type=_rate, help=f"peak learning rate (default: {DEFAULTS['lr']})")
    add("--seed", type=_seed, help=f"of weights and order (default: {DEFAULTS['seed']})")
    add("--out", metavar="DIR", default="mnist-run", help="where to write (default: mnist-run)")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    return parser


class _MistakeError(Exception):
    """Something the user can mend; the message is one line."""


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**64:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to 2**64 - 1, got {text!r}"
        )
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return rate


def _need(module: str) -> ModuleType:
    """The progress bar and the plots come from packages of the extra ``demo``."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _MistakeError(
            f"{error}; install what the examples need: pip install 'gpunn[demo]'"
        ) from None


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if gpunn.cuda.is_available() else "cpu"
    try:
        gpunn.zeros(1, device=name)
    except RuntimeError as error:
        raise _MistakeError(f"--device {name}: {error}") from None
    return name


def _digits(folder: str | None) -> tuple[Pair, Pair]:
    try:
        parts = [
            MNIST10k(train) if folder is None else MNIST(folder, train) for train in (True, False)
        ]
    except DataFileError as error:
        raise _MistakeError(str(error)) from None
    mean, deviation = 0.1307, 0.3081  # of MNIST's training pixels
    pairs = [part.tensors() for part in parts]
    train, held_out = [((images - mean) / deviation, labels) for images, labels in pairs]
    return train, held_out


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        state: Any = gpunn.load(path, map_location="cpu")
    except FileNotFoundError:
        raise _MistakeError(f"{path}: no such checkpoint; start without --resume") from None
    except (CorruptFileError, RefusedFileError) as error:
        raise _MistakeError(str(error)) from None
    if isinstance(state, dict):
        checkpoint = cast("dict[str, Any]", state)
        if isinstance(checkpoint.get("settings"), dict):
            return checkpoint
    raise _MistakeError(f"{path}: not a checkpoint of this program")


def _settings(args: argparse.Namespace, state: dict[str, Any] | None, train: Pair) -> Settings:
    """The options given, else those of the checkpoint, else the defaults."""
    defaults = dict(DEFAULTS) if args.data is None else {**DEFAULTS, "epochs": FULL_EPOCHS}
    if state is not None:
        defaults.update(state["settings"])
    given = {k: getattr(args, k) for k in DEFAULTS if getattr(args, k) is not None}
    fingerprint = hashlib.sha256(b"".join(t.numpy().tobytes() for t in train)).hexdigest()[:16]
    chosen = {k: v for k, v in {**defaults, **given}.items() if k in DEFAULTS}
    return Settings(**chosen, data=fingerprint)


def _seeded_model(args: argparse.Namespace, state: dict[str, Any] | None) -> nn.Sequential:
    gpunn.manual_seed(DEFAULTS["seed"] if args.seed is None else args.seed)
    return make_model()  # a checkpoint, if any, overwrites the weights


def _train(run: Run, checkpoint: Path, again: str, tqdm: Any, plot: ModuleType) -> int:
    epochs, started, trained = run.settings.epochs, time.perf_counter(), 0
    print(f"training on {run.samples:,} digits, device {run.device}", flush=True)
    with ctrl_c_stops() as stop:
        while not run.done:
            p = run.progress
            label = f"epoch {p.epoch + 1}/{epochs}"
            total = run.samples
            with tqdm(total=total, initial=p.seen, desc=label, unit=" samples") as bar:

                def report(samples: int, loss: float, accuracy: float) -> None:
                    nonlocal trained
                    trained += samples
                    bar.set_postfix_str(f"loss {loss:.3f}, accuracy {accuracy:.2%}", refresh=False)
                    bar.update(samples)

                run.train_epoch(report, stop)
            run.save(checkpoint)
            if stop.asked and not run.done:
                print(
                    f"interrupted in epoch {p.epoch + 1} of {epochs} after batch {p.batch}; "
                    f"saved {checkpoint}\nto go on: {again}"
                )
                return 130
    seconds = time.perf_counter() - started
    weights, curves = checkpoint.with_name("model.safetensors"), checkpoint.with_name("curves.png")
    gpunn.save_file(run.model.state_dict(), weights)
    _draw(run, curves, plot)
    print(f"held-out accuracy: {100 * run.progress.accuracy[-1]:.2f} %")
    print(f"time: {seconds:.1f} s" + (f" ({trained / seconds:,.0f} samples/s)" if trained else ""))
    print(f"weights: {weights}\ncheckpoint: {checkpoint}\nlearning curves: {curves}")
    return 0


def _command(argv: Sequence[str]) -> str:
    """The command that goes on: this one's options and --resume."""
    words = [w for w in argv if w != "--resume"]
    return shlex.join(["python", "-m", "gpunn.examples.mnist", *words, "--resume"])


def _draw(run: Run, path: Path, plot: ModuleType) -> None:
    """Loss and held-out accuracy against epochs, as a PNG."""
    loss, accuracy = run.progress.loss, run.progress.accuracy
    per_epoch = len(run.loader)
    figure = plot.Figure(figsize=(8, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [(i + 1) / per_epoch for i in range(len(loss))]
    smooth: list[float] = []
    for value in loss:  # a running mean over about 20 batches
        smooth.append(value if not smooth else 0.95 * smooth[-1] + 0.05 * value)
    left.plot(steps, loss, color="tab:blue", alpha=0.25, linewidth=0.5)
    left.plot(steps, smooth, color="tab:blue", label="training loss, running mean")
    left.set(xlabel="epoch", ylabel="cross-entropy", yscale="log")
    left.legend()
    right.plot(
        range(1, len(accuracy) + 1), [100 * a for a in accuracy], "o-", color="tab:green",
        label=f"held out: {100 * accuracy[-1]:.2f} %",
    )  # fmt: skip
    right.set(xlabel="epoch", ylabel="accuracy, %")
    right.legend(loc="lower right")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        figure.savefig(temporary, dpi=120, format="png")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
