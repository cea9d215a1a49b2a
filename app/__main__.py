"""`python -m app` is `python app.py`."""

import sys

from .cli import main

sys.exit(main())
