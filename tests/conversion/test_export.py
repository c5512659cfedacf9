"""Back again: a folder's MXNet file has the original's bytes, or is what GluonNLP would have written."""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bort_convert.conversion.convert import convert
from bort_convert.conversion.export import export
from bort_convert.conversion.ledger import Declaration
from bort_convert.errors import BortConvertError, DestinationError, ModelFolderError
from bort_convert.params import open_params
from bort_convert.parity.verify import verify
from tests.conftest import GOLDEN_HEADS
from tests.support import DATA, FLAGS, TINY, Sizes, bort_arrays, bort_shapes, list_names, listing, run, write_list

HEADS = Declaration(num_heads=GOLDEN_HEADS)
WITHOUT_RECORD = "the folder has no record of this model's source; names are those of GluonNLP 0.8.3's save_parameters"


def file_of(checkpoint: Path) -> dict[str, tuple[str, bytes]]:
    """Every array of a file by name: its dtype and its bytes."""
    with open_params(checkpoint) as params:
        return {array.name: (array.dtype.name, params.view(array).tobytes()) for array in params.arrays}


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def change_tensors(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model folder of the MLM golden file, to spoil."""
    convert(DATA / "bort_tiny_mlm.params", tmp_path / "model", HEADS)
    return tmp_path / "model"


class TestIdentical:
    def test_every_golden_file(self, golden: Path, golden_model: Path, tmp_path: Path) -> None:
        exported = export(golden_model, tmp_path / "back.params")
        assert (tmp_path / "back.params").read_bytes() == golden.read_bytes()
        assert exported.identical
        assert exported.notes == ()
        with open_params(golden) as params:
            assert exported.num_tensors == len(params.arrays)

    def test_the_model_file_may_have_been_written_again(self, folder: Path, tmp_path: Path) -> None:
        """Another writer orders the tensors otherwise; the bytes of each are the same."""
        before = (folder / "model.safetensors").read_bytes()
        change_tensors(folder, lambda tensors: None)
        assert (folder / "model.safetensors").read_bytes() != before
        assert export(folder, tmp_path / "back.params").identical

    def test_a_changed_weight_is_exported_and_not_called_identical(self, folder: Path, tmp_path: Path) -> None:
        def change(tensors: dict[str, np.ndarray]) -> None:
            tensors["bert.encoder.layer.1.output.dense.bias"][3] = 7

        change_tensors(folder, change)
        assert not export(folder, tmp_path / "back.params").identical
        original, back = file_of(DATA / "bort_tiny_mlm.params"), file_of(tmp_path / "back.params")
        assert list(back) == list(original)
        differing = {name for name in back if back[name] != original[name]}
        assert differing == {"encoder.transformer_cells.1.ffn.ffn_2.bias"}

    def test_values_that_are_no_numbers(self, tmp_path: Path) -> None:
        arrays = bort_arrays()
        arrays["decoder.0.bias"].view("uint32")[:3] = (0x7F800001, 0xFF800000, 0x7FC12345)
        path = write_list(tmp_path / "f.params", arrays)
        convert(path, tmp_path / "model", HEADS)
        assert export(tmp_path / "model", tmp_path / "back.params").identical
        assert (tmp_path / "back.params").read_bytes() == path.read_bytes()


def list_of(
    arrays: dict[str, np.ndarray], dtypes: dict[str, str], versions: list[str], contexts: list[tuple[int, int]]
) -> bytes:
    """A list container whose arrays have a version and a context each, from the layout in MXNet's source."""
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for index, (name, array) in enumerate(arrays.items()):
        start = {
            "V0": b"",
            "V1": struct.pack("<I", 0xF993FAC8),
            "V2": struct.pack("<Ii", 0xF993FAC9, 0),
            "V3": struct.pack("<Ii", 0xF993FACA, 0),
        }[version := versions[index % len(versions)]]
        device = contexts[index % len(contexts)]
        shape = struct.pack(f"<i{array.ndim}{'I' if version == 'V0' else 'q'}", array.ndim, *array.shape)
        parts.append(start + shape + struct.pack("<iii", *device, FLAGS[dtypes[name]]))
        parts.append(np.ascontiguousarray(array).tobytes())
    return b"".join([*parts, list_names(list(arrays))])


@st.composite
def checkpoints(draw: st.DrawFn) -> tuple[bytes, int]:
    """A file of some writer, and its number of heads."""
    num_heads = draw(st.integers(1, 4))
    sizes = Sizes(
        num_layers=draw(st.integers(1, 3)),
        num_heads=num_heads,
        units=num_heads * draw(st.integers(1, 4)),
        hidden_size=draw(st.integers(1, 9)),
        max_length=draw(st.integers(1, 9)),
        vocab_size=draw(st.integers(1, 9)),
    )
    head = draw(st.sampled_from(["encoder", "mlm", "classifier"]))
    shapes = bort_shapes(sizes, head, draw(st.integers(1, 5)))
    chosen = draw(st.lists(st.sampled_from(["float32", "float16", "float64", "bfloat16"]), min_size=1, max_size=3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    arrays, dtypes = {}, {}
    for index, (name, shape) in enumerate(shapes.items()):
        dtypes[name] = chosen[index % len(chosen)]
        width = {"float64": 8, "float32": 4}.get(dtypes[name], 2)
        arrays[name] = generator.integers(0, 256, (*shape, width), "uint8").view(f"<u{width}")[..., 0]
    if head == "mlm" and draw(st.booleans()):
        arrays["decoder.3.weight"] = arrays["word_embed.0.weight"]
        dtypes["decoder.3.weight"] = dtypes["word_embed.0.weight"]
        if draw(st.booleans()):
            del arrays["word_embed.0.weight"]
    if draw(st.booleans()):
        order = draw(st.permutations(list(arrays)))
        arrays = {name: arrays[name] for name in order}
    if head == "classifier" and draw(st.booleans()):
        rename = {"classifier.1.": "classifier.0.", "classifier.3.": "classifier.1."}
        new = {name: rename.get(name[:13], name[:13]) + name[13:] for name in arrays}
        arrays, dtypes = {new[n]: a for n, a in arrays.items()}, {new.get(n, n): d for n, d in dtypes.items()}
    prefix = draw(st.sampled_from(["", "arg:", "aux:"]))
    arrays = {prefix + name: array for name, array in arrays.items()}
    dtypes = {prefix + name: dtype for name, dtype in dtypes.items()}
    versions = draw(st.lists(st.sampled_from(["V0", "V1", "V2", "V3"]), min_size=1, max_size=3))
    contexts = draw(st.lists(st.tuples(st.sampled_from([1, 2, 3, 5]), st.integers(0, 7)), min_size=1, max_size=3))
    return list_of(arrays, dtypes, versions, contexts), num_heads


@given(checkpoints())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_comes_back_with_its_bytes(tmp_path: Path, drawn: tuple[bytes, int]) -> None:
    """Random bits, NaNs and all, over architectures, heads, dtypes, array versions, contexts, orders and spellings."""
    content, num_heads = drawn
    path, model, back = (tmp_path / name for name in ("f.params", "model", "back.params"))
    path.write_bytes(content)
    convert(path, model, Declaration(num_heads=num_heads), force=model.exists())
    exported = export(model, back, force=True)
    assert back.read_bytes() == content
    assert exported.identical


def test_flat_files_of_any_dtype_come_back(tmp_path: Path) -> None:
    with open_params(DATA / "bort_tiny_mlm.collect_params.params") as params:
        arrays = {array.name: params.view(array).astype("float16") for array in params.arrays}
    for generation in (dict, _as_0_9):
        path = write_list(tmp_path / "f.params", generation(arrays), version="V3")
        convert(path, tmp_path / "model", HEADS, force=True)
        assert export(tmp_path / "model", tmp_path / "back.params", force=True).identical
        assert (tmp_path / "back.params").read_bytes() == path.read_bytes()
    assert len(arrays) == 41


def _as_0_9(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    def rename(name: str) -> str:
        name = name.replace("multiheadattentioncell0", "dotproductselfattentioncell0")
        return name.replace("bertpositionwiseffn0", "positionwiseffn0").replace("bertlayernorm0", "layernorm0")

    return {rename(name): array for name, array in arrays.items()}


class TestWithoutARecord:
    @pytest.mark.parametrize(
        "name", ["bort_tiny_mlm", "bort_tiny_mlm.collect_params", "bort_tiny_encoder", "model_bort_MNLI_2"]
    )
    def test_what_gluonnlp_writes(self, tmp_path: Path, name: str) -> None:
        """Of the same weights, to the byte: GluonNLP 0.8.3's own names, order, array version and context."""
        convert(DATA / f"{name}.params", tmp_path / "model", HEADS)
        (tmp_path / "model" / "conversion.json").unlink()
        exported = export(tmp_path / "model", tmp_path / "back.params")
        assert not exported.identical
        assert exported.notes == (WITHOUT_RECORD,)
        written = DATA / f"{name.partition('.')[0]}.params"
        assert (tmp_path / "back.params").read_bytes() == written.read_bytes()

    @pytest.mark.parametrize(
        "fields", [{"hidden_dropout_prob": 0.0}, {"hidden_dropout_prob": 0.0, "classifier_dropout": None}]
    )
    def test_a_classifier_without_dropout(self, tmp_path: Path, fields: dict[str, object]) -> None:
        convert(DATA / "bort_tiny_regressor.params", tmp_path / "model", HEADS)
        (tmp_path / "model" / "conversion.json").unlink()
        change_config(tmp_path / "model", lambda config: config.update(fields))
        export(tmp_path / "model", tmp_path / "back.params")
        assert (tmp_path / "back.params").read_bytes() == (DATA / "bort_tiny_regressor.params").read_bytes()

    def test_a_record_of_another_model(self, folder: Path, tmp_path: Path) -> None:
        """The encoder's record beside an MLM model does not name the decoder's tensors."""
        convert(DATA / "bort_tiny_encoder.params", tmp_path / "encoder", HEADS)
        shutil.copy(tmp_path / "encoder" / "conversion.json", folder / "conversion.json")
        exported = export(folder, tmp_path / "back.params")
        assert exported.notes == (WITHOUT_RECORD,)
        assert (tmp_path / "back.params").read_bytes() == (DATA / "bort_tiny_mlm.params").read_bytes()


class TestLess:
    def test_an_encoder_taken_from_an_mlm_file(self, tmp_path: Path) -> None:
        convert(DATA / "bort_tiny_mlm.params", tmp_path / "model", Declaration(num_heads=4, head="encoder"))
        exported = export(tmp_path / "model", tmp_path / "back.params")
        assert exported.notes == ("6 tensors of the source are not in the folder, and not in the file",)
        original = file_of(DATA / "bort_tiny_mlm.params")
        assert file_of(tmp_path / "back.params") == {
            name: array for name, array in original.items() if not name.startswith("decoder.")
        }

    def test_an_encoder_taken_from_a_classifier(self, tmp_path: Path) -> None:
        convert(DATA / "model_bort_MNLI_2.params", tmp_path / "model", Declaration(num_heads=4, head="encoder"))
        export(tmp_path / "model", tmp_path / "back.params")
        original = file_of(DATA / "model_bort_MNLI_2.params")
        assert file_of(tmp_path / "back.params") == {
            name.removeprefix("bort."): array for name, array in original.items() if name.startswith("bort.")
        }

    def test_the_pooler_that_transformers_adds(self, tmp_path: Path) -> None:
        import transformers

        convert(DATA / "bort_tiny_encoder.params", tmp_path / "model", HEADS)
        model = transformers.BertModel.from_pretrained(tmp_path / "model")
        model.save_pretrained(tmp_path / "saved")
        exported = export(tmp_path / "saved", tmp_path / "back.params")
        assert exported.notes == (WITHOUT_RECORD, "the pooler was left out; Bort's encoder has none")
        assert (tmp_path / "back.params").read_bytes() == (DATA / "bort_tiny_encoder.params").read_bytes()


class TestRounded:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_the_folders_dtype_is_exported(self, tmp_path: Path, dtype: str) -> None:
        convert(DATA / "bort_tiny_mlm.params", tmp_path / "model", Declaration(num_heads=4, dtype=dtype))
        exported = export(tmp_path / "model", tmp_path / "back.params")
        assert not exported.identical
        assert {kind for kind, _ in file_of(tmp_path / "back.params").values()} == {dtype}
        convert(tmp_path / "back.params", tmp_path / "again", HEADS)
        first, second = (tmp_path / name / "model.safetensors" for name in ("model", "again"))
        assert first.read_bytes() == second.read_bytes()

    def test_verifies_against_the_folder(self, tmp_path: Path) -> None:
        declared = Declaration(num_heads=4, dtype="float16")
        convert(DATA / "model_bort_MNLI_2.params", tmp_path / "model", declared)
        export(tmp_path / "model", tmp_path / "back.params")
        assert verify(tmp_path / "back.params", tmp_path / "model", dtypes=["float64"]).passed


class TestTies:
    def untie(self, folder: Path, *, config: bool = True) -> None:
        """As a training in PyTorch without the tie leaves it: an own decoder, and the bias that Transformers computes with."""

        def change(tensors: dict[str, np.ndarray]) -> None:
            tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"] + 1
            tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"] + 2

        change_tensors(folder, change)
        change_config(folder, lambda fields: fields.update(tie_word_embeddings=False))

    @pytest.mark.parametrize("name", ["bort_tiny_mlm", "bort_tiny_mlm.deduplicated", "bort_tiny_mlm.collect_params"])
    def test_an_own_decoder_is_not_dropped(self, tmp_path: Path, name: str) -> None:
        """Also where the record is of a file that stored the tied weight once."""
        convert(DATA / f"{name}.params", tmp_path / "model", HEADS)
        self.untie(tmp_path / "model")
        export(tmp_path / "model", tmp_path / "back.params")
        with open_params(tmp_path / "back.params") as back, open_params(DATA / "bort_tiny_mlm.params") as original:
            for tensor, offset in (("decoder.3.weight", 1), ("decoder.3.bias", 2), ("word_embed.0.weight", 0)):
                found, expected = back.view(back.by_name[tensor]), original.view(original.by_name[tensor])
                np.testing.assert_array_equal(found, expected + np.float32(offset))
        convert(tmp_path / "back.params", tmp_path / "again", HEADS)
        import transformers

        first, second = (transformers.BertForMaskedLM.from_pretrained(tmp_path / part) for part in ("model", "again"))
        for key in ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias"):
            assert first.state_dict()[key].equal(second.state_dict()[key])

    def test_an_untied_source_comes_back(self, tmp_path: Path) -> None:
        arrays = bort_arrays()
        arrays["decoder.3.weight"] = arrays["decoder.3.weight"] * 2
        path = write_list(tmp_path / "f.params", arrays)
        convert(path, tmp_path / "model", Declaration(num_heads=TINY.num_heads))
        assert export(tmp_path / "model", tmp_path / "back.params").identical

    def test_both_names_of_a_tie(self, tmp_path: Path) -> None:
        """``torch.save`` of a state dict writes a tied tensor under both of its names."""
        import torch
        import transformers

        convert(DATA / "bort_tiny_mlm.params", tmp_path / "model", HEADS)
        model = transformers.BertForMaskedLM.from_pretrained(tmp_path / "model")
        (tmp_path / "model" / "model.safetensors").unlink()
        state = model.state_dict()
        assert {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"} <= state.keys()
        torch.save(state, tmp_path / "model" / "pytorch_model.bin")
        assert export(tmp_path / "model", tmp_path / "back.params").identical


class TestSegmentRow:
    def test_is_folded_into_the_positions(self, folder: Path, tmp_path: Path) -> None:
        row = np.linspace(-1, 1, 32, dtype="float32")

        def change(tensors: dict[str, np.ndarray]) -> None:
            tensors["bert.embeddings.token_type_embeddings.weight"][0] = row

        change_tensors(folder, change)
        exported = export(folder, tmp_path / "back.params")
        assert exported.notes == (
            "the segment row is not zero (trained in PyTorch); Bort has none, so it was added to every position, "
            "rounded to their dtype",
        )
        original, back = file_of(DATA / "bort_tiny_mlm.params"), file_of(tmp_path / "back.params")
        assert {name for name in back if back[name] != original[name]} == {"encoder.position_weight"}
        with open_params(DATA / "bort_tiny_mlm.params") as params:
            positions = params.view(params.by_name["encoder.position_weight"])
        expected = (positions.astype("float64") + row.astype("float64")).astype("float32")
        assert back["encoder.position_weight"][1] == expected.tobytes()

    def test_negative_zeros_change_nothing(self, folder: Path, tmp_path: Path) -> None:
        def change(tensors: dict[str, np.ndarray]) -> None:
            tensors["bert.embeddings.token_type_embeddings.weight"][:] = -0.0

        change_tensors(folder, change)
        assert export(folder, tmp_path / "back.params").identical


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: change_tensors(folder, lambda tensors: tensors.pop(name))


def put(name: str, array: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: change_tensors(folder, lambda tensors: tensors.update({name: array}))


def configure(**fields: object) -> Callable[[Path], None]:
    return lambda folder: change_config(folder, lambda config: config.update(fields))


def unconfigure(name: str) -> Callable[[Path], None]:
    return lambda folder: change_config(folder, lambda config: config.pop(name))


def rewrite(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


BIAS = "bert.encoder.layer.0.output.dense.bias"
NO_BORT: dict[str, tuple[Callable[[Path], object], str]] = {
    "another eps": (configure(layer_norm_eps=1e-12), "layer_norm_eps is 1e-12, where a Bort has 1e-05"),
    "no eps": (unconfigure("layer_norm_eps"), "layer_norm_eps is None"),
    "another activation": (configure(hidden_act="gelu_new"), "hidden_act is 'gelu_new'"),
    "two token types": (configure(type_vocab_size=2), "type_vocab_size is 2, where a Bort has 1"),
    "another type": (configure(model_type="roberta"), "model_type is 'roberta'"),
    "another class": (configure(architectures=["BertForTokenClassification"]), "holds a BertForTokenClassification"),
    "two classes": (configure(architectures=["BertModel", "BertForMaskedLM"]), "not the config of a model"),
    "no class": (configure(architectures=[]), "not the config of a model"),
    "no size": (unconfigure("hidden_size"), "not the config of a model"),
    "a size that is text": (configure(num_hidden_layers="2"), "not the config of a model"),
    "a size that is nothing": (configure(vocab_size=None), "not the config of a model"),
    "no object": (rewrite("config.json", "[1]"), "not the config of a model"),
    "no JSON": (rewrite("config.json", "{"), "not the config of a model"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "not the config of a model"),
    "no model file": (lambda folder: (folder / "model.safetensors").unlink(), "no such file"),
    "a cut model file": (lambda folder: os.truncate(folder / "model.safetensors", 999), "not a valid safetensors file"),
    "a record of text": (rewrite("conversion.json", "text"), "not a record of this tool"),
    "a record without a source": (rewrite("conversion.json", "{}"), "not a record of this tool"),
    "one layer more": (configure(num_hidden_layers=3), "bert.encoder.layer.2.attention.self.query.weight is missing"),
    "one layer less": (configure(num_hidden_layers=1), "has no place in a Bort"),
    "one token more": (configure(vocab_size=98), "its config says (98, 32)"),
    "a tensor missing": (remove(BIAS), f"{BIAS} is missing"),
    "a tensor too many": (put("bert.extra", np.ones(3, "float32")), "bert.extra has no place in a Bort"),
    "a pooler on a head": (put("bert.pooler.dense.bias", np.ones(32, "float32")), "has no place in a Bort"),
    "a misshapen tensor": (put(BIAS, np.ones(31, "float32")), f"{BIAS} has shape (31,), its config says (32,)"),
    "whole numbers": (put(BIAS, np.ones(32, "int32")), f"{BIAS} has dtype I32, which no Bort has"),
    "a segment row of two": (
        put("bert.embeddings.token_type_embeddings.weight", np.zeros((2, 32), "float32")),
        "has shape (2, 32), its config says (1, 32)",
    ),
}  # fmt: skip


class TestRefused:
    @pytest.mark.parametrize(("spoil", "reason"), NO_BORT.values(), ids=list(NO_BORT))
    def test_a_folder_that_is_no_bort(
        self, folder: Path, tmp_path: Path, spoil: Callable[[Path], object], reason: str
    ) -> None:
        spoil(folder)
        before = listing(tmp_path)
        with pytest.raises(ModelFolderError) as caught:
            export(folder, tmp_path / "back.params")
        assert reason in str(caught.value)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)
        result = run("export", folder, tmp_path / "back.params")
        assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: {caught.value}\n")
        assert listing(tmp_path) == before

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFolderError, match="no such file"):
            export(tmp_path / "none", tmp_path / "back.params")
        (tmp_path / "file").touch()
        with pytest.raises(BortConvertError):
            export(tmp_path / "file", tmp_path / "back.params")
        assert list(listing(tmp_path)) == ["file"]

    def refuse(self, folder: Path, destination: Path | str, *, force: bool = False) -> str:
        before = listing(folder.parent)
        with pytest.raises(DestinationError) as caught:
            export(folder, destination, force=force)
        assert listing(folder.parent) == before
        result = run("export", folder, destination, *(["--force"] if force else []))
        assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: {caught.value}\n")
        assert result.stderr.count("\n") == 1
        return str(caught.value)

    def test_a_file_of_the_folder_itself(self, folder: Path) -> None:
        assert "a file of the folder that is exported" in self.refuse(folder, folder / "model.safetensors", force=True)

    def test_an_existing_file(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "back.params").write_text("mine")
        assert "exists; give --force to replace it" in self.refuse(folder, tmp_path / "back.params")
        assert export(folder, tmp_path / "back.params", force=True).identical

    @pytest.mark.parametrize("force", [False, True])
    def test_a_folder_in_the_way(self, folder: Path, tmp_path: Path, force: bool) -> None:
        assert "is a folder" in self.refuse(folder, tmp_path, force=force)
        assert "is a folder" in self.refuse(folder, "/", force=force)

    def test_no_parent(self, folder: Path, tmp_path: Path) -> None:
        assert "cannot be written: No such file" in self.refuse(folder, tmp_path / "none" / "back.params")

    def test_where_nobody_can_write(self, folder: Path) -> None:
        assert "cannot be written" in self.refuse(folder, "/proc/back.params")

    @pytest.mark.parametrize("length", [245, 300])
    def test_a_name_too_long(self, folder: Path, tmp_path: Path, length: int) -> None:
        assert "cannot be written: File name too long" in self.refuse(folder, tmp_path / ("n" * length))

    def test_a_failure_leaves_what_was_there(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from bort_convert.conversion import export as module

        (tmp_path / "back.params").write_text("mine")
        before = listing(tmp_path)

        def fail(path: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(module, "sync", fail)
        with pytest.raises(DestinationError, match="No space left on device"):
            export(folder, tmp_path / "back.params", force=True)
        assert listing(tmp_path) == before


def test_the_command_says_what_it_did(folder: Path, tmp_path: Path) -> None:
    result = run("export", folder, tmp_path / "back.params")
    assert (result.exit_code, result.stderr) == (0, "")
    first, second, third = result.stdout.splitlines()
    assert first == f"Exported {folder} → {tmp_path / 'back.params'}, 42 tensors"
    assert second == "  identical to the file that the folder was converted from"
    assert third == f"  SHA-256  {hashlib.sha256((tmp_path / 'back.params').read_bytes()).hexdigest()}"
    (folder / "conversion.json").unlink()
    result = run("export", folder, tmp_path / "other.params")
    assert result.stdout.splitlines()[-1] == f"  note     {WITHOUT_RECORD}"
    assert "identical" not in result.stdout
