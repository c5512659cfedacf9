"""The reports: documents for programs, for CI, and for readers."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bort_convert.errors import DestinationError
from bort_convert.parity.files import Check
from bort_convert.parity.html import report_html
from bort_convert.parity.report import REPORT_VERSION, report_document, report_json, report_junit, write_report
from bort_convert.parity.result import Residual, Verification
from tests.parity.support import incomparable, shifted

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "verification.md"


@pytest.fixture(scope="module")
def failed(passed: Verification) -> Verification:
    """Failed in every way at once: a check, a stage that differs, a stage that could not be compared, a residual of nothing."""
    verification = shifted(passed, "hidden.1", "float64")
    last = replace(verification.stages[-1], difference=incomparable("missing in MXNet"))
    return replace(
        verification,
        stages=(*verification.stages[:-1], last),
        checks=(
            *passed.checks,
            Check("tensor", "<b>&x\x07", "missing"),
            Check("tensor", "y", "not a tensor of this model"),
        ),
        residual=Residual(float("nan"), float("nan"), 0.0, 32),
        warnings=("GluonNLP 9 is <another>",),
    )


@pytest.fixture(scope="module")
def unloadable(passed: Verification) -> Verification:
    """A folder that did not load."""
    loading = Check("loading", "BertModel", "Transformers cannot load the folder: why")
    return replace(passed, checks=(*passed.checks, loading), stages=(), residual=None, versions={})


class TestJSON:
    def test_reads_back(self, passed: Verification) -> None:
        document = json.loads(report_json(passed))
        assert document == json.loads(json.dumps(report_document(passed)))
        assert document["report_version"] == REPORT_VERSION == 1
        assert (document["verdict"], document["first_divergence"]) == ("PASSED", None)
        assert len(document["stages"]) == len(passed.stages)
        assert all(stage["passed"] and stage["failure"] == "" for stage in document["stages"])
        assert len(document["checks"]) == len(passed.checks)
        assert document["known_residual"]["largest"] == pytest.approx(
            passed.residual.largest if passed.residual else None
        )
        assert document["architecture"]["num_heads"] == 4

    def test_failed(self, failed: Verification) -> None:
        document = json.loads(report_json(failed), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert document["verdict"] == "FAILED"
        assert document["first_divergence"]["stage"] == "hidden.1"
        assert document["first_divergence"] in document["stages"]
        last = document["stages"][-1]
        assert (last["failure"], last["largest"], last["passed"]) == ("missing in MXNet", None, False)
        assert document["known_residual"] == {"largest": None, "mean": None, "same_top1": 0.0, "positions": 32}
        assert [check["name"] for check in document["checks"] if not check["passed"]] == ["<b>&x\x07", "y"]

    def test_nothing_compared(self, unloadable: Verification) -> None:
        document = json.loads(report_json(unloadable))
        assert (document["verdict"], document["stages"], document["first_divergence"]) == ("FAILED", [], None)

    def test_every_key_is_documented_and_no_other(self, passed: Verification) -> None:
        """Keys are a promise. Adding one means documenting it; none goes away."""
        section = (
            DOCUMENTATION.read_text(encoding="utf-8").partition("## The report as JSON\n")[2].partition("\n## ")[0]
        )
        documented = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
        assert documented
        assert len(documented) == len(set(documented))
        document = json.loads(report_json(shifted(passed, "hidden.1", "float64")))
        assert set(document["first_divergence"]) == set(document["stages"][0])
        document["first_divergence"] = None
        document["versions"] = None
        document["text_files_sha256"] = None
        assert set(documented) == set(paths(document))


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Where a document's values are: ``a``, ``b.c``, ``d[].e``."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from paths(child, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for child in value:
            yield from paths(child, f"{prefix}[]")
    else:
        yield prefix


class TestJUnit:
    def test_passed(self, passed: Verification) -> None:
        suite = ElementTree.fromstring(report_junit(passed))
        cases = suite.findall("testcase")
        kinds = {check.kind for check in passed.checks}
        assert kinds == {"tensor", "config", "loading"}
        assert suite.tag == "testsuite"
        assert int(suite.attrib["tests"]) == len(cases) == len(kinds) + len(passed.stages)
        assert suite.attrib["failures"] == "0"
        assert suite.findall("testcase/failure") == []
        names = [(case.attrib["classname"], case.attrib["name"]) for case in cases]
        assert len(set(names)) == len(names)
        assert ("bort_convert.outputs", "hidden.1 (float64, sdpa, longest)") in names

    def test_failed(self, failed: Verification) -> None:
        suite = ElementTree.fromstring(report_junit(failed))
        failures = suite.findall("testcase/failure")
        # Four of hidden.1 in float64 (two attentions, two batches), the last stage, and the tensors as one case.
        assert int(suite.attrib["failures"]) == len(failures) == 4 + 1 + 1
        texts = [failure.text or "" for failure in failures]
        assert any("<b>&x\ufffd: missing" in text and "y: not a tensor" in text for text in texts)
        assert any("missing in MXNet" in text for text in texts)

    def test_nothing_compared(self, unloadable: Verification) -> None:
        suite = ElementTree.fromstring(report_junit(unloadable))
        messages = [failure.attrib["message"] for failure in suite.findall("testcase/failure")]
        assert messages == ["BertModel: Transformers cannot load the folder: why", "nothing was compared"]
        assert suite.attrib["failures"] == "2"


class Page(HTMLParser):
    """What a page refers to, shows, and leaves open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [
            value or ""
            for name, value in attributes
            if name in {"href", "xlink:href", "src", "srcset", "data", "action"}
        ]
        self.references += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for _, value in attributes))
        if tag not in {"meta", "link", "br", "img", "hr"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.text += data


class TestHTML:
    @pytest.fixture(params=["passed", "failed", "unloadable"])
    def verification(self, request: pytest.FixtureRequest) -> Verification:
        found = request.getfixturevalue(request.param)
        assert isinstance(found, Verification)
        return found

    def test_needs_nothing_but_itself(self, verification: Verification) -> None:
        text = report_html(verification)
        page = Page(text)
        assert [reference for reference in page.references if not reference.startswith("#")] == []
        assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
        assert "@import" not in text
        # Of addresses there are the names of SVG's own namespaces alone, which nothing fetches.
        assert set(re.findall(r"https?://[^\"'\s<>]+", text)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }

    def test_passed(self, passed: Verification) -> None:
        page = Page(report_html(passed))
        assert page.text.lstrip().startswith("PASSED")
        assert "FAILED" not in page.text
        assert (page.tags.count("svg"), page.tags.count("table")) == (1, 2)
        rows = page.tags.count("tr")
        assert rows == 2 * (1 + 6)  # a head, and a row a stage, in either dtype
        assert "failed" not in page.text
        assert "Known residual" in page.text
        assert passed.checkpoint_sha256 in page.text

    def test_failed(self, failed: Verification) -> None:
        text = report_html(failed)
        page = Page(text)
        assert page.text.lstrip().startswith("FAILED")
        assert "PASSED" not in page.text
        assert "The first stage at which the frameworks part is hidden.1" in page.text
        assert f"2 of {len(failed.checks)} checks of the folder failed" in page.text
        assert (page.tags.count("svg"), page.tags.count("table")) == (1, 2)
        assert text.count('<tr class="failed">') == 2
        assert "failed" in page.text  # the figure's legend
        assert "GluonNLP 9 is <another>" in page.text
        assert "<b>" not in text.partition("The folder")[2]

    def test_nothing_compared(self, unloadable: Verification) -> None:
        page = Page(report_html(unloadable))
        assert "No outputs were compared" in page.text
        assert "Transformers cannot load the folder: why" in page.text
        assert (page.tags.count("svg"), page.tags.count("table")) == (0, 0)

    def test_the_same_verification_gives_the_same_page(self, passed: Verification) -> None:
        assert report_html(passed) == report_html(passed)


class TestWriting:
    def test_replaces_an_older_one(self, tmp_path: Path) -> None:
        for text in ("old", "é\n"):
            write_report(tmp_path / "report", text)
        assert (tmp_path / "report").read_text(encoding="utf-8") == "é\n"
        assert [path.name for path in tmp_path.iterdir()] == ["report"]

    @pytest.mark.parametrize("name", ["nowhere/report", "folder"])
    def test_what_cannot_be_written(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "folder").mkdir()
        with pytest.raises(DestinationError, match=r"cannot be written: .*; choose another file"):
            write_report(tmp_path / name, "text")
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]
