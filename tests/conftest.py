"""What is made once for many tests."""

from pathlib import Path

import pytest

from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from tests.support import DATA

GOLDEN_HEADS = 4
"""Attention heads of every golden checkpoint."""

GOLDEN = {
    "encoder": "bort_tiny_encoder.params",
    "mlm": "bort_tiny_mlm.params",
    "mlm_fp16": "bort_tiny_mlm_fp16.params",
    "np_shape": "bort_tiny_mlm.np_shape.params",
    "flat": "bort_tiny_mlm.collect_params.params",
    "arg": "bort_tiny_mlm.arg.params",
    "deduplicated": "bort_tiny_mlm.deduplicated.params",
    "classifier": "model_bort_MNLI_2.params",
    "regressor": "bort_tiny_regressor.params",
}
"""The golden checkpoints in a list container that names its arrays."""


@pytest.fixture(scope="session", params=GOLDEN)
def golden(request: pytest.FixtureRequest) -> Path:
    """Each golden checkpoint."""
    return DATA / GOLDEN[str(request.param)]


@pytest.fixture(scope="session")
def golden_model(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of each golden checkpoint. Not to be changed."""
    folder = tmp_path_factory.mktemp("golden") / "model"
    convert(golden, folder, Declaration(num_heads=GOLDEN_HEADS))
    return folder
