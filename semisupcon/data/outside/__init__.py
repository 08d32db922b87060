"""Train from data that are no folder of audio files: WebDataset shards, Hugging Face, torch."""
