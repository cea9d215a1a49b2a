"""A quick look at accuracy during training: teacher-forced, packed, on held-out scenes.

The figures of a model card come from `studies.evaluation`, which generates; this one steers.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..world import locations
from ..world.questions import MAKERS, ask
from ..world.scene import make_scene
from ..world.splits import held_out_seed
from .batches import pixels
from .packing import Conversation, Exchange, Packer
from .recipe import Recipe, decode

PER_SCENE = 2


@torch.no_grad()
def quick_accuracy(recipe: Recipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, scenes: int) -> dict[str, float]:
    """Share of answers whose every token is predicted right given the true tokens before it, by kind.

    "find" is mean IoU instead, "describe" the share of right tokens.
    """
    packer = Packer(tokenizer, recipe.dialect, 1200)
    device = next(model.parameters()).device
    found: dict[str, list[float]] = defaultdict(list)
    for start in range(0, scenes, 16):
        drawn = [make_scene(held_out_seed(10**6 + i), label=i % 2 == 0) for i in range(start, start + 16)]
        asked = []
        for i, scene in enumerate(drawn):
            rng = random.Random(start + i)
            asked.append([q for kind in MAKERS for _ in range(PER_SCENE) if (q := ask(rng, scene, kind))])
        talks = [[Conversation((Exchange(q.kind, q.text, q.answer),)) for q in questions] for questions in asked]
        rows = [packer.row(of_scene, recipe.picture) for of_scene in talks]
        text = packer.batch(rows)
        images = torch.stack([torch.from_numpy(pixels(scene, recipe.picture, None)) for scene in drawn]).to(device)
        embeds = recipe.see(model, images).embeds
        moved = replace(text, ids=text.ids.to(device), mask=text.mask.to(device), positions=text.positions.to(device))
        hidden = decode(model, moved, embeds)[-1]
        guess = model.lm_head(hidden).argmax(-1).cpu()
        for row, questions in enumerate(asked):
            for span in text.spans[row]:
                said = guess[row, span.start - 1 : span.start + span.length - 1]
                right = said == text.ids[row, span.start : span.start + span.length]
                question = questions[span.conversation]
                if question.kind == "find" and question.variant == "present":
                    boxes = locations.from_text(str(tokenizer.decode(said[:4])))
                    truth = drawn[row].things[question.things[0]].box
                    found["find"].append(locations.iou(boxes[0], truth) if boxes else 0.0)
                elif question.kind == "describe":
                    found["describe"].append(right.float().mean().item())
                else:
                    name = question.kind if question.variant != "absent" else f"{question.kind} absent"
                    found[name].append(float(right.all()))
    return {name: sum(values) / len(values) for name, values in sorted(found.items())}
