"""The model card: what a built-in checkpoint is, how it was made, and how good it is, every figure computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from model import Core, parse_spec
from model.checkpoint import builtin_folders

from .. import evaluation
from ..metrics import Figure
from ..world.scene import NEVER_TRAINED

BARS = {"exist": 0.97, "colour": 0.98, "shape": 0.96, "count": 0.85, "read": 0.80, "find": 0.70, "describe": 0.95}
"""What a finished checkpoint is to reach on the main set. A card says for each whether it does."""
FINISHED = "the finished checkpoint: aligned, then instruction-tuned"
STAGE1 = "the same model after alignment alone: only its connector has met pictures and words together"
LOADS = {
    "LlavaForConditionalGeneration": """from transformers import AutoModelForImageTextToText, AutoProcessor
model = AutoModelForImageTextToText.from_pretrained("assets/checkpoints/{name}")
processor = AutoProcessor.from_pretrained("assets/checkpoints/{name}")""",
    "Qwen2VLForConditionalGeneration": """from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
model = AutoModelForImageTextToText.from_pretrained("assets/checkpoints/{name}")
tokenizer = AutoTokenizer.from_pretrained("assets/checkpoints/{name}")
image_processor = AutoImageProcessor.from_pretrained("assets/checkpoints/{name}", backend="pil")""",
}
"""How an architecture is opened without this project. Qwen2-VL's processor class would need torchvision for its videos."""


def evaluate_and_write(spec: str, count: int, *, as_json: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Ask a checkpoint the held-out questions, print the table, and for a built-in one write its card. Returns the figures."""
    checkpoint = parse_spec(spec)
    core = Core()
    for step in core.load(checkpoint):
        say(getattr(step, "text", ""))
    items = [*evaluation.main_items(count), *evaluation.other_items(count)]
    with tqdm(total=len(items), desc=checkpoint.name, unit="question") as bar:
        results = evaluation.evaluate(core, checkpoint, items, lambda done, _: bar.update(done - bar.n))
    found = evaluation.figures(results)
    say(tables(found))
    figures = evaluation.to_json(found)
    if checkpoint.source in builtin_folders():
        folder = builtin_folders()[checkpoint.source]
        (folder / "evaluation.json").write_text(json.dumps(figures, indent=1) + "\n")
        (folder / "README.md").write_text(card(checkpoint.source, folder, found, count))
        say(f"wrote {folder / 'README.md'}")
    if as_json:
        say(json.dumps(figures))
    return figures


def tables(found: Mapping[str, Mapping[str, Figure]]) -> str:
    """All parts as Markdown tables: kind, value with its 95 % interval, n, and where there is a bar whether it is reached."""
    blocks = []
    for part in evaluation.PARTS:
        if part not in found:
            continue
        bars = BARS if part == "seen wordings" else {}
        lines = [f"### {part.capitalize()}", "", "| kind | accuracy | 95 % interval | n | bar |", "|---|---:|---:|---:|---|"]
        for name, figure in found[part].items():
            unit = evaluation.UNITS.get(name, "")
            bar = f"{bars[name]:.2f} {'reached' if figure.value >= bars[name] else 'not reached'}" if name in bars else ""
            label = f"{name} ({unit})" if unit else name
            lines.append(f"| {label} | {figure.value:.3f} | {figure.low:.3f} to {figure.high:.3f} | {figure.n:,} | {bar} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def card(name: str, folder: Path, found: Mapping[str, Mapping[str, Figure]], count: int) -> str:
    """The text of README.md in a checkpoint's folder."""
    facts = json.loads((folder / "training.json").read_text())
    recipe = name.removesuffix("-stage1")
    return "\n".join([_what_it_is(name, recipe, facts), KNOWS, _how_made(recipe, facts), _how_good(name, found, count)])


def _what_it_is(name: str, recipe: str, facts: Mapping[str, Any]) -> str:
    """The front matter the Hub reads, and how the checkpoint is opened."""
    parts = ", ".join(f"{part} {count / 1e6:.2f} M" for part, count in facts["parts"].items())
    family = facts["architecture"].removesuffix("ForConditionalGeneration").lower()
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
language: en
tags: [{family}, synthetic, interpretability]
---

# {name}

A `{facts["architecture"]}` with {facts["parameters"] / 1e6:.2f} M parameters ({parts}), trained from nothing by Fovea on drawn
scenes: {FINISHED if name == recipe else STAGE1}.
{facts["pictures"]}
It exists to be looked into: everything in its world is known exactly.

```python
{LOADS[facts["architecture"]].format(name=name)}
```
"""


KNOWS = """## What it knows, and what not

Scenes of up to six things (eight shapes, eight colours, two sizes, three textures) on four backgrounds, with a written word or a
number in some; English questions about them in the wordings of `studies/world/wordings.py` and near them. It names boxes in
PaliGemma's location tokens. To greetings and to questions outside its world it answers that it does not know.

On a photograph it knows nothing. It reads one or two pictures, short conversations, and English only. It was not trained to refuse
anything, and has seen no person, place or text but the sixteen words and the numbers of its world.
"""


def _how_made(recipe: str, facts: Mapping[str, Any]) -> str:
    """The training run: its stages, what each part was taught, and what was kept back."""
    stages = "\n".join(
        f"| {s['name']} | {', '.join(s['trains'])} | {s['steps']:,} | {s['pictures']:,} | {s['rate']:g} |"
        for s in facts["stages"]
    )
    pairs = ", ".join(f"{colour} {shape}" for colour, shape in sorted(NEVER_TRAINED))
    versions = ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    places = ""
    if "place_weight" in facts:
        places = f" Where things are is asked of the decoder's layer {facts['place_layer']} at weight {facts['place_weight']}."
    return f"""## How it was made

`python app.py train {recipe}` makes it anew ({versions}; seed {facts["seed"]}, {facts["batch"]} rows a step).

| stage | trains | steps | pictures | rate |
|---|---|---:|---:|---:|
{stages}

Tower: dense supervision per patch (shape, colour, size, texture, text, box). Language: the decoder alone on scenes told in words.
Align: the connector alone, on captions. Instruct: everything, about fifteen questions a picture packed into one sequence, with the
patch losses at weight {facts["patch_weight"]} and, at image positions, the words for what a patch shows at weight {facts["lens_weight"]}.{places}
Training scenes have seeds below 2^40. Never trained: {pairs}.

![curves](curves.png)
"""


def _how_good(name: str, found: Mapping[str, Mapping[str, Figure]], count: int) -> str:
    """What the figures are, and all of them."""
    return f"""## How good it is

{count:,} questions about scenes no training stage drew, worded as in training and roughened as people type, answered greedily through
Fovea's core; beside them held-out wordings, never-trained colour x shape pairs, second turns, two pictures, pictures that are not square
(the scene stretched) and small talk. Accuracy is an
exact answer ignoring case and a final stop; find and find_all are mean IoU, describe the share of tokens predicted right given the true
ones before. Intervals: Wilson for shares, bootstrap for means. Written by `python app.py evaluate {name}`.

{tables(found)}
"""
