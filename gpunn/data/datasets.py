"""Handwritten digits: MNIST from the files of a folder, and the 10,000 that come with gpunn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy

from gpunn.creation import from_numpy
from gpunn.data.dataset import Dataset, Gathered, has_own_items, whole_numbers
from gpunn.data.idx import DataFileError, parse_idx, read_file
from gpunn.tensor import Tensor

__all__ = ["DataFileError", "MNIST", "MNIST10k"]

_EMBEDDED = Path(__file__).with_name("mnist10k")
_SHA256 = {
    "t10k-images-idx3-ubyte.gz": "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be",
    "t10k-labels-idx1-ubyte.gz": "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
}


class _Digits(Dataset[tuple[Any, Any]]):
    """Images of 28x28 pixels and their labels, in memory."""

    def __init__(
        self,
        images: numpy.ndarray,
        labels: numpy.ndarray,
        transform: Callable[[Tensor], Any] | None,
        target_transform: Callable[[int], Any] | None,
    ) -> None:
        self.data = from_numpy(images.copy())  # what was read from a file is read-only
        self.targets = from_numpy(labels.astype(numpy.int64))
        self.transform = transform
        self.target_transform = target_transform

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return all images, float32 (N, 1, 28, 28) in [0, 1], and labels, int64 (N,).

        Untransformed; for ``TensorDataset(*digits.tensors())``, or training without a loader.
        """
        return _scaled(self.data), self.targets

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image: Any = _scaled(self.data[index])
        label: Any = int(self.targets[index].item())
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def __getitems__(self, indices: Sequence[Any]) -> Sequence[tuple[Any, Any]]:
        positions = whole_numbers(indices)
        transformed = self.transform is not None or self.target_transform is not None
        if positions is None or transformed or has_own_items(self, _Digits):
            return [self[index] for index in indices]
        return Gathered(
            self, positions, lambda: [_scaled(self.data[positions]), self.targets[positions]]
        )

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} digits>"


class MNIST(_Digits):
    """The MNIST digits from IDX files in ``root``: 60,000 to train on, 10,000 (``train=False``).

    The files are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
    ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, plain or with ``.gz``, in ``root`` or
    in ``root/MNIST/raw``, where torchvision puts them. Sets of the same form, as Fashion-MNIST,
    are read too, and sets of any number of images.

    Item ``i`` is what torchvision's ``MNIST`` with ``transform=ToTensor()`` returns: the image, a
    float32 tensor (1, 28, 28) in [0, 1], and its label, an int. ``transform`` gets that tensor,
    ``target_transform`` the int. The whole set is in ``data``, uint8 (N, 28, 28), and ``targets``,
    int64 (N,), and scaled in ``tensors()``.

    Raises `DataFileError`, one line, for a file that is missing, cut short, corrupt, of another
    kind, or for images and labels that differ in number.
    """

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        prefix = "train" if train else "t10k"
        images = _find(Path(root), f"{prefix}-images-idx3-ubyte")
        labels = _find(Path(root), f"{prefix}-labels-idx1-ubyte")
        super().__init__(
            *_parse(images, read_file(images), labels, read_file(labels)),
            transform,
            target_transform,
        )
        self.root = root
        self.train = train


class MNIST10k(_Digits):
    """10,000 real MNIST digits that come with gpunn: 8,000 to train on, 2,000 held out.

    They are MNIST's test images, byte for byte, by Y. LeCun, C. Cortes and C. J. C. Burges,
    http://yann.lecun.com/exdb/mnist/, under CC BY-SA 3.0
    (https://creativecommons.org/licenses/by-sa/3.0/); see ``mnist10k/LICENSE.txt`` beside this
    file. In the order of the classes, and of the file within a class, every fifth image is held
    out: both parts have each class, and the file's easier first and harder second half, in the
    same proportion. Which writer wrote which digit is not known, so both parts may share writers.

    Items, ``data``, ``targets`` and ``tensors()`` are as in `MNIST`. The files are checked against
    their SHA-256 when they are read: `DataFileError` if they were damaged.

    >>> MNIST10k(), MNIST10k(train=False)
    (<MNIST10k of 8000 digits>, <MNIST10k of 2000 digits>)
    """

    def __init__(
        self,
        train: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        (images_path, images_file), (labels_path, labels_file) = map(_read_embedded, _SHA256)
        images, labels = _parse(images_path, images_file, labels_path, labels_file)
        held_out = numpy.zeros(len(labels), bool)
        held_out[labels.argsort(kind="stable")[4::5]] = True
        part = ~held_out if train else held_out
        super().__init__(images[part], labels[part], transform, target_transform)
        self.train = train


def _scaled(pixels: Tensor) -> Tensor:
    """Uint8 (..., 28, 28) in [0, 255] -> float32 (..., 1, 28, 28) in [0, 1]."""
    return pixels.unsqueeze(-3).float() / 255


def _find(root: Path, name: str) -> Path:
    if not root.is_dir():
        raise DataFileError(f"{root}: no such folder; expected one with MNIST's IDX files")
    for folder in (root, root / "MNIST" / "raw"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise DataFileError(
        f"{root / name}: no such file; expected {name} or {name}.gz in {root} "
        f"or {root / 'MNIST' / 'raw'}"
    )


def _read_embedded(name: str) -> tuple[Path, bytes]:
    path = _EMBEDDED / name
    content = read_file(path)
    found, expected = hashlib.sha256(content).hexdigest(), _SHA256[name]
    if found != expected:
        raise DataFileError(
            f"{path}: damaged: found SHA-256 {found}, expected {expected}; reinstall gpunn"
        )
    return path, content


def _parse(
    images_path: Path, images_file: bytes, labels_path: Path, labels_file: bytes
) -> tuple[numpy.ndarray, numpy.ndarray]:
    images = parse_idx(images_path, images_file, ndim=3)
    labels = parse_idx(labels_path, labels_file, ndim=1)
    if images.shape[1:] != (28, 28):
        height, width = images.shape[1:]
        raise DataFileError(f"{images_path}: found {height}x{width} pixels, expected 28x28")
    if len(images) != len(labels):
        raise DataFileError(
            f"{labels_path}: found {len(labels)} labels, expected {len(images)}, one for each "
            f"image of {images_path}"
        )
    if labels.size and labels.max() > 9:
        at = int(labels.argmax())
        raise DataFileError(
            f"{labels_path}: corrupt: found label {labels[at]} at {at}, expected 0 to 9"
        )
    return images, labels
