"""Print the first shell block below a heading of a Markdown file, so that what is checked is what is written."""

from __future__ import annotations

import re
import sys
from pathlib import Path

path, heading = sys.argv[1:]
text = Path(path).read_text(encoding="utf-8")
match = re.search(rf"^#+ {re.escape(heading)}\n.*?^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
if match is None:
    sys.exit(f"{path} has no ```sh block below {heading!r}")
print(match.group(1), end="")
