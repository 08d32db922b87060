"""Label new audio with a frozen encoder and a trained head: `predict`, `tag`, and the Python API."""
