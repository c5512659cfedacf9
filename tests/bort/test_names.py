"""The table of names, held against the inventory, against real GluonNLP's files and against real Transformers' models."""

from collections.abc import Iterator
from dataclasses import asdict
from types import MappingProxyType

import pytest

from bort_convert.bort import inventory, names
from bort_convert.bort.architecture import Architecture
from bort_convert.bort.heads import HEADS, Head
from bort_convert.bort.inventory import Origin
from bort_convert.params import open_params
from tests.support import DATA, TINY, bort_shapes

GOLDEN = {
    "encoder": "bort_tiny_encoder.params",
    "mlm": "bort_tiny_mlm.params",
    "classifier": "model_bort_MNLI_2.params",
}
NUM_OUTPUTS = 3
GOLDEN_SIZES = Architecture(num_layers=2, num_heads=4, units=32, hidden_size=24, max_length=40, vocab_size=97)
ARCHITECTURE = Architecture(**asdict(TINY))


def disagreements(head: Head) -> Iterator[str]:
    """What the table of names and the inventory do not agree on."""
    rows = list(head.renames(TINY.num_layers).items())
    targets = {target.name: target for target in inventory.inventory(ARCHITECTURE, head)}
    named = [target for _, target in rows]
    for name in sorted(set(named)):
        if named.count(name) > 1:
            yield f"{name} is named twice"
        if name not in targets:
            yield f"{name} is not in the inventory"
    for name, target in targets.items():
        if (target.origin in (Origin.STORED, Origin.TIED)) != (name in named):
            yield f"{name} is {target.origin}, and the table says otherwise"
        if (target.origin in (Origin.TIED, Origin.ALIAS)) != (target.same_as is not None):
            yield f"{name} is {target.origin}, and shares {target.same_as}"
        if target.same_as is not None and target.same_as not in targets:
            yield f"{name} shares {target.same_as}, which is not in the inventory"
        elif target.same_as is not None and targets[target.same_as].shape != target.shape:
            yield f"{name} shares {target.same_as}, of another shape"


@pytest.mark.parametrize("head", HEADS.values(), ids=list(HEADS))
class TestEveryHead:
    def test_table_and_inventory_agree(self, head: Head) -> None:
        assert list(disagreements(head)) == []

    def test_a_row_missing_from_the_table_shows(self, head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
        for table, owner in ((names.BACKBONE, "BACKBONE"), (head.table, None)):
            for row in table:
                without = MappingProxyType({key: value for key, value in table.items() if key != row})
                with monkeypatch.context() as patch:
                    if owner:
                        patch.setattr(names, owner, without)
                        poorer = head
                    else:
                        poorer = Head(head.name, head.model_class, head.source_prefix, head.target_prefix, without)
                    assert list(disagreements(poorer)), f"the table can lose {row}"

    def test_a_row_missing_from_the_inventory_shows(self, head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
        for owner in ("_EMBEDDINGS", "_LAYER"):
            rows = getattr(inventory, owner)
            for row in rows:
                if row[2] is not Origin.ZERO:
                    with monkeypatch.context() as patch:
                        patch.setattr(inventory, owner, tuple(other for other in rows if other != row))
                        assert list(disagreements(head)), f"the inventory can lose {row}"
        for row in inventory._HEADS[head.name]:
            if row[2] is not Origin.ALIAS:
                with monkeypatch.context() as patch:
                    others = tuple(other for other in inventory._HEADS[head.name] if other != row)
                    patch.setitem(inventory._HEADS, head.name, others)
                    assert list(disagreements(head)), f"the inventory can lose {row}"

    def test_both_directions_are_unambiguous(self, head: Head) -> None:
        renames = head.renames(3)
        assert len(set(renames.values())) == len(renames)
        assert not any("{" in name for pair in renames.items() for name in pair)

    def test_sources_are_what_gluonnlp_writes(self, head: Head) -> None:
        with open_params(DATA / GOLDEN[head.name]) as params:
            written = {array.name: array.shape for array in params.arrays}
        renames = head.renames(GOLDEN_SIZES.num_layers)
        assert set(renames) == set(written)
        shapes = {target.name: target.shape for target in inventory.inventory(GOLDEN_SIZES, head, NUM_OUTPUTS)}
        assert {source: shapes[target] for source, target in renames.items()} == written

    def test_the_tests_own_names_are_what_gluonnlp_writes(self, head: Head) -> None:
        from tests.support import Sizes

        with open_params(DATA / GOLDEN[head.name]) as params:
            written = {array.name: array.shape for array in params.arrays}
        assert bort_shapes(Sizes(**asdict(GOLDEN_SIZES)), head.name, NUM_OUTPUTS) == written

    def test_targets_are_what_transformers_has(self, head: Head) -> None:
        import torch
        import transformers

        config = transformers.BertConfig(
            vocab_size=TINY.vocab_size,
            hidden_size=TINY.units,
            num_hidden_layers=TINY.num_layers,
            num_attention_heads=TINY.num_heads,
            intermediate_size=TINY.hidden_size,
            max_position_embeddings=TINY.max_length,
            type_vocab_size=1,
        )
        config.num_labels = NUM_OUTPUTS
        with torch.device("meta"):
            model = getattr(transformers, head.model_class)(config)
        expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        if head.name == "encoder":  # BertModel has a pooler, Bort none: known, and said in the README
            assert {expected.pop(f"pooler.dense.{kind}") for kind in ("weight", "bias")} == {(16, 16), (16,)}
        targets = inventory.inventory(ARCHITECTURE, head, NUM_OUTPUTS)
        assert {target.name: target.shape for target in targets} == expected
        assert len(targets) == len(expected)


def test_every_head_has_a_golden_file() -> None:
    assert set(GOLDEN) == set(HEADS)


def test_layers_are_numbered_from_zero() -> None:
    renames = HEADS["mlm"].renames(11)
    assert renames["encoder.transformer_cells.10.proj.bias"] == "bert.encoder.layer.10.attention.output.dense.bias"
    assert "encoder.transformer_cells.11.proj.bias" not in renames


def test_the_names_that_are_easily_swapped() -> None:
    """GluonNLP's ``proj`` is the attention's output, ``ffn_2`` the feed-forward's (``model/transformer.py``)."""
    renames = HEADS["encoder"].renames(1)
    cell = "encoder.transformer_cells.0"
    assert renames[f"{cell}.proj.weight"] == "encoder.layer.0.attention.output.dense.weight"
    assert renames[f"{cell}.ffn.ffn_2.weight"] == "encoder.layer.0.output.dense.weight"
    assert renames[f"{cell}.layer_norm.gamma"] == "encoder.layer.0.attention.output.LayerNorm.weight"
    assert renames[f"{cell}.ffn.layer_norm.gamma"] == "encoder.layer.0.output.LayerNorm.weight"
