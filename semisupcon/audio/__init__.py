"""Audio files: decoding, container formats, and a scan of every file before training."""
