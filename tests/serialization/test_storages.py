"""``map_location``: where storages go."""

import io
import zipfile

import numpy as np
import pytest

import gpunn


def file_of(location):
    """A file whose two tensors share one storage at ``location``."""
    weight = gpunn.from_numpy(np.arange(6, dtype="float32"))
    file = io.BytesIO()
    gpunn.save([weight, weight[2:]], file)
    old = zipfile.ZipFile(file)
    moved = io.BytesIO()
    with zipfile.ZipFile(moved, "w") as out:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("data.pkl"):
                place = location.encode()
                data = data.replace(b"X\x03\0\0\0cpu", b"X" + bytes([len(place), 0, 0, 0]) + place)
            out.writestr(name, data)
    moved.seek(0)
    return moved


@pytest.mark.parametrize(
    "map_location",
    [
        "cpu",
        gpunn.device("cpu"),
        {"cuda:0": "cpu"},
        lambda storage, location: storage,
        lambda storage, location: storage if location == "cuda:0" else None,
    ],
)
def test_cuda_tensors_come_to_the_cpu(map_location):
    first, second = gpunn.load(file_of("cuda:0"), map_location)
    assert first.device == second.device == gpunn.device("cpu")
    assert first.tolist() == [0, 1, 2, 3, 4, 5]
    first.data[...] = 7
    assert second.tolist() == [7, 7, 7, 7]


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("map_location", [None, "cuda", {"cuda:1": "cpu"}, lambda *_: None])
def test_cuda_tensors_without_cuda(map_location):
    with pytest.raises(
        RuntimeError,
        match=r"Attempting to deserialize object on a CUDA device but "
        r"gpunn\.cuda\.is_available\(\) is False\. .* map_location=gpunn\.device\('cpu'\)",
    ):
        gpunn.load(file_of("cuda:0"), map_location)


def test_unknown_locations():
    with pytest.raises(RuntimeError, match=r"don't know how to restore .*tagged with 'mps'"):
        gpunn.load(file_of("mps"))
    assert gpunn.load(file_of("mps"), "cpu")[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_functions_see_storages_and_their_locations():
    seen = []

    def remember(storage, location):
        seen.append((storage.shape, storage.dtype, location))
        return storage * 2

    assert gpunn.load(file_of("cuda:3"), remember)[1].tolist() == [4, 6, 8, 10]
    assert seen == [((6,), gpunn.float32, "cuda:3")]


def test_errors_of_functions_pass_through():
    def fail(storage, location):
        raise KeyError(location)

    with pytest.raises(KeyError, match="cuda:0"):
        gpunn.load(file_of("cuda:0"), fail)
    with pytest.raises(TypeError, match="map_location must return"):
        gpunn.load(file_of("cuda:0"), lambda storage, location: storage[1:])


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize(
    ("map_location", "place"),
    [
        (None, "cuda:0"),
        ("cuda", "cuda:0"),
        (lambda storage, location: storage.cuda(), "cuda:0"),
        ("cpu", "cpu"),
        ({"cuda:0": "cpu"}, "cpu"),
        (lambda storage, location: storage, "cpu"),
    ],
)
def test_tensors_of_a_device_go_where_they_are_wanted(map_location, place):
    x = gpunn.arange(12.0, device="cuda").reshape(3, 4)
    file = io.BytesIO()
    gpunn.save({"x": x, "row": x[1], "t": x.t(), "b": x.bfloat16(), "e": x[:0]}, file)
    file.seek(0)
    loaded = gpunn.load(file, map_location)
    assert {str(value.device) for value in loaded.values()} == {place}
    assert loaded["t"].stride() == (1, 4)
    assert loaded["b"].tolist() == x.tolist()
    assert loaded["e"].shape == (0, 4)
    loaded["x"].fill_(7)
    assert loaded["row"].tolist() == [7, 7, 7, 7]
