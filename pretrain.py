"""Pretrain an audio encoder: ``python pretrain.py --config pretrain_ssl``."""

import sys

from semisupcon.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))
