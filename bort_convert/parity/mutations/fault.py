"""What a fault is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Subject = TypeVar("Subject")

EVERY_HEAD = ("encoder", "mlm", "classifier")


@dataclass(frozen=True, slots=True)
class Fault(Generic[Subject]):
    """A change for the worse: ``apply`` makes it in place, for models of these ``heads``."""

    apply: Callable[[Subject], None]
    heads: tuple[str, ...] = EVERY_HEAD
