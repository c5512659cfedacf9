"""What a reader is told of GluonNLP versions that compute something else than Bort's own."""

import pytest

from bort_convert.parity.generations import semantic_warnings

EPS_EVERYWHERE, BIASES, EMBEDDING, DECODER = (
    "no layer_norm_eps",
    "wrong heads",
    "embedding LayerNorm's eps",
    "MLM decoder",
)
EXPECTED = {
    "0.6.0": [EPS_EVERYWHERE],
    "0.7.1": [EPS_EVERYWHERE],
    "0.8.0": [],
    "0.8.3": [],
    "0.8.3.post1": [],
    "0.9.0": [BIASES, EMBEDDING],
    "0.9.1": [BIASES, EMBEDDING],
    "0.9.2": [BIASES, DECODER],
    "0.10.0": [DECODER],
    "0.10.0b20200101": [DECODER],
    "1.0.0": [DECODER],
}


@pytest.mark.parametrize(("version", "words"), EXPECTED.items())
def test_warnings_of_a_version(version: str, words: list[str]) -> None:
    warnings = semantic_warnings({"mxnet": "1.9.1", "gluonnlp": version})
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert warning.startswith(f"GluonNLP {version} ")
        assert word in warning


def test_no_framework_no_warning() -> None:
    assert semantic_warnings({}) == ()
