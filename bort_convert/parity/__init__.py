"""The proof: bytes held against bytes, then the outputs of both frameworks held against each other."""
