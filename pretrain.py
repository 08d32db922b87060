"""Pretrain an audio encoder: `python pretrain.py --config config/pretraining/pretrain_ssl.yaml`."""

import sys

from semisupcon.cli import main

if __name__ == "__main__":
    sys.exit(main())
