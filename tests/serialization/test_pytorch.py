"""Whatever ``torch.save`` wrote is read, and PyTorch reads what gpunn makes of it."""

import io
import pickle
import tarfile
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpunn
from gpunn.serialization import CorruptFileError, RefusedFileError

torch = pytest.importorskip("torch")

FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
INTEGERS = ["bool", "uint8", "int8", "int16", "int32", "int64"]
DTYPES = [*INTEGERS, "float16", "bfloat16", "float32", "float64"]
PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False)
    | st.text(max_size=5) | st.binary(max_size=5) | st.complex_numbers(allow_nan=False)
    | st.sampled_from([torch.Size([2, 3]), torch.bfloat16, torch.bool, torch.device("cpu")])
)  # fmt: skip


def written(lib, obj, zipped=True):
    file = io.BytesIO()
    lib.save(obj, file, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    return file


@st.composite
def tensors(draw):
    """A tensor or parameter of any dtype and strides, often a view of a larger one."""
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    dtype = getattr(torch, draw(st.sampled_from(DTYPES)))
    x = torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype)
    if x.dim():
        axis = draw(st.integers(0, x.dim() - 1))
        x = x.transpose(axis, draw(st.integers(0, x.dim() - 1)))
        start = draw(st.integers(0, x.size(axis)))
        x = x.narrow(axis, start, draw(st.integers(0, x.size(axis) - start)))
    if draw(st.booleans()):
        x = x.expand(2, *x.shape)
    kinds = ["tensor", "leaf", "parameter"] if dtype.is_floating_point else ["tensor"]
    kind = draw(st.sampled_from(kinds))
    if kind == "parameter":
        return torch.nn.Parameter(x, draw(st.booleans()))
    return x.requires_grad_(kind == "leaf")


objects = st.recursive(
    PLAIN | tensors(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(lambda items: [*items, items])
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=8,
)


def check_same(mine, theirs):
    """``mine``, gpunn's, is what ``theirs``, PyTorch's, is: types, strides, flags and values."""
    if isinstance(theirs, torch.Tensor):
        assert type(mine).__name__ == type(theirs).__name__
        assert str(mine.dtype) == str(theirs.dtype).replace("torch", "gpunn")
        assert tuple(mine.shape) == tuple(theirs.shape)
        assert mine.requires_grad is theirs.requires_grad
        if theirs.numel():
            steps = zip(theirs.shape, mine.stride(), theirs.stride(), strict=True)
            assert all(n == 1 or a == b for n, a, b in steps)
        assert mine.tolist() == theirs.tolist()
    elif isinstance(theirs, dict):
        assert type(mine) is type(theirs)
        assert list(mine) == list(theirs)
        for key, value in theirs.items():
            check_same(mine[key], value)
    elif type(theirs) in (list, tuple):
        assert type(mine) is type(theirs)
        for a, b in zip(mine, theirs, strict=True):
            check_same(a, b)
    elif isinstance(theirs, (torch.Size, torch.dtype, torch.device)):
        assert repr(mine).removeprefix("gpunn.") == repr(theirs).removeprefix("torch.")
    else:
        assert type(mine) is type(theirs)
        assert mine == theirs


@FORMS
@given(objects)
@settings(max_examples=60)
def test_every_object_there_and_back(zipped, obj):
    mine = gpunn.load(written(torch, obj, zipped))
    check_same(mine, obj)
    check_same(mine, torch.load(written(gpunn, mine, zipped), weights_only=True))


@FORMS
def test_shared_memory_there_and_back(zipped):
    base = torch.arange(24.0).view(4, 6)
    obj = [
        base,
        base[1:3, ::2],
        base.t(),
        torch.nn.Parameter(base[2]),
        base.as_strided((2, 2), (1, 3), 5),
    ]
    mine = gpunn.load(written(torch, obj, zipped))
    again = torch.load(written(gpunn, mine, zipped), weights_only=True)
    assert len({x.untyped_storage().data_ptr() for x in again}) == 1
    assert [x.storage_offset() for x in again] == [x.storage_offset() for x in obj]
    with gpunn.no_grad(), torch.no_grad():
        mine[0].fill_(7)
        again[0].fill_(7)
    for a, b in zip(mine, again, strict=True):
        assert (a == 7).all()
        assert (b == 7).all()


@FORMS
def test_attributes_of_tensors(zipped):
    x, p = torch.ones(2, requires_grad=True), torch.nn.Parameter(torch.zeros(3), False)
    x.note, p.sizes, p.twin = {"a": [1, 2]}, torch.Size([3]), x
    buffer = torch.nn.Buffer(torch.ones(1), persistent=False)
    mine = gpunn.load(written(torch, [x, p, buffer], zipped))
    assert mine[0].note == {"a": [1, 2]}
    assert mine[0].requires_grad
    assert type(mine[1]) is gpunn.nn.Parameter
    assert mine[1].sizes == gpunn.Size([3])
    assert mine[1].twin is mine[0]
    assert mine[2].persistent is False
    again = torch.load(written(gpunn, mine, zipped), weights_only=True)
    assert again[0].note == x.note
    assert type(again[1]) is torch.nn.Parameter
    assert again[1].twin is again[0]


def test_attributes_that_replace_something():
    x = torch.ones(1)
    vars(x)["backward"] = 1
    with pytest.raises(RefusedFileError, match=r"the file replaces Tensor\.backward"):
        gpunn.load(written(torch, x))


def test_optimizers_and_schedulers_change_places():
    """Adam goes on where the other library stopped."""
    states, values = {}, {}
    for lib, other in ((torch, gpunn), (gpunn, torch), (torch, torch)):
        for where in (lib, other):
            p = where.nn.Parameter(where.tensor([1.0, -2.0]))
            optimizer = where.optim.AdamW([{"params": [p], "lr": 0.3}], amsgrad=True)
            scheduler = where.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=9)
            if where is other and states:
                state = where.load(states[lib])
                optimizer.load_state_dict(state["optimizer"])
                scheduler.load_state_dict(state["scheduler"])
                with where.no_grad():
                    p.copy_(state["p"])
            for _ in range(3):
                optimizer.zero_grad()
                (p**4).sum().backward()
                optimizer.step()
                scheduler.step()
            state = {
                "p": p,
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
            }
            states[where] = written(where, state)
        values[lib, other] = p.detach().numpy()
        states.clear()
    for value in values.values():
        np.testing.assert_allclose(value, values[torch, torch], rtol=1e-5)


# The arguments


@pytest.mark.parametrize("lib", [torch, gpunn])
def test_mapped_files(tmp_path, lib):
    x = lib.arange(12.0).reshape(3, 4)
    path = tmp_path / "a.pt"
    lib.save({"x": x, "t": x.t(), "b": x > 2, "n": x.to(lib.bfloat16), "e": x[:0].clone()}, path)
    before = path.read_bytes()
    whole, mapped = gpunn.load(path), gpunn.load(path, mmap=True)
    assert type(mapped["x"].data) is np.ndarray
    for name, value in whole.items():
        assert mapped[name].tolist() == value.tolist()
        assert mapped[name].stride() == value.stride()
    mapped["x"].add_(1)
    assert mapped["t"][0, 0].item() == 1
    assert path.read_bytes() == before
    gpunn.save(mapped, path)  # in place of the file that is mapped
    assert gpunn.load(path)["x"].tolist() == (whole["x"] + 1).tolist()


def test_what_cannot_be_mapped(tmp_path):
    path = tmp_path / "a.pt"
    gpunn.save(gpunn.ones(2), path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used with files saved with"):
        gpunn.load(path, mmap=True)
    with pytest.raises(ValueError, match="f must be a file path in order to use the mmap argument"):
        gpunn.load(written(gpunn, 1), mmap=True)
    gpunn.save(gpunn.ones(2), path)
    path.write_bytes(path.read_bytes().replace(b"archive/data/0", b"archive/data/1", 1))
    with pytest.raises(CorruptFileError, match=r"archive/data/0"):
        gpunn.load(path, mmap=True)


def test_arguments_of_torch_load():
    for options in ({"weights_only": None}, {"weights_only": False}, {"encoding": "latin1"}):
        assert gpunn.load(written(torch, [1]), "cpu", **options) == [1]
    assert gpunn.load(written(torch, [1]), None, pickle, weights_only=False) == [1]
    with pytest.raises(RuntimeError, match="Can not safely load weights when explicit pickle_mod"):
        gpunn.load(written(torch, [1]), pickle_module=pickle, weights_only=True)
    file = io.BytesIO()
    gpunn.save([1], file, pickle, pickle_protocol=5)
    file.seek(0)
    assert torch.load(file) == [1]


def test_texts_of_python_2():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02U\x02\xc3\xa9.")
    for encoding, text in (("utf-8", "é"), ("latin1", "Ã©"), ("bytes", b"\xc3\xa9")):
        file.seek(0)
        assert gpunn.load(file, encoding=encoding) == text


def test_objects_that_follow_each_other():
    file = io.BytesIO(b"before")
    file.seek(6)
    for value in (torch.arange(3), [torch.ones(2), "text"]):
        torch.save(value, file, _use_new_zipfile_serialization=False)
    file.seek(6)
    assert gpunn.load(file).tolist() == [0, 1, 2]
    assert gpunn.load(file)[1] == "text"
    assert not file.read()


def test_safetensors_by_their_name(tmp_path):
    package = pytest.importorskip("safetensors.torch")
    path = tmp_path / "a.safetensors"
    theirs = {name: torch.arange(6).view(2, 3).to(getattr(torch, name)) for name in DTYPES}
    package.save_file(theirs, path)
    mine = gpunn.load(path, gpunn.device("cpu"))
    check_same({name: mine[name] for name in DTYPES}, theirs)
    gpunn.save_file(mine, path)
    check_same(
        {name: mine[name] for name in DTYPES}, {n: package.load_file(path)[n] for n in DTYPES}
    )
    for map_location, kind in (({}, "dict"), (lambda s, _: s, "callable")):
        with pytest.raises(RuntimeError, match=f"with {kind} map_location is not supported"):
            gpunn.load(path, map_location)


# Refusals


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.nn.Linear(2, 2), r"Linear was not an allowed.*save a module's state_dict"),
        (lambda: np.float64(1), r"numpy\S*scalar was not .*save \.item\(\) of a NumPy number"),
        (lambda: np.ones(2), r"numpy\S*_reconstruct was not .*from_numpy\(\) of an array"),
        (lambda: torch.eye(2).to_sparse(), r"_rebuild_sparse_tensor was not an allowed global"),
        (lambda: torch.empty(2, device="meta"), r"_rebuild_meta_tensor_no_storage was not"),
        (lambda: torch.ones(2).to(torch.float8_e5m2), r"a float8\) which gpunn does not have"),
        (lambda: torch.ones(2).untyped_storage(), r"torch\.storage\.UntypedStorage was not"),
        (lambda: torch.FloatTensor, r"torch\.FloatTensor was not"),
        (lambda: torch.Tensor, r"a storage or a class, and no tensor"),
        (lambda: torch.complex64, r"torch\.complex64 was not"),
        (lambda: torch.device("meta"), r"Expected one of cpu, cuda"),
        (lambda: slice(2), r"builtins\.slice was not"),
    ],
)  # fmt: skip
@FORMS
def test_what_weights_have_no_need_of(make, reason, zipped):
    with pytest.raises(RefusedFileError, match=reason) as caught:
        gpunn.load(written(torch, make(), zipped), weights_only=False)
    assert "\n" not in str(caught.value)


def test_other_formats_of_pytorch(tmp_path):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl"):
            archive.writestr(f"archive/{name}", b"\x80\x02N.")
    with pytest.raises(RefusedFileError, match="with TorchScript archives"):
        gpunn.load(path)
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("sys_info"))
    with pytest.raises(RefusedFileError, match=r"files saved in the legacy \.tar format"):
        gpunn.load(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CorruptFileError, match=r"not a file that gpunn\.save or torch\.save wrote"):
        gpunn.load(path)
