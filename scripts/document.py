"""Writes docs/names.md and docs/api.md from the code; a test holds the files against it."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

import bort_convert
from bort_convert.bort import flat_names, names
from bort_convert.bort.inventory import SAME_AS

FOLDER = Path(__file__).parent.parent / "docs"

NAMES = """# The table of names

Written by `python scripts/document.py` from `bort_convert/bort/names.py`, `flat_names.py` and `inventory.py`.

Every row is a rename: no tensor is transposed, split or joined. `{layer}` is the layer's index. A model with a head has `bert.`
before the names of the encoder and embeddings; a classifier's checkpoint has `bort.` before GluonNLP's.
"""

API = """# The library

Written by `python scripts/document.py` from the docstrings. Everything here can be imported from `bort_convert`, and is loaded
when it is first used.

```python
from bort_convert import Declaration, convert, verify

convert("bort.params", "bort/")
verification = verify("bort.params", "bort/")
assert verification.passed, verification.first_divergence
```
"""


def main() -> None:
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def documents() -> Mapping[str, str]:
    """The text of each generated file of docs/, by its name."""
    return {"names.md": names_document(), "api.md": api_document()}


def names_document() -> str:
    shared = [
        f"`{name}` shares `{owner}` where the checkpoint's two copies are the same.\n"
        for name, owner in SAME_AS.items()
    ]
    parts = [
        NAMES,
        section("Encoder and embeddings", names.BACKBONE, "GluonNLP 0.8.3, `save_parameters`", "Transformers"),
        "`embeddings.token_type_embeddings.weight`, one row of zeros, has no source: Bort has no token types.\n",
        section("MLM decoder", names.MLM_DECODER, "GluonNLP", "Transformers"),
        *shared,
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


def api_document() -> str:
    parts = [API]
    for name in bort_convert.__all__:
        thing = getattr(bort_convert, name)
        if not callable(thing):
            continue
        parameters = ", ".join(inspect.signature(thing).parameters) if inspect.isfunction(thing) else ""
        title = f"`{name}({parameters})`" if inspect.isfunction(thing) else f"`{name}`"
        parts.append(f"## {title}\n\n{inspect.getdoc(thing)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    main()
