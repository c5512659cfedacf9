"""Files that are damaged on purpose: only documented errors come out, and memory stays bounded."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.params.mutations import check, corpus, mutate, seeds

SEEDS = seeds()


@pytest.mark.parametrize("index", range(len(SEEDS)))
def test_undamaged_files_are_read(tmp_path: Path, index: int) -> None:
    (tmp_path / "f").write_bytes(SEEDS[index])
    expected = "UnsupportedArrayError" if b"none" in SEEDS[index] else "read"
    assert check(tmp_path / "f") == expected


def test_what_the_fuzzer_found(tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    for content in corpus():
        (tmp_path / "f").write_bytes(content)
        outcomes[check(tmp_path / "f")] += 1
    assert set(outcomes) == {
        "read",
        "CorruptFileError",
        "TruncatedFileError",
        "UnsupportedArrayError",
        "UnknownFormatError",
    }


@given(random=st.randoms(use_true_random=False), seed=st.sampled_from(SEEDS))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_files(tmp_path_factory: pytest.TempPathFactory, random: Random, seed: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(mutate(random, seed, SEEDS))
    check(path)


def test_the_damage_reaches_every_error_and_sometimes_none(tmp_path: Path) -> None:
    """Else the test above would compare nothing."""
    random = Random(0)
    outcomes: Counter[str] = Counter()
    for _ in range(1500):
        (tmp_path / "f").write_bytes(mutate(random, random.choice(SEEDS), SEEDS))
        outcomes[check(tmp_path / "f")] += 1
    assert (
        min(outcomes[name] for name in ("read", "CorruptFileError", "TruncatedFileError", "UnsupportedArrayError")) > 20
    )
    assert outcomes["UnknownFormatError"] > 5
