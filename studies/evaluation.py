"""How good a checkpoint is at the drawn world: 4,000 held-out questions, answered by generating.

Scenes come from seeds that no training stage draws. Beside the main set stand the same kinds in
wordings that are never trained, second turns, two pictures, pictures that are not square, and questions
about things of never-trained colour x shape pairs. Everything goes through the core, as a chat does.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from model import Checkpoint, Core, Finished, Message, Options, Prompt, ask, from_image
from model.prompt import ImagePart

from .metrics import Figure, bootstrap_mean, wilson
from .world import locations, questions, several, smalltalk
from .world.draw import draw
from .world.questions import Question
from .world.scene import NEVER_TRAINED, Box, Scene, make_scene
from .world.splits import held_out_seed

SIZE_PX = 512
PER_SCENE = 4
SHARES = {
    "exist": 600,
    "colour": 300,
    "shape": 350,
    "size": 150,
    "texture": 150,
    "count": 450,
    "where": 150,
    "relation": 250,
    "beside": 100,
    "read": 300,
    "find": 350,
    "find_all": 100,
    "at_box": 150,
    "background": 100,
    "more": 150,
    "same": 150,
    "describe": 200,
}
assert sum(SHARES.values()) == 4000
PARTS = (
    "seen wordings",
    "held-out wordings",
    "never-trained pairs",
    "second turn",
    "two pictures",
    "wide and tall pictures",
    "small talk",
)
SHAPES_PX = ((512, 341), (341, 512), (512, 410), (320, 512))
"""Width and height of pictures that are not square. A scene is stretched to them: all that is true of it stays true."""
UNITS = {"find": "mean IoU", "find_all": "mean IoU", "describe": "tokens right"}


@dataclass(frozen=True)
class Item:
    """One thing to ask: the scene it is about, the question, the turn before it if there is one.

    `pictures` are all scenes shown, in order, where that is not the one scene alone. `size_px` is (width, height).
    """

    part: str
    scene: Scene
    question: Question
    before: Question | None = None
    pictures: tuple[Scene, ...] = ()
    size_px: tuple[int, int] = (SIZE_PX, SIZE_PX)

    @property
    def shown(self) -> tuple[Scene, ...]:
        return self.pictures or (self.scene,)


@dataclass(frozen=True)
class Result:
    """What was said to an item, and how good that was: 1 or 0, or an IoU or a share of tokens."""

    item: Item
    said: str
    score: float


def main_items(count: int = 4000) -> Iterator[Item]:
    """The main set, in the shares above, about four questions a scene."""
    wanted = {kind: round(share * count / 4000) for kind, share in SHARES.items()}
    yield from _fill("seen wordings", wanted, offset=0)


def other_items(count: int = 4000) -> Iterator[Item]:
    """Held-out wordings, never-trained pairs, second turns and small talk, in proportion to a main set of `count`."""
    wanted = {kind: max(4, round(share * count / 12000)) for kind, share in SHARES.items()}
    yield from _fill("held-out wordings", wanted, offset=10_000, held_out=True)
    yield from _never_trained(round(count / 8))
    yield from _second_turns(round(count / 20))
    yield from _two_pictures(round(count / 20))
    yield from _stretched(round(count / 10))
    rng = random.Random(5)
    for index in range(round(count / 20)):
        scene = make_scene(held_out_seed(40_000 + index))
        yield Item("small talk", scene, smalltalk.chat(rng, held_out=True))


def _question_seed(index: int) -> int:
    """A seed of the questions' own: with the scene's, which kind is asked would follow how full the scene is."""
    return 2 * held_out_seed(index) + 1


def _fill(part: str, wanted: dict[str, int], offset: int, held_out: bool = False) -> Iterator[Item]:
    left = dict(wanted)
    index = offset
    while any(left.values()):
        scene = make_scene(held_out_seed(index), label=index % 2 == 0)
        rng = random.Random(_question_seed(index))
        index += 1
        open_kinds = [kind for kind, n in left.items() if n]
        weights = [left[kind] for kind in open_kinds]
        for kind in dict.fromkeys(rng.choices(open_kinds, weights, k=PER_SCENE)):
            question = questions.ask(rng, scene, kind, held_out=held_out, typed=not held_out)
            if question is not None:
                left[kind] -= 1
                yield Item(part, scene, question)


def _never_trained(count: int) -> Iterator[Item]:
    pairs = sorted(NEVER_TRAINED)
    kinds = ("exist", "colour", "shape", "find", "at_box")
    made = index = 0
    while made < count:
        scene = make_scene(held_out_seed(20_000 + index), pairs="all", must_have=pairs[index % len(pairs)])
        rng = random.Random(_question_seed(20_000 + index))
        index += 1
        for kind in kinds:
            question = questions.ask(rng, scene, kind, typed=True, pool="never", about=0)
            if question is not None and made < count:
                made += 1
                yield Item("never-trained pairs", scene, question)


def _second_turns(count: int) -> Iterator[Item]:
    made = index = 0
    while made < count:
        scene = make_scene(held_out_seed(30_000 + index))
        rng = random.Random(_question_seed(30_000 + index))
        index += 1
        first = questions.ask(rng, scene, rng.choice(("exist", "colour", "shape", "find")), typed=True)
        second = questions.follow(rng, scene, first, typed=True) if first else None
        if second is not None:
            made += 1
            yield Item("second turn", scene, second, first)


def _two_pictures(count: int) -> Iterator[Item]:
    made = index = 0
    while made < count:
        scenes = tuple(make_scene(held_out_seed(50_000 + 2 * index + k)) for k in range(2))
        rng = random.Random(_question_seed(50_000 + index))
        index += 1
        which = several.which(rng, scenes, typed=True)
        place = rng.randrange(2)
        plain = questions.ask(rng, scenes[place], rng.choice(("exist", "colour", "shape", "count", "find")))
        about = several.about(rng, plain, place, typed=True) if plain else None
        for question in (which, about):
            if question is not None and made < count:
                made += 1
                yield Item("two pictures", scenes[place], question, None, scenes)


def _stretched(count: int) -> Iterator[Item]:
    kinds = ("exist", "colour", "shape", "count", "read", "find", "where")
    made = index = 0
    while made < count:
        scene = make_scene(held_out_seed(60_000 + index), label=index % 2 == 0)
        rng = random.Random(_question_seed(60_000 + index))
        index += 1
        for kind in rng.sample(kinds, PER_SCENE):
            question = questions.ask(rng, scene, kind, typed=True)
            if question is not None and made < count:
                made += 1
                yield Item("wide and tall pictures", scene, question, size_px=SHAPES_PX[index % len(SHAPES_PX)])


def evaluate(
    core: Core, checkpoint: Checkpoint, items: Sequence[Item], tell: Callable[[int, int], None] | None = None
) -> list[Result]:
    """Ask a checkpoint everything. `tell(done, all)` is called after each item."""
    found = []
    drawn: dict[tuple[int, tuple[int, int]], ImagePart] = {}
    for number, item in enumerate(items):
        drawn = {(s.seed, item.size_px): drawn.get((s.seed, item.size_px)) or _picture(s, item.size_px) for s in item.shown}
        found.append(_ask(core, checkpoint, item, list(drawn.values())))
        if tell:
            tell(number + 1, len(items))
    return found


def _picture(scene: Scene, size_px: tuple[int, int]) -> ImagePart:
    picture = draw(scene, max(size_px))
    return from_image(picture if picture.size == size_px else picture.resize(size_px, Image.Resampling.BICUBIC))


def _ask(core: Core, checkpoint: Checkpoint, item: Item, pictures: Sequence[ImagePart]) -> Result:
    if item.before is None:
        prompt = ask(item.question.text, *pictures)
    else:
        turns = ask(item.before.text, *pictures).messages
        prompt = Prompt((*turns, Message("assistant", (item.before.answer,)), Message("user", (item.question.text,))))
    if item.question.kind == "describe":
        right = core.forced(checkpoint, prompt, item.question.answer)
        return Result(item, "", float(right.mean()))
    options = Options(max_new_tokens=_room(item.question), alternatives=0)
    events = core.generate(checkpoint, prompt, options, panel="study:evaluation")
    said = next(event.text for event in events if isinstance(event, Finished)).strip()
    return Result(item, said, grade(item, said))


def _room(question: Question) -> int:
    """How many tokens an answer may have: more than any right one, so that a wrong one need not run on to its end."""
    return 96 if question.kind == "find_all" else 8 + 3 * len(question.answer.split())


def grade(item: Item, said: str) -> float:
    """How right an answer is: 1 or 0 by the words, ignoring case and a final stop; IoU for boxes."""
    question = item.question
    if question.kind == "find" and question.variant == "present":
        boxes = locations.from_text(said)
        return locations.iou(boxes[0], item.scene.things[question.things[0]].box) if boxes else 0.0
    if question.kind == "find_all" and question.variant == "present":
        return _matched_iou(locations.from_text(said), [item.scene.things[i].box for i in question.things])
    return float(_plain(said) == _plain(question.answer))


def _plain(text: str) -> str:
    return " ".join(text.lower().rstrip(".! ").split())


def _matched_iou(said: Sequence[Box], truth: Sequence[Box]) -> float:
    """Mean IoU over the larger of the two sets, matched greedily from the best pair down; what is left over counts 0."""
    pairs = sorted(((locations.iou(a, b), i, j) for i, a in enumerate(said) for j, b in enumerate(truth)), reverse=True)
    used_a: set[int] = set()
    used_b: set[int] = set()
    total = 0.0
    for value, i, j in pairs:
        if i not in used_a and j not in used_b:
            used_a.add(i)
            used_b.add(j)
            total += value
    return total / max(len(said), len(truth), 1)


def figures(results: Sequence[Result]) -> dict[str, dict[str, Figure]]:
    """Part -> kind -> figure. Kinds are split where their variants differ: counting, existence, absent things."""
    groups: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        for name in _names(result.item.question):
            groups[result.item.part][name].append(result.score)
    return {part: {name: _figure(name, values) for name, values in sorted(kinds.items())} for part, kinds in groups.items()}


def _names(question: Question) -> list[str]:
    if question.kind in ("find", "find_all"):
        return [question.kind if question.variant == "present" else f"{question.kind}, absent"]
    names = [question.kind]
    if question.kind in ("exist", "count", "read", "relation", "chat") and question.variant:
        names.append(f"{question.kind}, {question.variant}")
    return names


def _figure(name: str, values: Sequence[float]) -> Figure:
    if name.split(",")[0] in UNITS and "absent" not in name:
        return bootstrap_mean(values)
    return wilson(round(sum(values)), len(values))


def to_json(found: dict[str, dict[str, Figure]]) -> dict[str, Any]:
    """The figures as plain JSON."""
    return {part: {name: asdict(figure) for name, figure in kinds.items()} for part, kinds in found.items()}
