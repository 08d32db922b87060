"""What a frozen representation is worth: every clip is embedded once, and every head, seed, fold and method works from those embeddings."""
