"""Publishing a converted checkpoint on the Hugging Face Hub: what must hold first, the model card, the upload."""
