"""Fovea: `python app.py` serves the workbench; `python app.py --help` lists the commands."""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main())
