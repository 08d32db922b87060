"""Pretrain an audio encoder: `python pretrain.py --config config/pretraining/pretrain_ssl.yaml`."""

import sys

from semisupcon.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))
