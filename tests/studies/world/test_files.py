"""Scenes as PNG files: the round trip, and forged or broken files that must give None."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from studies.world.draw import draw
from studies.world.edit import random_edit
from studies.world.files import KEY, MAX_SIDE_PX, MAX_THINGS, from_json, from_png, to_png
from studies.world.questions import MAKERS, ask
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed


def forged(text: str, *, size: tuple[int, int] = (8, 8), compressed: bool = False) -> bytes:
    """A tiny PNG whose scene chunk holds `text`."""
    info = PngImagePlugin.PngInfo()
    info.add_text(KEY, text, zip=compressed)
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def facts(seed: int = 3, **kwargs: Any) -> dict[str, Any]:
    """A labelled scene of three things as plain JSON."""
    return json.loads(json.dumps(asdict(make_scene(seed, things=3, label=True, **kwargs))))


@pytest.mark.parametrize("index", range(12))
def test_a_file_gives_back_the_scene_it_was_made_of(index):
    scene = make_scene(held_out_seed(index), label=index % 2 == 0, pairs="all")
    data = to_png(scene, 64)
    assert from_png(data) == scene
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(draw(scene, 64)))


def test_an_edited_scene_comes_back_and_draws_the_same_questions():
    scene = make_scene(11, things=4, label=True)
    for kind in ("erase", "recolour", "move", "swap"):
        edit = random_edit(random.Random(5), scene, kind)
        back = from_png(to_png(edit.after, 48))
        assert back == edit.after
        for question in MAKERS:
            assert ask(random.Random(1), back, question) == ask(random.Random(1), edit.after, question)


def test_a_scene_without_things_or_label_comes_back():
    scene = make_scene(1, things=0, label=False)
    assert (scene.things, scene.label) == ((), None)
    assert from_png(to_png(scene, 16)) == scene


def test_the_true_facts_pass_so_the_forgeries_fail_for_what_was_forged():
    assert from_png(forged(json.dumps(facts()))) == make_scene(3, things=3, label=True)
    assert from_png(forged(json.dumps(facts()), compressed=True)) == make_scene(3, things=3, label=True)


ODD_VALUES = (None, "0.5", 1.5, float("nan"), float("inf"), True, [], [1], {}, {"a": 1}, 10**30, -(10**30), "x" * 50)


@pytest.mark.parametrize("place", ["scene", "thing", "label", "tint"])
def test_a_value_of_the_wrong_type_or_far_out_of_range_gives_none(place):
    whole = facts()
    keys = {"scene": whole, "thing": whole["things"][0], "label": whole["label"], "tint": range(3)}[place]
    for key in keys:
        for value in ODD_VALUES:
            fact = facts()
            target = {"scene": fact, "thing": fact["things"][0], "label": fact["label"], "tint": fact["tint"]}[place]
            if (place, key, value) == ("scene", "label", None) or ((place, key) == ("scene", "things") and value == []):
                continue  # scenes without a label, or without things, are scenes
            target[key] = value
            assert from_png(forged(json.dumps(fact))) is None, (place, key, value)


def test_a_missing_or_an_unknown_key_gives_none():
    whole = facts()
    for key in whole:
        assert from_png(forged(json.dumps({k: v for k, v in whole.items() if k != key}))) is None, key
    for key in ("shape", "colour", "size", "texture", "x", "y", "radius", "tint"):
        fact = facts()
        del fact["things"][1][key]
        assert from_png(forged(json.dumps(fact))) is None, key
    for key in whole["label"]:
        fact = facts()
        del fact["label"][key]
        assert from_png(forged(json.dumps(fact))) is None, key
    fact = facts()
    fact["things"][0]["price"] = 3
    assert from_png(forged(json.dumps(fact))) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", "hexagon"), ("colour", "magenta"), ("size", "medium"), ("texture", "checked"),
        ("radius", 0), ("radius", -90), ("x", 2001), ("y", -1001), ("tint", [0, 0]), ("tint", [0, 0, 256]), ("tint", "abc"),
    ],
)  # fmt: skip
def test_a_thing_that_is_not_of_this_world_gives_none(key, value):
    fact = facts()
    fact["things"][2][key] = value
    assert from_png(forged(json.dumps(fact))) is None


@pytest.mark.parametrize("text", ["", " ", "TWO WORDS", "LINE\nBREAK", "\u202eevil", "é", "\ud800", "<b>", "ABCDEFGHIJKLM"])
def test_a_label_is_a_short_word_or_number(text):
    fact = facts()
    fact["label"]["text"] = text
    assert from_png(forged(json.dumps(fact))) is None


@pytest.mark.parametrize(("key", "value"), [("width", 0), ("height", -5), ("width", 1001), ("x", 10**6), ("height", 2.0)])
def test_a_label_cannot_ask_for_a_huge_or_an_empty_drawing(key, value):
    fact = facts()
    fact["label"][key] = value
    assert from_png(forged(json.dumps(fact))) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "3", '"scene"', "{}", "{", "NaN", "[" * 9000, '{"things":' * 1500, "\x00", "9" * 6000,
        '{"things":[],"label":null,"background":["white"],"backdrop":"flat","tint":[0,0,0],"seed":0}',
        '{"things":"abc","label":null,"background":"white","backdrop":"flat","tint":[0,0,0],"seed":0}',
        '{"things":[],"label":null,"background":"white","backdrop":"flat","tint":[0,0,0],"seed":Infinity}',
        '{"things":[],"label":null,"background":"white","backdrop":"flat","tint":[0,0,0],"seed":-1}',
        '{"things":[],"label":0,"background":"white","backdrop":"flat","tint":[0,0,0],"seed":0}',
    ],
)  # fmt: skip
def test_text_that_is_no_scene_gives_none(text):
    assert from_png(forged(text)) is None


def test_too_many_things_and_too_much_text_give_none():
    fact = facts()
    fact["things"] = [fact["things"][0]] * (MAX_THINGS + 1)
    assert from_png(forged(json.dumps(fact))) is None
    fact["things"] = fact["things"][:MAX_THINGS]
    assert len(from_png(forged(json.dumps(fact))).things) == MAX_THINGS
    assert from_png(forged(json.dumps(facts()) + " " * 20_000)) is None
    assert from_png(forged(json.dumps(facts()) + " " * 3_000_000, compressed=True)) is None


def test_other_files_give_none():
    jpeg, plain = io.BytesIO(), io.BytesIO()
    draw(make_scene(1), 32).save(jpeg, "JPEG", comment=KEY.encode())
    draw(make_scene(1), 32).save(plain, "PNG")
    for data in (b"", b"\x89PNG", b"\x89PNG" + KEY.encode(), jpeg.getvalue(), plain.getvalue(), b"GIF89a" + KEY.encode()):
        assert from_png(data) is None


def test_a_header_that_claims_a_huge_picture_is_not_opened():
    data = bytearray(forged(json.dumps(facts())))
    for side in (MAX_SIDE_PX + 1, 2**31 - 1):
        data[16:24] = struct.pack(">II", side, 8)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
        assert from_png(bytes(data)) is None


def test_a_second_header_behind_a_small_one_does_not_raise():
    data = forged(json.dumps(facts()))
    huge = b"IHDR" + struct.pack(">IIBBBBB", 2**30, 2**30, 8, 2, 0, 0, 0)
    assert from_png(data[:33] + struct.pack(">I", 13) + huge + struct.pack(">I", zlib.crc32(huge)) + data[33:]) is None


def test_a_damaged_file_never_raises():
    whole = to_png(make_scene(7, things=3, label=True), 32)
    scene = from_png(whole)
    rng = random.Random(0)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        found = from_png(bytes(data[: rng.randrange(len(data)) if rng.random() < 0.5 else len(data)]))
        assert found is None or len(found.things) == len(scene.things)


def test_from_json_says_what_is_wrong_by_raising():
    with pytest.raises(ValueError, match="not a scene"):
        from_json(facts() | {"background": "green"})
    with pytest.raises(KeyError):
        from_json({})
    with pytest.raises(TypeError):
        from_json([])  # type: ignore[arg-type]
