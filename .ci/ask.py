"""Ask the served page one question over its API; the built-in checkpoint must answer it."""

from __future__ import annotations

import sys

from gradio_client import Client, handle_file

from studies.world.files import to_png
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

with open("ask.png", "wb") as file:
    file.write(to_png(make_scene(held_out_seed(47))))
client = Client(sys.argv[1], verbose=False)
turn = client.predict(question="What color is the heart?", images=[handle_file("ask.png")], api_name="/chat_ask")
print(f"asked: {turn['checkpoint']} says {turn['text']!r} after {turn['first_token_ms']:.0f} ms")
sys.exit(0 if turn["text"] == "pink" else f"expected 'pink', got {turn['text']!r}")
