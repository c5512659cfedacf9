"""Bort's special tokens, and the ids that they have in every vocabulary of a Bort."""

BOS, PAD, EOS, UNK, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"

FIRST_TOKENS = (BOS, PAD, EOS, UNK)
"""The tokens with the ids 0, 1, 2 and 3. The mask has the last id of all (GluonNLP's vocabulary
``openwebtext_ccnews_stories_books_cased``, which Bort was trained with)."""

SPECIAL_TOKENS = (*FIRST_TOKENS, MASK)
"""In the order of their ids."""
