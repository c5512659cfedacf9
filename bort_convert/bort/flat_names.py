"""Flat names: what ``collect_params().save``, ``export`` and Module write where ``save_parameters`` writes structural names.

A flat name begins with the prefix of the block that owns the parameter, which ends in a counter of the process that wrote
it: ``{encoder}`` is like ``bertencoder0_``, ``{model}`` like ``bortmodel0_``, ``{classifier}`` like ``bortclassifier0_``.
GluonNLP 0.9 renamed three blocks. A tied weight is one parameter with one name, under which the decoder's bias hangs too
(instantiated models of GluonNLP 0.8.3, 0.9.2 and 0.10.0 on MXNet 1.9.1).
"""

from collections.abc import Mapping

_CELL = "{encoder}transformer{layer}_"

ENCODER_0_8: Mapping[str, str] = {
    "{encoder}position_weight": "encoder.position_weight",
    "{encoder}bertlayernorm0_gamma": "encoder.layer_norm.gamma",
    "{encoder}bertlayernorm0_beta": "encoder.layer_norm.beta",
    f"{_CELL}multiheadattentioncell0_query_weight": "encoder.transformer_cells.{layer}.attention_cell.proj_query.weight",
    f"{_CELL}multiheadattentioncell0_query_bias": "encoder.transformer_cells.{layer}.attention_cell.proj_query.bias",
    f"{_CELL}multiheadattentioncell0_key_weight": "encoder.transformer_cells.{layer}.attention_cell.proj_key.weight",
    f"{_CELL}multiheadattentioncell0_key_bias": "encoder.transformer_cells.{layer}.attention_cell.proj_key.bias",
    f"{_CELL}multiheadattentioncell0_value_weight": "encoder.transformer_cells.{layer}.attention_cell.proj_value.weight",
    f"{_CELL}multiheadattentioncell0_value_bias": "encoder.transformer_cells.{layer}.attention_cell.proj_value.bias",
    f"{_CELL}proj_weight": "encoder.transformer_cells.{layer}.proj.weight",
    f"{_CELL}proj_bias": "encoder.transformer_cells.{layer}.proj.bias",
    f"{_CELL}bertpositionwiseffn0_ffn_1_weight": "encoder.transformer_cells.{layer}.ffn.ffn_1.weight",
    f"{_CELL}bertpositionwiseffn0_ffn_1_bias": "encoder.transformer_cells.{layer}.ffn.ffn_1.bias",
    f"{_CELL}bertpositionwiseffn0_ffn_2_weight": "encoder.transformer_cells.{layer}.ffn.ffn_2.weight",
    f"{_CELL}bertpositionwiseffn0_ffn_2_bias": "encoder.transformer_cells.{layer}.ffn.ffn_2.bias",
    f"{_CELL}bertpositionwiseffn0_bertlayernorm0_gamma": "encoder.transformer_cells.{layer}.ffn.layer_norm.gamma",
    f"{_CELL}bertpositionwiseffn0_bertlayernorm0_beta": "encoder.transformer_cells.{layer}.ffn.layer_norm.beta",
    f"{_CELL}bertlayernorm0_gamma": "encoder.transformer_cells.{layer}.layer_norm.gamma",
    f"{_CELL}bertlayernorm0_beta": "encoder.transformer_cells.{layer}.layer_norm.beta",
    "{model}word_embed_embedding0_weight": "word_embed.0.weight",
}

ENCODER_0_9: Mapping[str, str] = {
    "{encoder}position_weight": "encoder.position_weight",
    "{encoder}layernorm0_gamma": "encoder.layer_norm.gamma",
    "{encoder}layernorm0_beta": "encoder.layer_norm.beta",
    f"{_CELL}dotproductselfattentioncell0_query_weight": "encoder.transformer_cells.{layer}.attention_cell.proj_query.weight",
    f"{_CELL}dotproductselfattentioncell0_query_bias": "encoder.transformer_cells.{layer}.attention_cell.proj_query.bias",
    f"{_CELL}dotproductselfattentioncell0_key_weight": "encoder.transformer_cells.{layer}.attention_cell.proj_key.weight",
    f"{_CELL}dotproductselfattentioncell0_key_bias": "encoder.transformer_cells.{layer}.attention_cell.proj_key.bias",
    f"{_CELL}dotproductselfattentioncell0_value_weight": "encoder.transformer_cells.{layer}.attention_cell.proj_value.weight",
    f"{_CELL}dotproductselfattentioncell0_value_bias": "encoder.transformer_cells.{layer}.attention_cell.proj_value.bias",
    f"{_CELL}proj_weight": "encoder.transformer_cells.{layer}.proj.weight",
    f"{_CELL}proj_bias": "encoder.transformer_cells.{layer}.proj.bias",
    f"{_CELL}positionwiseffn0_ffn_1_weight": "encoder.transformer_cells.{layer}.ffn.ffn_1.weight",
    f"{_CELL}positionwiseffn0_ffn_1_bias": "encoder.transformer_cells.{layer}.ffn.ffn_1.bias",
    f"{_CELL}positionwiseffn0_ffn_2_weight": "encoder.transformer_cells.{layer}.ffn.ffn_2.weight",
    f"{_CELL}positionwiseffn0_ffn_2_bias": "encoder.transformer_cells.{layer}.ffn.ffn_2.bias",
    f"{_CELL}positionwiseffn0_layernorm0_gamma": "encoder.transformer_cells.{layer}.ffn.layer_norm.gamma",
    f"{_CELL}positionwiseffn0_layernorm0_beta": "encoder.transformer_cells.{layer}.ffn.layer_norm.beta",
    f"{_CELL}layernorm0_gamma": "encoder.transformer_cells.{layer}.layer_norm.gamma",
    f"{_CELL}layernorm0_beta": "encoder.transformer_cells.{layer}.layer_norm.beta",
    "{model}word_embed_embedding0_weight": "word_embed.0.weight",
}

MLM_DECODER_0_8: Mapping[str, str] = {
    "{model}dense0_weight": "decoder.0.weight",
    "{model}dense0_bias": "decoder.0.bias",
    "{model}bertlayernorm0_gamma": "decoder.2.gamma",
    "{model}bertlayernorm0_beta": "decoder.2.beta",
    "{model}word_embed_embedding0_bias": "decoder.3.bias",
}

MLM_DECODER_0_9: Mapping[str, str] = {
    "{model}dense0_weight": "decoder.0.weight",
    "{model}dense0_bias": "decoder.0.bias",
    "{model}layernorm0_gamma": "decoder.2.gamma",
    "{model}layernorm0_beta": "decoder.2.beta",
    "{model}word_embed_embedding0_bias": "decoder.3.bias",
}

CLASSIFIER: Mapping[str, str] = {
    "{classifier}dense0_weight": "classifier.1.weight",
    "{classifier}dense0_bias": "classifier.1.bias",
    "{classifier}dense1_weight": "classifier.3.weight",
    "{classifier}dense1_bias": "classifier.3.bias",
}
"""Flat names do not count the Dropout layers; the indices are those with dropout."""
