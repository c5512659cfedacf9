"""Writes docs/names.md, the table of names, from the code; a test holds the file against it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bort_convert.bort import flat_names, names
from bort_convert.bort.inventory import SAME_AS

PATH = Path(__file__).parent.parent / "docs" / "names.md"

INTRODUCTION = """# The table of names

Written by `python scripts/document_names.py` from `bort_convert/bort/names.py`, `flat_names.py` and `inventory.py`.

Every row is a rename: no tensor is transposed, split or joined. `{layer}` is the layer's index. A model with a head has `bert.`
before the names of the encoder and embeddings; a classifier's checkpoint has `bort.` before GluonNLP's.
"""


def main() -> None:
    PATH.write_text(document(), encoding="utf-8")


def document() -> str:
    """The text of docs/names.md."""
    parts = [
        INTRODUCTION,
        section("Encoder and embeddings", names.BACKBONE, "GluonNLP 0.8.3, `save_parameters`", "Transformers"),
        "`embeddings.token_type_embeddings.weight`, one row of zeros, has no source: Bort has no token types.\n",
        section("MLM decoder", names.MLM_DECODER, "GluonNLP", "Transformers"),
        "".join(
            f"`{name}` shares `{owner}` where the checkpoint's two copies are the same.\n"
            for name, owner in SAME_AS.items()
        ),
        section("Classifier", names.CLASSIFIER, "alexa/bort", "Transformers"),
        section("Classifier built without dropout", names.CLASSIFIER_WITHOUT_DROPOUT, "alexa/bort", "Transformers"),
        "# Flat names\n\nWhat `collect_params().save`, `export` and Module write. `{encoder}`, `{model}` and `{classifier}` are "
        "prefixes with a counter, like `bertencoder0_`.\n",
        section("GluonNLP 0.8", {**flat_names.ENCODER_0_8, **flat_names.MLM_DECODER_0_8}, "flat", "structural"),
        section(
            "GluonNLP 0.9 and 0.10", {**flat_names.ENCODER_0_9, **flat_names.MLM_DECODER_0_9}, "flat", "structural"
        ),
        section("Classifier", flat_names.CLASSIFIER, "flat", "structural"),
    ]
    return "\n".join(parts)


def section(title: str, table: Mapping[str, str], left: str, right: str) -> str:
    return "\n".join([f"## {title}", "", f"| {left} | {right} |", "| --- | --- |", *rows(table), ""])


def rows(table: Mapping[str, str]) -> Iterator[str]:
    for source, target in table.items():
        yield f"| `{source}` | `{target}` |"


if __name__ == "__main__":
    main()
