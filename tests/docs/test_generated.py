"""What docs/ says of names and of the library is what the code says."""

import runpy

import bort_convert
from tests.support import DATA

ROOT = DATA.parent.parent


def test_the_files_are_generated_from_the_code() -> None:
    documents = runpy.run_path(str(ROOT / "scripts" / "document.py"))["documents"]()
    assert set(documents) == {"names.md", "api.md"}
    for name, text in documents.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, "run: python scripts/document.py"


def test_they_say_something() -> None:
    names, api = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("names.md", "api.md"))
    assert names.count("| `encoder.transformer_cells.{layer}.") == 3 * 16
    assert all(f"## `{name}" in api for name in bort_convert.__all__ if name != "__version__")
