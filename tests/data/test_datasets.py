"""MNIST from IDX files, good and bad, and the digits that come with gpunn."""

import gzip
import hashlib
import re
import struct
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpunn
from gpunn.data import DataLoader, TensorDataset, datasets
from gpunn.data.datasets import MNIST, DataFileError, MNIST10k

IMAGES = numpy.random.default_rng(0).integers(0, 256, (6, 28, 28)).astype(numpy.uint8)
LABELS = numpy.array([5, 0, 4, 1, 9, 2], numpy.uint8)


def idx(array: numpy.ndarray) -> bytes:
    """The IDX file of an array, from the format's description."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(numpy.uint8).tobytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES[:2])))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[:2])))
    return tmp_path


# Good files -------------------------------------------------------------------------------


def test_the_whole_set(root: Path):
    digits = MNIST(root)
    assert (digits.data.dtype, digits.targets.dtype) == (gpunn.uint8, gpunn.int64)
    assert (digits.data.numpy() == IMAGES).all()
    assert (digits.targets.numpy() == LABELS).all()
    images, labels = digits.tensors()
    assert images.dtype == gpunn.float32
    assert (images.numpy() == (IMAGES / numpy.float32(255))[:, None]).all()
    assert labels is digits.targets
    digits.data[0] = 0  # the memory is its own, not the file's


def test_an_item_is_torchvisions_after_to_tensor(root: Path):
    digits = MNIST(str(root))
    assert len(digits) == 6
    image, label = digits[2]
    assert (image.dtype, image.shape) == (gpunn.float32, (1, 28, 28))
    assert (image.numpy() == IMAGES[2].astype(numpy.float32) / numpy.float32(255)).all()
    assert (type(label), label) == (int, 4)
    assert digits[-1][1] == 2


def test_train_or_test_plain_or_gzip(root: Path):
    assert len(MNIST(root, train=True)) == 6
    assert len(MNIST(root, train=False)) == 2


def test_torchvisions_folder(root: Path, tmp_path_factory: pytest.TempPathFactory):
    other = tmp_path_factory.mktemp("other")
    (other / "MNIST").mkdir()
    root.rename(other / "MNIST" / "raw")
    assert len(MNIST(other)) == 6


def test_a_gzip_file_is_known_by_its_content(root: Path):
    path = root / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert (MNIST(root).data.numpy() == IMAGES).all()


def test_transforms(root: Path):
    digits = MNIST(root, transform=lambda x: x * 2, target_transform=lambda y: y + 100)
    image, label = digits[0]
    assert (image.numpy() == MNIST(root)[0][0].numpy() * 2).all()
    assert label == 105
    ((images, labels), *_) = DataLoader(digits, 6)
    assert (images.numpy() == MNIST(root).tensors()[0].numpy() * 2).all()
    assert (labels.numpy() == LABELS + 100).all()


@pytest.mark.parametrize("train", [True, False])
def test_a_loader_gives_the_batches_of_the_items(root: Path, train: bool):
    digits = MNIST(root, train)
    for fast, slow in zip(
        DataLoader(digits, 4), DataLoader(digits, 4, collate_fn=_stacked), strict=True
    ):
        for x, y in zip(fast, slow, strict=True):
            assert (x.dtype, x.shape) == (y.dtype, y.shape)
            assert (x.numpy() == y.numpy()).all()


def _stacked(items: list[tuple[gpunn.Tensor, int]]) -> list[gpunn.Tensor]:
    return [gpunn.stack([x for x, _ in items]), gpunn.tensor([y for _, y in items])]


# Bad files --------------------------------------------------------------------------------


def fails(root: Path, *parts: str) -> None:
    """Reading must fail with one line that has all of ``parts``."""
    with pytest.raises(DataFileError) as error:
        MNIST(root)
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def test_missing_folder_and_file(root: Path):
    fails(root / "nowhere", f"{root / 'nowhere'}: no such folder")
    (root / "train-labels-idx1-ubyte").unlink()
    fails(
        root,
        f"{root / 'train-labels-idx1-ubyte'}: no such file",
        "train-labels-idx1-ubyte.gz in",
        str(root / "MNIST" / "raw"),
    )


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (0, ["cut short: found 0 bytes", "header of 16 bytes"]),
        (3, ["cut short: found 3 bytes", "header of 16 bytes"]),
        (15, ["cut short: found 15 bytes", "header of 16 bytes"]),
        (16, ["cut short: found 0 bytes of values", "expected 4704 for the shape (6, 28, 28)"]),
        (-1, ["cut short: found 4703 bytes of values", "expected 4704"]),
    ],
)
def test_cut_short(root: Path, size: int, parts: list[str]):
    path = root / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:size])
    fails(root, f"{path}: ", *parts)


def test_too_long(root: Path):
    path = root / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes() + b"\0")
    fails(root, f"{path}: corrupt: found 7 bytes of values, expected 6")


def test_the_wrong_file(root: Path):
    path = root / "train-images-idx3-ubyte"
    path.write_bytes(idx(LABELS))
    fails(root, f"{path}: not the expected IDX file: found the magic number 2049, expected 2051")
    path.write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    fails(root, "found the magic number 2303741511, expected 2051")


def test_gzip_cut_short_and_corrupt(root: Path):
    path = root / "train-images-idx3-ubyte"
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed[:-9])
    fails(root, f"{path}: cut short: the gzip stream ends after {len(packed) - 9} bytes")
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 0xFF
    path.write_bytes(damaged)
    fails(root, f"{path}: corrupt: expected a valid gzip stream, found: ")
    path.write_bytes(packed + b"more")
    fails(root, f"{path}: corrupt: expected a valid gzip stream")


def test_counts_that_differ(root: Path):
    path = root / "train-labels-idx1-ubyte"
    path.write_bytes(idx(LABELS[:5]))
    fails(root, f"{path}: found 5 labels, expected 6", str(root / "train-images-idx3-ubyte"))


def test_images_of_another_size(root: Path):
    path = root / "train-images-idx3-ubyte"
    path.write_bytes(idx(IMAGES[:, :20, :]))
    fails(root, f"{path}: found 20x28 pixels, expected 28x28")


def test_labels_that_are_no_digits(root: Path):
    path = root / "train-labels-idx1-ubyte"
    path.write_bytes(idx(numpy.array([5, 0, 17, 1, 9, 2])))
    fails(root, f"{path}: corrupt: found label 17 at 2, expected 0 to 9")


def test_a_file_that_cannot_be_read(root: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    fails(root, f"{root / 'train-images-idx3-ubyte'}: cannot be read: Permission denied")


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_no_damage_gets_through_as_anything_but_one_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
):
    """Any prefix and any changed byte of header or gzip stream: read right, or one line."""
    packed = data.draw(st.booleans())
    good = gzip.compress(idx(IMAGES), mtime=0) if packed else idx(IMAGES)
    at = data.draw(st.integers(0, (len(good) if packed else 16) - 1))
    if data.draw(st.booleans()):
        bad = good[:at]
    else:
        changed = bytearray(good)
        changed[at] ^= data.draw(st.integers(1, 255))
        bad = bytes(changed)
    root = tmp_path_factory.mktemp("damaged")
    (root / "train-images-idx3-ubyte").write_bytes(bad)
    (root / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    digits, text = None, ""
    try:
        digits = MNIST(root)
    except DataFileError as error:
        text = str(error)
    if digits is None:
        assert text.startswith(str(root / "train-images-idx3-ubyte"))
        assert "\n" not in text
    else:  # a byte of gzip's header that says nothing about the content
        assert packed
        assert (digits.data.numpy() == IMAGES).all()


# The digits that come with gpunn ----------------------------------------------------------


@pytest.fixture(scope="module")
def parts() -> tuple[MNIST10k, MNIST10k]:
    return MNIST10k(), MNIST10k(train=False)


def test_the_split(parts: tuple[MNIST10k, MNIST10k]):
    train, held_out = parts
    assert (len(train), len(held_out)) == (8000, 2000)
    counts = [numpy.bincount(part.targets.numpy()) for part in parts]
    assert (numpy.abs(counts[0] - 4 * counts[1]) <= 4).all()  # one in five of every class
    assert (counts[0] + counts[1]).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


def test_the_parts_are_the_original_files(parts: tuple[MNIST10k, MNIST10k]):
    """Put back in the file's order, they have the SHA-256 of MNIST's own files."""
    folder = Path(datasets.__file__).with_name("mnist10k")
    labels = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    by_class = [i for digit in range(10) for i, label in enumerate(labels) if label == digit]
    held_out = sorted(by_class[4::5])
    train = sorted(set(range(10_000)) - set(held_out))

    images = numpy.empty((10_000, 28, 28), numpy.uint8)
    targets = numpy.empty(10_000, numpy.uint8)
    for part, indices in zip(parts, (train, held_out), strict=True):
        images[indices], targets[indices] = part.data.numpy(), part.targets.numpy()
    licence = (folder / "LICENSE.txt").read_text()
    for array, name in ((images, "t10k-images-idx3-ubyte"), (targets, "t10k-labels-idx1-ubyte")):
        assert f"{hashlib.sha256(idx(array)).hexdigest()}  {name}" in licence


def test_the_licence_and_the_source_are_named():
    folder = Path(datasets.__file__).with_name("mnist10k")
    for text in ((folder / "LICENSE.txt").read_text(), MNIST10k.__doc__ or ""):
        for part in ("CC BY-SA 3.0", "LeCun", "Cortes", "Burges", "yann.lecun.com/exdb/mnist"):
            assert part in text


def test_a_damaged_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = Path(datasets.__file__).with_name("mnist10k")
    for path in folder.glob("*.gz"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / path.name).write_bytes(content)
    monkeypatch.setattr(datasets, "_EMBEDDED", tmp_path)
    with pytest.raises(
        DataFileError,
        match=rf"^{re.escape(str(tmp_path / 't10k-images-idx3-ubyte.gz'))}: damaged: found SHA-256 "
        r"[0-9a-f]{64}, expected [0-9a-f]{64}; reinstall gpunn$",
    ):
        MNIST10k()
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataFileError, match=r"gz: cannot be read: No such file"):
        MNIST10k()


def test_the_package_is_small():
    folder = Path(datasets.__file__).with_name("mnist10k")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_700_000


def test_whole_set_training_data(parts: tuple[MNIST10k, MNIST10k]):
    images, labels = parts[0].tensors()
    assert (images.shape, labels.shape) == ((8000, 1, 28, 28), (8000,))
    assert float(images.min()) == 0
    assert float(images.max()) == 1
    (fast, _), *_ = DataLoader(TensorDataset(images, labels), 64)
    (slow, _), *_ = DataLoader(parts[0], 64)
    assert (fast.numpy() == slow.numpy()).all()
    assert repr(parts[1]) == "<MNIST10k of 2000 digits>"
