"""Spellings of names: every writer's are read, of every prefix, and two writers' in one file are refused."""

import json
import re
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bort_convert.bort import flat_names
from bort_convert.bort.heads import CLASSIFIER, ENCODER, MLM, Head, expand
from bort_convert.bort.spelling import read_spelling
from bort_convert.errors import MixedNamesError
from bort_convert.params import open_params
from tests.support import DATA, TINY, bort_shapes, run_command

STRUCTURAL = list(bort_shapes())
STORED_ONCE = [name for name in STRUCTURAL if name != "decoder.3.weight"]
"""The parameters of an MLM model: the tied weight is one."""

REAL_NAMES = """
import json
import numpy as np
if not hasattr(np, "bool"):
    np.bool = np.bool_
import gluonnlp as nlp
import mxnet as mx

class BortModel(nlp.model.BERTModel):
    pass

class BortClassifier(mx.gluon.Block):
    def __init__(self, bort, **options):
        super().__init__(**options)
        self.bort = bort
        with self.name_scope():
            self.classifier = mx.gluon.nn.HybridSequential(prefix="")
            with self.classifier.name_scope():
                for activation in ("tanh", None):
                    self.classifier.add(mx.gluon.nn.Dropout(0.1))
                    self.classifier.add(mx.gluon.nn.Dense(8, activation=activation, in_units=8))

def build(kind):
    encoder = nlp.model.BERTEncoder(num_layers=2, units=8, hidden_size=6, max_length=5, num_heads=2,
                                    layer_norm_eps=1e-5)
    model_class = nlp.model.RoBERTaModel if kind == "roberta" else BortModel
    options = {} if kind == "roberta" else {"use_pooler": False, "use_classifier": False}
    model = model_class(encoder, vocab_size=7, units=8, embed_size=8, use_decoder=kind != "classifier",
                        **({} if kind == "roberta" else dict(options, use_token_type_embed=False)))
    return BortClassifier(model) if kind == "classifier" else model

result = []
for kind in ("mlm", "roberta", "classifier", "mlm"):
    model = build(kind)
    owners = {id(parameter): name for name, parameter in reversed(model._collect_params_with_prefix().items())}
    result.append([kind, {name: owners[id(parameter)] for name, parameter in model.collect_params().items()}])
print(json.dumps(result))
"""
"""Flat name to structural name of the same parameter, of models that GluonNLP builds; the last has other counters."""


@pytest.fixture(scope="module")
def real_names() -> list[tuple[str, dict[str, str]]]:
    result = run_command([sys.executable, "-W", "ignore", "-c", REAL_NAMES])
    assert result.exit_code == 0, result.stderr
    return [(kind, names) for kind, names in json.loads(result.stdout.splitlines()[-1])]


def names_of(name: str) -> list[str]:
    with open_params(DATA / name) as params:
        return [array.name for array in params.arrays]


def flat_0_9(encoder: str, model: str, num_layers: int = 2) -> dict[str, str]:
    """Flat names of GluonNLP 0.9 to 0.10, from instantiated models of those versions."""
    names = {
        f"{encoder}position_weight": "encoder.position_weight",
        f"{encoder}layernorm0_gamma": "encoder.layer_norm.gamma",
        f"{encoder}layernorm0_beta": "encoder.layer_norm.beta",
    }
    for layer in range(num_layers):
        flat, dotted = f"{encoder}transformer{layer}_", f"encoder.transformer_cells.{layer}."
        for kind in ("bias", "weight"):  # this generation writes the three biases first
            for projection in ("query", "key", "value"):
                names[f"{flat}dotproductselfattentioncell0_{projection}_{kind}"] = (
                    f"{dotted}attention_cell.proj_{projection}.{kind}"
                )
        for kind in ("weight", "bias"):
            names[f"{flat}proj_{kind}"] = f"{dotted}proj.{kind}"
            names[f"{flat}positionwiseffn0_ffn_1_{kind}"] = f"{dotted}ffn.ffn_1.{kind}"
            names[f"{flat}positionwiseffn0_ffn_2_{kind}"] = f"{dotted}ffn.ffn_2.{kind}"
        for kind in ("gamma", "beta"):
            names[f"{flat}positionwiseffn0_layernorm0_{kind}"] = f"{dotted}ffn.layer_norm.{kind}"
            names[f"{flat}layernorm0_{kind}"] = f"{dotted}layer_norm.{kind}"
    return names | {
        f"{model}word_embed_embedding0_weight": "word_embed.0.weight",
        f"{model}dense0_weight": "decoder.0.weight",
        f"{model}dense0_bias": "decoder.0.bias",
        f"{model}layernorm0_gamma": "decoder.2.gamma",
        f"{model}layernorm0_beta": "decoder.2.beta",
        f"{model}word_embed_embedding0_bias": "decoder.3.bias",
    }


class TestTables:
    @pytest.mark.parametrize(
        ("tables", "head"),
        [
            ((flat_names.ENCODER_0_8,), ENCODER),
            ((flat_names.ENCODER_0_9,), ENCODER),
            ((flat_names.ENCODER_0_8, flat_names.MLM_DECODER_0_8), MLM),
            ((flat_names.ENCODER_0_9, flat_names.MLM_DECODER_0_9), MLM),
        ],
    )
    def test_they_reach_every_structural_name_once(self, tables: tuple[Mapping[str, str], ...], head: Head) -> None:
        found = [name for table in tables for name in expand_any(table).values()]
        expected = head.renames(3).keys() - {"decoder.3.weight"}
        assert len(found) == len(set(found))
        assert set(found) == expected

    def test_the_classifiers_table(self) -> None:
        assert set(flat_names.CLASSIFIER.values()) == set(CLASSIFIER.table)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (flat_names.ENCODER_0_8, flat_names.ENCODER_0_9),
            (flat_names.MLM_DECODER_0_8, flat_names.MLM_DECODER_0_9),
        ],
    )
    def test_the_generations_differ_by_three_blocks_alone(self, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        renamed = {
            name.replace("multiheadattentioncell0", "dotproductselfattentioncell0")
            .replace("bertpositionwiseffn0", "positionwiseffn0")
            .replace("bertlayernorm0", "layernorm0"): structural
            for name, structural in old.items()
        }
        assert renamed == dict(new)
        assert set(old) != set(new)


def expand_any(table: Mapping[str, str], num_layers: int = 3) -> dict[str, str]:
    """The table for every layer; a table without layers as it is."""
    return expand(table, num_layers) if any("{layer}" in name for name in table) else dict(table)


class TestWriters:
    @pytest.mark.parametrize(
        ("name", "writer", "stored_once"),
        [
            ("bort_tiny_mlm.params", "structural names (save_parameters)", False),
            ("bort_tiny_mlm.np_shape.params", "structural names (save_parameters)", False),
            ("bort_tiny_mlm_fp16.params", "structural names (save_parameters)", False),
            ("bort_tiny_mlm.collect_params.params", "flat names of GluonNLP 0.8", True),
            ("bort_tiny_mlm.arg.params", "flat names of GluonNLP 0.8, behind arg: (export or Module)", True),
            ("bort_tiny_mlm.deduplicated.params", "structural names, deduplicated", True),
        ],
    )
    def test_golden_files(self, name: str, writer: str, stored_once: bool) -> None:
        names = names_of(name)
        spelling = read_spelling(names)
        assert (spelling.writer, spelling.stored_once) == (writer, stored_once)
        assert list(spelling.structural) == names
        found = list(spelling.structural.values())
        assert len(set(found)) == len(found)
        assert set(found) == set(STORED_ONCE if stored_once else STRUCTURAL)

    def test_the_golden_flat_file_means_the_same_tensors(self) -> None:
        """Names alone could be exchanged among tensors of one shape; the bytes tell."""
        with open_params(DATA / "bort_tiny_mlm.params") as plain:
            for name in ("collect_params", "arg", "deduplicated"):
                with open_params(DATA / f"bort_tiny_mlm.{name}.params") as other:
                    structural = read_spelling([array.name for array in other.arrays]).structural
                    for array in other.arrays:
                        expected = plain.view(plain.by_name[structural[array.name]])
                        assert other.view(array).tobytes() == expected.tobytes(), array.name

    @pytest.mark.parametrize("prefix", ["arg:", "aux:"])
    @pytest.mark.parametrize("head", ["encoder", "mlm", "classifier"])
    def test_structural_names_of_module(self, prefix: str, head: str) -> None:
        spelling = read_spelling([prefix + name for name in bort_shapes(head=head)])
        assert spelling.structural == {prefix + name: name for name in bort_shapes(head=head)}
        assert spelling.writer == "structural names (save_parameters), behind arg: (export or Module)"

    def test_real_gluonnlp(self, real_names: list[tuple[str, dict[str, str]]]) -> None:
        assert [kind for kind, _ in real_names] == ["mlm", "roberta", "classifier", "mlm"]
        for kind, names in real_names:
            # A tied weight belongs to two structural names; the flat one is the embedding's.
            expected = {flat: name.replace("decoder.3.weight", "word_embed.0.weight") for flat, name in names.items()}
            assert set(expected.values()) == set(
                bort_shapes(head="classifier") if kind == "classifier" else STORED_ONCE
            )
            spelling = read_spelling(list(names))
            assert spelling.structural == expected
            assert spelling.writer == "flat names of GluonNLP 0.8"
        prefixes = [next(iter(names)).split("_")[0] for _, names in real_names]
        assert prefixes == ["bertencoder0", "bertencoder1", "bertencoder2", "bertencoder3"]

    def test_the_test_builds_what_gluonnlp_does(self, real_names: list[tuple[str, dict[str, str]]]) -> None:
        flat = list(real_names[2][1])
        assert [name for name in flat if "classifier" in name] == [
            f"bortclassifier0_dense{index}_{kind}" for index in (0, 1) for kind in ("weight", "bias")
        ]

    PREFIXES = st.from_regex(r"[a-z]{1,12}[0-9]{1,4}_", fullmatch=True)

    @given(PREFIXES, PREFIXES, st.integers(1, 12), st.sampled_from(["", "arg:", "aux:"]))
    def test_generation_0_9_under_any_prefix(self, encoder: str, model: str, num_layers: int, module: str) -> None:
        if encoder == model:
            return
        expected = {module + flat: name for flat, name in flat_0_9(encoder, model, num_layers).items()}
        spelling = read_spelling(list(expected))
        assert spelling.structural == expected
        assert spelling.writer.startswith("flat names of GluonNLP 0.9 and later")
        assert spelling.stored_once

    @given(PREFIXES, PREFIXES)
    def test_generation_0_8_under_any_prefix(self, encoder: str, model: str) -> None:
        if encoder == model:
            return
        golden = {
            name.replace("bertencoder7_", encoder).replace("bortmodel7_", model): name
            for name in names_of("bort_tiny_mlm.collect_params.params")
        }
        expected = read_spelling(list(golden.values())).structural
        assert read_spelling(list(golden)).structural == {new: expected[old] for new, old in golden.items()}

    def test_an_encoder_of_0_9(self) -> None:
        names = {flat: name for flat, name in flat_0_9("e0_", "m0_").items() if not name.startswith("decoder.")}
        assert read_spelling(list(names)).structural == names

    def test_a_classifier_of_0_9(self) -> None:
        names = {
            flat: f"bort.{name}" for flat, name in flat_0_9("e3_", "m4_").items() if not name.startswith("decoder.")
        } | {
            f"bortclassifier9_dense{index}_{kind}": f"classifier.{1 + 2 * index}.{kind}"
            for index in (0, 1)
            for kind in ("weight", "bias")
        }
        assert read_spelling(list(names)).structural == names

    def test_names_of_nobody_stand_for_themselves(self) -> None:
        names = ["one", "two_weight"]
        assert read_spelling(names).structural == {name: name for name in names}
        assert read_spelling([]).structural == {}

    def test_an_unknown_name_is_left_to_the_ledger(self) -> None:
        for names in (STRUCTURAL, list(flat_0_9("e0_", "m0_"))):
            assert read_spelling([*names, "other"]).structural["other"] == "other"


class TestMixed:
    """A file that two writers had a hand in is no whole checkpoint, whichever tensor each gave."""

    FLAT_0_8 = names_of("bort_tiny_mlm.collect_params.params")

    @pytest.mark.parametrize("name", STRUCTURAL)
    def test_one_name_behind_arg(self, name: str) -> None:
        with pytest.raises(MixedNamesError, match="names of two writers in one file"):
            read_spelling([f"arg:{other}" if other == name else other for other in STRUCTURAL])

    @pytest.mark.parametrize("name", STRUCTURAL)
    def test_one_name_not_behind_arg(self, name: str) -> None:
        with pytest.raises(MixedNamesError, match=rf"arg:\S+ and {re.escape(name)}\)"):
            read_spelling([other if other == name else f"arg:{other}" for other in STRUCTURAL])

    @pytest.mark.parametrize("index", range(len(FLAT_0_8)))
    def test_one_flat_name_among_structural_ones(self, index: int) -> None:
        flat = self.FLAT_0_8[index]
        structural = read_spelling(self.FLAT_0_8).structural[flat]
        with pytest.raises(MixedNamesError, match="names of two writers in one file") as caught:
            read_spelling([flat if name == structural else name for name in STRUCTURAL])
        assert flat in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("index", range(len(FLAT_0_8)))
    def test_one_structural_name_among_flat_ones(self, index: int) -> None:
        flat = self.FLAT_0_8[index]
        structural = read_spelling(self.FLAT_0_8).structural[flat]
        with pytest.raises(MixedNamesError):
            read_spelling([structural if name == flat else name for name in self.FLAT_0_8])

    def test_two_generations(self) -> None:
        old, new = self.FLAT_0_8, list(flat_0_9("bertencoder7_", "bortmodel7_"))
        structural = read_spelling(old).structural
        tried = 0
        for flat, name in flat_0_9("bertencoder7_", "bortmodel7_").items():
            if flat not in old:
                with pytest.raises(MixedNamesError, match="names of two writers"):
                    read_spelling([flat if structural[other] == name else other for other in old])
                tried += 1
        assert tried == len(set(new) - set(old)) > 20

    def test_the_same_name_twice(self) -> None:
        with pytest.raises(MixedNamesError, match=r"arg:word_embed\.0\.weight and aux:word_embed\.0\.weight"):
            read_spelling([f"arg:{name}" for name in STRUCTURAL] + ["aux:word_embed.0.weight"])


def test_a_whole_bort_of_these_sizes_was_read() -> None:
    assert (TINY.num_layers, len(STRUCTURAL), len(TestMixed.FLAT_0_8)) == (2, 42, 41)
