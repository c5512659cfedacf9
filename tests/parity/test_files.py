"""The proof from files alone: each kind of fault in a model folder is found, and named."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.conversion.ties import build_compared_ledger
from bort_convert.errors import ModelFolderError
from bort_convert.params import open_params
from bort_convert.parity.files import Check, check_files
from tests.support import TINY, bort_arrays, write_list

HEADS = Declaration(num_heads=TINY.num_heads)
NAME = "bert.encoder.layer.1.output.dense.weight"
ZERO_ROW = "bert.embeddings.token_type_embeddings.weight"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and its model folder beside it. Not to be changed."""
    parent = tmp_path_factory.mktemp("original")
    convert(write_list(parent / "bort.params", bort_arrays()), parent / "model", HEADS)
    return parent


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A model folder to spoil, its checkpoint beside it."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path / "model"


def check(folder: Path, declared: Declaration = HEADS) -> tuple[Check, ...]:
    with open_params(folder.parent / "bort.params") as params:
        return check_files(params, build_compared_ledger(params, declared), folder)


def failures(folder: Path) -> list[tuple[str, str, str]]:
    return [(found.kind, found.name, found.failure) for found in check(folder) if not found.passed]


def change_tensors(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def change_last(tensors: dict[str, np.ndarray], name: str) -> None:
    tensors[name].put([-1], 12345)


class TestTensors:
    def test_all_is_well(self, folder: Path) -> None:
        checks = check(folder)
        assert all(found.passed for found in checks)
        assert [found.kind for found in checks].count("tensor") == 42
        assert [found.kind for found in checks].count("config") == 19

    def test_another_writer_may_order_the_file_otherwise(self, folder: Path) -> None:
        before = (folder / "model.safetensors").read_bytes()
        change_tensors(folder, lambda tensors: None)
        assert (folder / "model.safetensors").read_bytes() != before
        assert failures(folder) == []

    @pytest.mark.parametrize("index", [(0, 0), (3, 7), (15, 11)])
    def test_one_bit(self, folder: Path, index: tuple[int, int]) -> None:
        def flip(tensors: dict[str, np.ndarray]) -> None:
            tensors[NAME].view("uint32")[index] ^= 1

        change_tensors(folder, flip)
        source = "encoder.transformer_cells.1.ffn.ffn_2.weight"
        failure = f"1 of 192 elements differ from {source}, the first at {index}"
        assert failures(folder) == [("tensor", NAME, failure)]

    def test_any_tensor(self, folder: Path, original: Path) -> None:
        from safetensors.numpy import load_file

        sizes = {name: tensor.size for name, tensor in load_file(folder / "model.safetensors").items()}
        assert len(sizes) == 42
        for name, size in sizes.items():
            change_tensors(folder, partial(change_last, name=name))
            ((kind, found, failure),) = failures(folder)
            assert (kind, found) == ("tensor", name)
            assert failure.startswith(f"1 of {size} elements differ from ")
            shutil.copy(original / "model" / "model.safetensors", folder)

    def test_every_element_is_counted(self, folder: Path) -> None:
        change_tensors(folder, lambda tensors: tensors[NAME].__iadd__(1))
        ((_, _, failure),) = failures(folder)
        assert failure.startswith("192 of 192 elements differ")

    def test_negative_zero(self, folder: Path) -> None:
        change_tensors(folder, lambda tensors: tensors[ZERO_ROW].put([4], -0.0))
        assert failures(folder) == [("tensor", ZERO_ROW, "1 of 16 elements differ from zero, the first at (0, 4)")]

    def test_a_zero_row_that_is_not_zero(self, folder: Path) -> None:
        change_tensors(folder, lambda tensors: tensors[ZERO_ROW].put([15], 1e-3))
        assert failures(folder) == [("tensor", ZERO_ROW, "1 of 16 elements differ from zero, the first at (0, 15)")]

    def test_swapped(self, folder: Path) -> None:
        key, query = (f"bert.encoder.layer.0.attention.self.{kind}.bias" for kind in ("key", "query"))
        change_tensors(folder, lambda tensors: tensors.update({key: tensors[query], query: tensors[key]}))
        assert sorted(name for _, name, _ in failures(folder)) == [key, query]

    def test_past_the_first_chunk(self, tmp_path: Path) -> None:
        from tests.support import Sizes

        arrays = bort_arrays(Sizes(num_layers=1, units=64, vocab_size=10_000))
        convert(write_list(tmp_path / "bort.params", arrays), tmp_path / "model", HEADS)
        name = "bert.embeddings.word_embeddings.weight"

        def change(tensors: dict[str, np.ndarray]) -> None:
            tensors[name][9_000, 5] = tensors[name][9_999, 63] = 9

        change_tensors(tmp_path / "model", change)
        failure = "2 of 640000 elements differ from word_embed.0.weight, the first at (9000, 5)"
        assert failures(tmp_path / "model") == [("tensor", name, failure)]

    def test_missing(self, folder: Path) -> None:
        change_tensors(folder, lambda tensors: tensors.pop(NAME))
        assert failures(folder) == [("tensor", NAME, "missing")]

    def test_extra(self, folder: Path) -> None:
        change_tensors(folder, lambda tensors: tensors.update(extra=np.zeros(3, "float32")))
        assert failures(folder) == [("tensor", "extra", "not a tensor of this model")]

    def test_tied_tensor_written(self, folder: Path) -> None:
        tied, shared = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
        change_tensors(folder, lambda tensors: tensors.update({tied: tensors[shared].copy()}))
        assert failures(folder) == [("tensor", tied, f"written although it is tied to {shared}")]

    def test_shape(self, folder: Path) -> None:
        change_tensors(folder, lambda tensors: tensors.update({NAME: tensors[NAME].T.copy()}))
        assert failures(folder) == [("tensor", NAME, "shape (12, 16), expected (16, 12)")]

    def test_dtype(self, folder: Path) -> None:
        change_tensors(folder, lambda tensors: tensors.update({NAME: tensors[NAME].astype("float64")}))
        assert failures(folder) == [("tensor", NAME, "dtype F64, expected F32")]

    def test_the_same_bytes_as_another_dtype(self, folder: Path) -> None:
        change_tensors(folder, lambda tensors: tensors.update({NAME: tensors[NAME].view("int32")}))
        assert failures(folder) == [("tensor", NAME, "dtype I32, expected F32")]


class TestConfig:
    FIELDS = (
        "architectures", "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size", "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob",
        "max_position_embeddings", "type_vocab_size", "initializer_range", "layer_norm_eps", "pad_token_id",
        "bos_token_id", "eos_token_id", "tie_word_embeddings", "dtype",
    )  # fmt: skip

    @pytest.mark.parametrize("name", FIELDS)
    def test_missing(self, folder: Path, name: str) -> None:
        change_config(folder, lambda config: config.pop(name))
        ((kind, found, failure),) = failures(folder)
        assert (kind, found) == ("config", name)
        assert failure.startswith("'nothing', expected ")

    @pytest.mark.parametrize("name", FIELDS)
    @pytest.mark.parametrize("value", [None, "other", 7, [], {}])
    def test_altered(self, folder: Path, name: str, value: object) -> None:
        change_config(folder, lambda config: config.update({name: value}))
        ((kind, found, failure),) = failures(folder)
        assert (kind, found) == ("config", name)
        assert failure.startswith(f"{value!r}, expected ")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("layer_norm_eps", 1e-12),
            ("num_attention_heads", 8),
            ("hidden_act", "gelu_new"),
            ("tie_word_embeddings", False),
            ("tie_word_embeddings", 1),
            ("type_vocab_size", True),
            ("bos_token_id", False),
            ("pad_token_id", 0),
            ("model_type", "roberta"),
            ("architectures", ["BertForMaskedLM", "BertModel"]),
        ],
    )
    def test_plausible_faults(self, folder: Path, name: str, value: object) -> None:
        change_config(folder, lambda config: config.update({name: value}))
        assert [(kind, found) for kind, found, _ in failures(folder)] == [("config", name)]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("is_decoder", True),
            ("is_decoder", 0),
            ("add_cross_attention", True),
            ("chunk_size_feed_forward", 4),
            ("position_embedding_type", "relative_key"),
            ("problem_type", "regression"),
            ("pruned_heads", {"0": [1]}),
            ("embedding_size", 128),
            ("quantization_config", {}),
        ],
    )
    def test_extra(self, folder: Path, name: str, value: object) -> None:
        change_config(folder, lambda config: config.update({name: value}))
        assert failures(folder) == [("config", name, f"{value!r}, which is not of this model's config")]

    def test_what_changes_nothing(self, folder: Path) -> None:
        harmless = {
            "transformers_version": "5.23.0",
            "use_cache": True,
            "is_decoder": False,
            "classifier_dropout": None,
            "position_embedding_type": "absolute",
        }
        change_config(folder, lambda config: config.update(harmless))
        assert failures(folder) == []

    def test_what_transformers_itself_saves(self, folder: Path) -> None:
        import transformers

        transformers.BertConfig.from_pretrained(folder).save_pretrained(folder)
        assert failures(folder) == []

    def test_other_heads_than_declared(self, folder: Path) -> None:
        found = [found for found in check(folder, Declaration(num_heads=8)) if not found.passed]
        assert [(failed.name, failed.failure) for failed in found] == [("num_attention_heads", "4, expected 8")]


class TestUnreadableFolders:
    def test_no_folder(self, folder: Path) -> None:
        with open_params(folder.parent / "bort.params") as params:
            ledger = build_compared_ledger(params, HEADS)
            with pytest.raises(ModelFolderError, match=r"model\.safetensors: cannot be read: no such file"):
                check_files(params, ledger, folder.parent / "none")

    def test_no_config(self, folder: Path) -> None:
        (folder / "config.json").unlink()
        with pytest.raises(ModelFolderError, match=r"config\.json: cannot be read"):
            check(folder)

    @pytest.mark.parametrize("text", ["", "{", "\xff", "[1]", "null", "3"])
    def test_config_is_no_object(self, folder: Path, text: str) -> None:
        (folder / "config.json").write_text(text, encoding="latin-1")
        with pytest.raises(ModelFolderError, match=r"config\.json: "):
            check(folder)

    @pytest.mark.parametrize("length", [0, 7, 100, -1])
    def test_model_cut_short(self, folder: Path, length: int) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(ModelFolderError, match="not a valid safetensors file"):
            check(folder)

    def test_model_longer(self, folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes() + b"\0")
        with pytest.raises(ModelFolderError, match="not a valid safetensors file"):
            check(folder)

    def test_model_is_a_folder(self, folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors").mkdir()
        with pytest.raises(ModelFolderError, match=r"model\.safetensors: "):
            check(folder)

    def test_a_name_given_twice(self, folder: Path) -> None:
        """The safetensors library takes the last of two entries of one name; other readers may take the first."""
        path = folder / "model.safetensors"
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = content[8 : 8 + length].rstrip()
        entry = header[header.index(f'"{ZERO_ROW}"'.encode()) :]
        entry = entry[: entry.index(b"}") + 1]
        header = header[:-1] + b"," + entry + b"}"
        header += b" " * (-len(header) % 8)
        path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
        with pytest.raises(ModelFolderError, match="gives a name twice"):
            check(folder)
