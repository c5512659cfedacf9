"""The model folder's ``config.json``."""

from collections.abc import Collection, Mapping

from bort_convert.bort import architecture as bort
from bort_convert.conversion.ledger import Ledger
from bort_convert.params import BY_NAME

CONFIG_NAME = "config.json"


def config_document(ledger: Ledger) -> Mapping[str, object]:
    """The config of ``ledger``'s model, in the terms of Transformers' ``BertConfig``."""
    architecture = ledger.architecture
    document: dict[str, object] = {
        "architectures": [ledger.head.model_class],
        "model_type": "bert",
        "vocab_size": architecture.vocab_size,
        "hidden_size": architecture.units,
        "num_hidden_layers": architecture.num_layers,
        "num_attention_heads": architecture.num_heads,
        "intermediate_size": architecture.hidden_size,
        "hidden_act": "gelu",
        "hidden_dropout_prob": bort.DROPOUT,
        "attention_probs_dropout_prob": bort.DROPOUT,
        "max_position_embeddings": architecture.max_length,
        "type_vocab_size": 1,
        "initializer_range": 0.02,
        "layer_norm_eps": bort.LAYER_NORM_EPS,
        "pad_token_id": bort.PAD_ID,
        "bos_token_id": bort.BOS_ID,
        "eos_token_id": bort.EOS_ID,
        "tie_word_embeddings": ledger.tied,
        "dtype": _dtype({entry.dtype.name for entry in ledger.written}),
    }
    if ledger.outputs:
        labels = ledger.outputs.labels
        document["id2label"] = {str(index): label for index, label in enumerate(labels)}
        document["label2id"] = {label: index for index, label in enumerate(labels)}
        document["problem_type"] = ledger.outputs.problem_type
    return document


def _dtype(stored: Collection[str]) -> str:
    """The narrowest dtype that holds every weight: Transformers loads all of them in it."""
    if set(stored) == {"float16", "bfloat16"}:
        return "float32"
    return max(stored, key=lambda dtype: BY_NAME[dtype].itemsize)
