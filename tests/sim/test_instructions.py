"""Each opcode, alone in a kernel of 64 threads, against NumPy."""

import itertools

import numpy as np
import pytest
from simulated import Machine, one_instruction

from gpunn.sim.syntax import PtxError

DTYPE = {
    **{
        f"{k}{n}": f"{c}{n // 8}"
        for k, c in (("u", "u"), ("s", "i"), ("b", "u"))
        for n in (8, 16, 32, 64)
    },
    "f16": "f2",
    "f32": "f4",
    "f64": "f8",
    "f16x2": "u4",
    "bf16x2": "u4",
    "bf16": "u2",
}
EDGES = {
    "f": [0.0, -0.0, 1.0, -1.5, 3.25, -7.75, 1e-3, 1e4, np.inf, -np.inf, np.nan, 0.5],
    "i": [0, 1, -1, 2, 7, -8, 31, 100, -100],
}


def values(type: str, seed: int) -> np.ndarray:
    rng, dtype = np.random.default_rng(seed), np.dtype(DTYPE[type])
    if dtype.kind == "f":
        out = (rng.standard_normal(64) * 10.0 ** rng.integers(-2, 3, 64)).astype(dtype)
        edges = np.array(EDGES["f"], dtype)
    elif type[0] == "b" or "x" in type:
        return rng.integers(0, np.iinfo(dtype).max, 64, dtype, endpoint=True)
    else:
        info = np.iinfo(dtype)
        out = rng.integers(info.min, info.max, 64, dtype, endpoint=True)
        edges = np.array(EDGES["i"]).astype(dtype)
        out[-2:] = info.min, info.max
    rng.shuffle(edges)
    out[: len(edges)] = edges
    return out


def run(
    line: str, inputs: list[np.ndarray], types: list[str], output: str, extra: str = ""
) -> np.ndarray:
    out = np.zeros(64, DTYPE[output])
    Machine().run(one_instruction(line, types, output, extra), "k", (1,), (64,), *inputs, out)
    return out


def check(line: str, types: list[str], output: str, expected, rtol: float = 0.0, extra: str = ""):
    inputs = [values(t, i) for i, t in enumerate(types)]
    got = run(line, inputs, types, output, extra)
    with np.errstate(all="ignore"):
        want = np.asarray(expected(*inputs)).astype(DTYPE[output])
    if np.dtype(DTYPE[output]).kind == "f":
        np.testing.assert_allclose(got, want, rtol=rtol, err_msg=line)
        np.testing.assert_array_equal(
            np.signbit(got) & ~np.isnan(got), np.signbit(want) & ~np.isnan(want)
        )
    else:
        np.testing.assert_array_equal(got, want, err_msg=line)


def exact(f, bits: int, signed: bool):
    """A Python function of integers, lane by lane, wrapped to the type."""

    def g(*arrays: np.ndarray) -> np.ndarray:
        out = [f(*(int(a[i]) for a in arrays)) & ((1 << bits) - 1) for i in range(64)]
        return np.array(out, f"u{bits // 8}").view(f"{'i' if signed else 'u'}{bits // 8}")

    return g


def trunc_div(a: int, b: int) -> int:
    return -1 if b == 0 else (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1)


def trunc_rem(a: int, b: int) -> int:
    return a if b == 0 else a - trunc_div(a, b) * b


INTEGER = {
    "add": (2, lambda a, b: a + b),
    "sub": (2, lambda a, b: a - b),
    "mul.lo": (2, lambda a, b: a * b),
    "mad.lo": (3, lambda a, b, c: a * b + c),
    "div": (2, trunc_div),
    "rem": (2, trunc_rem),
    "min": (2, min),
    "max": (2, max),
    "sad": (3, lambda a, b, c: c + abs(a - b)),
}


@pytest.mark.parametrize("type", ["u16", "s16", "u32", "s32", "u64", "s64"])
@pytest.mark.parametrize("name", INTEGER)
def test_integer_arithmetic(name: str, type: str):
    arity, function = INTEGER[name]
    bits, signed = int(type[1:]), type[0] == "s"
    line = f"{name}.{type} %d, {', '.join(['%a', '%b', '%c'][:arity])};"
    check(line, [type] * arity, type, exact(function, bits, signed))


@pytest.mark.parametrize("type", ["u16", "s16", "u32", "s32", "u64", "s64"])
def test_high_and_wide_products(type: str):
    bits, signed = int(type[1:]), type[0] == "s"
    check(
        f"mul.hi.{type} %d, %a, %b;",
        [type] * 2,
        type,
        exact(lambda a, b: a * b >> bits, bits, signed),
    )
    check(
        f"mad.hi.{type} %d, %a, %b, %c;",
        [type] * 3,
        type,
        exact(lambda a, b, c: (a * b >> bits) + c, bits, signed),
    )
    if bits < 64:
        wide = f"{type[0]}{2 * bits}"
        f = exact(lambda a, b: a * b, 2 * bits, signed)
        check(f"mul.wide.{type} %d, %a, %b;", [type] * 2, wide, f)
        f = exact(lambda a, b, c: a * b + c, 2 * bits, signed)
        check(f"mad.wide.{type} %d, %a, %b, %c;", [type, type, wide], wide, f)


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_logic_and_shifts(bits: int):
    t = f"b{bits}"
    for name, f in {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}.items():
        check(f"{name}.{t} %d, %a, %b;", [t, t], t, f)
    check(f"not.{t} %d, %a;", [t], t, np.invert)
    check(f"cnot.{t} %d, %a;", [t], t, lambda a: a == 0)
    for amount in (0, 1, bits - 1, bits, 200):
        check(f"shl.{t} %d, %a, {amount};", [t], t, exact(lambda a, n=amount: a << n, bits, False))
        check(
            f"shr.u{bits} %d, %a, {amount};", [t], t, exact(lambda a, n=amount: a >> n, bits, False)
        )
        s = f"s{bits}"
        check(f"shr.{s} %d, %a, {amount};", [s], s, exact(lambda a, n=amount: a >> n, bits, True))


def test_bit_counting():
    for t, w in (("u32", 32), ("u64", 64)):
        b = f"b{w}"
        check(f"popc.{b} %d, %a;", [t], "u32", exact(lambda a: bin(a).count("1"), 32, False))
        check(f"clz.{b} %d, %a;", [t], "u32", exact(lambda a, w=w: w - a.bit_length(), 32, False))
        check(f"bfind.{t} %d, %a;", [t], "u32", exact(lambda a: a.bit_length() - 1, 32, False))
        reverse = exact(lambda a, w=w: int(f"{a:0{w}b}"[::-1], 2), w, False)
        check(f"brev.{b} %d, %a;", [t], t, reverse)
    shift = exact(lambda a: 32 - a.bit_length() if a else -1, 32, False)
    check("bfind.shiftamt.u32 %d, %a;", ["u32"], "u32", shift)
    signed = exact(lambda a: (~a if a < 0 else a).bit_length() - 1, 32, False)
    check("bfind.s32 %d, %a;", ["s32"], "u32", signed)


@pytest.mark.parametrize(
    ("position", "length"), [(0, 8), (5, 3), (31, 4), (0, 32), (12, 0), (40, 9)]
)
def test_bit_fields(position: int, length: int):
    mask = (1 << length) - 1

    def unsigned(a: int) -> int:
        return a >> position & mask

    def signed(a: int) -> int:
        sign = a >> min(position + length - 1, 31) & 1 if length else 0
        field = (a >> min(position, 31)) & mask
        return field | (~mask if sign else 0)

    def insert(a: int, b: int) -> int:
        m = mask << position
        return (b & ~m) | (a << position & m)

    check(f"bfe.u32 %d, %a, {position}, {length};", ["u32"], "u32", exact(unsigned, 32, False))
    check(f"bfe.s32 %d, %a, {position}, {length};", ["s32"], "s32", exact(signed, 32, True))
    check(
        f"bfi.b32 %d, %a, %b, {position}, {length};",
        ["b32", "b32"],
        "b32",
        exact(insert, 32, False),
    )
    check(f"bfe.u64 %d, %a, {position}, {length};", ["u64"], "u64", exact(unsigned, 64, False))


def test_funnel_shifts_permutations_and_tables():
    for n in (0, 5, 31, 32, 40):
        for mode, amount in (("wrap", n & 31), ("clamp", min(n, 32))):
            left = exact(lambda a, b, n=amount: (b << 32 | a) << n >> 32, 32, False)
            right = exact(lambda a, b, n=amount: (b << 32 | a) >> n, 32, False)
            check(f"shf.l.{mode}.b32 %d, %a, %b, {n};", ["b32"] * 2, "b32", left)
            check(f"shf.r.{mode}.b32 %d, %a, %b, {n};", ["b32"] * 2, "b32", right)
    for selector in (0x3210, 0x7654, 0x0011, 0xFEDC, 0x8190):

        def permute(a: int, b: int, s: int = selector) -> int:
            out = 0
            for i in range(4):
                k = s >> 4 * i & 15
                byte = (b << 32 | a) >> 8 * (k & 7) & 255
                out |= (255 * (byte >> 7) if k & 8 else byte) << 8 * i
            return out

        check(f"prmt.b32 %d, %a, %b, {selector};", ["b32"] * 2, "b32", exact(permute, 32, False))
    for table in (0x80, 0xFE, 0x96, 0xE8, 0x1B):

        def logic(a: int, b: int, c: int, t: int = table) -> int:
            return sum(
                (t >> ((a >> i & 1) * 4 + (b >> i & 1) * 2 + (c >> i & 1)) & 1) << i
                for i in range(32)
            )

        check(f"lop3.b32 %d, %a, %b, %c, {table};", ["b32"] * 3, "b32", exact(logic, 32, False))


@pytest.mark.parametrize("types", list(itertools.product(["u32", "s32"], repeat=2)))
def test_dot_products_of_bytes(types: tuple[str, str]):
    def dot(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        x, y = (v.view(v.dtype.kind + "1").reshape(64, 4).astype("i8") for v in (a, b))
        return (x * y).sum(1) + c

    check(f"dp4a.{'.'.join(types)} %d, %a, %b, %c;", [*types, types[1]], types[1], dot)


def test_carries():
    line = (
        "{.reg .b32 %al,%ah,%bl,%bh,%rl,%rh;\nmov.b64 {%al,%ah}, %a; mov.b64 {%bl,%bh}, %b;\n"
        "OP.cc.u32 %rl, %al, %bl; OPc.u32 %rh, %ah, %bh; mov.b64 %d, {%rl,%rh};}"
    )
    check(line.replace("OP", "add"), ["u64", "u64"], "u64", lambda a, b: a + b)
    check(line.replace("OP", "sub"), ["u64", "u64"], "u64", lambda a, b: a - b)
    product = (
        "{.reg .b32 %al,%ah,%bl,%bh,%rl,%rh;\nmov.b64 {%al,%ah}, %a; mov.b64 {%bl,%bh}, %b;\n"
        "mul.lo.u32 %rl, %al, %bl; mul.hi.u32 %rh, %al, %bl;\n"
        "mad.lo.cc.u32 %rh, %al, %bh, %rh; madc.lo.u32 %rh, %ah, %bl, %rh;\n"
        "sub.cc.u32 %ah, %ah, %ah; mov.b64 %d, {%rl,%rh};}"
    )
    high = [
        np.asarray(values("u64", i) >> np.uint64(33)) for i in range(2)
    ]  # no carry is left over
    np.testing.assert_array_equal(run(product, high, ["u64", "u64"], "u64"), high[0] * high[1])


FLOAT = {
    "add": (2, lambda a, b: a + b),
    "sub": (2, lambda a, b: a - b),
    "mul": (2, lambda a, b: a * b),
    "min": (2, np.fmin),
    "max": (2, np.fmax),
    "abs": (1, np.abs),
    "neg": (1, np.negative),
    "copysign": (2, lambda a, b: np.copysign(b, a)),
    "fma.rn": (3, lambda a, b, c: a.astype("g") * b + c),
    "div.rn": (2, lambda a, b: a / b),
    "sqrt.rn": (1, np.sqrt),
    "rcp.rn": (1, lambda a: 1 / a),
}


@pytest.mark.parametrize("type", ["f32", "f64"])
@pytest.mark.parametrize("name", FLOAT)
def test_float_arithmetic(name: str, type: str):
    arity, function = FLOAT[name]
    line = f"{name}.{type} %d, {', '.join(['%a', '%b', '%c'][:arity])};"
    check(line, [type] * arity, type, function)


@pytest.mark.parametrize("name", ["ex2", "lg2", "sin", "cos", "tanh", "rsqrt", "sqrt", "rcp"])
def test_approximations(name: str):
    exact = {
        "ex2": np.exp2,
        "lg2": np.log2,
        "rsqrt": lambda a: 1 / np.sqrt(a),
        "rcp": lambda a: 1 / a,
    }
    f = exact.get(name) or getattr(np, name)
    check(f"{name}.approx.f32 %d, %a;", ["f32"], "f32", lambda a: f(a.astype("f8")), rtol=1e-7)


def test_fma_rounds_once():
    """Against exact rational arithmetic, where a double's rounding would mislead."""
    from fractions import Fraction

    rng = np.random.default_rng(7)
    a, b = (rng.standard_normal(64).astype("f4") for _ in range(2))
    c = (-(a.astype("f8") * b) * (1 + rng.choice([2.0**-30, 2.0**-26, -(2.0**-40)], 64))).astype(
        "f4"
    )
    a[0], b[0], c[0] = np.float32(1 + 2.0**-12), np.float32(1 + 2.0**-12), np.float32(2.0**-60)
    got = run("fma.rn.f32 %d, %a, %b, %c;", [a, b, c], ["f32"] * 3, "f32")
    for i in range(64):
        exact_value = Fraction(float(a[i])) * Fraction(float(b[i])) + Fraction(float(c[i]))
        near = [np.nextafter(got[i], np.float32(d)) for d in (-np.inf, np.inf)]
        error = abs(Fraction(float(got[i])) - exact_value)
        assert all(error <= abs(Fraction(float(n)) - exact_value) for n in near)
    x, y, z = (rng.standard_normal(64) for _ in range(3))
    z[:32] = -(x * y)[:32]  # what is left is the product's rounding error
    got = run("fma.rn.f64 %d, %a, %b, %c;", [x, y, z], ["f64"] * 3, "f64")
    for i in range(64):
        assert got[i] == float(Fraction(x[i]) * Fraction(y[i]) + Fraction(z[i]))


@pytest.mark.parametrize("mode", ["rz", "rm", "rp"])
@pytest.mark.parametrize("type", ["f32", "f64"])
@pytest.mark.parametrize("name", ["add", "mul", "fma"])
def test_directed_rounding(name: str, type: str, mode: str):
    from fractions import Fraction

    rng, n = np.random.default_rng(3), 3 if name == "fma" else 2
    inputs = [
        (rng.standard_normal(64) * 10.0 ** rng.integers(-8, 8, 64)).astype(DTYPE[type])
        for _ in range(n)
    ]
    got = run(
        f"{name}.{mode}.{type} %d, {', '.join(['%a', '%b', '%c'][:n])};", inputs, [type] * n, type
    )
    for i in range(64):
        v = [Fraction(float(x[i])) for x in inputs]
        true = v[0] + v[1] if name == "add" else v[0] * v[1] + (v[2] if n == 3 else 0)
        up = {"rm": False, "rp": True, "rz": true < 0}[mode]
        here = Fraction(float(got[i]))
        inner = Fraction(float(np.nextafter(got[i], got.dtype.type(-np.inf if up else np.inf))))
        assert (here >= true > inner) if up else (here <= true < inner)


def test_flush_and_saturate():
    tiny = np.array([1e-39, -1e-39, 1e-38, 3e-38, 0.0, 1.0, 2.0, -2.0] * 8, "f4")
    got = run("mul.ftz.f32 %d, %a, 0f3F800000;", [tiny], ["f32"], "f32")
    np.testing.assert_array_equal(
        got, np.where(np.abs(tiny) < 2.0**-126, np.float32(0) * tiny, tiny)
    )
    assert np.signbit(got[1])
    got = run("add.sat.f32 %d, %a, 0f00000000;", [tiny], ["f32"], "f32")
    np.testing.assert_array_equal(got, np.clip(tiny, 0, 1))
    got = run("mul.f32 %d, %a, 0f3F800000;", [tiny], ["f32"], "f32")
    np.testing.assert_array_equal(got, tiny)


@pytest.mark.parametrize("type", ["f16x2", "bf16x2"])
def test_packed_halves(type: str):
    rng = np.random.default_rng(0)
    x, y, z = (rng.standard_normal(128).astype("f4") for _ in range(3))
    if type == "f16x2":
        pack, unpack = (lambda v: v.astype("f2").view("u4")), (lambda u: u.view("f2").astype("f4"))
    else:
        pack = lambda v: (v.view("u4") >> np.uint32(16)).astype("u2").view("u4")  # noqa: E731
        unpack = lambda u: (u.view("u2").astype("u4") << np.uint32(16)).view("f4")  # noqa: E731
    a, b, c = (pack(v) for v in (x, y, z))
    fine = 2.0**-11 if type == "f16x2" else 2.0**-8
    for line, want in {
        f"add.{type} %d, %a, %b;": unpack(a) + unpack(b),
        f"mul.{type} %d, %a, %b;": unpack(a) * unpack(b),
        f"fma.rn.{type} %d, %a, %b, %c;": unpack(a) * unpack(b) + unpack(c),
        f"max.{type} %d, %a, %b;": np.maximum(unpack(a), unpack(b)),
    }.items():
        got = unpack(run(line, [a, b, c], [type] * 3, type))
        np.testing.assert_allclose(got, want, rtol=1.01 * fine, atol=1e-6, err_msg=line)


def test_comparisons_of_packed_halves():
    a = np.array([1, 2, 3, np.nan] * 32, "f2").view("u4")
    b = np.array([2, 2, 1, 1] * 32, "f2").view("u4")
    ones = np.array([1, 1, 0, 0] * 32, "f2")
    got = run("set.le.f16x2.f16x2 %d, %a, %b;", [a, b], ["f16x2"] * 2, "f16x2")
    np.testing.assert_array_equal(got.view("f2"), ones)
    got = run("set.le.u32.f16x2 %d, %a, %b;", [a, b], ["f16x2"] * 2, "u32")
    np.testing.assert_array_equal(got.view("u2"), np.where(ones, 0xFFFF, 0))
    line = "setp.lt.f16x2 %q|%q2, %a, %b; selp.b32 %d, 2, 0, %q2; @%q add.u32 %d, %d, 1;"
    got = run(line, [a, b], ["f16x2"] * 2, "u32")
    np.testing.assert_array_equal(got, [1, 0] * 32)
    half = a.view("u2")[::2].copy()
    got = run("set.eq.f16.f16 %d, %a, %a;", [half], ["f16"], "f16")
    np.testing.assert_array_equal(got, 1)


def test_declarations_without_a_space():
    check("{.reg.b32 x,y; mov.b32 x, %a; add.u32 %d, x, 1;}", ["u32"], "u32", lambda a: a + 1)


NUMBERS = ["s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f16", "f32", "f64"]


@pytest.mark.parametrize(("source", "to"), list(itertools.permutations(NUMBERS, 2)))
def test_conversions(source: str, to: str):
    s, d = np.dtype(DTYPE[source]), np.dtype(DTYPE[to])
    mode = "" if d.kind in "iu" and s.kind in "iu" else ".rzi" if d.kind in "iu" else ".rn"
    if d.kind == "f" and s.kind == "f" and d.itemsize > s.itemsize:
        mode = ""

    def expected(a: np.ndarray) -> np.ndarray:
        if s.kind != "f" or d.kind == "f":
            return a.astype(d)
        info, wide = np.iinfo(d), a.astype("g")
        inside = np.clip(
            np.where(np.isnan(wide), 0, np.trunc(wide)),
            np.longdouble(info.min),
            np.longdouble(info.max),
        )
        return np.array([int(v) for v in inside]).astype(d) if d != np.uint64 else inside.astype(d)

    check(f"cvt{mode}.{to}.{source} %d, %a;", [source], to, expected)


def test_rounding_and_saturating_conversions():
    for mode, f in {"rni": np.rint, "rmi": np.floor, "rpi": np.ceil, "rzi": np.trunc}.items():
        check(f"cvt.{mode}.f32.f32 %d, %a;", ["f32"], "f32", f)
        finite = values("f32", 0)
        finite[~np.isfinite(finite)] = 2.5
        got = run(f"cvt.{mode}.s32.f32 %d, %a;", [finite], ["f32"], "s32")
        np.testing.assert_array_equal(got, f(finite).astype("i4"))
    check("cvt.sat.u8.s32 %d, %a;", ["s32"], "u8", lambda a: np.clip(a, 0, 255))
    check("cvt.sat.s8.u32 %d, %a;", ["u32"], "s8", lambda a: np.minimum(a, 127))
    check(
        "cvt.sat.f32.f32 %d, %a;",
        ["f32"],
        "f32",
        lambda a: np.where(np.isnan(a), 0, np.clip(a, 0, 1) + 0),
    )
    third = np.full(64, 1 / 3)
    down, up = (run(f"cvt.{m}.f32.f64 %d, %a;", [third], ["f64"], "f32")[0] for m in ("rm", "rp"))
    assert float(down) < 1 / 3 < float(up)
    assert np.nextafter(down, np.float32(1)) == up
    odd = np.array([1 + 2.0**-11, 1 + 2.0**-11 + 2.0**-20, 1 + 2.0**-12, -1 - 2.0**-11] * 16, "f4")
    got = run("cvt.rna.tf32.f32 %d, %a;", [odd], ["f32"], "f32")
    np.testing.assert_array_equal(got[:4], [1 + 2.0**-10, 1 + 2.0**-10, 1, -1 - 2.0**-10])


@pytest.mark.parametrize("type", ["s32", "u32", "u64", "s64", "s16", "f32", "f64"])
def test_comparisons(type: str):
    tests = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
    for name, sign in tests.items():
        line = f"setp.{name}.{type} %q, %a, %b; selp.b32 %d, 1, 0, %q;"
        f = lambda a, b, s=sign: eval(f"a {s} b") & ((a == a) & (b == b))  # noqa: E731
        check(line, [type, type], "u32", f)
    if type[0] == "f":
        for name, sign in {"equ": "==", "neu": "!=", "ltu": "<", "geu": ">="}.items():
            line = f"setp.{name}.{type} %q, %a, %b; selp.b32 %d, 1, 0, %q;"
            f = lambda a, b, s=sign: eval(f"a {s} b") | (a != a) | (b != b)  # noqa: E731
            check(line, [type, type], "u32", f)
        check(
            f"setp.num.{type} %q, %a, %b; selp.b32 %d, 1, 0, %q;",
            [type] * 2,
            "u32",
            lambda a, b: (a == a) & (b == b),
        )
    if type == "u32":
        for name, sign in {"lo": "<", "ls": "<=", "hi": ">", "hs": ">="}.items():
            f = lambda a, b, s=sign: eval(f"a {s} b")  # noqa: E731
            check(f"setp.{name}.{type} %q, %a, %b; selp.b32 %d, 1, 0, %q;", [type] * 2, "u32", f)


def test_predicates():
    line = "setp.lt.s32 %q, %a, 0; setp.gt.and.s32 %q|%q2, %b, 5, %q; selp.b32 %d, 1, 0, %q2;"
    check(line, ["s32", "s32"], "u32", lambda a, b: ~(b > 5) & (a < 0))
    line = "setp.lt.s32 %q, %a, 0; setp.gt.s32 %q2, %b, 5; xor.pred %q, %q, %q2; "
    line += "not.pred %q, %q; selp.b32 %d, 1, 0, %q;"
    check(line, ["s32", "s32"], "u32", lambda a, b: (a < 0) == (b > 5))
    line = "mov.pred %q, -1; mov.u32 %d, 3; @!%q mov.u32 %d, 4;"
    check(line, ["s32"], "u32", lambda a: np.full(64, 3))
    check(
        "set.lt.u32.s32 %d, %a, %b;",
        ["s32", "s32"],
        "u32",
        lambda a, b: np.where(a < b, 2**32 - 1, 0),
    )
    line = "setp.gt.s32 %q, %b, 5; set.lt.and.u32.s32 %d, %a, %b, %q;"
    check(line, ["s32", "s32"], "u32", lambda a, b: np.where((a < b) & (b > 5), 2**32 - 1, 0))
    check("set.lt.f32.s32 %d, %a, %b;", ["s32", "s32"], "f32", lambda a, b: a < b)
    check(
        "slct.s32.s32 %d, %a, %b, %c;", ["s32"] * 3, "s32", lambda a, b, c: np.where(c >= 0, a, b)
    )
    check("testp.finite.f32 %q, %a; selp.b32 %d, 1, 0, %q;", ["f32"], "u32", np.isfinite)
    check("testp.notanumber.f32 %q, %a; selp.b32 %d, 1, 0, %q;", ["f32"], "u32", np.isnan)


def test_signed_zeros_and_nans_in_min_and_max():
    a = np.array([0.0, -0.0, np.nan, 1.0] * 16, "f4")
    b = np.array([-0.0, 0.0, 2.0, np.nan] * 16, "f4")
    low = run("min.f32 %d, %a, %b;", [a, b], ["f32"] * 2, "f32")
    high = run("max.f32 %d, %a, %b;", [a, b], ["f32"] * 2, "f32")
    assert np.signbit(low[:2]).all()
    assert not np.signbit(high[:2]).any()
    np.testing.assert_array_equal(low[2:4], [2, 1])
    assert np.isnan(run("max.NaN.f32 %d, %a, %b;", [a, b], ["f32"] * 2, "f32")[2:4]).all()


def test_vectors_and_wide_registers():
    check(
        "{.reg .b32 %x,%y; mov.b64 {%x,%y}, %a; mov.b64 %d, {%y,%x};}",
        ["u64"],
        "u64",
        lambda a: a << np.uint64(32) | a >> np.uint64(32),
    )
    check(
        "{.reg .b16 %x,%y; mov.b32 {%x,%y}, %a; mov.b32 %d, {%y,%x};}",
        ["u32"],
        "u32",
        lambda a: a << np.uint32(16) | a >> np.uint32(16),
    )
    # A register may be wider than what is loaded into it, or converted from it.
    check(
        "{.reg .b64 %w; ld.global.s8 %w, [%pa]; cvt.u32.u64 %d, %w;}",
        ["s32"],
        "u32",
        lambda a: a.view("i1")[::4][:64].astype("i4").view("u4"),
    )
    check("cvt.u16.u8 %d, %a;", ["u16"], "u16", lambda a: a & 255)


@pytest.mark.parametrize("mode", ["up", "down", "bfly", "idx"])
def test_shuffles(mode: str):
    lane = np.arange(64) % 32
    source = {"up": lane - 3, "down": lane + 3, "bfly": lane ^ 3, "idx": np.full(64, 3)}[mode]
    inside = (source >= 0) & (source < 32)
    source = np.where(inside, source, lane) + np.arange(64) // 32 * 32
    clamp = 0 if mode == "up" else 31
    line = f"shfl.sync.{mode}.b32 %d|%q, %a, 3, {clamp}, -1;"
    check(line, ["u32"], "u32", lambda a: a[source])
    check(f"{line} selp.b32 %d, 1, 0, %q;", ["u32"], "u32", lambda a: inside)


def test_votes_matches_and_reductions():
    a = np.arange(64, dtype="u4") // 8

    def ballot(p: np.ndarray) -> np.ndarray:
        bits = [sum(int(p[w * 32 + i]) << i for i in range(32)) for w in range(2)]
        return np.repeat(np.array(bits, "u4"), 32)

    p = a % 3 == 0
    prefix = "{.reg .b32 %m; rem.u32 %m, %a, 3; setp.eq.u32 %q, %m, 0;} "
    np.testing.assert_array_equal(
        run(prefix + "vote.sync.ballot.b32 %d, %q, -1;", [a], ["u32"], "u32"), ballot(p)
    )
    for mode, want in {"all": False, "any": True, "uni": False}.items():
        line = prefix + f"vote.sync.{mode}.pred %q2, %q, -1; selp.b32 %d, 1, 0, %q2;"
        assert (run(line, [a], ["u32"], "u32") == want).all()
    got = run("match.any.sync.b32 %d, %a, -1;", [a], ["u32"], "u32")
    np.testing.assert_array_equal(got, np.uint32(255) << (np.arange(64, dtype="u4") % 32 // 8 * 8))
    for mode, f in {
        "add": np.sum,
        "min": np.min,
        "max": np.max,
        "or": np.bitwise_or.reduce,
    }.items():
        type = "b32" if mode == "or" else "u32"
        got = run(f"redux.sync.{mode}.{type} %d, %a, -1;", [a], ["u32"], "u32")
        np.testing.assert_array_equal(got, np.repeat([f(a[:32]), f(a[32:])], 32))
    assert (run("activemask.b32 %d;", [a], ["u32"], "u32") == 2**32 - 1).all()


@pytest.mark.parametrize("name", ["add", "min", "max", "and", "or", "xor", "exch", "inc", "dec"])
def test_atomics(name: str):
    atomics(name, returns=True)
    if name != "exch":  # red has none
        atomics(name, returns=False)


def atomics(name: str, returns: bool) -> None:
    type = {"and": "b32", "or": "b32", "xor": "b32", "exch": "b32"}.get(name, "u32")
    b, counters = values("u32", 4) % 50, np.full(64, 40, "u4")
    # Thread t works on counter t % 4 of the array %a.
    line = "{.reg .b64 %x; .reg .b32 %i; and.b32 %i, %t, 3; ld.param.u64 %x, [k_param_0];\n"
    line += "mad.wide.u32 %x, %i, 4, %x;\n"
    call = (
        f"atom.global.{name}.{type} %d, [%x], %b;"
        if returns
        else f"red.global.{name}.{type} [%x], %b; mov.u32 %d, 0;"
    )
    out = run(line + call + "}", [counters, b], ["u32", "u32"], "u32")
    memory, old = [40] * 4, []
    step = {
        "add": lambda o, x: o + x, "min": min, "max": max, "exch": lambda o, x: x,
        "and": lambda o, x: o & x, "or": lambda o, x: o | x, "xor": lambda o, x: o ^ x,
        "inc": lambda o, x: 0 if o >= x else o + 1,
        "dec": lambda o, x: x if o == 0 or o > x else o - 1,
    }[name]  # fmt: skip
    for t in range(64):
        old.append(memory[t % 4])
        memory[t % 4] = step(memory[t % 4], int(b[t]))
    np.testing.assert_array_equal(counters[:4], memory)
    if returns:
        np.testing.assert_array_equal(out, old)


def test_compare_and_swap():
    counters, a = np.zeros(64, "u4"), np.arange(64, dtype="u4")
    line = "{.reg .b64 %x; ld.param.u64 %x, [k_param_0]; atom.global.cas.b32 %d, [%x], %b, 77; }"
    out = run(line, [counters, a], ["u32", "u32"], "u32")
    assert counters[0] == 77
    assert (out[0], set(out[1:].tolist())) == (0, {77})


SPECIALS = {
    "%tid.x": lambda t: t,
    "%ntid.x": lambda t: 64,
    "%ctaid.y": lambda t: 0,
    "%nctaid.z": lambda t: 1,
    "%laneid": lambda t: t % 32,
    "%warpid": lambda t: t // 32,
    "%nwarpid": lambda t: 2,
    "WARP_SZ": lambda t: 32,
    "%lanemask_eq": lambda t: 1 << t % 32,
    "%lanemask_lt": lambda t: (1 << t % 32) - 1,
    "%lanemask_le": lambda t: (2 << t % 32) - 1,
    "%lanemask_gt": lambda t: 2**32 - (2 << t % 32),
    "%lanemask_ge": lambda t: 2**32 - (1 << t % 32),
    "%total_smem_size": lambda t: 0,
}


@pytest.mark.parametrize("name", SPECIALS)
def test_special_registers(name: str):
    got = run(f"mov.u32 %d, {name};", [values("u32", 0)], ["u32"], "u32")
    assert got.tolist() == [SPECIALS[name](t) for t in range(64)]


def test_unknown_instructions_are_refused_when_the_kernel_is_loaded():
    with pytest.raises(PtxError, match=r"does not know the instruction 'frobnicate\.u32 %d, %a'"):
        run("frobnicate.u32 %d, %a;", [values("u32", 0)], ["u32"], "u32")
    with pytest.raises(PtxError, match=r"'add\.weird\.u32"):
        run("add.weird.u32 %d, %a, %a;", [values("u32", 0)], ["u32"], "u32")
    with pytest.raises(PtxError, match=r"'mov\.u32 %d, %envreg3'.*%envreg3 is not simulated"):
        run("mov.u32 %d, %envreg3;", [values("u32", 0)], ["u32"], "u32")
    line = "wmma.load.c.sync.aligned.row.m16n16k16.global.s32 {%d,%d,%d,%d,%d,%d,%d,%d}, [%a], 16;"
    with pytest.raises(PtxError, match=r"does not know the instruction 'wmma\.load\.c"):
        run(line, [values("u64", 0)], ["u64"], "u32")
