"""Which library multiplies matrices in float32 on a processor, and which of them is the faster one here."""

from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from service.spec.plan import Route

SIZE = 256  # of the products of small networks
MUCH_FASTER = 1.25  # so that a worker that is started again beside other work finds the same
LARGEST_ERROR = 1e-6  # of the largest number of a product, against float64; float32 itself errs by 3e-7
_ROUNDS, _PRODUCTS = 7, 20
_HAS_SWITCH = torch.backends.mkldnn.is_available() and hasattr(torch.backends.mkldnn, "matmul")  # type: ignore[no-untyped-call]

SWITCH: dict[Route, str] = {"default": "none", "onednn": "bf16"}
"""torch hands products to oneDNN where it may round to bfloat16. oneDNN rounds only if that is faster: it is tried."""


def take_route(route: Route) -> None:
    """Let this process multiply matrices by a library from now on."""
    if _HAS_SWITCH:
        torch.backends.mkldnn.matmul.fp32_precision = SWITCH[route]  # type: ignore[attr-defined]


def find_route() -> Route:
    """Return oneDNN where it is much faster on one thread than what torch takes by default, and as exact.

    MKL takes its path for AVX2 on every processor that is not Intel's.
    """
    if not _HAS_SWITCH:
        return "default"
    random = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, SIZE, SIZE, generator=random)
    try:
        took_s: dict[Route, list[float]] = {route: [] for route in SWITCH}
        for _ in range(_ROUNDS):
            for route in SWITCH:
                take_route(route)
                took_s[route].append(_time(one, other))
        error = _error_of(one, other)
    finally:
        take_route("default")
    gain = median(slow / fast for slow, fast in zip(took_s["default"], took_s["onednn"], strict=True))
    return judge(gain, error)


def judge(gain: float, error: float) -> Route:
    """Return the route to take where oneDNN is so many times faster and errs by so much of the largest number."""
    return "onednn" if gain >= MUCH_FASTER and error <= LARGEST_ERROR else "default"


def _time(one: Tensor, other: Tensor) -> float:
    began_at = perf_counter()
    for _ in range(_PRODUCTS):
        one @ other
    return perf_counter() - began_at


def _error_of(one: Tensor, other: Tensor) -> float:
    exact = one.double() @ other.double()
    return float(((one @ other).double() - exact).abs().max() / exact.abs().max())
