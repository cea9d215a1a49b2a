"""What a map has to do besides scoring well: fall apart with the model, stay with the picture, follow what an object does.

Every check gives a number per case and method; `standings` puts intervals to them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from model import Checkpoint, Core, from_image
from model.internals.subject import Subject, grid_of
from model.progress import Run

from ..metrics import spearman
from ..world import questions
from ..world.draw import draw, masks
from ..world.edit import erase
from ..world.scene import Scene, make_scene
from ..world.splits import held_out_seed
from .case_measurement import Mapped, slow_methods, spread
from .cases import DEPENDENT, SIZE_PX, Case, CaseAnswer, asked
from .curves import COARSE, curves
from .localisation import box_means, evenness, share, target
from .map_set import maps_of
from .randomised import random_decoder
from .replacing import blurred, logprobs_of, with_picture

CASES, SLOW_CASES, REPEATED, BLURRED, ABSENT = 16, 3, 2, 6, 10
NOISE_LEVELS = 16
"""Pixels are changed by at most so many of 255 levels: a faint grain."""
ABSENT_OFFSET = 90_000

ByMethod = dict[str, list[float]]
Again = Callable[[Subject, CaseAnswer, Sequence[str]], Mapping[str, np.ndarray]]


def redrawn(core: Core, checkpoint: Checkpoint, found: Sequence[Mapped]) -> ByMethod:
    """Spearman of each map with the same method's on a decoder of random weights. Near 0 is right, near 1 is not."""

    def again(subject: Subject, one: CaseAnswer, slugs: Sequence[str]) -> Mapping[str, np.ndarray]:
        with random_decoder(subject.vlm):
            fresh = Subject(subject.vlm, subject.prompt, subject.answer_ids)
            return maps_of(fresh, one.words, slugs).scores

    return _compared(core, checkpoint, found, again, SLOW_CASES)


def noisy(core: Core, checkpoint: Checkpoint, found: Sequence[Mapped]) -> ByMethod:
    """Spearman of each map with that of the same picture under a faint grain. Near 1 is right. Slow methods are left out."""

    def again(subject: Subject, one: CaseAnswer, slugs: Sequence[str]) -> Mapping[str, np.ndarray]:
        pixels = np.asarray(one.case.picture.image, np.int16)
        noise = np.random.RandomState(0).randint(-NOISE_LEVELS, NOISE_LEVELS + 1, pixels.shape)
        picture = Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
        return maps_of(Subject(subject.vlm, with_picture(subject.prompt, picture), subject.answer_ids), one.words, slugs).scores

    return _compared(core, checkpoint, found, again, 0)


def repeated(core: Core, checkpoint: Checkpoint, found: Sequence[Mapped]) -> ByMethod:
    """The largest change of a map made twice, as a share of its largest value. 0 is right. Slow methods are left out."""
    gaps: ByMethod = defaultdict(list)
    for one in (found[i] for i in spread(len(found), REPEATED)):

        def again(subject: Subject, run: Run, one: Mapped = one) -> Mapping[str, np.ndarray]:
            fresh = Subject(subject.vlm, subject.prompt, subject.answer_ids)
            return maps_of(fresh, one.asked.words, [s for s in _methods(one) if s not in slow_methods()], run).scores

        for slug, scores in core.examined(checkpoint, one.asked.prompt, one.asked.answer_ids, again).items():
            largest = max(float(np.abs(one.maps[slug]).max()), 1e-12)
            gaps[slug].append(float(np.abs(scores - one.maps[slug]).max()) / largest)
    return gaps


def _methods(one: Mapped) -> list[str]:
    return [slug for slug in one.cpu_s if slug in one.maps]


def _compared(core: Core, checkpoint: Checkpoint, found: Sequence[Mapped], again: Again, patience: int) -> ByMethod:
    """Spearman, over tokens, of maps with their second making. Slow methods on the first `patience` of their cases."""
    alike: ByMethod = defaultdict(list)
    slow = set(slow_methods())
    plain = set(spread(len(found), CASES))
    patient = set([i for i, one in enumerate(found) if slow & set(one.maps)][:patience])
    for number in sorted(plain | patient):
        one = found[number]
        slugs = [s for s in _methods(one) if (number in patient if s in slow else number in plain)]

        def work(subject: Subject, run: Run, one: Mapped = one, slugs: Sequence[str] = slugs) -> Mapping[str, np.ndarray]:
            return again(subject, one.asked, slugs)

        for slug, scores in core.examined(checkpoint, one.asked.prompt, one.asked.answer_ids, work).items():
            alike[slug].append(spearman(scores, one.maps[slug]))
    return alike


def erased(core: Core, checkpoint: Checkpoint, found: Sequence[Mapped]) -> ByMethod:
    """Spearman, over the things of a scene, of a map's mass on a thing with what erasing the thing costs the answer, in nats."""
    alike: ByMethod = defaultdict(list)
    able = [one for one in found if one.asked.case.scene is not None and len(one.asked.case.scene.things) > 2]
    for one in (able[i] for i in spread(len(able), 2 * CASES)):
        scene = one.asked.case.scene
        assert scene is not None

        def work(subject: Subject, run: Run, one: Mapped = one, scene: Scene = scene) -> np.ndarray:
            pictures = [draw(erase(scene, i).after, SIZE_PX) for i in range(len(scene.things))]
            return logprobs_of(subject, one.asked.words, pictures)

        kept = core.examined(checkpoint, one.asked.prompt, one.asked.answer_ids, work)
        effects = np.log(max(one.asked.with_picture, 1e-12)) - kept
        cells = one.target.grid.cells()[one.target.cells]
        covers = [box_means(mask.astype(np.float64), cells) for mask in masks(scene, SIZE_PX)]
        for slug, scores in one.maps.items():
            mass = [share(one.target.values(scores), cover) for cover in covers]
            alike[slug].append(spearman(mass, effects))
    return alike


def blur_gaps(core: Core, checkpoint: Checkpoint, found: Sequence[Mapped]) -> ByMethod:
    """Insertion less deletion of each map with blurred pixels in place of hidden patches.

    On the first few cases whose answer the blurred picture no longer gives away: a blur leaves colors where they are.
    """
    gaps: ByMethod = defaultdict(list)
    left = BLURRED
    for number, one in enumerate(found):
        if not left:
            break

        def work(subject: Subject, run: Run, one: Mapped = one, number: int = number) -> dict[str, float]:
            chance = blurred(subject, one.asked.words, run)
            shown, hidden = chance(np.array([[True] * subject.count, [False] * subject.count]))
            if shown - hidden <= DEPENDENT:
                return {}
            return {name: found.gap for name, found in curves(one.maps, chance, COARSE, number).items()}

        measured = core.examined(checkpoint, one.asked.prompt, one.asked.answer_ids, work)
        left -= bool(measured)
        for name, gap in measured.items():
            gaps[name].append(gap)
    return gaps


def absent_cases(count: int, present: bool) -> Iterator[Case]:
    """Questions whether a thing is there, which it is or is not. The mask of an absent thing is that of all things."""
    index = made = 0
    while made < count:
        scene = make_scene(held_out_seed(ABSENT_OFFSET + index))
        question = questions.ask(random.Random(2 * held_out_seed(ABSENT_OFFSET + index) + 1), scene, "exist")
        index += 1
        if question is None or len(scene.things) < 2 or (question.answer == "Yes") is not present:
            continue
        made += 1
        which = list(question.things) if present else list(range(len(scene.things)))
        mask = np.asarray(masks(scene, SIZE_PX)[which].any(0))
        wrong = ("No",) if present else ("Yes",)
        yield Case(from_image(draw(scene, SIZE_PX)), question.text, question.answer, wrong, mask, "exist", scene, tuple(which))


def flatness(core: Core, checkpoint: Checkpoint, slugs: Sequence[str], *, present: bool) -> ByMethod:
    """How even a map of "Yes", or of "No" where nothing is there to be seen, is: 1 is flat. Slow methods are left out."""
    found: ByMethod = defaultdict(list)
    for case in absent_cases(ABSENT, present):
        one = asked(core, checkpoint, case)
        if not one.right:
            continue

        def work(subject: Subject, run: Run, one: CaseAnswer = one) -> dict[str, float]:
            on = target(grid_of(subject), one.case.mask)
            maps = maps_of(subject, one.words, [s for s in slugs if s not in slow_methods()], run).scores
            return {slug: evenness(on.values(scores)) for slug, scores in maps.items()}

        for slug, value in core.examined(checkpoint, one.prompt, one.answer_ids, work).items():
            found[slug].append(value)
    return found
