"""Turns in the page: several pictures, editing and going back, tokens, what the model saw, stopping, streaming."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from browser_kit import Watched, encoded
from fakes import STOP_S, TooSlow, best_of_three
from PIL import Image
from program import Program, soon_true

from model.decoders.plain import Plain
from studies.world.files import to_png
from studies.world.scene import make_scene

pytestmark = pytest.mark.browser


def scene(seed: int) -> bytes:
    return to_png(make_scene(seed), 200)


def test_several_pictures_in_one_turn_and_more_later(page: Watched, served: Program) -> None:
    page.new_chat()
    page.attach(("a.png", "image/png", scene(1)), ("b.png", "image/png", scene(2)))
    page.ask("How many objects are there in the two pictures?")
    assert page.turns.last.locator(".fv-picture img").count() == 2
    page.attach(("c.png", "image/png", scene(3)))
    page.ask("And with this one?")
    record = served.history.run(page.run_id())
    assert [part.name for part in record.prompt.images] == ["a.png", "b.png", "c.png"]
    assert page.page.locator(".fv-specimen .fv-thumb").count() == 3
    assert "with 3 it may mix them up" in page.page.locator(".fv-specimen .fv-note").inner_text()


def test_a_picture_is_pasted_and_another_dropped(page: Watched) -> None:
    page.new_chat()
    page.page.evaluate(
        """async () => {
            const file = async (name, colour) => {
                const canvas = document.createElement('canvas'); canvas.width = 40; canvas.height = 30;
                const pen = canvas.getContext('2d'); pen.fillStyle = colour; pen.fillRect(0, 0, 40, 30);
                return new File([await new Promise(done => canvas.toBlob(done, 'image/png'))], name, { type: 'image/png' });
            };
            const carried = new DataTransfer(); carried.items.add(await file('pasted.png', 'red'));
            const area = document.querySelector('#ask textarea'); area.focus();
            area.dispatchEvent(new ClipboardEvent('paste', { clipboardData: carried, bubbles: true, cancelable: true }));
            const dropped = new DataTransfer(); dropped.items.add(await file('dropped.png', 'blue'));
            await new Promise(done => setTimeout(done, 1500));
            const place = document.querySelector('#ask .full-container');
            for (const kind of ['dragenter', 'dragover', 'drop'])
                place.dispatchEvent(new DragEvent(kind, { dataTransfer: dropped, bubbles: true, cancelable: true }));
        }"""
    )
    page.page.wait_for_function("document.querySelectorAll('#ask .thumbnail-item').length === 2")
    page.ask("What color is the first picture?")
    assert page.turns.last.locator(".fv-picture img").count() == 2


def test_a_scene_from_the_shelf_begins_a_chat(page: Watched) -> None:
    page.page.locator(".fv-scenes .fv-thumb").nth(2).click()
    page.settled(0)
    page.page.wait_for_function("document.querySelectorAll('#ask .thumbnail-item').length === 1")
    offered = page.page.locator(".fv-chipq").first
    offered.wait_for()
    offered.click()
    page.settled(1)
    assert page.turns.last.locator(".fv-truth").count() == 1
    page.page.click("#another")
    page.settled(0)
    page.page.wait_for_function("document.querySelectorAll('#ask .thumbnail-item').length === 1")


def test_many_turns_are_one_conversation(page: Watched, served: Program) -> None:
    for question in ("What color is the heart?", "How many objects are there?", "And is there a star?"):
        page.ask(question)
    record = served.history.run(page.run_id())
    assert [m.role for m in record.prompt.messages] == ["user", "assistant"] * 3 + ["user"]
    assert record.prompt.messages[2].text == "What color is the heart?"
    assert "reused" in page.turns.last.locator(".fv-meter").inner_text()


def test_an_earlier_question_is_edited_and_the_old_one_kept(page: Watched) -> None:
    page.ask("What color is the heart?")
    page.ask("How many objects are there?")
    page.do(1, "Edit")
    note = page.page.locator(".fv-editing")
    assert "Sending makes a new version" in note.inner_text()
    assert page.box.input_value() == "What color is the heart?"
    page.ask("What color is the star?", turns=2)
    assert note.count() == 0
    assert page.turns.nth(1).locator(".fv-asked .fv-text").inner_text() == "What color is the star?"
    assert "version 2 of 2" in page.turns.nth(1).inner_text()
    page.do(1, "The version before")
    page.settled(3)
    assert page.turns.nth(1).locator(".fv-asked .fv-text").inner_text() == "What color is the heart?"
    assert page.turns.nth(2).locator(".fv-asked .fv-text").inner_text() == "How many objects are there?"


def test_an_edit_keeps_its_pictures_and_can_be_left(page: Watched, served: Program) -> None:
    page.do(0, "Edit")
    assert "Its pictures stay" in page.page.locator(".fv-editing").inner_text()
    page.page.get_by_role("button", name="Cancel", exact=True).click()
    page.page.locator(".fv-editing").wait_for(state="detached")
    assert page.box.input_value() == ""
    page.do(0, "Edit")
    page.page.locator(".fv-editing").wait_for()
    page.ask("Is there a heart?", turns=1)
    assert len(served.history.run(page.run_id()).prompt.images) == 1
    page.ask("What color is it?")  # the page goes on as usual: this is a second turn, not another edit
    assert page.turns.count() == 2


def test_retry_and_undo(page: Watched, served: Program) -> None:
    first = page.run_id()
    page.do(0, "Retry")
    page.page.wait_for_function("document.querySelector('.fv-branches')?.innerText.includes('version 2 of 2')")
    assert page.run_id() != first
    page.ask("How many objects are there?")
    page.do(1, "Undo")
    page.settled(1)
    assert page.box.input_value() == "How many objects are there?"
    assert len(served.history.search("objects", limit=5)) > 0


def test_tokens_show_alternatives_and_one_continues_the_answer(page: Watched, served: Program) -> None:
    page.ask("Put a box on the small star.")
    text, first = page.answer(), page.run_id()
    page.do(1, "Tokens")
    chips = page.turns.last.locator(".fv-chip")
    chips.first.wait_for()
    record = served.history.run(first)
    assert chips.count() == len(record.tokens)
    chance = float(chips.nth(0).evaluate("node => node.style.getPropertyValue('--p')"))
    assert chance == pytest.approx(2.718281828 ** record.tokens[0].logprob, abs=1e-3)
    chips.nth(1).hover()
    card = page.turns.last.locator(".fv-card")
    assert card.locator(".fv-alt").count() == 5
    assert card.locator(".fv-alt.chosen .fv-alt-text").inner_text() == chips.nth(1).inner_text()
    alternative = card.locator("button.fv-alt").first
    wanted = alternative.locator(".fv-alt-text").inner_text()
    alternative.click()
    page.page.wait_for_function(f"() => !document.querySelector('[data-run=\"{first}\"]')")
    page.settled(2)
    branched = served.history.run(page.run_id())
    assert [t.id for t in branched.tokens[:1]] == [record.tokens[0].id]
    assert branched.tokens[1].text.strip() == wanted.strip("\u00b7")
    assert [t.given for t in branched.tokens[:3]] == [True, True, False]
    assert page.answer() != text
    assert "version 2 of 2" in page.turns.last.inner_text()


def test_the_meter(page: Watched) -> None:
    page.ask("Describe the image.")
    meter = page.turns.last.locator(".fv-meter").inner_text()
    for name in ("image tokens", "prompt tokens", "to first token", "tokens/s", "new tokens"):
        assert name in meter, meter
    assert "1 picture from cache" in meter or "reused" in meter


def test_what_the_model_saw(page: Watched) -> None:
    """A wide picture on a checkpoint that cuts out the middle: the cut is shown on the file, the pixels beside it."""
    page.new_chat()
    page.choose("endless-llava")
    page.set("length", 4)
    wide = Image.new("RGB", (300, 100), "blue")
    wide.paste("red", (100, 0, 200, 100))
    page.attach(("wide.png", "image/png", encoded(wide, "PNG")))
    page.ask("What is it?")
    page.do(0, "What it saw")
    shown = page.page.locator("dialog.fv-saw")
    shown.locator(".fv-saw-row").wait_for()
    captions = shown.locator("figcaption").all_inner_texts()
    assert captions[0] == "wide.png, 300 x 100 px"
    assert captions[1].endswith("56 x 56 px")
    edge = shown.locator(".fv-edge")
    assert [float(edge.get_attribute(name) or 0) for name in ("x", "width")] == pytest.approx([100, 100])
    pixels = shown.locator(".fv-saw-views img").evaluate(
        """image => { const c = document.createElement('canvas'); c.width = image.naturalWidth; c.height = image.naturalHeight;
        const pen = c.getContext('2d'); pen.drawImage(image, 0, 0); const d = pen.getImageData(0, 0, c.width, c.height).data;
        return [c.width, c.height, Math.max(...d.filter((_, i) => i % 4 === 2))]; }"""
    )
    assert pixels[:2] == [56, 56]
    assert pixels[2] < 64  # the blue sides were never seen, but for what bicubic scaling takes from the neighbour
    page.page.keyboard.press("Escape")
    assert not shown.is_visible()


def test_settings_reach_the_model_and_stay(page: Watched, served: Program) -> None:
    for name, value in (("temperature", 1.5), ("top_p", 0.9), ("length", 7), ("seed", 11)):
        page.set(name, value)
    page.ask("Describe the image.")
    options = served.history.run(page.run_id()).options
    assert (options.decoder, options.max_new_tokens, options.seed) == (Plain(1.5, 0.9), 7, 11)
    page.do(1, "Retry")
    page.page.wait_for_function("document.querySelectorAll('.fv-branches').length === 1")
    assert served.history.run(page.run_id()).options.seed == 12
    page.reload(2)
    assert page.page.locator("#set-temperature input[type=number]").input_value() == "1.5"
    assert page.page.locator("#set-seed input").input_value() == "11"


def test_a_chat_keeps_the_system_prompt_it_began_with(page: Watched, served: Program) -> None:
    page.new_chat()
    page.page.locator("#set-system textarea").fill("Answer in one word.")
    page.ask("What color is the sky?")
    assert served.history.run(page.run_id()).prompt.messages[0].text == "Answer in one word."
    page.page.locator("#set-system textarea").fill("Be long.")
    page.ask("And the sea?")
    assert served.history.run(page.run_id()).prompt.messages[0].text == "Answer in one word."
    assert page.turns.count() == 2  # the conversation holds together
    assert "keeps the system prompt it began with" in page.page.locator(".fv-specimen .fv-note").inner_text()


WATCH = """() => { window.seen = []; const root = document.querySelector('.fv-live');
  new MutationObserver(() => window.seen.push([performance.now(), root.querySelector('.fv-growing')?.textContent.length ?? -1]))
    .observe(root, { childList: true, subtree: true, characterData: true }); }"""


@best_of_three
def test_streaming_is_smooth(page: Watched, served: Program) -> None:
    """512 tokens: about ten updates of the page a second, no gap, and hardly longer than the model takes.

    Where others use the processors, each may be late by what four round trips to the server take.
    """
    page.choose("endless-llava")
    page.set("length", 512)
    page.page.evaluate(WATCH)
    page.ask("Go on and on.")
    late_s = 4 * page.round_trip_s()
    record = served.history.run(page.run_id())
    assert record.row.new_tokens == 512
    times = [at for at, length in page.page.evaluate("window.seen") if length > 0]
    span_s, model_s = (times[-1] - times[0]) / 1e3, record.decode_ms / 1e3
    every_s, gap_s = max(span_s, model_s) / len(times), max(later - before for before, later in pairwise(times)) / 1e3
    print(
        f"an update every {every_s:.3f} s, at most {gap_s:.2f} s apart; {span_s:.2f} s for {model_s:.2f} s; late {late_s:.3f} s"
    )
    if not 0.08 <= every_s <= 0.12 + late_s or gap_s > 0.4 + late_s or span_s > model_s + 0.5 + late_s:
        raise TooSlow(f"an update every {every_s:.3f} s, {gap_s:.2f} s without one, {span_s:.2f} s for {model_s:.2f} s")


STOPPED = """() => { const first = document.querySelectorAll('.fv-transcript .fv-turn').length;
  window.stopped = new Promise((done) => { let begun = 0;
    for (const kind of ['click', 'keydown']) document.addEventListener(kind, (e) => {
      if (e.target.closest?.('#stop') || e.key === 'Escape') begun ||= performance.now();
    }, true);
    new MutationObserver(() => {
      if (document.querySelectorAll('.fv-transcript .fv-turn').length > first) done(performance.now() - begun);
    }).observe(document.querySelector('.fv-transcript'), { childList: true });
  }); }"""


@pytest.mark.parametrize("way", ["button", "key"])
@best_of_three
def test_stop_ends_the_answer_at_once_and_keeps_what_was_written(page: Watched, served: Program, way: str) -> None:
    """0.2 s from the press to the turn that stands in the transcript, with all the model had written.

    Where others use the processors, later by what four round trips to the server take.
    """
    page.begin("Go on and on.")
    page.page.evaluate(STOPPED)
    late_s = 4 * page.round_trip_s()
    page.page.click("#stop") if way == "button" else page.page.keyboard.press("Escape")
    took_s = page.page.evaluate("window.stopped") / 1e3
    page.page.locator(".fv-live .fv-turn").wait_for(state="detached")
    row = served.history.run(page.run_id()).row
    assert row.status == "stopped"
    assert 0 < row.new_tokens < 1024
    assert page.turns.last.locator(".fv-said .fv-text").text_content() == row.answer
    assert len(row.answer) > 20
    assert "Stopped here." in page.turns.last.inner_text()
    assert not page.page.locator("#stop").is_visible()
    print(f"stopped after {took_s:.3f} s; late {late_s:.3f} s")
    if took_s > STOP_S + late_s:
        raise TooSlow(f"it took {took_s:.2f} s")


def test_a_chat_goes_on_after_what_was_stopped(page: Watched, served: Program) -> None:
    page.begin("Go on and on.")
    page.page.keyboard.press("Escape")
    page.settled(2)
    page.choose("tiny-llava")
    page.ask("What color is the heart?")
    assert [message.role for message in served.history.run(page.run_id()).prompt.messages] == ["user", "assistant"] * 2 + ["user"]


def test_a_closed_tab_stops_the_model(new_page: Callable[..., Watched], served: Program) -> None:
    page = new_page().open()
    page.begin("Go on, nobody listens.")
    page.page.close()
    soon_true(lambda: [row.status for row in served.history.search("nobody listens", limit=1)] == ["stopped"])


def test_one_answer_at_a_time_and_a_new_chat_ends_it(page: Watched, served: Program) -> None:
    page.begin("Go on, one.")
    page.turns.first.get_by_role("button", name="Retry").click()
    assert "An answer is being written" in page.error()
    page.new_chat()
    soon_true(lambda: [row.status for row in served.history.search('"Go on, one."', limit=1)] == ["stopped"])
    page.page.wait_for_timeout(300)
    assert page.turns.count() == page.page.locator(".fv-live .fv-turn").count() == 0  # what it still had to say is not shown
    page.choose("tiny-llava")
    page.ask("Is there a star?", turns=1)


def test_answers_are_told_apart_by_the_reader_of_a_screen(page: Watched) -> None:
    """The last answer is said once to screen readers; the growing text is not repeated to them."""
    page.ask("What color is the heart?")
    said = page.page.locator(".fv-heard").inner_text()
    assert re.fullmatch(r"tiny-llava: .+", said)
    assert page.page.locator(".fv-live[aria-live]").count() == 0
