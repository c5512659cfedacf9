"""The verification's power over classifiers: each fault of the catalogue is made, and found by the part that should see it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.parity.inputs import Inputs
from bort_convert.parity.mutations import Finding, measure
from bort_convert.parity.mutations.files import FILE_FAULTS
from bort_convert.parity.mutations.semantics import SEMANTIC_FAULTS
from bort_convert.parity.mutations.weights import WEIGHT_FAULTS
from bort_convert.parity.verify import record, verify
from tests.conftest import GOLDEN_HEADS
from tests.support import DATA

CATALOGUE = {**WEIGHT_FAULTS, **SEMANTIC_FAULTS, **FILE_FAULTS}
OF_CLASSIFIERS = [name for name, fault in CATALOGUE.items() if fault.heads == ("classifier",)]
INPUTS = Inputs(lengths=(1, 2, 17))


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A checkpoint, its correct model folder, and a reference that proves it."""
    parent = tmp_path_factory.mktemp("proven")
    checkpoint = DATA / "model_bort_MNLI_2.params"
    convert(checkpoint, parent / "model", Declaration(num_heads=GOLDEN_HEADS))
    record(checkpoint, parent / "reference", Declaration(num_heads=GOLDEN_HEADS), inputs=INPUTS)
    assert verify(checkpoint, parent / "model", reference=parent / "reference").passed
    return checkpoint, parent / "model", parent / "reference"


@pytest.fixture(scope="module")
def findings(proven: tuple[Path, Path, Path]) -> dict[str, Finding]:
    def of_classifiers() -> Iterator[tuple[str, Finding]]:
        with pytest.MonkeyPatch.context() as patch:
            # Those that concern every head are measured elsewhere.
            for family in (WEIGHT_FAULTS, SEMANTIC_FAULTS, FILE_FAULTS):
                for name in [name for name in family if name not in OF_CLASSIFIERS]:
                    patch.delitem(family, name)
            for finding in measure(*proven, "classifier"):
                yield finding.fault, finding

    return dict(of_classifiers())


def test_there_are_faults_of_every_family(findings: dict[str, Finding]) -> None:
    assert len(OF_CLASSIFIERS) == 20
    assert set(findings) == set(OF_CLASSIFIERS)
    assert {finding.family for finding in findings.values()} == {"weights", "semantics", "files"}


@pytest.mark.parametrize("fault", OF_CLASSIFIERS)
def test_is_found(findings: dict[str, Finding], fault: str) -> None:
    found = set(findings[fault].found_by)
    family = findings[fault].family
    if family == "weights":
        assert found >= {"tensor", "outputs"}
    elif family == "semantics":
        assert found == {"outputs"}
    elif fault.startswith("config"):
        assert "config" in found
    else:
        assert {"tensor", "loading"} <= found
