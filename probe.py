"""Measure what representations are worth: `python probe.py --tasks [synthetic_instrument] --checkpoints [runs/demo,random] --methods [linear]`."""

import sys

from semisupcon.commands.probe import main

if __name__ == "__main__":
    sys.exit(main())
