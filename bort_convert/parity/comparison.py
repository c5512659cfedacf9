"""Compares arrays. Pure: arrays in, a frozen result out.

Structure comes first, then values, in float64: every element must satisfy ``|actual - expected| <= atol + rtol * |expected|``.
A NaN fails, a missing side fails, and so does comparing nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsIndex

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two values may be apart, and why."""

    atol: float
    rtol: float
    reason: str


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two arrays are apart.

    ``location`` is the index of the largest difference; ``sufficient_atol`` the ``atol`` that would have been enough;
    ``failure`` says in words why the comparison failed, and is empty where it passed. The numbers are NaN where the arrays
    could not be compared.
    """

    compared: int
    mismatched: int
    largest: float
    mean: float
    location: tuple[int, ...]
    allowed: float
    sufficient_atol: float
    failure: str

    @property
    def passed(self) -> bool:
        """Whether every element is within the tolerance."""
        return not self.failure


def compare(
    actual: "np.ndarray | None", expected: "np.ndarray | None", tolerance: Tolerance, mask: "np.ndarray | None" = None
) -> Difference:
    """Holds ``actual`` against ``expected`` where ``mask`` is true.

    The mask's axes are the arrays' first ones; one of length 1 stands for the whole axis.
    """
    import numpy as np

    if actual is None or expected is None:
        return _incomparable("missing in PyTorch" if actual is None else "missing in MXNet")
    if actual.shape != expected.shape:
        return _incomparable(f"shape {actual.shape} in PyTorch, {expected.shape} in MXNet")
    chosen = np.ones(actual.shape, dtype=bool) if mask is None else _broadcast(mask, actual.shape)
    compared = int(chosen.sum())
    if not compared:
        return _incomparable("nothing was compared")
    actual, expected = actual.astype(np.float64), expected.astype(np.float64)
    invalid = chosen & ~(np.isfinite(actual) & np.isfinite(expected))
    if invalid.any():
        first = _index(np.unravel_index(int(invalid.argmax()), invalid.shape))
        return _incomparable(f"{int(invalid.sum())} values that are not finite", first)
    actual, expected = np.where(chosen, actual, 0.0), np.where(chosen, expected, 0.0)  # what is masked may be NaN
    difference = np.abs(actual - expected)
    magnitude = tolerance.rtol * np.abs(expected)
    within = difference <= tolerance.atol + magnitude  # never true for a tolerance that is NaN
    mismatched = int((chosen & ~within).sum())
    location = _index(np.unravel_index(int(difference.argmax()), difference.shape))
    return Difference(
        compared=compared,
        mismatched=mismatched,
        largest=float(difference[location]),
        mean=float(difference.sum() / compared),
        location=location,
        allowed=float(tolerance.atol + magnitude[location]),
        sufficient_atol=float(max(0.0, (difference - magnitude).max())),
        failure=f"{mismatched} of {compared} values differ by more than is allowed" if mismatched else "",
    )


def _broadcast(mask: "np.ndarray", shape: tuple[int, ...]) -> "np.ndarray":
    import numpy as np

    return np.broadcast_to(mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim)), shape)


def _index(location: Iterable[SupportsIndex]) -> tuple[int, ...]:
    return tuple(int(index) for index in location)


def _incomparable(failure: str, location: tuple[int, ...] = ()) -> Difference:
    nan = float("nan")
    return Difference(0, 0, nan, nan, location, nan, nan, failure)
