"""A training run that can stop after any batch and go on, bit for bit; knows no data set."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import gpunn
from gpunn import nn
from gpunn.data import DataLoader, TensorDataset
from gpunn.optim import SGD
from gpunn.optim.lr_scheduler import OneCycleLR

Pair = tuple[gpunn.Tensor, gpunn.Tensor]  # images and labels


@dataclass
class Settings:
    """What determines a run: with the same settings, machine and data, the same weights."""

    epochs: int
    batch_size: int
    lr: float
    seed: int
    data: str  # a fingerprint of the training set


@dataclass
class Progress:
    """How far a run has come; ``loss`` per batch and ``accuracy`` per epoch are its curves."""

    epoch: int = 0
    batch: int = 0  # batches done in this epoch
    correct: int = 0
    seen: int = 0
    loss: list[float] = field(default_factory=list[float])
    accuracy: list[float] = field(default_factory=list[float])


class CheckpointError(Exception):
    """A checkpoint that cannot be gone on from; the message is one line."""


class Run:
    """Model, optimizer, schedule and data order of one training run."""

    def __init__(
        self, model: nn.Module, train: Pair, held_out: Pair, settings: Settings, device: str
    ) -> None:
        self.settings, self.progress, self.device = settings, Progress(), device
        self.model = model.to(device)
        self.held_out = tuple(t.to(device) for t in held_out)
        self.samples = len(train[1])
        self.loss_fn = nn.CrossEntropyLoss()
        self.loader = DataLoader(
            TensorDataset(*(t.to(device) for t in train)),
            batch_size=settings.batch_size,
            shuffle=True,
            generator=gpunn.Generator().manual_seed(settings.seed),
        )
        self.optimizer = SGD(
            model.parameters(), settings.lr, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        self.schedule = OneCycleLR(
            self.optimizer, settings.lr, total_steps=settings.epochs * len(self.loader)
        )
        self._epoch_start = self._order_state()

    @property
    def done(self) -> bool:
        """Whether every epoch has been trained."""
        return self.progress.epoch >= self.settings.epochs

    def train_epoch(self, report: Callable[[int, float, float], None], stop: Stop) -> None:
        """Train what is left of the current epoch, or until ``stop`` is asked for.

        ``report(samples, loss, accuracy)`` is called after each batch: the samples in it, its loss,
        and the fraction classified right in this epoch so far.
        """
        p = self.progress
        if p.batch == 0:
            self._epoch_start = self._order_state()
        else:
            self._set_order_state(self._epoch_start)
        self.model.train()
        for images, labels in itertools.islice(self.loader, p.batch, None):
            self.optimizer.zero_grad()
            scores = self.model(images)
            loss = self.loss_fn(scores, labels)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            p.batch += 1
            p.seen += len(labels)
            p.correct += int((scores.detach().argmax(1) == labels).sum())
            p.loss.append(loss.item())
            report(len(labels), p.loss[-1], p.correct / p.seen)
            if stop.asked:
                break
        if p.batch == len(self.loader):
            p.accuracy.append(self.evaluate())
            p.epoch, p.batch, p.correct, p.seen = p.epoch + 1, 0, 0, 0

    def evaluate(self) -> float:
        """The fraction of the held-out images that are classified right."""
        images, labels = self.held_out
        self.model.eval()
        right = 0
        with gpunn.no_grad():
            for start in range(0, len(labels), 500):
                scores = self.model(images[start : start + 500])
                right += int((scores.argmax(1) == labels[start : start + 500]).sum())
        return right / len(labels)

    def save(self, path: Path) -> None:
        """Write everything that ``load`` needs; the file is replaced only when it is whole."""
        state = {
            "settings": asdict(self.settings),
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": gpunn.get_rng_state(),
            "epoch_start": self._epoch_start,
            "order": self._order_state(),
        }
        gpunn.save(state, path)

    def load(self, state: dict[str, Any]) -> None:
        """Go on where ``save`` was called. Raises CheckpointError if it was another run."""
        try:
            saved = Settings(**state["settings"])
            for name, value in asdict(self.settings).items():
                if getattr(saved, name) != value:
                    raise CheckpointError(
                        f"it is of a run with {name} {getattr(saved, name)}, not {value}"
                    )
            progress = Progress(**state["progress"])
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self._epoch_start = state["epoch_start"]
            self._set_order_state(state["order"])
            gpunn.set_rng_state(state["random"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"it does not fit this program: {reason}") from None
        self.progress = progress

    def _order_state(self) -> gpunn.Tensor:
        assert self.loader.generator is not None
        return self.loader.generator.get_state()

    def _set_order_state(self, state: gpunn.Tensor) -> None:
        assert self.loader.generator is not None
        self.loader.generator.set_state(state)


class Stop:
    """Whether Ctrl-C was pressed; a second one interrupts at once."""

    asked = False


@contextlib.contextmanager
def ctrl_c_stops() -> Generator[Stop]:
    """Inside, Ctrl-C asks for a stop after the current batch, so that no state is half-changed."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
