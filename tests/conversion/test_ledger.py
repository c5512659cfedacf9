"""The ledger: every tensor accounted for, every problem found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bort_convert.conversion.ledger import Declaration, Ledger, Operation, build_ledger
from bort_convert.conversion.ties import build_compared_ledger
from bort_convert.errors import (
    ArchitectureMismatchError,
    InvalidOptionError,
    TensorMismatchError,
    UnknownArchitectureError,
)
from bort_convert.params import open_params
from tests.support import TINY, bort_arrays, bort_shapes, write_list, write_sparse_list

HEADS = Declaration(num_heads=TINY.num_heads)


@pytest.fixture
def ledger_of(tmp_path: Path) -> Callable[..., Ledger]:
    """The ledger of a file with these arrays."""

    def build(
        arrays: dict[str, np.ndarray], declared: Declaration = HEADS, dtypes: dict[str, str] | None = None
    ) -> Ledger:
        with open_params(write_list(tmp_path / "bort.params", arrays, dtypes=dtypes)) as params:
            return build_compared_ledger(params, declared)

    return build


class TestAccounts:
    @pytest.mark.parametrize(("head", "written"), [("encoder", 5 + 2 * 16), ("mlm", 5 + 2 * 16 + 5)])
    def test_every_tensor_once(self, ledger_of: Callable[..., Ledger], head: str, written: int) -> None:
        ledger = ledger_of(bort_arrays(head=head))
        sources = [entry.source.name for entry in ledger.entries if entry.source and entry.operation is Operation.COPY]
        targets = [entry.target for entry in ledger.entries]
        assert len(ledger.written) == written
        assert len(set(sources)) == len(sources)
        assert len(set(targets)) == len(targets)
        tied = {"decoder.3.weight"} if head == "mlm" else set()
        assert set(sources) == set(bort_shapes(head=head)) - tied
        assert (ledger.head.name, ledger.tied) == (head, True)
        expected = sum(int(np.prod(shape)) for name, shape in bort_shapes(head=head).items() if name not in tied)
        assert ledger.num_parameters == expected

    def test_counts(self, ledger_of: Callable[..., Ledger]) -> None:
        assert ledger_of(bort_arrays()).counts() == {"copy": 41, "tie": 2, "zero": 1}
        assert ledger_of(bort_arrays(), Declaration(num_heads=4, head="encoder")).counts() == {
            "copy": 36,
            "zero": 1,
            "unused": 6,
        }

    def test_a_tie(self, ledger_of: Callable[..., Ledger]) -> None:
        entries = {entry.target: entry for entry in ledger_of(bort_arrays()).entries}
        tie = entries["cls.predictions.decoder.weight"]
        assert (tie.operation, tie.tied_to) == (Operation.TIE, "bert.embeddings.word_embeddings.weight")
        assert tie.source is not None
        assert (tie.source.name, tie.nbytes) == ("decoder.3.weight", 0)
        assert entries["cls.predictions.decoder.bias"].tied_to == "cls.predictions.bias"

    @pytest.mark.parametrize("element", [0, -1])
    def test_one_different_bit_unties(self, ledger_of: Callable[..., Ledger], element: int) -> None:
        arrays = bort_arrays()
        decoder = arrays["decoder.3.weight"].copy()
        decoder.view("uint32").flat[element] ^= 1
        ledger = ledger_of(arrays | {"decoder.3.weight": decoder})
        assert not ledger.tied
        sources = {entry.target: entry.source.name for entry in ledger.written if entry.source}
        assert sources["cls.predictions.decoder.weight"] == "decoder.3.weight"
        assert sources["cls.predictions.decoder.bias"] == sources["cls.predictions.bias"] == "decoder.3.bias"

    def test_negative_zero_unties(self, ledger_of: Callable[..., Ledger]) -> None:
        arrays = bort_arrays()
        arrays["word_embed.0.weight"] = arrays["word_embed.0.weight"].copy()
        arrays["word_embed.0.weight"][0, 0] = 0.0
        decoder = arrays["word_embed.0.weight"].copy()
        decoder[0, 0] = -0.0
        assert not ledger_of(arrays | {"decoder.3.weight": decoder}).tied

    def test_the_same_bytes_of_another_dtype_untie(self, ledger_of: Callable[..., Ledger]) -> None:
        """The same bits are other numbers in another dtype."""
        ledger = ledger_of(bort_arrays(dtype="float16"), dtypes={"decoder.3.weight": "bfloat16"})
        assert not ledger.tied
        written = {entry.target: entry.dtype.name for entry in ledger.written}
        assert written["cls.predictions.decoder.weight"] == "bfloat16"
        assert written["bert.embeddings.word_embeddings.weight"] == "float16"

    def test_what_a_smaller_head_leaves_out(self, ledger_of: Callable[..., Ledger]) -> None:
        ledger = ledger_of(bort_arrays(), Declaration(num_heads=4, head="encoder"))
        unused = [entry for entry in ledger.entries if entry.operation is Operation.UNUSED]
        assert {entry.source.name for entry in unused if entry.source} == set(bort_shapes()) - set(
            bort_shapes(head="encoder")
        )
        assert {entry.note for entry in unused} == {"of the mlm head, left out by --head encoder"}
        assert {entry.nbytes for entry in unused} == {0}
        assert ledger.head.model_class == "BertModel"

    def test_large_elements_first(self, ledger_of: Callable[..., Ledger]) -> None:
        arrays = bort_arrays(head="encoder", dtype="float16")
        arrays["encoder.position_weight"] = arrays["encoder.position_weight"].astype("float64")
        arrays["encoder.layer_norm.beta"] = arrays["encoder.layer_norm.beta"].astype("float32")
        ledger = ledger_of(arrays)
        widths = [entry.dtype.itemsize for entry in ledger.written]
        assert widths == sorted(widths, reverse=True)
        assert [entry.target for entry in ledger.written][:2] == [
            "embeddings.position_embeddings.weight",
            "embeddings.LayerNorm.bias",
        ]
        targets = [entry.target for entry in ledger.entries]
        assert [entry.target for entry in ledger.written][2:] == [
            name for name in targets if name not in targets[1:2] + targets[4:5]
        ]

    def test_no_data_are_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from bort_convert.params import ParamsFile

        def refuse(*arguments: object) -> None:
            raise AssertionError("data were read")

        path = write_sparse_list(tmp_path / "f", bort_shapes())
        with open_params(path) as params:
            for name in ("chunks", "all_chunks", "view", "same_bytes"):
                monkeypatch.setattr(ParamsFile, name, refuse)
            assert build_ledger(params, HEADS).counts()[Operation.TIE] == 2


class TestProblems:
    @pytest.mark.parametrize(
        "name",
        [
            name
            for name in bort_shapes()
            if not name.endswith(("position_weight", "0.ffn.ffn_1.weight", "word_embed.0.weight"))
        ],
    )
    def test_any_missing_tensor(self, ledger_of: Callable[..., Ledger], name: str) -> None:
        arrays = bort_arrays()
        del arrays[name]
        with pytest.raises(TensorMismatchError, match="not a Bort checkpoint") as caught:
            ledger_of(arrays)
        (problem,) = caught.value.problems
        assert (problem.kind, problem.name) == ("missing", name)
        assert problem.detail == f"expected shape {bort_shapes()[name]}"
        assert f"1 missing of 41 tensors; first missing: {name}" in str(caught.value)

    @pytest.mark.parametrize("name", ["encoder.position_weight", "encoder.transformer_cells.0.ffn.ffn_1.weight"])
    def test_a_missing_tensor_that_tells_a_size(self, ledger_of: Callable[..., Ledger], name: str) -> None:
        arrays = bort_arrays()
        del arrays[name]
        with pytest.raises(TensorMismatchError, match=f"not a Bort checkpoint: it has no {name}"):
            ledger_of(arrays)

    def test_no_word_embedding_at_all(self, ledger_of: Callable[..., Ledger]) -> None:
        """Without its second copy in the decoder, that is: a deduplicated file has that one alone."""
        arrays = bort_arrays(head="encoder")
        del arrays["word_embed.0.weight"]
        with pytest.raises(TensorMismatchError, match=r"not a Bort checkpoint: it has no word_embed\.0\.weight"):
            ledger_of(arrays)

    @pytest.mark.parametrize("name", list(bort_shapes()))
    def test_any_wrong_shape(self, ledger_of: Callable[..., Ledger], name: str) -> None:
        arrays = bort_arrays()
        arrays[name] = np.zeros((*arrays[name].shape[:-1], arrays[name].shape[-1] + 1), "float32")
        with pytest.raises((TensorMismatchError, InvalidOptionError)) as caught:
            ledger_of(arrays)
        if isinstance(caught.value, TensorMismatchError):
            assert "misshapen" in {problem.kind for problem in caught.value.problems}

    def test_transposed(self, ledger_of: Callable[..., Ledger]) -> None:
        arrays = bort_arrays()
        name = "encoder.transformer_cells.1.ffn.ffn_2.weight"
        arrays[name] = arrays[name].T
        with pytest.raises(TensorMismatchError) as caught:
            ledger_of(arrays)
        (problem,) = caught.value.problems
        assert (problem.kind, problem.name) == ("misshapen", name)
        assert problem.detail == "shape (12, 16), expected (16, 12)"

    @pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "bool", "uint16"])
    def test_no_weights_of_this_dtype(self, ledger_of: Callable[..., Ledger], dtype: str) -> None:
        arrays = bort_arrays()
        arrays["decoder.0.bias"] = arrays["decoder.0.bias"].astype(dtype)
        with pytest.raises(TensorMismatchError) as caught:
            ledger_of(arrays)
        (problem,) = caught.value.problems
        assert (problem.kind, problem.name) == ("mistyped", "decoder.0.bias")
        assert problem.detail == f"dtype {dtype}, expected a floating-point one"

    @pytest.mark.parametrize(
        "name",
        [
            "extra",
            "pooler.weight",
            "token_type_embed.0.weight",
            "word_embed.0.bias",
            "encoder.transformer_cells.0.proj.weight2",
            "decoder.1.gamma",
        ],
    )
    def test_any_unexpected_tensor(self, ledger_of: Callable[..., Ledger], name: str) -> None:
        with pytest.raises(TensorMismatchError) as caught:
            ledger_of(bort_arrays() | {name: np.zeros((2, 3), "float32")})
        (problem,) = caught.value.problems
        assert (problem.kind, problem.name, problem.detail) == ("unexpected", name, "float32 (2, 3)")

    def test_a_gap_in_the_layers(self, ledger_of: Callable[..., Ledger]) -> None:
        arrays = {name.replace("cells.1.", "cells.2."): array for name, array in bort_arrays().items()}
        with pytest.raises(TensorMismatchError) as caught:
            ledger_of(arrays)
        kinds = [problem.kind for problem in caught.value.problems]
        assert (kinds.count("missing"), kinds.count("unexpected")) == (16, 16)

    def test_all_are_collected(self, ledger_of: Callable[..., Ledger]) -> None:
        arrays = bort_arrays()
        del arrays["decoder.0.bias"]
        arrays["decoder.2.gamma"] = np.zeros(3, "float32")
        arrays["decoder.2.beta"] = arrays["decoder.2.beta"].astype("int32")
        arrays["other"] = np.zeros(1, "float32")
        with pytest.raises(TensorMismatchError, match=r"1 missing, 1 misshapen, 1 mistyped, 1 unexpected") as caught:
            ledger_of(arrays)
        kinds = [problem.kind for problem in caught.value.problems]
        assert sorted(kinds) == sorted(["missing", "misshapen", "mistyped", "unexpected"])
        assert "\n" not in str(caught.value)

    def test_not_a_bort_at_all(self, ledger_of: Callable[..., Ledger]) -> None:
        with pytest.raises(TensorMismatchError, match=r"bort\.params: not a Bort checkpoint: it has no word_embed"):
            ledger_of({"fc.weight": np.zeros((2, 2), "float32")})

    def test_no_names(self, tmp_path: Path) -> None:
        path = write_list(tmp_path / "f", bort_arrays(), named=False)
        with (
            open_params(path) as params,
            pytest.raises(TensorMismatchError, match=r"42 arrays without names .* save_parameters"),
        ):
            build_ledger(params, HEADS)

    def test_more_than_the_file_holds(self, ledger_of: Callable[..., Ledger]) -> None:
        with pytest.raises(
            TensorMismatchError,
            match="--head mlm asks for what the file does not hold, which is a Bort of head encoder",
        ):
            ledger_of(bort_arrays(head="encoder"), Declaration(num_heads=4, head="mlm"))

    @pytest.mark.parametrize(
        ("declared", "error"),
        [
            (Declaration(), UnknownArchitectureError),
            (Declaration(num_heads=5), InvalidOptionError),
            (Declaration(architecture="bort_4_8_768_1024"), ArchitectureMismatchError),
        ],
    )
    def test_declarations_name_the_file(
        self, ledger_of: Callable[..., Ledger], declared: Declaration, error: type[Exception]
    ) -> None:
        with pytest.raises(error, match=r"/bort\.params: "):
            ledger_of(bort_arrays(), declared)
