"""Films: real mp4 files whose pictures show the events they are made of, at the times they say."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import av
import decord
import numpy as np
import pytest

from studies.world.draw import draw
from studies.world.film import Event, Film, make_film, write_film
from studies.world.questions import ask
from studies.world.scene import NEVER_TRAINED, SIDE, Scene, Thing, make_scene

SIZE, FPS, DURATION_S = 128, 10, 4.0
SEEDS = range(150)


@pytest.fixture(scope="module")
def films() -> list[Film]:
    return [make_film(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def film() -> Film:
    """One thing of each kind of event, at times between frames."""
    things = [
        Thing("circle", "red", "small", "plain", 200, 200, 100),
        Thing("square", "blue", "small", "plain", 800, 200, 100),
        Thing("star", "green", "small", "plain", 200, 800, 110),
        Thing("cross", "purple", "large", "plain", 700, 700, 150),
    ]
    events = (
        Event("recolour", 0, 0.75, 0.75, replace(things[0], colour="yellow")),
        Event("vanish", 1, 1.25, 1.25, things[1]),
        Event("appear", 2, 1.95, 1.95, things[2]),
        Event("move", 3, 2.5, 3.5, replace(things[3], x=600, y=400)),
    )
    return Film(Scene(tuple(things), None, "white"), events, DURATION_S, FPS)


@pytest.fixture(scope="module")
def path(film: Film, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("films") / "film.mp4"
    write_film(film, written, SIZE)
    return written


@pytest.fixture(scope="module")
def frames(path: Path) -> np.ndarray:
    """The decoded pictures, int [frames, SIZE, SIZE, 3]."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def test_the_file_is_an_mp4_of_the_length_it_says(path, film):
    assert path.read_bytes()[4:8] == b"ftyp"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.frames, stream.average_rate) == (film.frames, FPS) == (40, 10)
        assert (stream.width, stream.height) == (SIZE, SIZE)
        assert float(stream.duration * stream.time_base) == pytest.approx(DURATION_S)
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx([number / FPS for number in range(40)])


def test_decord_reads_the_same_frames_at_the_same_times(path, frames):
    reader = decord.VideoReader(str(path), num_threads=1)
    assert len(reader) == 40
    assert reader.get_avg_fps() == pytest.approx(FPS)
    for number in (0, 7, 8, 19, 20, 39, 3):
        assert np.abs(reader[number].asnumpy().astype(int) - frames[number]).mean() < 2
        assert reader.get_frame_timestamp(number)[0] == pytest.approx(number / FPS, abs=1e-3)


def test_each_decoded_frame_shows_the_scene_of_its_time(frames, film):
    drawn = [np.asarray(picture).astype(int) for picture in film.pictures(SIZE)]
    assert len(drawn) == len(frames) == 40
    for number, (frame, picture) in enumerate(zip(frames, drawn, strict=True)):
        off = np.abs(frame - picture)
        assert off.mean() < 3
        assert np.median(off) <= 2
        assert (np.asarray(draw(film.at(number / FPS), SIZE)) == picture).all()


@pytest.mark.parametrize(("before", "after"), [(7, 8), (12, 13), (19, 20), (24, 36)])
def test_a_frame_shows_its_own_side_of_an_event(frames, film, before, after):
    """Events lie between frames 7 and 8, 12 and 13, 19 and 20; the move between 25 and 35."""
    for number, other in ((before, after), (after, before)):
        own, wrong = (np.asarray(draw(film.at(n / FPS), SIZE)).astype(int) for n in (number, other))
        changed = (own != wrong).any(-1)
        assert changed.sum() > 60
        assert np.abs(frames[number] - own)[changed].mean() * 5 < np.abs(frames[number] - wrong)[changed].mean()


def test_the_scene_at_a_time_follows_the_events(film):
    assert [thing.pair for thing in film.at(0).things] == [("red", "circle"), ("blue", "square"), ("purple", "cross")]
    assert film.at(0.7499).things[0].colour == "red"
    assert film.at(0.75).things[0].colour == "yellow"
    assert ("blue", "square") in [thing.pair for thing in film.at(1.2499).things]
    assert ("blue", "square") not in [thing.pair for thing in film.at(1.25).things]
    assert ("green", "star") not in [thing.pair for thing in film.at(1.9499).things]
    assert ("green", "star") in [thing.pair for thing in film.at(1.95).things]
    for time_s, place in ((2.5, (700, 700)), (2.75, (675, 625)), (3.0, (650, 550)), (3.5, (600, 400)), (99.0, (600, 400))):
        assert (film.at(time_s).things[-1].x, film.at(time_s).things[-1].y) == place


def test_questions_about_a_moment_are_true_of_it(film):
    """The same question has another answer once the event has happened."""
    wanted = {("Is there a red circle?", 0.0): "Yes", ("Is there a red circle?", 3.9): "No"}
    for (text, time_s), answer in wanted.items():
        scene = film.at(time_s)
        asked = (ask(random.Random(seed), scene, "exist") for seed in range(2000))
        found = {q.answer for q in asked if q and q.text == text}
        assert found == {answer}


def test_events_are_what_they_are_called(films):
    kinds = Counter()
    for film in films:
        assert len({event.index for event in film.events}) == len(film.events) <= 3
        assert [event.start_s for event in film.events] == sorted(event.start_s for event in film.events)
        for event in film.events:
            kinds[event.kind] += 1
            was = film.scene.things[event.index]
            assert 0 < event.start_s <= event.end_s < film.duration_s
            assert (event.end_s > event.start_s) == (event.kind == "move")
            same = {"move": replace(was, x=event.to.x, y=event.to.y), "recolour": replace(was, colour=event.to.colour)}
            assert event.to == same.get(event.kind, was)
            if event.kind == "move":
                assert abs(event.to.x - was.x) + abs(event.to.y - was.y) > 300
            if event.kind == "recolour":
                assert event.to.colour != was.colour
    assert set(kinds) == {"move", "appear", "vanish", "recolour"}
    assert min(kinds.values()) > 60


def test_every_event_changes_what_is_there_from_its_time_on(films):
    for film in films[:60]:
        for event in film.events:
            before, after = film.at(event.start_s - 0.01), film.at(event.end_s + 0.001)
            was, to = film.scene.things[event.index], event.to
            assert (was in before.things) == (event.kind != "appear")
            assert (to in after.things) == (event.kind != "vanish")
            assert (was in after.things) == (event.kind == "appear")
        happened = {event.index for event in film.events}
        for index, thing in enumerate(film.scene.things):
            if index not in happened:
                assert all(thing in film.at(time_s).things for time_s in (0, 2, 4, 6))


def test_things_stay_on_the_canvas_and_no_never_trained_pair_is_ever_seen(films):
    for film in films:
        for time_s in np.arange(0, film.duration_s, 0.25):
            for thing in film.at(float(time_s)).things:
                assert thing.pair not in NEVER_TRAINED
                assert min(thing.box) >= 0
                assert max(thing.box) <= SIDE


def overlap(film: Film) -> float:
    """The most that two boxes reach into each other at any frame, in scene units along the narrower axis."""
    most = 0.0
    for frame in range(0, film.frames, 2):
        for a, b in combinations(film.at(frame / film.fps).boxes(), 2):
            most = max(most, min(min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])))
    return most


def test_things_that_move_pass_each_other_without_touching(films):
    assert [seed for seed, film in zip(SEEDS, films, strict=True) if overlap(film) > 0] == []


@pytest.mark.parametrize("seed", [367, 405, 484, 533, 629, 1446, 1743])
def test_two_things_that_move_do_not_meet_on_their_way(seed):
    assert overlap(make_film(seed)) == 0


def test_a_film_is_a_function_of_its_seed(films):
    assert films[7] == make_film(7)
    facts = [(e.kind, e.index, e.start_s, e.end_s, e.to.x, e.to.y, e.to.colour) for film in films[:40] for e in film.events]
    assert hashlib.sha256(repr(facts).encode()).hexdigest()[:16] == "5a5910e1542ede79"


def test_length_rate_and_number_of_events_can_be_chosen(tmp_path):
    film = make_film(3, duration_s=1.2, fps=5, events=1)
    assert (film.frames, len(film.events)) == (6, 1)
    assert film.events[0].end_s < 1.2
    assert make_film(3, events=0).events == ()
    write_film(film, tmp_path / "short.mp4", 64)
    assert len(decord.VideoReader(str(tmp_path / "short.mp4"), num_threads=1)) == 6


def test_an_odd_size_is_refused(tmp_path):
    film = Film(make_scene(1), (), 0.2)
    with pytest.raises(ValueError, match="even size, not 65"):
        write_film(film, tmp_path / "odd.mp4", 65)
    assert not (tmp_path / "odd.mp4").exists()
