"""The core: checkpoints, prompts, answers. Arrays and dataclasses in and out; no interface, no database.

from model import open_core, open_picture
core = open_core("tiny-llava")
picture = open_picture(Path("scene.png").read_bytes()).part
print(core.answer("What color is the circle?", picture).text)
"""

from .checkpoint import Checkpoint, parse_spec
from .core import Core, open_core
from .errors import WorkbenchError
from .events import Encoded, Finished, Loading, Prefilled, Queued, Spent, Token, Waiting
from .generation.scoring import Scores
from .geometry.grid import ImageGrid, View
from .options import Options
from .pictures import from_image, open_picture
from .prompt import ImagePart, Message, Prompt, ask
from .running.round_robin import Column, ColumnEvent
from .running.side_by_side import ColumnFailed

__all__ = [
    "Checkpoint",
    "Column",
    "ColumnEvent",
    "ColumnFailed",
    "Core",
    "Encoded",
    "Finished",
    "ImageGrid",
    "ImagePart",
    "Loading",
    "Message",
    "Options",
    "Prefilled",
    "Prompt",
    "Queued",
    "Scores",
    "Spent",
    "Token",
    "View",
    "Waiting",
    "WorkbenchError",
    "ask",
    "from_image",
    "open_core",
    "open_picture",
    "parse_spec",
]
