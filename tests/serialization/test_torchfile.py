"""What is saved comes back: here, and to and from PyTorch."""

import io
import struct
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpunn
from gpunn.autograd.variable import wrap  # takes what from_numpy refuses
from gpunn.nn import Parameter
from gpunn.serialization import torchfile

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


def saved(obj):
    file = io.BytesIO()
    gpunn.save(obj, file)
    return file.getvalue()


def round_trip(obj):
    return gpunn.load(io.BytesIO(saved(obj)))


def numbers(shape, dtype="float32"):
    return (np.arange(np.prod(shape, dtype=int)) % 100).reshape(shape).astype(dtype)


@st.composite
def views(draw):
    """An array: any dtype, 0 to 4 dimensions, empty or not, sliced, transposed, broadcast."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    array = numbers(shape, draw(st.sampled_from(DTYPES)))
    if draw(st.booleans()):
        array = array.transpose(draw(st.permutations(range(array.ndim))))
    for axis in range(array.ndim):
        step = draw(st.sampled_from([1, 1, 2, -1]))
        start = draw(st.integers(0, 1)) if step > 0 else None
        array = array[(slice(None),) * axis + (slice(start, None, step),)]
    if draw(st.booleans()):
        array = np.broadcast_to(array, (2, *array.shape))
    return array


@given(views())
@settings(max_examples=80, deadline=None)
def test_tensors_of_every_dtype_shape_and_stride(array):
    loaded = round_trip(wrap(array))
    assert type(loaded) is gpunn.Tensor
    np.testing.assert_array_equal(loaded.numpy(), array, strict=True)
    if array.size and all(step >= 0 for step in array.strides):
        steps = zip(array.shape, array.strides, loaded.data.strides, strict=True)
        assert all(n == 1 or before == after for n, before, after in steps)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**300), 2**300)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sets(st.integers() | st.text(), max_size=4)
    | st.builds(bytearray, st.binary(max_size=8)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4).map(OrderedDict)
    ),
    max_leaves=20,
)


def types(obj):
    if isinstance(obj, dict):
        return type(obj), [(types(key), types(value)) for key, value in obj.items()]
    if isinstance(obj, (list, tuple)):
        return type(obj), [types(value) for value in obj]
    return type(obj)


@given(plain)
@settings(max_examples=80, deadline=None)
def test_plain_values(obj):
    loaded = round_trip(obj)
    assert loaded == obj
    assert types(loaded) == types(obj)  # True == 1 == 1.0


def test_pytorch_names():
    obj = {
        "size": gpunn.Size([2, 3]),
        "dtype": gpunn.float16,
        "devices": [gpunn.device("cpu"), gpunn.device("cuda:1"), gpunn.device("cuda")],
    }
    loaded = round_trip(obj)
    assert loaded == obj
    assert type(loaded["size"]) is gpunn.Size
    assert loaded["dtype"] is gpunn.float16


def test_parameters_and_requires_grad():
    weight = Parameter(gpunn.ones(2, 3))
    frozen = Parameter(gpunn.ones(3), requires_grad=False)
    leaf = gpunn.ones(2, requires_grad=True)
    result = leaf * 2
    loaded = round_trip([weight, frozen, leaf, result])
    assert [type(t) for t in loaded] == [Parameter, Parameter, gpunn.Tensor, gpunn.Tensor]
    assert [t.requires_grad for t in loaded] == [True, False, True, True]
    assert all(t.is_leaf for t in loaded)
    assert loaded[3].tolist() == [2, 2]


def test_what_shares_memory_shares_it_again():
    base = gpunn.from_numpy(numbers((4, 6)))
    obj = {
        "base": base,
        "row": base[1],
        "column": base[:, 2],
        "transposed": base.t(),
        "other": gpunn.from_numpy(numbers((4, 6))),
    }
    for loaded in (round_trip(obj), round_trip(round_trip(obj))):
        loaded["base"].data[...] = -1
        assert (loaded["row"].numpy() == -1).all()
        assert (loaded["column"].numpy() == -1).all()
        assert (loaded["transposed"].numpy() == -1).all()
        assert (loaded["other"].numpy() >= 0).all()
    assert len(zipfile.ZipFile(io.BytesIO(saved(obj))).namelist()) == 5  # two storages


def test_one_tensor_or_list_in_two_places_is_one_again():
    tensor, items = gpunn.ones(2), [1]
    items.append(items)
    loaded = round_trip({"a": tensor, "b": tensor, "c": items, "d": items})
    assert loaded["a"] is loaded["b"]
    assert loaded["c"] is loaded["d"]
    assert loaded["c"][1] is loaded["c"]


def test_one_memory_as_two_dtypes_is_refused():
    array = numbers((4,), "int32")
    with pytest.raises(RuntimeError, match="view the same data as different types: obj\\[1\\]"):
        saved([gpunn.from_numpy(array), gpunn.from_numpy(array.view("float32"))])


def test_state_dict_keeps_its_metadata():
    state = OrderedDict(weight=gpunn.ones(2))
    state._metadata = OrderedDict({"": {"version": 1}})
    assert round_trip(state)._metadata == {"": {"version": 1}}
    assert not hasattr(round_trip(OrderedDict[str, int](a=1)), "__orig_class__")


def test_modules_by_their_state_dict():
    model, other = gpunn.nn.Linear(3, 2), gpunn.nn.Linear(3, 2)
    data = saved(model.state_dict())
    other.load_state_dict(gpunn.load(io.BytesIO(data)))
    assert other.weight.tolist() == model.weight.tolist()
    assert other.bias.tolist() == model.bias.tolist()
    torch = pytest.importorskip("torch")
    twin = torch.nn.Linear(3, 2)
    twin.load_state_dict(torch.load(io.BytesIO(data), weights_only=True))
    assert twin.weight.tolist() == model.weight.tolist()


def test_equal_objects_give_equal_files():
    def make():
        return {"w": gpunn.ones(3), "names": {"b", "a", "c"}, "n": 1.5}

    assert saved(make()) == saved(make())


class Unknown:
    pass


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        ({"model": {"fn": lambda: 0}}, "obj['model']['fn']"),
        ([1, (2, Unknown())], "obj[1][1]"),
        ({"a": {1: np.float64(2)}}, "obj['a'][1]"),
        ({"a": np.ones(3)}, "obj['a']"),
        (Unknown, "obj:"),
        ({"big": [1 << 3000]}, "obj['big'][0]"),
    ],
)
def test_what_cannot_be_saved_is_named(obj, path):
    with pytest.raises(TypeError, match="cannot save obj") as caught:
        saved(obj)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_module_is_refused_with_advice():
    with pytest.raises(TypeError, match=r"save its state_dict\(\) instead"):
        saved(gpunn.nn.Linear(2, 2))


def test_deep_nesting():
    obj = []
    for _ in range(100_000):
        obj = [obj]
    with pytest.raises(RecursionError, match="cannot save obj: it is nested too deeply"):
        saved(obj)
    while obj:
        obj = obj[0]


@pytest.mark.parametrize("large", [1 << 30, 20])
def test_storages_lie_where_they_can_be_mapped(monkeypatch, large):
    monkeypatch.setattr(torchfile, "_LARGE", large)
    data = saved([gpunn.ones(3), gpunn.ones(5), gpunn.ones(7, dtype=gpunn.float64)])
    for entry in zipfile.ZipFile(io.BytesIO(data)).infolist():
        name_and_extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
        assert (entry.header_offset + 30 + sum(name_and_extra)) % 64 == 0
    assert [t.numel() for t in gpunn.load(io.BytesIO(data))] == [3, 5, 7]
    torch = pytest.importorskip("torch")
    assert [t.numel() for t in torch.load(io.BytesIO(data))] == [3, 5, 7]


def test_files_and_file_likes(tmp_path):
    tensor = gpunn.ones(3)
    gpunn.save(tensor, tmp_path / "a.pt")
    gpunn.save(tensor, str(tmp_path / "b.pt"))
    with open(tmp_path / "c.pt", "wb") as file:
        gpunn.save(tensor, file)
    for name in "abc":
        assert gpunn.load(tmp_path / f"{name}.pt").tolist() == [1, 1, 1]
    with open(tmp_path / "a.pt", "rb") as file:
        assert gpunn.load(file, "cpu", weights_only=False).tolist() == [1, 1, 1]


class Pipe(io.RawIOBase):
    """Takes bytes, and can do nothing else."""

    def __init__(self):
        self.taken = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.taken += data
        return len(data)


def test_streams_without_a_position():
    pipe = Pipe()
    gpunn.save({"a": gpunn.ones(3)}, pipe)
    assert gpunn.load(io.BytesIO(pipe.taken))["a"].tolist() == [1, 1, 1]
    with pytest.raises(io.UnsupportedOperation, match=r"only gpunn\.load from a file that is seek"):
        gpunn.load(pipe)
    with pytest.raises(AttributeError, match="expected 'f' to be string, path, or a file-like"):
        gpunn.save(1, 5)


# PyTorch


def torch_object(torch):
    base = torch.arange(24.0).view(4, 6)
    return OrderedDict(
        base=base,
        view=base[1:3, ::2],
        transposed=base.t(),
        expanded=torch.ones(1).expand(3),
        parameter=torch.nn.Parameter(torch.ones(2, 2)),
        leaf=torch.ones(2, requires_grad=True),
        scalar=torch.tensor(3),
        empty=torch.zeros(0, 3),
        plain=[None, True, -1, 2**40, 1.5, "é", b"\x00\xff", (1,), {1, 2}, {"a": Counter("ab")}],
        names=[torch.Size([2, 3]), torch.float16, torch.device("cuda:1")],
    )


def check_against_torch(mine, theirs):
    assert list(mine) == list(theirs)
    for name in ("base", "view", "transposed", "expanded", "parameter", "leaf", "scalar", "empty"):
        a, b = mine[name], theirs[name]
        assert a.shape == tuple(b.shape)
        assert a.requires_grad == b.requires_grad
        assert str(a.dtype).split(".")[1] == str(b.dtype).split(".")[1]
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
        if b.numel():
            assert a.stride() == b.stride()
    assert isinstance(mine["parameter"], Parameter)
    assert mine["plain"] == theirs["plain"]
    assert mine["names"] == [gpunn.Size([2, 3]), gpunn.float16, gpunn.device("cuda:1")]
    mine["base"].data[...] = 7
    assert (mine["view"].numpy() == 7).all()
    assert (mine["transposed"].numpy() == 7).all()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_reads_what_torch_wrote(form, protocol):
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    theirs = torch_object(torch)
    torch.save(
        theirs,
        file,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=form == "zip",
    )
    file.seek(0)
    if form == "legacy" and protocol != 2:
        with pytest.raises(gpunn.serialization.CorruptFileError, match="not a file that"):
            gpunn.load(file)
    else:
        check_against_torch(gpunn.load(file), theirs)


def test_torch_reads_what_gpunn_wrote(tmp_path):
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(torch_object(torch), file)
    file.seek(0)
    mine = gpunn.load(file)
    mine["plain"] += [1j, bytearray(b"ab"), -(2**100)]
    gpunn.save(mine, tmp_path / "mine.pt")
    for mmap in (False, True):
        theirs = torch.load(tmp_path / "mine.pt", weights_only=True, mmap=mmap)
        assert type(theirs) is OrderedDict
        assert type(theirs["parameter"]) is torch.nn.Parameter
        assert theirs["base"].data_ptr() == theirs["transposed"].data_ptr()
        assert theirs["names"] == [torch.Size([2, 3]), torch.float16, torch.device("cuda:1")]
    check_against_torch(mine, theirs)


@given(views())
@settings(max_examples=50, deadline=None)
def test_torch_reads_every_tensor(array):
    torch = pytest.importorskip("torch")
    theirs = torch.load(io.BytesIO(saved(wrap(array))), weights_only=True)
    np.testing.assert_array_equal(theirs.numpy(), array, strict=True)
    if not array.size:
        assert theirs.is_contiguous()


def test_reads_torch_models_and_optimizers():
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    loaded = gpunn.load(file)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(loaded["model"][name].numpy(), value.numpy())
    assert loaded["model"]._metadata == model.state_dict()._metadata
    assert loaded["optimizer"]["state"][0]["step"].item() == 1
    assert loaded["optimizer"]["param_groups"] == optimizer.state_dict()["param_groups"]


@pytest.mark.parametrize("dtype", ["complex64", "uint16"])
def test_names_the_dtype_it_does_not_have(dtype):
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save({"w": torch.zeros(2, dtype=getattr(torch, dtype))}, file)
    file.seek(0)
    with pytest.raises(gpunn.serialization.RefusedFileError, match=rf"dtype.*{dtype}"):
        gpunn.load(file)


def test_refuses_whole_torch_modules():
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2), file)
    file.seek(0)
    with pytest.raises(gpunn.serialization.RefusedFileError, match=r"GLOBAL torch\.nn\.modules"):
        gpunn.load(file)
