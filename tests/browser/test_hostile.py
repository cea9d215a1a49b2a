"""Text that wants to be more than text, and files that are not what they say: shown as they are, run never."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_kit import Watched, encoded, png, wide
from PIL import Image
from playwright.sync_api import Locator
from program import Program
from store_fixtures import says

from model.checkpoint import Checkpoint
from model.events import Alternative, Token
from model.options import Options
from model.pictures import open_picture
from model.prompt import Prompt
from model.recorder import CallEnd, CallStart, new_id

pytestmark = pytest.mark.browser
MARK = "window.hacked=(window.hacked||0)+1"
PAYLOADS = {
    "handlebars": "{{value}} {{#each value}}{{this}}{{/each}} {{constructor.constructor('" + MARK + "')()}}",
    "template literal": "${" + MARK + "} ${Reflect.set(window,'hacked',1)} `${" + MARK + "}`",
    "image": f"<img src=x onerror={MARK}><svg onload={MARK}>",
    "script": f"</script></textarea><script>{MARK}</script><iframe srcdoc='<script>parent.{MARK}</script>'>",
    "markdown": f"[a](javascript:{MARK}) ![b](http://stranger.example/b.png) <http://stranger.example>",
    "style": "<style>*{display:none!important}</style><link rel=stylesheet href=//stranger.example/x.css>",
    "control": "nul \0 bell \x07 escape \x1b[31m right to left \u202e gnp\u2066 back\u2069 \ufeff \u200b end",
    "long": "A" * 5000,
    "special tokens": "<|im_end|><image></s><loc0001>[INST]<object><patch_index_0044></object>",
}


@pytest.fixture
def page(new_page: Callable[..., Watched]) -> Iterator[Watched]:
    """A page on which nothing may have been run at the end."""
    made = new_page()
    yield made
    assert made.page.evaluate("window.hacked ?? 0") == 0
    assert made.page.evaluate("document.querySelectorAll('iframe, .fv script, .fv [onerror], .fv [onload]').length") == 0


def logged(program: Program, text: str, session: str = "") -> str:
    """A run in the log that says this everywhere it can."""
    store, run_id = program.history.store, new_id()
    session = session or program.history.new_session(text[:100])
    part = open_picture(png(), text[:50] + ".png").part
    prompt = Prompt((says("system", text), says("user", part, text)))
    checkpoint = Checkpoint(text[:80].replace("\0", " "), text[:80].replace("\0", " "))
    store.start(CallStart(run_id, checkpoint, prompt, Options(), "chat", session))
    tokens = tuple(Token(i, i, piece, -0.5, (Alternative(i, piece, -0.5), Alternative(99, text[:60], -2.0)))
                   for i, piece in enumerate([text[:40], "\n", text[40:80], ""]))  # fmt: skip
    store.finish(CallEnd(run_id, "done", text, "end", None, tokens))
    assert store.trouble is None
    program.history.rate(run_id, 1, text)
    return run_id


def written(node: Locator) -> str:
    """The text of a node, character for character."""
    return str(node.evaluate("node => node.textContent"))


@pytest.mark.parametrize("kind", sorted(PAYLOADS))
def test_answers_notes_and_names_are_text(page: Watched, served: Program, kind: str) -> None:
    text = PAYLOADS[kind]
    run_id = logged(served, text)
    page.open(f"?run={run_id}")
    assert written(page.turns.first.locator(".fv-said .fv-text")) == text
    assert written(page.turns.first.locator(".fv-asked .fv-text")) == text
    page.do(0, "Tokens")
    page.turns.first.locator(".fv-chip").first.hover()
    page.turns.first.locator(".fv-card .fv-alt").nth(1).wait_for()
    assert "\u202e" not in page.turns.first.locator(".fv-chips").inner_text()
    page.page.locator(".fv-specimen").get_by_role("button", name="Find again").click()
    page.page.locator(".fv-detail section").first.wait_for()
    assert written(page.page.locator(".fv-detail .fv-text").nth(1)) == text
    assert page.page.locator("#note textarea").input_value()[:8] == text[:8]
    page.page.locator(".fv-more summary").click()
    assert wide(page.page) == []
    page.page.locator(".fv-run.on").wait_for()


def test_questions_and_names_typed_into_the_page_are_text(page: Watched, served: Program) -> None:
    page.open()
    for turn, kind in enumerate(("handlebars", "template literal", "image", "script"), start=2):
        page.ask(PAYLOADS[kind], turns=turn)
        assert page.turns.last.locator(".fv-asked .fv-text").inner_text() == PAYLOADS[kind]
    page.page.locator("#session-name input").fill(PAYLOADS["image"])
    page.page.locator("#session-name input").press("Enter")
    page.page.locator("#set-system textarea").fill(PAYLOADS["template literal"])
    page.page.locator("#checkpoint input").fill(PAYLOADS["image"])
    page.page.locator("#checkpoint input").press("Enter")
    page.page.locator(".fv-status .fv-error").wait_for()
    assert page.page.locator(".fv-status .fv-error").inner_text().startswith("There is no checkpoint '<img src=x")
    assert page.page.locator(".fv-ck.on").inner_text().startswith("tiny-llava")
    page.page.locator("#search input").wait_for(state="hidden")
    page.tab("Sessions")
    page.page.locator(".fv-run-s", has_text="<img src=x").first.wait_for()
    page.page.locator("#search input").fill('{{value}} ${x} "AND NOT (')
    page.page.locator(".fv-empty", has_text="No turn matches.").wait_for()
    assert served.alive


def test_a_question_of_100_000_characters_is_answered_or_refused(page: Watched) -> None:
    page.open()
    page.box.fill("word " * 20_000)
    page.box.press("Enter")
    page.page.locator("#chat-error").wait_for()
    assert "tokens" in page.error()  # more than the context holds, said with figures
    page.page.wait_for_function("document.querySelector('#ask textarea').value.length === 100_000")  # and nothing is lost
    page.box.fill("word " * 20_001)
    page.box.press("Enter")
    page.page.wait_for_function("document.querySelector('#chat-error').innerText.includes('100,005 characters')")
    page.ask("Is there a star?", turns=2)
    assert not page.page.locator("#chat-error").is_visible()


def test_an_empty_question_is_refused(page: Watched, served: Program) -> None:
    page.open()
    page.box.fill("   ")
    page.box.press("Enter")
    page.page.locator("#chat-error").wait_for()
    assert "empty" in page.error()
    assert page.turns.count() == 1
    session = served.history.run(page.run_id()).row.session
    assert served.history.session(session).runs == 1  # it is not logged as a turn


SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>window.hacked=1</script></svg>"


def pictures() -> dict[str, tuple[str, bytes, str]]:
    """Name -> (media type, bytes, words of the sentence above the question box; empty where there is nothing to say)."""
    image = Image.effect_noise((64, 48), 60).convert("RGB")
    whole = encoded(image, "PNG")
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    exif = Image.Exif()
    exif[0x0112] = 6
    bomb = encoded(Image.new("1", (9000, 9000)), "PNG")
    return {
        "cut.png": ("image/png", whole[: len(whole) // 2], "cut.png is damaged or cut off"),
        "zero.png": ("image/png", b"", "zero.png is empty (0 bytes)"),
        "bomb.png": ("image/png", bomb, "bomb.png has 9000 x 9000 pixels"),
        "drawing.svg": ("image/svg+xml", SVG, "is an SVG drawing"),
        "page.png": ("image/png", b"<html><script>window.hacked=1</script></html>", "page.png is a web page"),
        "noise.png": ("image/png", bytes(range(256)) * 8, "noise.png is no picture of a known kind"),
        "moving.gif": ("image/gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "the first is used"),
        "print.jpg": ("image/jpeg", encoded(image.convert("CMYK"), "JPEG"), "is CMYK"),
        "deep.png": ("image/png", encoded(Image.new("I;16", (30, 30), 40_000), "PNG"), "more than 8 bits"),
        "turned.jpg": ("image/jpeg", encoded(image, "JPEG", exif=exif), "was turned upright"),
        "wrong.png": ("image/png", encoded(image, "JPEG"), "is a JPEG file despite its name"),
        "clear.png": ("image/png", encoded(Image.new("RGBA", (20, 20), (255, 0, 0, 90)), "PNG"), "laid on white"),
    }


REFUSED = ("damaged", "empty", "9000 x 9000", "SVG", "web page", "no picture")


def test_files_that_are_not_what_they_say(page: Watched, served: Program) -> None:
    """Each is told of as soon as it is attached; what cannot be opened is refused in the same words, what can is answered."""
    page.open()
    for name, (kind, data, words) in pictures().items():
        page.new_chat()
        page.attach((name, kind, data))
        note = page.page.locator(".fv-composer .fv-note", has_text=words)
        note.first.wait_for()
        page.box.fill(f"What is in {name}?")
        page.box.press("Enter")
        if any(sign in words for sign in REFUSED):
            page.page.locator("#chat-error", has_text=words).wait_for()
            assert page.box.input_value() == f"What is in {name}?"
        else:
            page.settled(1)
            assert words in page.page.locator(".fv-specimen .fv-note").inner_text()
    assert served.alive


def test_more_pictures_than_a_turn_takes(page: Watched) -> None:
    page.open()
    page.attach(*[(f"{i}.png", "image/png", png("red", (20 + i, 20))) for i in range(9)])
    page.page.locator(".fv-composer .fv-note", has_text="9 pictures were attached; a turn takes at most 8").wait_for()


def test_more_pictures_than_the_context_holds(page: Watched) -> None:
    page.open()
    page.new_chat()
    page.attach(*[(f"{i}.png", "image/png", png("red", (20 + i, 20))) for i in range(8)])
    page.ask("What is in them?")
    page.attach(*[(f"{i}.png", "image/png", png("blue", (20 + i, 20))) for i in range(8)])
    page.box.fill("And in these?")
    page.box.press("Enter")
    page.page.locator("#chat-error").wait_for()
    assert "tokens" in page.error()
    page.page.wait_for_function("document.querySelectorAll('#ask .thumbnail-item').length === 8")  # nothing is lost
    assert page.box.input_value() == "And in these?"


def test_file_names_are_text(page: Watched) -> None:
    """HTML, templates, paths and letters that turn the direction of writing, in names of attached files."""
    page.open()
    names = (f"<img src=x onerror={MARK}>.png", "{{value}}${1+1}.png", "../../etc/passwd.png", "a\u202egnp.png")
    for turns, name in enumerate(names, start=2):
        page.attach((name, "image/png", png(size=(20 + turns, 20))))
        page.page.locator(".fv-composer .fv-note").first.wait_for()
        page.ask("What is it?", turns=turns)
        assert page.page.locator(".fv-specimen .fv-thumb").count() == turns
        caption = page.page.locator(".fv-specimen figcaption").inner_text()
        assert caption.startswith(f"{turns} of {turns}: ")
        assert ".." not in caption
        assert "\u202e" not in caption


def test_a_file_that_is_too_large_or_no_picture_at_all(page: Watched, tmp_path: Path) -> None:
    page.open()
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate(26_000_000)
    page.page.set_input_files("#ask input[type=file]", str(tmp_path / "big.png"))
    page.page.locator(".fv-composer .fv-note", has_text="big.png has 26 MB; at most 25 MB are read").wait_for()
    page.new_chat()
    page.attach((f"<img src=x onerror={MARK}>.txt", "text/plain", b"hello"))
    page.page.locator(".fv-composer .fv-note", has_text="is no picture of a known kind").wait_for()


def test_a_photograph_on_a_built_in_checkpoint_is_cautioned(page: Watched) -> None:
    page.open()
    page.attach(("photo.jpg", "image/jpeg", encoded(Image.effect_noise((80, 60), 80).convert("RGB"), "JPEG")))
    note = page.page.locator(".fv-composer .fv-note", has_text="trained on drawn scenes alone")
    note.wait_for()
    page.ask("What is in the picture?")
    assert note.count() == 0
    assert "trained on drawn scenes alone" in page.page.locator(".fv-specimen .fv-note").inner_text()
