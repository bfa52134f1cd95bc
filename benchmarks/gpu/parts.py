"""What `make gpu` runs, in order of worth, and how long each part may take."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Part:
    """
    Attributes:
        tests: arguments of pytest; empty: it measures, see `rows.MEASURED`.
        limit_s: seconds after which it is stopped; less when the whole has no more.
        settings: environment variables of it.
    """

    name: str
    what: str
    limit_s: float
    tests: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)


_MOVES = {"CUPOOL_CUDA_MOVES": "on"}
#: Parts of one tuple run at the same time: tests, which measure nothing.
PARTS: tuple[tuple[Part, ...], ...] = (
    (Part("machine", "the GPU, its driver, the arena's granules, a kernel of our own", 40),),
    (
        Part("device", "the device alone: arrays, views, transfers, streams, kernels, the arena", 75,
             ("tests/gpu/test_device.py", "-k", "not samples")),
        Part("program", "a program through an embedded pool", 75, ("tests/gpu/test_through_pool.py", "-k", "gets_the_gpu")),
        Part("copying", "sessions written down in one process and gone on with in another", 75, ("tests/gpu/test_copying.py",), _MOVES),
        Part("graphs", "loops by captured graphs, by plans and one by one", 75, ("tests/gpu/test_graphs.py",)),
        Part("chains", "chains of elementwise operations as one kernel and one by one", 75, ("tests/gpu/test_chains.py",)),
    ),
    (Part("loops", "S1b and S2: small operations, as it comes and by captured graphs", 130),),
    (Part("arrays", "S3: programs of large arrays, as it comes and by chains", 65),),
    (Part("start", "S8: process start to first result", 60),),
    (Part("move", "S9: a live move between two servers of the GPU", 80, settings=_MOVES),),
    (
        Part("samples", "every sample call of the op table, beside NumPy", 90, ("tests/gpu/test_device.py", "-k", "samples")),
        Part("examples", "the examples", 90, ("tests/gpu/test_through_pool.py", "-k", "examples")),
        Part("calls", "CUDA calls of the whole stack", 90, ("tests/gpu/test_cuda_calls.py",)),
        Part("sandbox", "a confined server", 90, ("tests/gpu/test_sandbox.py",)),
    ),
)  # fmt: skip
#: All of it, seconds: a machine with a GPU is lent for ten minutes, with its start.
BUDGET_S = 450.0
