"""A verification as one self-contained page: verdict, figure, tables."""

import importlib.util
import io
import math
from collections.abc import Sequence
from pathlib import Path

from bort_convert import __version__
from bort_convert.errors import MissingDependencyError
from bort_convert.parity.result import StageResult, Verification, worst_by_stage

_TEMPLATE = Path(__file__).with_name("report.html.jinja")
_COLOURS = {"float64": "#1f5fa8", "float32": "#b5541c"}


def require() -> None:
    """Raises MissingDependencyError where matplotlib or jinja2 is not installed."""
    for module in ("matplotlib", "jinja2"):
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(f"{module} is not installed; run: pip install 'bort-convert[report]'")


def report_html(verification: Verification) -> str:
    """The page's text. Raises MissingDependencyError where matplotlib or jinja2 is not installed."""
    require()
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"sci": _scientific, "outcome": _outcome}
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    dtypes = list(dict.fromkeys(result.dtype for result in verification.stages))
    kinds = list(dict.fromkeys(check.kind for check in verification.checks))
    return template.render(
        verification=verification,
        version=__version__,
        failed_checks=sum(not check.passed for check in verification.checks),
        figure=_figure(verification.stages) if verification.stages else "",
        blocks=[(dtype, worst_by_stage(verification.stages, dtype)) for dtype in dtypes],
        checks=[(kind, [check for check in verification.checks if check.kind == kind]) for kind in kinds],
    )


def _figure(results: Sequence[StageResult]) -> str:
    """The largest difference of each stage against its tolerance, both dtypes, as SVG. What is not finite stands at the top."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {"svg.hashsalt": "bort-convert", "font.family": "serif", "font.size": 9, "svg.fonttype": "none"}
    ):
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axes = figure.add_subplot()
        failures_shown = False
        stages = list(dict.fromkeys(result.stage for result in results))
        for dtype in dict.fromkeys(result.dtype for result in results):
            worst = worst_by_stage(results, dtype)
            places = [stages.index(result.stage) for result in worst]
            colour = _COLOURS[dtype]
            floor = 1e-17
            largest = [max(result.difference.largest, floor) for result in worst]
            axes.plot(places, [result.tolerance.atol for result in worst], color=colour, linestyle="--", linewidth=1,
                      label=f"{dtype} allowed")  # fmt: skip
            axes.plot(
                places,
                largest,
                color=colour,
                marker="o",
                markersize=4,
                linewidth=1,
                label=dtype,
            )
            failed = [(place, result.difference.largest) for place, result in zip(places, worst, strict=True)
                      if not result.difference.passed]  # fmt: skip
            finite = [(place, value) for place, value in failed if math.isfinite(value)]
            at_top = [(place, 1.0) for place, value in failed if not math.isfinite(value)]
            for points, transform in ((finite, axes.transData), (at_top, axes.get_xaxis_transform())):
                if points:
                    axes.plot(*zip(*points, strict=True), color="#b00020", marker="x", markersize=9, linestyle="",
                              clip_on=False, transform=transform, label="" if failures_shown else "failed")  # fmt: skip
                    failures_shown = True
        axes.set_yscale("log")
        axes.set_xticks(range(len(stages)), stages, rotation=40, ha="right")
        axes.set_ylabel("largest difference")
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize=8)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _outcome(result: StageResult) -> str:
    difference = result.difference
    if difference.mismatched:
        return f"{difference.mismatched} of {difference.compared} too far"
    return difference.failure or "ok"


def _scientific(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.1e}"
