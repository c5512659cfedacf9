"""What the tests of the proof need once: checkpoints, their folders, recorded runs of real MXNet."""

from pathlib import Path

import numpy as np
import pytest

from bort_convert.bort.heads import HEADS as ALL_HEADS
from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration, build_ledger
from bort_convert.params import open_params
from bort_convert.parity import mxnet_runner
from bort_convert.parity.inputs import Batch, Inputs
from bort_convert.parity.result import Verification
from bort_convert.parity.sample import write_sample
from bort_convert.parity.verify import record, verify
from tests.parity.support import DATA, HEADS, LENGTHS, TINY, Specimen

GOLDENS = ("bort_tiny_encoder", "bort_tiny_mlm", "bort_tiny_mlm_fp16", "bort_tiny_mlm.np_shape")


@pytest.fixture(scope="session", params=GOLDENS)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    """Each checkpoint of the original code that is a plain list of named arrays, converted."""
    name = str(request.param)
    folder = tmp_path_factory.mktemp("original")
    checkpoint = DATA / f"{name}.params"
    convert(checkpoint, folder / "model", Declaration(num_heads=HEADS))
    head = "mlm" if "mlm" in name else "encoder"
    return Specimen(name, head, checkpoint, folder / "model", folder / "reference")


@pytest.fixture(scope="session")
def original_verification(original: Specimen) -> Verification:
    """The verification of an original checkpoint against real MXNet, all defaults."""
    return verify(original.checkpoint, original.model_dir)


def expected_outputs(original: Specimen) -> dict[str, np.ndarray]:
    """The golden inputs and outputs that belong to an original checkpoint."""
    with np.load(DATA / f"{original.name.removesuffix('.np_shape')}.expected.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="session")
def original_outputs(original: Specimen) -> mxnet_runner.MXNetOutputs:
    """What this environment's MXNet computes from an original checkpoint and the golden inputs."""
    arrays = expected_outputs(original)
    positions = arrays.get("masked_positions", np.zeros((len(arrays["input_ids"]), 1), np.int32))
    batch = Batch(arrays["input_ids"], arrays["valid_length"], positions)
    with open_params(original.checkpoint) as params:
        ledger = build_ledger(params, Declaration(num_heads=HEADS))
    with mxnet_runner.run(original.checkpoint, ledger, {"golden": batch}, ("float64", "float32")) as wait:
        return wait()


def _specimen(folder: Path, head: str) -> Specimen:
    declared = Declaration(num_heads=HEADS)
    checkpoint = write_sample(folder / "bort.params", TINY, head=head)
    convert(checkpoint, folder / "model", declared)
    reference = folder / "bort.reference.safetensors"
    record(checkpoint, reference, declared, inputs=Inputs(lengths=LENGTHS))
    return Specimen(head, head, checkpoint, folder / "model", reference)


@pytest.fixture(scope="session")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Specimen]:
    """A tiny random Bort of each head, written by real GluonNLP, converted and recorded; by head."""
    return {head: _specimen(tmp_path_factory.mktemp(head), head) for head in ALL_HEADS if head in ("encoder", "mlm")}


@pytest.fixture(scope="session")
def mlm(specimens: dict[str, Specimen]) -> Specimen:
    """The tiny Bort with an MLM decoder."""
    return specimens["mlm"]


@pytest.fixture(scope="session")
def passed(mlm: Specimen) -> Verification:
    """A verification that passed, replayed."""
    return verify(mlm.checkpoint, mlm.model_dir, reference=mlm.reference)
