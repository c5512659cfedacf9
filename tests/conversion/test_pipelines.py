"""What a person does with a converted classifier: text in, label out, from the folder alone."""

import json
import subprocess
import sys
from pathlib import Path

from bort_convert.bort.architecture import Architecture
from bort_convert.conversion.convert import convert
from bort_convert.conversion.ledger import Declaration
from bort_convert.conversion.tokenizer_source import TokenizerSources
from bort_convert.parity.sample import write_sample
from tests import golden_tokenizer

PIPELINE = """
import json, sys, warnings
import transformers
transformers.logging.disable_progress_bar()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    classify = transformers.pipeline("text-classification", sys.argv[1], top_k=None)
    results = classify(["A cat sat on the mat.", {"text": "A cat", "text_pair": "sat"}])
print(json.dumps([results, [str(warning.message) for warning in caught if "weight" in str(warning.message)]]))
"""


def test_text_classification(tmp_path: Path) -> None:
    architecture = Architecture(
        num_layers=1, num_heads=4, units=16, hidden_size=12, max_length=40, vocab_size=golden_tokenizer.SIZE
    )
    checkpoint = write_sample(tmp_path / "model_bort_MNLI_2.params", architecture, head="classifier", num_classes=3)
    sources = TokenizerSources(golden_tokenizer.VOCAB, golden_tokenizer.BPE_RANKS)
    convert(checkpoint, tmp_path / "model", Declaration(num_heads=4), tokenizer=sources)
    process = subprocess.run(
        [sys.executable, "-c", PIPELINE, str(tmp_path / "model")], capture_output=True, text=True, check=True
    )
    (single, pair), warnings = json.loads(process.stdout.splitlines()[-1])
    for scores in (single, pair):
        assert {score["label"] for score in scores} == {"neutral", "entailment", "contradiction"}
        assert abs(sum(score["score"] for score in scores) - 1) < 1e-4
    assert single != pair
    assert warnings == []
    assert "MISSING" not in process.stderr
    assert "UNEXPECTED" not in process.stderr
