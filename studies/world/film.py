"""Films of drawn scenes: things move, appear, vanish or change colour at known times, written as mp4."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

from .draw import draw
from .scene import COLOURS, NEVER_TRAINED, SIDE, Box, Scene, Thing, fits, make_scene
from .splits import held_out_seed


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one thing. `start_s` to `end_s` is when it happens; all but a move are instant.

    `kind` is "move", "appear", "vanish" or "recolour". `to` is the thing as it is afterwards.
    """

    kind: str
    index: int
    start_s: float
    end_s: float
    to: Thing


@dataclass(frozen=True, slots=True)
class Film:
    """A scene and what happens in it. `scene.things` holds everything that is ever there."""

    scene: Scene
    events: tuple[Event, ...]
    duration_s: float
    fps: int = 25

    @property
    def frames(self) -> int:
        return round(self.duration_s * self.fps)

    def at(self, time_s: float) -> Scene:
        """The scene as it is at this time, in seconds from the start."""
        things: list[Thing | None] = list(self.scene.things)
        for event in self.events:
            if event.kind == "appear" and time_s < event.start_s:
                things[event.index] = None
            elif event.kind == "vanish" and time_s >= event.start_s:
                things[event.index] = None
            elif event.kind == "recolour" and time_s >= event.start_s:
                things[event.index] = event.to
            elif event.kind == "move" and time_s >= event.start_s:
                things[event.index] = _between(self.scene.things[event.index], event, time_s)
        return replace(self.scene, things=tuple(t for t in things if t is not None))

    def pictures(self, size: int) -> Iterator[Image.Image]:
        """The frames in order. Frame n shows the scene at n / fps seconds."""
        for frame in range(self.frames):
            yield draw(self.at(frame / self.fps), size)


def _between(start: Thing, event: Event, time_s: float) -> Thing:
    share = min(1.0, (time_s - event.start_s) / max(1e-9, event.end_s - event.start_s))
    return replace(
        start,
        x=round(start.x + share * (event.to.x - start.x)),
        y=round(start.y + share * (event.to.y - start.y)),
    )


def make_film(seed: int, *, duration_s: float = 6.0, fps: int = 25, events: int = 3) -> Film:
    """The film of this seed: a scene of 3 to 5 things and up to `events` events, each on a thing of its own."""
    rng = random.Random(seed)
    scene = make_scene(held_out_seed(10**9 + rng.randrange(2**31)), things=rng.randrange(3, 6), label=False)
    happenings: list[Event] = []
    for index in rng.sample(range(len(scene.things)), min(events, len(scene.things))):
        event = _event(rng, scene, index, duration_s, happenings)
        if event is not None:
            happenings.append(event)
    return Film(scene, tuple(sorted(happenings, key=lambda e: e.start_s)), duration_s, fps)


def _event(rng: random.Random, scene: Scene, index: int, duration_s: float, others: list[Event]) -> Event | None:
    thing = scene.things[index]
    start_s = round(rng.uniform(0.15, 0.6) * duration_s, 2)
    kind = rng.choice(("move", "appear", "vanish", "recolour"))
    if kind in ("appear", "vanish"):
        return Event(kind, index, start_s, start_s, thing)
    if kind == "recolour":
        colours = [c for c in COLOURS if c != thing.colour and (c, thing.shape) not in NEVER_TRAINED]
        return Event(kind, index, start_s, start_s, replace(thing, colour=rng.choice(colours)))
    end_s = round(start_s + rng.uniform(0.15, 0.35) * duration_s, 2)
    taken = [t.box for i, t in enumerate(scene.things) if i != index]
    taken += [box for e in others if e.kind == "move" for box in _path(scene.things[e.index], e.to)]
    for _ in range(200):
        there = replace(thing, x=rng.randrange(SIDE), y=rng.randrange(SIDE))
        if abs(there.x - thing.x) + abs(there.y - thing.y) > 300 and _path_is_free(thing, there, taken):
            return Event("move", index, start_s, end_s, there)
    return None


def _path(start: Thing, end: Thing, steps: int = 24) -> list[Box]:
    """The boxes a thing passes through on its way."""

    def at(share: float) -> Box:
        return replace(start, x=round(start.x + (end.x - start.x) * share), y=round(start.y + (end.y - start.y) * share)).box

    return [at(step / steps) for step in range(steps + 1)]


def _path_is_free(start: Thing, end: Thing, taken: list[Box]) -> bool:
    return all(fits(box, taken) for box in _path(start, end))


def write_film(film: Film, path: Path, size: int = 384) -> None:
    """Write the film as H.264 mp4, `size` x `size` pixels, a keyframe each second. `size` must be even."""
    if size % 2:
        raise ValueError(f"H.264 wants an even size, not {size}.")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=film.fps, options={"crf": "18", "preset": "fast"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = film.fps
        for number, picture in enumerate(film.pictures(size)):
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = number, Fraction(1, film.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
