"""Decode audio files, handle their container formats, and check all files before training."""
