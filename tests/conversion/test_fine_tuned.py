"""A folder that was trained in PyTorch: its export is a checkpoint that real GluonNLP loads, and computes the same from."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bort_convert.bort.heads import CLASSIFIER, ENCODER, MLM, Head
from bort_convert.conversion.convert import convert
from bort_convert.conversion.export import export
from bort_convert.conversion.ledger import Declaration
from bort_convert.conversion.ties import build_compared_ledger
from bort_convert.params import open_params
from bort_convert.parity import mxnet_runner, pytorch_runner
from bort_convert.parity.inputs import Batch, make_batches
from bort_convert.parity.stages import mask, tolerance
from bort_convert.parity.verify import verify
from tests.conftest import GOLDEN_HEADS
from tests.support import DATA

torch: Any = importlib.import_module("torch")
transformers: Any = importlib.import_module("transformers")

HEADS = Declaration(num_heads=GOLDEN_HEADS)
CHECKPOINTS = {
    "encoder": ("bort_tiny_encoder.params", ENCODER),
    "mlm": ("bort_tiny_mlm.collect_params.params", MLM),
    "classifier": ("model_bort_MNLI_2.params", CLASSIFIER),
}
SEGMENT_NOTE = (
    "the segment row is not zero (trained in PyTorch); Bort has none, so it was added to every position, "
    "rounded to their dtype"
)


def train(folder: Path, head: Head, destination: Path, *, frozen_segment: bool) -> None:
    """A few steps of plain PyTorch over all parameters, then ``save_pretrained``."""
    torch.manual_seed(0)
    model = getattr(transformers, head.model_class).from_pretrained(folder).train()
    if frozen_segment:
        model.base_model.embeddings.token_type_embeddings.weight.requires_grad_(False)
    optimiser = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    ids = torch.randint(3, 97, (4, 12))
    for _ in range(3):
        outputs = model(input_ids=ids)
        loss = outputs[0].square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(destination)


@pytest.fixture(scope="module", params=CHECKPOINTS)
def head(request: pytest.FixtureRequest) -> Head:
    return CHECKPOINTS[str(request.param)][1]


@pytest.fixture(scope="module")
def trained(head: Head, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``model``, and ``tuned``: the same after training. Not to be changed."""
    parent = tmp_path_factory.mktemp(head.name)
    convert(DATA / CHECKPOINTS[head.name][0], parent / "model", HEADS)
    train(parent / "model", head, parent / "tuned", frozen_segment=False)
    train(parent / "model", head, parent / "frozen", frozen_segment=True)
    return parent


@pytest.fixture(scope="module")
def exported(trained: Path, head: Head) -> tuple[str, ...]:
    """The notes of an export of the trained folder to ``back.params``."""
    return export(trained / "tuned", trained / "back.params").notes


def test_the_training_changed_every_tensor(trained: Path, head: Head) -> None:
    from safetensors.numpy import load_file

    before, after = (load_file(trained / part / "model.safetensors") for part in ("model", "tuned"))
    same = {name for name in before if (before[name] == after[name]).all()}
    assert after.keys() - before.keys() <= {"pooler.dense.weight", "pooler.dense.bias"}
    assert not any("token_type" in name for name in same)
    # A key's bias has no gradient but for rounding; all the rest moved.
    assert all(name.endswith("key.bias") for name in same)


def test_real_gluonnlp_loads_it_and_computes_the_same(trained: Path, head: Head, exported: tuple[str, ...]) -> None:
    """The parameters go through ``load_parameters``, none missing and none left over; outputs at every stage."""
    with open_params(trained / "back.params") as params:
        ledger = build_compared_ledger(params, HEADS)
    assert ledger.head.name == head.name
    batches: dict[str, Batch] = dict(make_batches(ledger.architecture, (1, 2, 17), 0))
    with mxnet_runner.run(trained / "back.params", ledger, batches, ["float64", "float32"]) as wait:
        loaded = pytorch_runner.load(trained / "tuned", head)
        assert (loaded.missing, loaded.unexpected) == ((), ())
        # Folding the segment row rounds the positions to float32 once; so float32 bounds both comparisons.
        ours = pytorch_runner.run(loaded.model, batches, ["float32", "float64"], ["eager"])
        theirs = wait()
    compared = 0
    for dtype in ("float32", "float64"):
        for name, batch in batches.items():
            for key, expected in theirs.outputs[dtype].items():
                if key.startswith(f"{name}."):
                    stage = key.removeprefix(f"{name}.")
                    chosen = mask(stage, batch)
                    where = np.s_[:] if chosen is None else chosen
                    if stage.startswith("attention"):
                        assert chosen is not None
                        where = np.broadcast_to(chosen, expected.shape[:3])
                    got = ours.outputs[dtype, "eager"][key]
                    atol = tolerance("float32", stage, expected).atol
                    np.testing.assert_allclose(got[where], expected[where], rtol=0, atol=atol, err_msg=key)
                    compared += 1
    stages = {"encoder": 5, "mlm": 6, "classifier": 6}[head.name]
    assert compared == 2 * stages * len(batches)


def test_the_segment_row_is_folded_and_noted(trained: Path, head: Head, exported: tuple[str, ...]) -> None:
    from safetensors.numpy import load_file

    assert SEGMENT_NOTE in exported
    row = load_file(trained / "tuned" / "model.safetensors")[
        f"{head.target_prefix}embeddings.token_type_embeddings.weight"
    ]
    assert np.abs(row).max() > 1e-2
    pooler = any("pooler was left out" in note for note in exported)
    assert pooler == (head.name == "encoder")


def test_convert_of_the_export_verifies(trained: Path, head: Head, exported: tuple[str, ...], tmp_path: Path) -> None:
    convert(trained / "back.params", tmp_path / "again", HEADS)
    verification = verify(trained / "back.params", tmp_path / "again", dtypes=["float64"])
    assert verification.passed
    assert verification.stages


def test_with_a_frozen_segment_row_the_folder_itself_verifies(trained: Path, head: Head, tmp_path: Path) -> None:
    """The folder as Transformers saved it: its config, its tensors, against the exported file."""
    notes = export(trained / "frozen", tmp_path / "back.params").notes
    assert SEGMENT_NOTE not in notes
    declared = replace(HEADS, task="MNLI" if head is CLASSIFIER else None)
    verification = verify(tmp_path / "back.params", trained / "frozen", declared, dtypes=["float64"])
    # The pooler that Transformers gives a bare encoder, and saved with it, is no tensor of a Bort.
    pooler = {"pooler.dense.weight", "pooler.dense.bias"} if head is ENCODER else set()
    assert {check.name for check in verification.checks if not check.passed} == pooler
    assert verification.stages
    assert all(result.difference.passed for result in verification.stages)
    assert verification.passed == (head is not ENCODER)
