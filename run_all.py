"""Reproduce the tables of the IRMAE supplement: ``python run_all.py --table 4``."""

import sys

from bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
