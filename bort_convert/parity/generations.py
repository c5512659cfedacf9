"""Where other versions of GluonNLP compute something else than 0.8.3, which Bort was made with.

Read from ``model/bert.py`` and ``model/transformer.py`` at the tags of GluonNLP.
"""

from collections.abc import Mapping


def semantic_warnings(versions: Mapping[str, str]) -> tuple[str, ...]:
    """How the GluonNLP that ran differs from 0.8; empty for 0.8 itself."""
    version = versions.get("gluonnlp", "")
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if not numbers or numbers[:2] == (0, 8):
        return ()
    warnings = []
    if numbers < (0, 8):
        warnings.append("has no layer_norm_eps: every LayerNorm uses 1e-12 where Bort's encoder has 1e-5")
    if (0, 9) <= numbers < (0, 10):
        warnings.append("adds the biases of query, key and value to the wrong heads (fixed in 0.10.0)")
    if (0, 9) <= numbers < (0, 9, 2):
        warnings.append("fixes the embedding LayerNorm's eps at 1e-12")
    if numbers >= (0, 9, 2):
        warnings.append("gives the MLM decoder's LayerNorm the encoder's eps, where 0.8.3 has 1e-12")
    return tuple(f"GluonNLP {version} {warning}" for warning in warnings)
