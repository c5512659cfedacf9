"""The documented table of names is the code's."""

import runpy

from tests.support import DATA


def test_the_table_is_generated_from_the_code() -> None:
    root = DATA.parent.parent
    document = runpy.run_path(str(root / "scripts" / "document_names.py"))["document"]
    written = (root / "docs" / "names.md").read_text(encoding="utf-8")
    assert written == document(), "run: python scripts/document_names.py"
    assert written.count("| `encoder.transformer_cells.{layer}.") == 3 * 16
