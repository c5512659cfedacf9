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
}
"""The plain golden checkpoints: lists of dense arrays under structural names."""


@pytest.fixture(scope="session", params=GOLDEN)
def golden(request: pytest.FixtureRequest) -> Path:
    """Each plain golden checkpoint."""
    return DATA / GOLDEN[str(request.param)]


@pytest.fixture(scope="session")
def golden_model(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of each plain golden checkpoint. Not to be changed."""
    folder = tmp_path_factory.mktemp("golden") / "model"
    convert(golden, folder, Declaration(num_heads=GOLDEN_HEADS))
    return folder
