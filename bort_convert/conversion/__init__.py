"""From a checkpoint to a model folder: the ledger, the writer, the config, the record."""
