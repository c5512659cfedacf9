"""The models that a checkpoint can become: which tables name their tensors, and under which prefixes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
        """Structural name to Hugging Face name, for a model of ``num_layers`` layers."""
        backbone = {self.source_prefix + key: self.target_prefix + value for key, value in names.BACKBONE.items()}
        return dict(_expand({**backbone, **self.table}, num_layers))


ENCODER = Head("encoder", "BertModel", "", "", {})
MLM = Head("mlm", "BertForMaskedLM", "", "bert.", names.MLM_DECODER)

HEADS = {head.name: head for head in (ENCODER, MLM)}


def _expand(table: Mapping[str, str], num_layers: int) -> Iterator[tuple[str, str]]:
    for source, target in table.items():
        for layer in range(num_layers) if "{layer}" in source else (0,):
            yield source.replace("{layer}", str(layer)), target.replace("{layer}", str(layer))
