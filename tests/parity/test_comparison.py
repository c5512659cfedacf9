"""The pure comparison: every way to fail, and the numbers it reports."""

import math
import warnings

import hypothesis.extra.numpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bort_convert.parity.comparison import Difference, Tolerance, compare

EXACT = Tolerance(0.0, 0.0, "bits")
LOOSE = Tolerance(0.5, 0.0, "half")


def is_incomparable(difference: Difference) -> bool:
    numbers = (difference.largest, difference.mean, difference.allowed, difference.sufficient_atol)
    return not difference.passed and all(map(math.isnan, numbers)) and difference.compared == 0


class TestPasses:
    def test_the_same(self) -> None:
        values = np.array([[1.0, -2.0], [0.0, 1e300]])
        assert compare(values, values.copy(), EXACT) == Difference(4, 0, 0.0, 0.0, (0, 0), 0.0, 0.0, "")
        assert compare(values, values.copy(), EXACT).passed

    def test_at_the_very_tolerance(self) -> None:
        difference = compare(np.array([1.0, 2.5]), np.array([1.0, 2.0]), LOOSE)
        assert difference.passed
        assert (difference.largest, difference.mean, difference.location) == (0.5, 0.25, (1,))
        assert (difference.allowed, difference.sufficient_atol) == (0.5, 0.5)

    def test_a_scalar(self) -> None:
        difference = compare(np.array(1.0), np.array(1.0), EXACT)
        assert (difference.passed, difference.compared, difference.location) == (True, 1, ())

    def test_dtypes_may_differ(self) -> None:
        assert compare(np.array([0.5, 1], "float32"), np.array([0.5, 1]), EXACT).passed
        assert compare(np.array([1], "int32"), np.array([1.0]), EXACT).passed

    def test_values_are_not_rounded_to_the_narrower_dtype(self) -> None:
        assert not compare(np.array([1 + 1e-12]), np.array([1], "float32"), EXACT).passed

    def test_arrays_are_left_alone(self) -> None:
        actual, expected = np.array([1.0, np.nan]), np.array([1.0, 2.0])
        compare(actual, expected, EXACT, np.array([True, False]))
        assert actual[0] == 1
        assert np.isnan(actual[1])


class TestFailures:
    def test_just_past_the_tolerance(self) -> None:
        difference = compare(np.array([1.0, np.nextafter(2.5, 3)]), np.array([1.0, 2.0]), LOOSE)
        assert not difference.passed
        assert (difference.compared, difference.mismatched, difference.location) == (2, 1, (1,))
        assert difference.failure == "1 of 2 values differ by more than is allowed"

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("side", ["actual", "expected", "both"])
    def test_not_finite(self, value: float, side: str) -> None:
        actual, expected = np.ones((2, 3)), np.ones((2, 3))
        if side != "expected":
            actual[1, 2] = value
        if side != "actual":
            expected[1, 2] = value
        for tolerance in (EXACT, Tolerance(float("inf"), 0.0, "anything"), Tolerance(0.0, float("inf"), "anything")):
            difference = compare(actual, expected, tolerance)
            assert is_incomparable(difference)
            assert difference.failure == "1 values that are not finite"
            assert difference.location == (1, 2)

    @pytest.mark.parametrize(("actual", "expected"), [((2, 3), (3, 2)), ((6,), (2, 3)), ((1,), ()), ((0,), (1,))])
    def test_shape(self, actual: tuple[int, ...], expected: tuple[int, ...]) -> None:
        difference = compare(np.zeros(actual), np.zeros(expected), LOOSE)
        assert is_incomparable(difference)
        assert difference.failure == f"shape {actual} in PyTorch, {expected} in MXNet"

    def test_shapes_that_broadcast(self) -> None:
        assert not compare(np.ones((3, 1)), np.ones((3, 3)), LOOSE).passed

    @pytest.mark.parametrize(
        ("actual", "expected", "failure"),
        [
            (None, np.ones(1), "missing in PyTorch"),
            (np.ones(1), None, "missing in MXNet"),
            (None, None, "missing in PyTorch"),
        ],
    )
    def test_missing(self, actual: np.ndarray | None, expected: np.ndarray | None, failure: str) -> None:
        difference = compare(actual, expected, LOOSE)
        assert is_incomparable(difference)
        assert difference.failure == failure

    @pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4, 2)])
    def test_empty(self, shape: tuple[int, ...]) -> None:
        difference = compare(np.zeros(shape), np.zeros(shape), LOOSE)
        assert is_incomparable(difference)
        assert difference.failure == "nothing was compared"

    def test_mask_of_nothing(self) -> None:
        difference = compare(np.zeros((2, 3)), np.zeros((2, 3)), LOOSE, np.zeros(2, bool))
        assert is_incomparable(difference)
        assert difference.failure == "nothing was compared"

    def test_a_tolerance_that_is_no_number(self) -> None:
        assert not compare(np.zeros(2), np.ones(2), Tolerance(math.nan, 0.0, "")).passed
        assert not compare(np.zeros(2), np.ones(2), Tolerance(0.0, math.nan, "")).passed

    def test_a_negative_tolerance(self) -> None:
        assert not compare(np.zeros(2), np.zeros(2), Tolerance(-1.0, 0.0, "")).passed


class TestTolerance:
    def test_both_terms_add_up(self) -> None:
        tolerance = Tolerance(0.25, 0.125, "")
        difference = compare(np.array([4.75]), np.array([4.0]), tolerance)
        assert (difference.passed, difference.allowed) == (True, 0.75)
        assert not compare(np.array([4.875]), np.array([4.0]), tolerance).passed

    def test_relative_to_the_expected_side(self) -> None:
        tolerance = Tolerance(0.0, 0.5, "")
        assert compare(np.array([1.0]), np.array([2.0]), tolerance).passed
        assert not compare(np.array([2.0]), np.array([1.0]), tolerance).passed
        assert compare(np.array([-1.0]), np.array([-2.0]), tolerance).passed

    def test_one_element_cannot_lend_to_another(self) -> None:
        difference = compare(np.array([100.0, 1.5]), np.array([100.0, 1.0]), Tolerance(0.0, 0.1, ""))
        assert (difference.mismatched, difference.location) == (1, (1,))

    def test_what_would_have_sufficed(self) -> None:
        actual, expected = np.array([11.0, 1.5]), np.array([10.0, 1.0])
        difference = compare(actual, expected, Tolerance(0.0, 0.125, ""))
        # 11 is within 12.5 % of 10; 1.5 is 0.375 past 12.5 % of 1.
        assert (difference.largest, difference.location, difference.sufficient_atol) == (1.0, (0,), 0.375)
        assert compare(actual, expected, Tolerance(difference.sufficient_atol, 0.125, "")).passed


class TestMask:
    def test_what_is_masked_does_not_count(self) -> None:
        actual, expected = np.zeros((2, 3, 4)), np.zeros((2, 3, 4))
        actual[0, 1], actual[1, 2, 3] = 100, 0.25
        mask = np.array([[True, False, True], [False, False, True]])
        difference = compare(actual, expected, LOOSE, mask)
        assert difference.passed
        assert (difference.compared, difference.largest, difference.location) == (12, 0.25, (1, 2, 3))
        assert difference.mean == 0.25 / 12

    def test_what_is_not_masked_counts(self) -> None:
        actual, expected = np.zeros((2, 3, 4)), np.zeros((2, 3, 4))
        actual[0, 0, 0] = 1
        assert not compare(actual, expected, LOOSE, np.array([[True, False, True], [False] * 3])).passed

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("side", ["actual", "expected", "both"])
    def test_nothing_masked_spoils_the_numbers(self, value: float, side: str) -> None:
        actual, expected = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.75, 3.0])
        if side != "expected":
            actual[0] = value
        if side != "actual":
            expected[0] = value
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            difference = compare(actual, expected, LOOSE, np.array([False, True, True]))
        assert (difference.compared, difference.mismatched, difference.location) == (2, 1, (1,))
        assert (difference.largest, difference.mean, difference.sufficient_atol) == (0.75, 0.375, 0.75)

    def test_a_mask_of_another_shape_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="broadcast"):
            compare(np.zeros((2, 3)), np.zeros((2, 3)), LOOSE, np.ones(3, bool))


_FLOATS = hypothesis.extra.numpy.arrays(
    "float64",
    hypothesis.extra.numpy.array_shapes(max_dims=3, max_side=4),
    elements=st.floats(-1e6, 1e6),
)


@given(actual=_FLOATS, data=st.data())
@settings(deadline=None)
def test_agrees_with_numpy(actual: np.ndarray, data: st.DataObject) -> None:
    changes = data.draw(
        hypothesis.extra.numpy.arrays("float64", actual.shape, elements=st.sampled_from([0.0, 1e-9, 0.01, 3.0]))
    )
    expected = actual + changes
    atol, rtol = data.draw(st.sampled_from([0.0, 1e-8, 0.02])), data.draw(st.sampled_from([0.0, 1e-3]))
    difference = compare(actual, expected, Tolerance(atol, rtol, ""))
    close = np.isclose(actual, expected, rtol=rtol, atol=atol)
    assert difference.passed == bool(close.all())
    assert difference.mismatched == int((~close).sum())
    assert difference.largest == np.abs(actual - expected).max()
    assert abs(actual[difference.location] - expected[difference.location]) == difference.largest
