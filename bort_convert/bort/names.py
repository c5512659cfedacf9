"""The one table of names: GluonNLP's structural parameter names and their Hugging Face counterparts.

``{layer}`` stands for the layer's index. Every row is a rename: no tensor is transposed, split or joined. GluonNLP's names
are those of 0.8.3 (``model/bert.py``, ``model/transformer.py``), Hugging Face's those of ``models/bert/modeling_bert.py``
in Transformers 5.23. The inventory (`bort_convert.bort.inventory`) is written apart from it, and a test holds them together.
"""

from collections.abc import Mapping

BACKBONE: Mapping[str, str] = {
    "encoder.position_weight": "embeddings.position_embeddings.weight",
    "encoder.layer_norm.gamma": "embeddings.LayerNorm.weight",
    "encoder.layer_norm.beta": "embeddings.LayerNorm.bias",
    "encoder.transformer_cells.{layer}.attention_cell.proj_query.weight": "encoder.layer.{layer}.attention.self.query.weight",
    "encoder.transformer_cells.{layer}.attention_cell.proj_query.bias": "encoder.layer.{layer}.attention.self.query.bias",
    "encoder.transformer_cells.{layer}.attention_cell.proj_key.weight": "encoder.layer.{layer}.attention.self.key.weight",
    "encoder.transformer_cells.{layer}.attention_cell.proj_key.bias": "encoder.layer.{layer}.attention.self.key.bias",
    "encoder.transformer_cells.{layer}.attention_cell.proj_value.weight": "encoder.layer.{layer}.attention.self.value.weight",
    "encoder.transformer_cells.{layer}.attention_cell.proj_value.bias": "encoder.layer.{layer}.attention.self.value.bias",
    "encoder.transformer_cells.{layer}.proj.weight": "encoder.layer.{layer}.attention.output.dense.weight",
    "encoder.transformer_cells.{layer}.proj.bias": "encoder.layer.{layer}.attention.output.dense.bias",
    "encoder.transformer_cells.{layer}.ffn.ffn_1.weight": "encoder.layer.{layer}.intermediate.dense.weight",
    "encoder.transformer_cells.{layer}.ffn.ffn_1.bias": "encoder.layer.{layer}.intermediate.dense.bias",
    "encoder.transformer_cells.{layer}.ffn.ffn_2.weight": "encoder.layer.{layer}.output.dense.weight",
    "encoder.transformer_cells.{layer}.ffn.ffn_2.bias": "encoder.layer.{layer}.output.dense.bias",
    "encoder.transformer_cells.{layer}.ffn.layer_norm.gamma": "encoder.layer.{layer}.output.LayerNorm.weight",
    "encoder.transformer_cells.{layer}.ffn.layer_norm.beta": "encoder.layer.{layer}.output.LayerNorm.bias",
    "encoder.transformer_cells.{layer}.layer_norm.gamma": "encoder.layer.{layer}.attention.output.LayerNorm.weight",
    "encoder.transformer_cells.{layer}.layer_norm.beta": "encoder.layer.{layer}.attention.output.LayerNorm.bias",
    "word_embed.0.weight": "embeddings.word_embeddings.weight",
}
"""Encoder and embeddings, without the prefix that a model with a head puts before them, in GluonNLP's order."""

MLM_DECODER: Mapping[str, str] = {
    "decoder.0.weight": "cls.predictions.transform.dense.weight",
    "decoder.0.bias": "cls.predictions.transform.dense.bias",
    "decoder.2.gamma": "cls.predictions.transform.LayerNorm.weight",
    "decoder.2.beta": "cls.predictions.transform.LayerNorm.bias",
    "decoder.3.weight": "cls.predictions.decoder.weight",
    "decoder.3.bias": "cls.predictions.bias",
}
"""The masked-language-model decoder. Its last weight is the word embedding, stored twice in the file."""

CLASSIFIER: Mapping[str, str] = {
    "classifier.1.weight": "bert.pooler.dense.weight",
    "classifier.1.bias": "bert.pooler.dense.bias",
    "classifier.3.weight": "classifier.weight",
    "classifier.3.bias": "classifier.bias",
}
"""Bort's classifier (``alexa/bort`` ``bort/bort.py``): row 0, Dropout, Dense with tanh, Dropout, Dense. It is BERT's pooler and
classifier. The Dropout layers count in the names."""

CLASSIFIER_WITHOUT_DROPOUT: Mapping[str, str] = {
    "classifier.0.weight": "bert.pooler.dense.weight",
    "classifier.0.bias": "bert.pooler.dense.bias",
    "classifier.1.weight": "classifier.weight",
    "classifier.1.bias": "classifier.bias",
}
"""The same, built with dropout 0, where there are no Dropout layers."""
