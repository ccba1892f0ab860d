"""Calls for ``torch.optim.swa_utils``: averages of a small model's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance import schedule_calls
from conformance.calls import call
from conformance.inputs import F16, F32, I64, Table, array, strided

CALLS = Table()


def _model(lib: Any, width: int, bare: bool = False) -> Any:
    """Layers with weights and buffers of known numbers."""
    nn = lib.nn
    layers = [nn.Linear(3, width), *([] if bare else [nn.BatchNorm1d(width)]), nn.Linear(width, 2)]
    model = nn.Sequential(*layers).to(lib.float64)
    _set(lib, model, 0)
    return model


def _set(lib: Any, model: Any, seed: int) -> None:
    with lib.no_grad():
        for i, value in enumerate(model.state_dict().values()):
            numbers = lib.from_numpy(array(*value.shape, low=0.5, high=2, seed=7 * seed + i))
            value.copy_(numbers)


def runner(lib: Any, name: str) -> Callable[..., Any]:
    """What of ``swa_utils`` has that name, as a function of options and tensors."""
    space = lib.optim.swa_utils

    def averaged(fn: Any = None, many: Any = None, *, times: int = 3, **options: Any) -> list[Any]:
        made = [None if f is None else getattr(space, f[0])(*f[1:]) for f in (fn, many)]
        model = _model(lib, 4)
        average = space.AveragedModel(model, None, *made, **options)
        for seed in range(times):
            _set(lib, model, seed)
            average.update_parameters(model)
        with lib.no_grad():
            y = average.eval()(lib.from_numpy(array(5, 3)))
        return [y, average.n_averaged, str(list(average.state_dict())), *average.parameters()][:3]

    def normed(*batches: Any, training: bool = True, bare: bool = False, **options: Any) -> Any:
        model = _model(lib, 4, bare).train(training)
        space.update_bn([b.detach() if hasattr(b, "detach") else b for b in batches], model)
        momenta = [getattr(m, "momentum", 0) for m in model]
        return [*model.buffers(), str([model.training, momenta])]

    def averages(*args: Any, given: Any) -> Any:
        function = getattr(space, name)(*args)
        results = function(*given)
        return given[0] if results is None else results

    if name == "SWALR":
        return schedule_calls.runner(lib, name)
    return {"AveragedModel": averaged, "update_bn": normed}.get(name, averages)


CALLS.add(
    "AveragedModel",
    [
        call(),
        call(times=0),
        call(times=1),
        call(("get_swa_avg_fn",)),
        call(("get_ema_avg_fn", 0.75), times=5),
        call(None, ("get_swa_multi_avg_fn",)),
        call(None, ("get_ema_multi_avg_fn", 0.75), times=5),
        call(use_buffers=True),
        call(("get_ema_avg_fn",), use_buffers=True),
        call(None, ("get_ema_multi_avg_fn", 0.5), use_buffers=True),
        call(("get_swa_avg_fn",), ("get_swa_multi_avg_fn",)),
        call(("get_ema_avg_fn", 1.5)),
        call(unknown=1),
    ],
)
CALLS.add(
    "update_bn",
    [
        call(array(5, 3)),
        call(array(5, 3), array(7, 3, seed=1)),
        call([array(5, 3), 1], (array(4, 3),)),
        call(strided(6, 3)),
        call(array(5, 3), training=False),
        call(array(5, 3), bare=True),
        call(),
        call(array(1, 3)),
        call(array(5, 2)),
        call(array(5, 3, dtype=F32)),
        call(array(0, 3)),
    ],
)
PAIR = [array(3, 2), array(3, 2, seed=1), 3]
LISTS = [[array(3), array(2, 2)], [array(3, seed=1), array(2, 2, seed=1)], 2]
HALVES = [array(3, dtype=F16), array(3, dtype=F16, seed=1), 1]
WHOLE = [array(3, dtype=I64), array(3, dtype=I64, seed=1), 4]
for names, decays in (
    ("get_ema_avg_fn get_ema_multi_avg_fn", [(), (0.5,), (0,), (1,), (1.5,), (-0.5,)]),
    ("get_swa_avg_fn get_swa_multi_avg_fn", [(), (0.5,)]),
):
    for given in (PAIR, HALVES, WHOLE):
        one, many = names.split()
        CALLS.add(one, [call(*d, given=given) for d in decays])
        CALLS.add(many, [call(*d, given=[[given[0]], [given[1]], given[2]]) for d in decays])
ODD = [
    [array(), array(seed=1), 0],
    [strided(2, 3), array(2, 3), 5],
    [array(0, 2), array(0, 2), 1],
    [array(3, dtype=F32), array(3, dtype=F32, seed=1), array(dtype=I64)],
]
for given in ODD:
    CALLS.add("get_ema_avg_fn get_swa_avg_fn", [call(given=given)])
    as_lists = [[given[0]], [given[1]], given[2]]
    CALLS.add("get_ema_multi_avg_fn get_swa_multi_avg_fn", [call(given=as_lists)])
CALLS.add("get_ema_multi_avg_fn get_swa_multi_avg_fn", [call(given=LISTS)])
CALLS.add(
    "SWALR",
    [
        call(0.01),
        call(0.01, resume=True),
        call([0.01, 0.2]),
        call(0.01, 4),
        call(0.01, 4, "linear"),
        call(swa_lr=0.9, anneal_epochs=7, anneal_strategy="linear", resume=True),
        call(0.01, 0),
        call(0.01, 3, tensor=True),
        call(0.01, 3, at=[3, 1, 0, 7, 4, 5, 20, 2, 9, 10, 11, 12]),
        call(0.01, -1),
        call(0.01, 2.5),
        call(0.01, 3, "cubic"),
        call([0.01]),
        call(),
        call(0.01, last_epoch=3),
    ],
)
