"""A verification as plain text: for a test's failure message, or a log."""

from collections.abc import Iterator, Sequence

from bort_convert.parity.result import Verification, worst_by_stage

_HEADER = ("dtype", "stage", "largest", "allowed", "")
_SHOWN_FAILURES = 5


def plain_text(verification: Verification) -> str:
    """The verdict, the checks that failed, and for each dtype and stage the comparison that came nearest to failing."""
    return "\n".join(_lines(verification))


def _lines(verification: Verification) -> Iterator[str]:
    verdict = "PASSED" if verification.passed else "FAILED"
    yield f"{verdict}: {verification.checkpoint} against {verification.model_dir}"
    failed = [check for check in verification.checks if not check.passed]
    yield f"{len(failed)} of {len(verification.checks)} checks of the folder failed"
    yield from (f"  {check.kind} {check.name}: {check.failure}" for check in failed[:_SHOWN_FAILURES])
    if len(failed) > _SHOWN_FAILURES:
        yield f"  … and {len(failed) - _SHOWN_FAILURES} more"
    if not verification.stages:
        yield "no outputs were compared"
        return
    rows = [
        (
            dtype,
            result.stage,
            f"{result.difference.largest:.1e}",
            f"{result.tolerance.atol:.0e}",
            "ok" if result.difference.passed else f"FAILED: {result.difference.failure}",
        )
        for dtype in dict.fromkeys(result.dtype for result in verification.stages)
        for result in worst_by_stage(verification.stages, dtype)
    ]
    yield ""
    yield from _aligned([_HEADER, *rows])


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
