"""What `verify` prints: the verdict, to be read in ten seconds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bort_convert.parity.result import StageResult, Verification, worst_by_stage


def print_verification(verification: Verification, command: str) -> None:
    """The verdict, to be read in ten seconds."""
    console = Console(highlight=False)
    ledger = verification.ledger
    console.print(f"{verification.checkpoint} ↔ {verification.model_dir}", style="bold", markup=False)
    console.print(f"  {ledger.architecture.description}, {ledger.head.model_class}")
    console.print(f"  {_versions(verification.versions)}\n")
    for warning in verification.warnings:
        console.print(f"  [yellow]warning[/] {warning}")
    _print_checks(console, verification)
    for dtype in dict.fromkeys(result.dtype for result in verification.stages):
        _print_stages(console, dtype, [result for result in verification.stages if result.dtype == dtype])
    if verification.stages:
        console.print(
            "where: batch (m mixed, l longest), then sample, position, unit; for attention\n"
            "sample, head, query, key. enough: the tolerance that would have sufficed.\n",
            style="dim",
        )
    if verification.residual:
        residual = verification.residual
        console.print(
            f"Known residual: GluonNLP's MLM decoder has LayerNorm eps 1e-12, a BERT config has one eps for all. Logits as "
            f"shipped differ by at most {residual.largest:.1e} (mean {residual.mean:.1e}); the best token is the same at "
            f"{residual.same_top1:.1%} of {residual.positions} positions.\n",
            highlight=False,
        )
    if verification.export_rounding:
        worst = max(verification.export_rounding, key=lambda rounding: rounding.largest)
        dtype = verification.ledger.written[0].dtype.name
        console.print(
            f"The folder's weights are the checkpoint's, rounded to {dtype}: shown above is the model before rounding. "
            f"Rounding moves outputs by at most {worst.largest:.1e} ({worst.stage}, float64).\n"
        )
    if verification.passed:
        console.print("[bold green]PASSED[/]")
    for failure in _failures(verification):
        console.print(Text.assemble(("FAILED", "bold red"), f"  {failure}"))
    console.print(command, soft_wrap=True, markup=False)


def _failures(verification: Verification) -> Iterator[str]:
    """Why a verification failed: the first check that did, and the first stage."""
    if verification.passed:
        return
    failed = [check for check in verification.checks if not check.passed]
    if failed:
        yield f"{failed[0].kind} {failed[0].name}: {failed[0].failure}"
    first = verification.first_divergence
    if first is not None:
        yield f"first divergence: {first.stage} in {first.dtype} ({first.difference.failure})"
    elif not verification.stages:
        yield "no outputs were compared"


def _print_checks(console: Console, verification: Verification) -> None:
    for kind, noun in _CHECKS.items():
        checks = [check for check in verification.checks if check.kind == kind]
        if not checks and kind in ("tokenizer", "published"):
            continue
        failed = [check for check in checks if not check.passed]
        state = f"[red]{len(failed)} wrong[/]" if failed else "[green]ok[/]"
        console.print(f"  {len(checks):>4} {noun:<16} {state}")
        for check in failed[:_SHOWN_FAILURES]:
            console.print(f"         {check.name}: {check.failure}", markup=False)
        if len(failed) > _SHOWN_FAILURES:
            console.print(f"         … and {len(failed) - _SHOWN_FAILURES} more")
    console.print()


def _print_stages(console: Console, dtype: str, results: Sequence[StageResult]) -> None:
    table = Table(
        box=None, pad_edge=False, padding=(0, 1, 0, 0), title=f"{dtype}, {_PURPOSE[dtype]}", title_justify="left"
    )
    table.add_column("stage", no_wrap=True)
    for header in ("largest", "mean", "where", "allowed", "enough"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("")
    rounding = any(result.mxnet_rounding is not None for result in results)
    if rounding:
        for header in ("MXNet", "PyTorch"):
            table.add_column(header, justify="right", no_wrap=True)
    for worst in worst_by_stage(results, dtype):
        alike = [result for result in results if result.stage == worst.stage]
        difference = worst.difference
        where = ",".join(map(str, difference.location))
        row = [worst.stage, *(f"{value:.1e}" for value in (difference.largest, difference.mean))]
        row += [f"{worst.batch[0]} {where}", f"{worst.tolerance.atol:.0e}", f"{difference.sufficient_atol:.1e}"]
        row += ["[green]ok[/]" if difference.passed else "[red]no[/]"]
        if rounding:
            row += [_largest(r.mxnet_rounding for r in alike), _largest(r.pytorch_rounding for r in alike)]
        table.add_row(*row)
    console.print(table)
    console.print()


def _largest(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{max(known):.1e}" if known else "-"


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "no framework was run"


_CHECKS = {
    "tensor": "tensors",
    "config": "config fields",
    "tokenizer": "tokenizer checks",
    "loading": "loading checks",
    "published": "published value",
}
_SHOWN_FAILURES = 5
_PURPOSE = {
    "float64": "the judge of mapping and semantics",
    "float32": "as models run; right: each framework's distance from its float64",
}
