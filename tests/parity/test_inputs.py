"""The inputs: legal, padded, and such that they reach what can go wrong."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bort_convert.bort.architecture import Architecture
from bort_convert.errors import InvalidOptionError
from bort_convert.parity.inputs import DEFAULT_LENGTHS, MASKED_POSITIONS, make_batch, make_batches
from tests.support import TINY

ARCHITECTURE = replace(Architecture(**asdict(TINY)), max_length=200)


class TestMakeBatches:
    def test_shapes(self) -> None:
        batches = make_batches(ARCHITECTURE)
        assert list(batches) == ["mixed", "longest"]
        mixed, longest = batches.values()
        assert mixed.input_ids.shape == (len(DEFAULT_LENGTHS), max(DEFAULT_LENGTHS))
        assert longest.input_ids.shape == (1, 200)
        assert mixed.valid_length.tolist() == list(DEFAULT_LENGTHS)
        for batch in batches.values():
            assert {array.dtype.name for array in vars(batch).values()} == {"int32"}
            assert batch.valid.sum(axis=1).tolist() == batch.valid_length.tolist()
            assert batch.masked_positions.shape == (len(batch.input_ids), MASKED_POSITIONS)

    def test_padding_stands_on_the_right(self) -> None:
        mixed = make_batches(ARCHITECTURE)["mixed"]
        assert not mixed.valid.all()
        assert (mixed.input_ids[~mixed.valid] == 1).all()
        assert (np.diff(mixed.valid.astype(int), axis=1) <= 0).all()

    def test_special_and_extreme_ids_are_among_them(self) -> None:
        # A vocabulary so large that none of them is there by chance.
        for batch in make_batches(replace(ARCHITECTURE, vocab_size=10**9)).values():
            assert {0, 1, 2, 3, 10**9 - 2, 10**9 - 1} <= set(batch.input_ids[batch.valid].tolist())

    def test_masked_positions_reach_both_ends(self) -> None:
        for batch in make_batches(ARCHITECTURE).values():
            assert (batch.masked_positions[:, 0] == 0).all()
            assert (batch.masked_positions[:, -1] == batch.valid_length - 1).all()

    def test_the_seed_decides(self) -> None:
        first, again, other = (make_batches(ARCHITECTURE, seed=seed)["mixed"].input_ids for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()

    def test_lengths_are_cut_to_the_positions_there_are(self) -> None:
        batches = make_batches(replace(ARCHITECTURE, max_length=5), [1, 3, 500])
        assert batches["mixed"].valid_length.tolist() == [1, 3, 5]
        assert batches["longest"].valid_length.tolist() == [5]

    @pytest.mark.parametrize("lengths", [(), (0,), (3, -1), (1, 0, 5)])
    def test_impossible_lengths(self, lengths: tuple[int, ...]) -> None:
        with pytest.raises(InvalidOptionError, match="every length must be at least 1"):
            make_batches(ARCHITECTURE, lengths)

    @given(
        vocab_size=st.integers(1, 40),
        max_length=st.integers(1, 30),
        lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
        seed=st.integers(0, 2**32),
    )
    @settings(deadline=None)
    def test_always_legal(self, vocab_size: int, max_length: int, lengths: list[int], seed: int) -> None:
        architecture = replace(ARCHITECTURE, vocab_size=max(vocab_size, 2), max_length=max_length)
        for batch in make_batches(architecture, lengths, seed).values():
            assert batch.input_ids.min() >= 0
            assert batch.input_ids.max() < architecture.vocab_size
            assert batch.valid_length.max() <= max_length
            assert (batch.masked_positions >= 0).all()
            assert (batch.masked_positions < batch.valid_length[:, None]).all()


class TestMakeBatch:
    def test_values(self) -> None:
        batch = make_batch([[5, 6, 7], [8]], ARCHITECTURE)
        assert batch.input_ids.tolist() == [[5, 6, 7], [8, 1, 1]]
        assert batch.valid_length.tolist() == [3, 1]
        assert batch.valid.tolist() == [[True, True, True], [True, False, False]]

    @pytest.mark.parametrize("id_", [-1, TINY.vocab_size, 10**6])
    def test_an_id_outside_the_vocabulary(self, id_: int) -> None:
        with pytest.raises(InvalidOptionError, match=f"token id {id_} is outside the vocabulary of 23 tokens"):
            make_batch([[0, 2], [0, id_, 2]], ARCHITECTURE)

    def test_the_ends_of_the_vocabulary_are_inside(self) -> None:
        assert make_batch([[0, TINY.vocab_size - 1]], ARCHITECTURE).input_ids.tolist() == [[0, 22]]
