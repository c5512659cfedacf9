"""Checkpoints of the original code, converted, loaded with Transformers, and held against the original code's outputs."""

import importlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bort_convert.bort.heads import HEADS
from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.errors import TensorMismatchError
from bort_convert.params import open_params
from bort_convert.parity import pytorch_runner
from bort_convert.parity.inputs import Batch
from tests.conftest import GOLDEN_HEADS
from tests.support import DATA

transformers: Any = importlib.import_module("transformers")  # its own types are incomplete

FLOAT64_ATOL = 1e-12
"""What the two frameworks' float64 results may differ by; they reach 1e-14 (values up to 5, sums of up to 97 terms)."""
FLOAT32_ATOL = 2e-5


def expected_outputs(checkpoint: Path) -> dict[str, np.ndarray]:
    """The original code's inputs and outputs. Files of the same weights, whatever wrote them, share theirs."""
    name = checkpoint.name.split(".")[0]
    with np.load(checkpoint.with_name(f"{name}.expected.npz")) as arrays:
        return {key: arrays[key] for key in arrays.files}


def head_of(checkpoint: Path) -> str:
    heads = ("encoder", "mlm", "MNLI", "regressor")
    (found,) = (head for head in heads if head in checkpoint.name)
    return found if found in HEADS else "classifier"


@contextmanager
def warnings_of_transformers() -> Iterator[list[str]]:
    """What Transformers logs at warning level or above."""
    messages: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler, logger = Keep(), logging.getLogger("transformers")
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_warning()
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        transformers.logging.set_verbosity(verbosity)


def load(class_name: str, folder: Path) -> tuple[Any, dict[str, set[str]], list[str]]:
    """A model by the name of its class, Transformers' report of loading it, and its warnings."""
    with warnings_of_transformers() as messages:
        model, report = getattr(transformers, class_name).from_pretrained(folder, output_loading_info=True)
    return model, report, messages


@pytest.fixture(scope="session")
def golden_outputs(golden: Path, golden_model: Path) -> pytorch_runner.PyTorchOutputs:
    """What PyTorch computes from the golden inputs."""
    arrays = expected_outputs(golden)
    positions = arrays.get("masked_positions", np.zeros((len(arrays["input_ids"]), 1), "int32"))
    batch = Batch(arrays["input_ids"], arrays["valid_length"], positions)
    loaded = pytorch_runner.load(golden_model, HEADS[head_of(golden)])
    assert (loaded.missing, loaded.unexpected) == ((), ())
    return pytorch_runner.run(loaded.model, {"golden": batch}, ["float64", "float32"])


def test_every_tensor_has_the_bytes_of_its_source(golden: Path, golden_model: Path) -> None:
    from safetensors import safe_open

    record = json.loads((golden_model / "conversion.json").read_text())
    source_of = {entry["target"]: entry["source"] for entry in record["ledger"] if entry["operation"] == "copy"}
    with open_params(golden) as params, safe_open(golden_model / "model.safetensors", framework="numpy") as model:
        names = set(model.keys())
        zero = {name for name in names if name.endswith("token_type_embeddings.weight")}
        assert names - zero == set(source_of)
        assert len(zero) == 1
        for name, source in source_of.items():
            written, array = model.get_tensor(name), params.by_name[source]
            assert (written.shape, written.dtype) == (array.shape, np.dtype(array.dtype.numpy))
            assert written.tobytes() == params.view(array).tobytes()
        row = model.get_tensor(zero.pop())
        assert (row.shape, row.tobytes()) == ((1, 32), bytes(row.nbytes))
        # Every source but the second copy of the tied embedding was written, each once.
        assert len(set(source_of.values())) == len(source_of)
        left = {array.name for array in params.arrays} - set(source_of.values())
        twice = "decoder.3.weight" in params.by_name and "word_embed.0.weight" in params.by_name
        assert left == ({"decoder.3.weight"} if twice else set())


@pytest.mark.parametrize("kind", ["auto", "own"])
def test_loads_without_a_missing_key(golden: Path, golden_model: Path, kind: str) -> None:
    head = head_of(golden)
    auto, own = {
        "encoder": ("AutoModel", "BertModel"),
        "mlm": ("AutoModelForMaskedLM", "BertForMaskedLM"),
        "classifier": ("AutoModelForSequenceClassification", "BertForSequenceClassification"),
    }[head]
    model, report, messages = load(auto if kind == "auto" else own, golden_model)
    assert type(model).__name__ == own
    pooler = {"pooler.dense.weight", "pooler.dense.bias"} if head == "encoder" else set()
    assert set(report["missing_keys"]) == pooler
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    if head == "encoder":
        assert all("pooler.dense" in message for message in messages)
    else:
        assert messages == []
    import torch

    assert model.dtype == (torch.float16 if "fp16" in golden.name else torch.float32)


def test_an_encoder_without_its_pooler_loads_in_silence(golden: Path, golden_model: Path) -> None:
    """``add_pooling_layer=False`` is the way to load what a bare encoder is; an MLM checkpoint has the encoder in it."""
    with warnings_of_transformers() as messages:
        _, report = transformers.BertModel.from_pretrained(
            golden_model, add_pooling_layer=False, output_loading_info=True
        )
    assert not report["missing_keys"]
    if head_of(golden) == "encoder":
        assert not report["unexpected_keys"]
        assert messages == []
    else:
        others = ("cls.", "classifier.", "bert.pooler.")
        assert all(name.startswith(others) for name in report["unexpected_keys"])


def test_a_missing_tensor_would_be_warned_of(tmp_path: Path) -> None:
    """The control of the tests above: what they rely on to be silent can speak."""
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "model"
    convert(DATA / "bort_tiny_mlm.params", folder, Declaration(num_heads=GOLDEN_HEADS))
    tensors = load_file(folder / "model.safetensors")
    del tensors["bert.encoder.layer.1.output.dense.bias"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    _, report, messages = load("AutoModelForMaskedLM", folder)
    assert report["missing_keys"] == {"bert.encoder.layer.1.output.dense.bias"}
    assert any("bert.encoder.layer.1.output.dense.bias" in message for message in messages)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("dtype", "atol"), [("float64", FLOAT64_ATOL), ("float32", FLOAT32_ATOL)])
def test_equals_the_original_code_at_every_stage(
    golden: Path, golden_outputs: pytorch_runner.PyTorchOutputs, dtype: str, atol: float, attention: str
) -> None:
    expected = expected_outputs(golden)
    lengths = expected["valid_length"]
    valid = np.arange(expected["input_ids"].shape[1]) < lengths[:, None]
    assert 0 < valid.sum() < valid.size  # a padded batch
    stages = {key.removeprefix(f"{dtype}."): array for key, array in expected.items() if key.startswith(dtype)}
    names = {"embedding", "hidden.0", "hidden.1", "attention.0", "attention.1"}
    assert set(stages) == {"encoder": names, "mlm": names | {"mlm_logits"}, "classifier": {"logits"}}[head_of(golden)]
    for stage, wanted in stages.items():
        if stage.startswith("attention") and attention == "sdpa":
            continue
        actual = golden_outputs.outputs[dtype, attention][f"golden.{stage}"]
        assert (actual.shape, actual.dtype) == (wanted.shape, wanted.dtype)
        if stage.endswith("logits"):
            chosen: Any = np.s_[:]
        elif stage.startswith("attention"):
            chosen = np.broadcast_to(valid[:, None, :], wanted.shape[:3])  # rows of valid queries
        else:
            chosen = valid
        np.testing.assert_allclose(actual[chosen], wanted[chosen], rtol=0, atol=atol, err_msg=stage)
        assert np.abs(wanted[chosen]).max() > (0.01 if stage == "logits" else 0.1)


def plain_logits(model: Any, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """What Transformers' plain forward makes of the inputs of the original code."""
    import torch

    ids, lengths = inputs["input_ids"], inputs["valid_length"]
    with torch.no_grad():
        logits: np.ndarray = model.eval()(
            input_ids=torch.from_numpy(ids).long(),
            attention_mask=torch.from_numpy(np.arange(ids.shape[1]) < lengths[:, None]).long(),
        ).logits.numpy()
    return logits


@pytest.mark.parametrize("name", ["model_bort_MNLI_2", "bort_tiny_regressor"])
def test_the_whole_classifier_gives_the_logits(tmp_path: Path, name: str) -> None:
    """Nothing but Transformers' plain forward, with eps as MXNet rounds it, against the original code."""
    import torch

    convert(DATA / f"{name}.params", tmp_path / "model", Declaration(num_heads=GOLDEN_HEADS))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model", dtype=torch.float64)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert len(norms) == 5
    for norm in norms:
        norm.eps = float(np.float32(1e-5))
    expected = expected_outputs(DATA / f"{name}.params")
    logits = plain_logits(model, expected)
    np.testing.assert_allclose(logits, expected["float64.logits"], rtol=0, atol=FLOAT64_ATOL)


def test_the_whole_model_gives_the_logits(tmp_path: Path) -> None:
    """Nothing but Transformers' plain forward, with the two eps that GluonNLP has, against the original code."""
    import torch

    folder = tmp_path / "model"
    convert(DATA / "bort_tiny_mlm.params", folder, Declaration(num_heads=GOLDEN_HEADS))
    model = transformers.BertForMaskedLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    norms = [module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert len(norms) == 6
    for norm in norms:
        norm.eps = float(np.float32(1e-5))
    model.cls.predictions.transform.LayerNorm.eps = float(np.float32(1e-12))
    expected = expected_outputs(DATA / "bort_tiny_mlm.params")
    logits = plain_logits(model, expected)
    at_positions = np.take_along_axis(logits, expected["masked_positions"][:, :, None].astype(int), axis=1)
    np.testing.assert_allclose(at_positions, expected["float64.mlm_logits"], rtol=0, atol=FLOAT64_ATOL)


def test_the_same_weights_give_the_same_model_whatever_wrote_them(tmp_path: Path) -> None:
    plain, *others = ["params", "np_shape.params", "collect_params.params", "arg.params", "deduplicated.params"]
    for suffix in (plain, *others):
        convert(DATA / f"bort_tiny_mlm.{suffix}", tmp_path / suffix, Declaration(num_heads=GOLDEN_HEADS))
    for other in others:
        for name in ("model.safetensors", "config.json"):
            assert (tmp_path / plain / name).read_bytes() == (tmp_path / other / name).read_bytes(), other


def test_a_file_without_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TensorMismatchError, match=r"42 arrays without names .* save it again with save_parameters"):
        convert(DATA / "bort_tiny_mlm.list.params", tmp_path / "model", Declaration(num_heads=GOLDEN_HEADS))
    assert list(tmp_path.iterdir()) == []
