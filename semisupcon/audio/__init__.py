"""Audio files: decoding, container formats, and a scan of all files before training."""
