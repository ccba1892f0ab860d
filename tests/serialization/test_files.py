"""A file is replaced whole or not at all."""

import errno
import os
import stat

import pytest

import gpunn
from gpunn.serialization import torchfile

OLD = {"old": 1}


@pytest.fixture
def path(tmp_path):
    """A file that holds OLD; afterwards it must be the only one in its folder."""
    path = tmp_path / "weights.pt"
    gpunn.save(OLD, path)
    yield path
    assert os.listdir(tmp_path) == ["weights.pt"]


def test_replaces(path):
    gpunn.save({"new": 2}, path)
    assert gpunn.load(path) == {"new": 2}


@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_failed_save_leaves_the_old_file(path, monkeypatch, kind, moment):
    error = kind(errno.ENOSPC, "No space left on device")

    def fail(*_):
        raise error

    if moment == "write":
        written = torchfile._write_entry

        def write_some(archive, name, data):
            if name.startswith("data/"):
                archive.fp.write(data[:100])
                raise error
            written(archive, name, data)

        monkeypatch.setattr(torchfile, "_write_entry", write_some)
    else:
        monkeypatch.setattr(os, moment, fail)
    with pytest.raises(kind) as caught:
        gpunn.save({"w": gpunn.ones(1000)}, path)
    if kind is OSError:
        assert str(path) in str(caught.value)
    monkeypatch.undo()
    assert gpunn.load(path) == OLD


@pytest.mark.parametrize("save", [gpunn.save, gpunn.save_file])
def test_a_disk_that_fills_up(path, save):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    tensor = gpunn.ones(1_000_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            save({"w": tensor}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(path) in str(caught.value)
    assert gpunn.load(path) == OLD


def test_what_cannot_be_saved_leaves_the_old_file(path):
    with pytest.raises(TypeError):
        gpunn.save({"w": gpunn.ones(3), "f": print}, path)
    assert gpunn.load(path) == OLD


def test_modes(path):
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o640)
    gpunn.save({"new": 2}, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_read_only_file_stays(path):
    path.chmod(0o444)
    with pytest.raises(PermissionError, match=path.name):
        gpunn.save({"new": 2}, path)
    assert gpunn.load(path) == OLD


def test_a_link_stays_a_link(path, tmp_path_factory):
    link = tmp_path_factory.mktemp("links") / "link.pt"
    link.symlink_to(path)
    gpunn.save({"new": 2}, link)
    assert link.is_symlink()
    assert gpunn.load(path) == {"new": 2}


def test_no_place_to_write(tmp_path):
    with pytest.raises(RuntimeError, match=r"Parent directory .*missing does not exist\."):
        gpunn.save(1, tmp_path / "missing" / "weights.pt")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        gpunn.save(1, tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's devices")
def test_devices_are_written_not_replaced():
    gpunn.save(gpunn.ones(3), "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(OSError, match="No space left"):
        gpunn.save(gpunn.ones(3), "/dev/full")
