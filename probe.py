"""Evaluate representations: ``python probe.py --tasks [synthetic_instrument] --checkpoints
[runs/demo,random]``.
"""

import sys

from semisupcon.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["probe", *sys.argv[1:]]))
