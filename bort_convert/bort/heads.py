"""The models that a checkpoint can become: which tables name their tensors, and under which prefixes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bort_convert.bort import names


@dataclass(frozen=True, slots=True)
class Head:
    """What sits on the encoder.

    ``source_prefix`` and ``target_prefix`` stand before the backbone's names in the checkpoint and in the model folder;
    ``table`` names the head's own tensors in full; ``model_class`` is the Transformers class.
    """

    name: str
    model_class: str
    source_prefix: str
    target_prefix: str
    table: Mapping[str, str]

    def renames(self, num_layers: int) -> dict[str, str]:
        """Structural name to Hugging Face name, for a model of ``num_layers`` layers, in the order of GluonNLP's files."""
        backbone = {self.source_prefix + key: self.target_prefix + value for key, value in names.BACKBONE.items()}
        return expand(backbone, num_layers) | dict(self.table)

    def without(self) -> "Head":
        """The bare encoder, from a checkpoint that has this head."""
        return replace(ENCODER, source_prefix=self.source_prefix)


ENCODER = Head("encoder", "BertModel", "", "", {})
MLM = Head("mlm", "BertForMaskedLM", "", "bert.", names.MLM_DECODER)
CLASSIFIER = Head("classifier", "BertForSequenceClassification", "bort.", "bert.", names.CLASSIFIER)
CLASSIFIER_WITHOUT_DROPOUT = replace(CLASSIFIER, table=names.CLASSIFIER_WITHOUT_DROPOUT)

HEADS = {head.name: head for head in (ENCODER, MLM, CLASSIFIER)}


def expand(table: Mapping[str, str], num_layers: int) -> dict[str, str]:
    """The table with each run of ``{layer}`` rows repeated for every layer, a whole layer at a time."""
    rows = list(table.items())
    per_layer = [row for row in rows if "{layer}" in row[0]]
    layers = [
        (source.replace("{layer}", str(layer)), target.replace("{layer}", str(layer)))
        for layer in range(num_layers)
        for source, target in per_layer
    ]
    first = rows.index(per_layer[0])
    return dict(rows[:first] + layers + rows[first + len(per_layer) :])
