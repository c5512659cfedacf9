"""The verification's power: every fault of the catalogue is found, by the part that can find it."""

import pytest

from bort_convert.parity.mutations import Finding, measure
from bort_convert.parity.mutations.files import FILE_FAULTS, load_tensors, save_tensors
from bort_convert.parity.mutations.semantics import SEMANTIC_FAULTS
from bort_convert.parity.mutations.weights import WEIGHT_FAULTS
from bort_convert.parity.verify import verify
from tests.parity.support import Specimen, copy

CATALOGUE = {"weights": WEIGHT_FAULTS, "semantics": SEMANTIC_FAULTS, "files": FILE_FAULTS}
ONLY_BYTES_SEE = {
    "key biases dropped",  # the softmax over keys takes out what is the same for all keys
    "segment row of negative zeros",  # -0.0 and 0.0 add alike
    "two hidden units exchanged, the function kept",
}
ONLY_THE_CONFIG_SHOWS = {
    "config: pad id 0",
    "config: another class",
    "config: another model type",
    "config: relative positions",
    "config: another dtype",
}
"""Config faults that the class and the inputs of a verification leave without effect, and that others would run into."""


@pytest.fixture(scope="module")
def findings(specimens: dict[str, Specimen]) -> dict[str, list[Finding]]:
    """The whole catalogue, measured on a tiny Bort of each head."""
    return {
        head: list(measure(specimen.checkpoint, specimen.model_dir, specimen.reference, head))
        for head, specimen in specimens.items()
    }


def every(findings: dict[str, list[Finding]]) -> list[Finding]:
    return [finding for of_head in findings.values() for finding in of_head]


def test_the_catalogue_is_large_and_without_doubles() -> None:
    assert all(len(faults) >= 20 for faults in CATALOGUE.values())
    functions = [fault.apply for faults in CATALOGUE.values() for fault in faults.values()]
    assert len(functions) == len(set(functions)) >= 40


def test_every_fault_is_tried(findings: dict[str, list[Finding]]) -> None:
    for head, of_head in findings.items():
        tried = [(finding.family, finding.fault) for finding in of_head]
        assert tried == [
            (family, name)
            for family, faults in CATALOGUE.items()
            for name, fault in faults.items()
            if head in fault.heads
        ]
    assert {finding.fault for finding in every(findings)} == {
        name for faults in CATALOGUE.values() for name, fault in faults.items() if findings.keys() & set(fault.heads)
    }


def test_every_fault_is_found(findings: dict[str, list[Finding]]) -> None:
    assert [finding for finding in every(findings) if not finding.found_by] == []


def test_the_bytes_see_every_fault_in_the_weights(findings: dict[str, list[Finding]]) -> None:
    in_weights = [finding for finding in every(findings) if finding.family == "weights"]
    assert [finding for finding in in_weights if "tensor" not in finding.found_by] == []
    assert {finding.fault for finding in in_weights if finding.found_by == ("tensor",)} == ONLY_BYTES_SEE


def test_outputs_alone_see_every_fault_of_semantics(findings: dict[str, list[Finding]]) -> None:
    in_semantics = [finding for finding in every(findings) if finding.family == "semantics"]
    assert len(in_semantics) >= 40
    assert {finding.found_by for finding in in_semantics} == {("outputs",)}


def test_what_only_the_config_shows(findings: dict[str, list[Finding]]) -> None:
    unseen = {
        head: {finding.fault for finding in of_head if finding.found_by == ("config",)}
        for head, of_head in findings.items()
    }
    # An encoder has nothing to tie.
    assert unseen == {"mlm": ONLY_THE_CONFIG_SHOWS, "encoder": ONLY_THE_CONFIG_SHOWS | {"config: untied"}}


def test_a_file_that_cannot_be_read_is_refused(findings: dict[str, list[Finding]]) -> None:
    refused = {finding.fault for finding in every(findings) if "refused" in finding.found_by}
    assert refused == {"the file one byte short"}


@pytest.mark.parametrize("head", ["encoder", "mlm"])
def test_a_folder_without_a_fault_passes_the_same_way(
    specimens: dict[str, Specimen],
    findings: dict[str, list[Finding]],
    tmp_path_factory: pytest.TempPathFactory,
    head: str,
) -> None:
    """After the catalogue, which must have left the folder as it was; and as a copy written anew, as faults are."""
    specimen = specimens[head]
    assert verify(specimen.checkpoint, specimen.model_dir, reference=specimen.reference).passed
    again = copy(specimen.model_dir, tmp_path_factory.mktemp("again"))
    save_tensors(load_tensors(again), again)
    assert verify(specimen.checkpoint, again, reference=specimen.reference, patch=lambda model: None).passed
