"""Which Bort a file is: sizes and head from its tensors, heads from the user or a published shape, never from a guess."""

from dataclasses import asdict, replace

import pytest

from bort_convert.bort.architecture import PUBLISHED, Architecture, Sizes, detect
from bort_convert.bort.detection import detect_head, detect_sizes
from bort_convert.errors import (
    ArchitectureMismatchError,
    InvalidOptionError,
    TensorMismatchError,
    UnknownArchitectureError,
)
from tests import support

RELEASED = Sizes(num_layers=4, units=1024, hidden_size=768, max_length=512, vocab_size=50265)
SMALLER = Sizes(num_layers=2, units=1024, hidden_size=512, max_length=512, vocab_size=50265)
OWN = Sizes(num_layers=2, units=32, hidden_size=24, max_length=40, vocab_size=97)


class TestArchitecture:
    @pytest.mark.parametrize(
        ("sizes", "name", "heads"), [(RELEASED, "bort_4_8_768_1024", 8), (SMALLER, "bort_2_16_512_1024", 16)]
    )
    def test_published(self, sizes: Sizes, name: str, heads: int) -> None:
        detected = detect(sizes)
        assert (detected.name, detected.num_heads) == (name, heads)
        assert detected.description == name
        assert detect(sizes, name=name) == detect(sizes, num_heads=heads) == detected
        assert detect(sizes, name=name, num_heads=heads) == detected
        assert asdict(detected) == asdict(sizes) | {"num_heads": heads}

    def test_the_names_read_layers_heads_hidden_units(self) -> None:
        assert len(PUBLISHED) == 2
        for name, published in PUBLISHED.items():
            sizes = (published.num_layers, published.num_heads, published.hidden_size, published.units)
            assert name == "bort_" + "_".join(map(str, sizes))

    def test_any_vocabulary_is_published(self) -> None:
        assert detect(replace(RELEASED, vocab_size=100)).num_heads == 8

    @pytest.mark.parametrize("field", ["num_layers", "units", "hidden_size", "max_length"])
    @pytest.mark.parametrize("published", [RELEASED, SMALLER], ids=["released", "smaller"])
    def test_heads_are_never_guessed(self, published: Sizes, field: str) -> None:
        sizes = replace(published, **{field: getattr(published, field) * 2})
        with pytest.raises(
            UnknownArchitectureError, match=r"no tensor's shape depends on .* say it with --num-heads N"
        ):
            detect(sizes)

    def test_own_architecture(self) -> None:
        detected = detect(OWN, num_heads=4)
        assert detected == Architecture(num_heads=4, **asdict(OWN))
        assert detected.name is None
        assert detected.description == "2 layers, 4 heads, 32 units, hidden size 24"

    def test_other_heads_on_a_published_shape_are_believed(self) -> None:
        detected = detect(RELEASED, num_heads=16)
        assert (detected.num_heads, detected.name) == (16, None)

    @pytest.mark.parametrize("sizes", [SMALLER, OWN])
    def test_a_name_that_contradicts_the_shapes(self, sizes: Sizes) -> None:
        with pytest.raises(
            ArchitectureMismatchError, match="bort_4_8_768_1024 contradicts the file, which has 2 layers"
        ):
            detect(sizes, name="bort_4_8_768_1024", num_heads=8)

    def test_a_name_that_contradicts_the_heads(self) -> None:
        with pytest.raises(ArchitectureMismatchError, match="has 8 heads, --num-heads says 16"):
            detect(RELEASED, name="bort_4_8_768_1024", num_heads=16)

    @pytest.mark.parametrize("heads", [3, 33, 0, -4])
    def test_heads_that_do_not_divide_the_units(self, heads: int) -> None:
        with pytest.raises(InvalidOptionError, match=f"--num-heads {heads} does not divide the 32 units"):
            detect(OWN, num_heads=heads)


class TestHead:
    @pytest.mark.parametrize("head", ["encoder", "mlm"])
    def test_from_names(self, head: str) -> None:
        assert detect_head(support.bort_shapes(head=head)).name == head

    def test_one_tensor_of_the_decoder_is_enough(self) -> None:
        assert detect_head({**support.bort_shapes(head="encoder"), "decoder.3.bias": (23,)}).name == "mlm"


class TestSizes:
    @pytest.mark.parametrize("layers", [1, 2, 12])
    def test_from_shapes(self, layers: int) -> None:
        sizes = support.Sizes(num_layers=layers, units=24, hidden_size=20, max_length=9, vocab_size=31)
        assert detect_sizes(support.bort_shapes(sizes)) == Sizes(
            num_layers=layers, units=24, hidden_size=20, max_length=9, vocab_size=31
        )

    @pytest.mark.parametrize(
        "name", ["word_embed.0.weight", "encoder.position_weight", "encoder.transformer_cells.0.ffn.ffn_1.weight"]
    )
    def test_a_tensor_that_tells_a_size_is_missing(self, name: str) -> None:
        shapes = support.bort_shapes()
        del shapes[name]
        with pytest.raises(TensorMismatchError, match=f"not a Bort checkpoint: it has no {name}"):
            detect_sizes(shapes)

    @pytest.mark.parametrize(
        "name", ["word_embed.0.weight", "encoder.position_weight", "encoder.transformer_cells.0.ffn.ffn_1.weight"]
    )
    @pytest.mark.parametrize("shape", [(), (16,), (2, 3, 4), (0, 16), (23, 0)])
    def test_a_tensor_that_tells_a_size_is_no_matrix(self, name: str, shape: tuple[int, ...]) -> None:
        with pytest.raises(TensorMismatchError, match=f"{name} has shape .*, expected a matrix"):
            detect_sizes({**support.bort_shapes(), name: shape})

    def test_nothing(self) -> None:
        with pytest.raises(TensorMismatchError, match="it has nothing"):
            detect_sizes({})
