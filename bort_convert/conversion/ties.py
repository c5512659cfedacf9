"""Whether the tensors that a checkpoint stores twice are the same: the one fact of a ledger that takes reading data."""

from bort_convert.conversion.ledger import NOTHING_DECLARED, Declaration, Ledger, Operation, build_ledger
from bort_convert.params import ParamsFile


def build_compared_ledger(params: ParamsFile, declared: Declaration = NOTHING_DECLARED) -> Ledger:
    """The ledger of ``params``, tied where the tied tensors have the same dtype and bytes. Raises what `build_ledger` raises."""
    ledger = build_ledger(params, declared)
    return ledger if ties_hold(params, ledger) else build_ledger(params, declared, tied=False)


def ties_hold(params: ParamsFile, ledger: Ledger) -> bool:
    """Whether what ``ledger`` ties is stored with the same dtype and bytes as what it is tied to."""
    written = {entry.target: entry.source for entry in ledger.written}
    pairs = [(entry.source, written[entry.tied_to]) for entry in ledger.entries if entry.operation is Operation.TIE]
    return all(
        # The same bits are other numbers in another dtype.
        second and first.dtype == second.dtype and params.same_bytes(first, second)
        for first, second in pairs
        if first and first is not second
    )
