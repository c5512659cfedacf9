"""What is made once for many tests."""

from pathlib import Path

import pytest

from bort_convert.bort.architecture import Architecture
from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.conversion.tokenizer_source import TokenizerSources
from bort_convert.parity.sample import write_sample
from tests import golden_tokenizer
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


@pytest.fixture(autouse=True)
def no_gluonnlp_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what GluonNLP has downloaded on this machine."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path_factory.getbasetemp() / "no-mxnet"))


@pytest.fixture(scope="session")
def matching_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint that has a row for each token of the golden vocabulary."""
    architecture = Architecture(
        num_layers=1, num_heads=4, units=16, hidden_size=12, max_length=40, vocab_size=golden_tokenizer.SIZE
    )
    return write_sample(tmp_path_factory.mktemp("matching") / "bort.params", architecture)


@pytest.fixture(scope="session")
def tokenizer_model(matching_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of `matching_checkpoint`, with the golden tokenizer. Not to be changed."""
    folder = tmp_path_factory.mktemp("tokenizer") / "model"
    sources = TokenizerSources(golden_tokenizer.VOCAB, golden_tokenizer.BPE_RANKS)
    convert(matching_checkpoint, folder, Declaration(num_heads=4), tokenizer=sources)
    return folder
