"""The Sessions tab: every turn is found again, opened, replayed, rated, taken along, brought back and deleted."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from browser_kit import Watched, png
from playwright.sync_api import Locator
from program import Program, soon_true
from store_fixtures import picture, says, turn

from model.checkpoint import Checkpoint

pytestmark = pytest.mark.browser


def rows(page: Watched) -> Locator:
    return page.page.locator(".fv-run")


def questions(page: Watched) -> list[str]:
    return page.page.locator(".fv-run-q").all_inner_texts()


def search(page: Watched, words: str, many: int) -> None:
    """Type into the search field and wait until that many turns are listed."""
    page.page.locator("#search input").fill(words)
    page.page.wait_for_function(f"document.querySelectorAll('.fv-run').length === {many}")


def pick(page: Watched, field: str, value: str, many: int) -> None:
    """Choose in a drop-down list and wait until that many turns are listed."""
    page.page.locator(f"#{field} input").click()
    page.page.get_by_role("option", name=value, exact=True).click()
    page.page.wait_for_function(f"document.querySelectorAll('.fv-run').length === {many}")


def opened(page: Watched, words: str) -> Watched:
    """The tab with the one turn of these words chosen."""
    page.tab("Sessions")
    search(page, words, 1)
    rows(page).first.click()
    page.page.locator(".fv-detail section").first.wait_for()
    return page


def told(page: Watched, words: str) -> None:
    """A passing note says this."""
    page.page.locator(".toast-body", has_text=words).first.wait_for()


def test_words_and_filters_narrow_the_list(page: Watched, served: Program) -> None:
    """Turns of two checkpoints, two panels, two days and two ratings: each filter leaves those it names."""
    store, history = served.history.store, served.history
    session = history.new_session("Quokkas")
    other = Checkpoint("other", "somebody/other")
    first = turn(store, says("user", picture(), "How many quokkas sleep?"), answer="Two.", session=session)
    turn(store, says("user", "Do quokkas swim?"), answer="Hardly ever.", session=session, checkpoint=other)
    turn(store, says("user", "Do quokkas sing?"), answer="Never at night.", session=session, panel="compare")
    old = turn(store, says("user", "Did quokkas dig?"), answer="Once.", session=session)
    with store.write() as db:
        db["runs"].update(old, {"started_at": "2021-03-04T05:06:07+00:00"})
    history.rate(first, 1, "the sleepy one")
    page.tab("Sessions")
    search(page, "quokkas", 4)
    assert questions(page)[-1] == "Did quokkas dig?"  # the newest first
    assert page.page.locator(".fv-run-s").all_inner_texts() == ["Quokkas (4 turns)"]
    assert page.page.locator(".fv-runs > .fv-quiet").inner_text().startswith("4 turns, newest first. The log takes ")
    assert "rated good" in rows(page).nth(2).inner_text()
    search(page, "quokkas never", 1)  # words of the answer count, too
    search(page, "quokk", 4)
    pick(page, "by-checkpoint", "other", 1)
    assert questions(page) == ["Do quokkas swim?"]
    pick(page, "by-checkpoint", "any", 4)
    pick(page, "by-panel", "compare", 1)
    assert questions(page) == ["Do quokkas sing?"]
    pick(page, "by-panel", "any", 4)
    pick(page, "by-rating", "good", 1)
    assert questions(page) == ["How many quokkas sleep?"]
    pick(page, "by-rating", "not rated", 3)
    pick(page, "by-rating", "any", 4)
    page.page.locator("#until input").fill("2021-12-31")
    page.page.wait_for_function("document.querySelectorAll('.fv-run').length === 1")
    assert questions(page) == ["Did quokkas dig?"]
    page.page.locator("#until input").fill("31.12.2021")
    page.page.locator("#sessions-error .fv-error", has_text="31.12.2021").wait_for()
    page.page.locator("#until input").fill("")
    page.page.locator("#since input").fill("2021-12-31")
    page.page.wait_for_function("document.querySelectorAll('.fv-run').length === 3")
    assert not page.page.locator("#sessions-error").is_visible()
    page.page.locator("#search input").fill("quokkas that fly")
    page.page.locator(".fv-empty", has_text="No turn matches.").wait_for()


def test_a_turn_is_found_from_the_bench_and_opened_in_chat_again(page: Watched, served: Program) -> None:
    """Opened where it was asked, with what stood before it; the chat goes on from there."""
    page.ask("Is there a wombat?")
    asked = page.run_id()
    page.ask("Is there a dingo?")
    page.new_chat()
    opened(page, "wombat")
    assert page.page.locator(".fv-detail .fv-text").first.inner_text() == "Is there a wombat?"
    assert f"?run={asked}" in page.page.locator(".fv-address a").inner_text()
    page.page.locator("#open-run").click()
    page.page.get_by_role("tab", name="Chat", selected=True).wait_for()
    page.settled(2)
    assert page.run_id() == asked
    assert page.page.locator(".fv-specimen .fv-question").inner_text() == "Is there a wombat?"
    page.ask("Is there a bilby?", turns=3)
    assert [row.id for row in served.history.thread(page.run_id())][1] == asked
    page.page.locator(".fv-specimen").get_by_role("button", name="Find again").click()
    page.page.locator(".fv-run.on", has_text="Is there a bilby?").wait_for()
    page.page.wait_for_function("document.querySelector('.fv-detail .fv-text')?.innerText === 'Is there a bilby?'")


def test_a_replay_compares_the_tokens(page: Watched, served: Program) -> None:
    """The same tokens where all is the same; where the log was changed, the first that differs is pointed at."""
    page.ask("Where is the heart, numbat?")
    run_id = page.run_id()
    opened(page, "numbat")
    page.page.locator("#replay").click()
    result = page.page.locator(".fv-replay p").first
    result.wait_for()
    page.page.wait_for_function("document.querySelector('.fv-replay p').innerText.startsWith('Replayed')")
    tokens = served.history.run(run_id).tokens
    many = "the one token is" if len(tokens) == 1 else f"all {len(tokens)} tokens are"
    assert result.inner_text() == f"Replayed: {many} the same."
    assert page.page.locator(".fv-pair").count() == len(tokens)
    assert page.page.locator(".fv-pair.off").count() == 0
    with served.history.store.write() as db:
        kept = json.loads(next(db.query("SELECT tokens FROM runs WHERE id = ?", [run_id]))["tokens"])
        kept[0][0] += 1
        db["runs"].update(run_id, {"tokens": json.dumps(kept)})
    page.page.locator("#replay").click()
    page.page.wait_for_function("document.querySelector('.fv-replay p')?.innerText.includes('part at token 1')")
    assert page.page.locator(".fv-pair.off").count() >= 1
    replays = served.history.search("numbat", panel="replay", limit=9)
    assert [row.group for row in replays] == [run_id, run_id]
    assert page.page.locator("#stop-replay").is_hidden()


def test_a_running_replay_can_be_stopped(page: Watched, served: Program) -> None:
    page.begin("Echidna, go on.", length=1024)
    page.page.keyboard.press("Escape")
    page.settled(2)
    opened(page, "echidna")
    page.page.locator("#replay").click()
    page.page.wait_for_function("/Replaying. [1-9][0-9]+ tokens/.test(document.querySelector('.fv-replay p')?.innerText ?? '')")
    page.page.locator("#stop-replay").click()
    page.page.locator("#stop-replay").wait_for(state="hidden")
    replay = served.history.search("echidna", panel="replay", limit=1)[0]
    assert replay.status == "stopped"
    assert 0 < replay.new_tokens < 1024
    page.page.locator("#replay").wait_for()


def test_a_rating_and_a_note_are_kept_and_shown(page: Watched, served: Program) -> None:
    page.ask("Is there a cassowary?")
    run_id = page.run_id()
    page.do(1, "A good answer")
    page.page.wait_for_function(
        "document.querySelectorAll('.fv-turn')[1].querySelector('.fv-mini.on')?.title === 'A good answer'"
    )
    assert served.history.run(run_id).row.rating == 1
    opened(page, "cassowary")
    assert page.page.locator("#rating input:checked").get_attribute("value") == "1"
    page.page.locator("#rating label", has_text="bad").click()
    page.page.locator("#note textarea").fill("It has two legs & <b>no</b> arms.")
    page.page.locator("#save-note").click()
    told(page, "Saved.")
    row = served.history.run(run_id).row
    assert (row.rating, row.note) == (-1, "It has two legs & <b>no</b> arms.")
    facts = rows(page).first.locator(".fv-run-f").inner_text()
    assert "rated bad" in facts
    assert "It has two legs & <b>no</b> arms." in facts
    page.reload(2)
    assert page.turns.nth(1).locator(".fv-mini.on").get_attribute("title") == "A bad answer"


def test_a_session_is_exported_and_brought_in_again(page: Watched, served: Program, tmp_path: Path) -> None:
    """The folder holds JSONL, pictures and Markdown; another log could read it, here it becomes a session of its own."""
    page.new_chat()
    page.attach(("potoroo.png", "image/png", png("green", (50, 40))))
    page.ask("What is a potoroo?")
    page.page.locator("#session-name input").fill("Potoroos")
    page.page.locator("#session-name input").press("Enter")
    session = served.history.run(page.run_id()).row.session
    soon_true(lambda: served.history.session(session).name == "Potoroos")
    opened(page, "potoroo")
    page.page.locator("#export").click()
    link = page.page.locator("#exported a[download]").first
    link.wait_for()
    with page.page.expect_download() as caught:
        link.click()
    path = tmp_path / caught.value.suggested_filename
    caught.value.save_as(path)
    assert path.name.startswith("Potoroos-")
    with zipfile.ZipFile(path) as packed:
        names = packed.namelist()
        assert {"jsonl", "md", "png"} <= {name.rsplit(".", 1)[-1] for name in names}
        assert "What is a potoroo?" in packed.read(next(name for name in names if name.endswith(".md"))).decode()
    page.page.get_by_role("button", name="Import a session").click()
    page.page.set_input_files("#import input[type=file]", str(path))
    told(page, "Imported 1 turn.")
    page.page.wait_for_function("document.querySelectorAll('.fv-run').length === 2")
    found = served.history.search("potoroo", limit=9)
    assert len({row.session for row in found}) == 2
    assert len({row.answer for row in found}) == 1
    again = next(row for row in found if row.session != session)
    assert served.history.run(again.id).prompt.images[0].name == "potoroo.png"
    page.page.set_input_files("#import input[type=file]", {"name": "a.zip", "mimeType": "application/zip", "buffer": b"no zip"})
    page.page.locator("#sessions-error .fv-error").wait_for()
    assert page.page.locator("#sessions-error .fv-error").inner_text().endswith(".")


def test_deleting_asks_once_and_takes_pictures_along(page: Watched, served: Program) -> None:
    """A turn, then its whole session: rows, words and files that nothing else uses go; the page stands elsewhere."""
    page.new_chat()
    page.attach(("bandicoot.png", "image/png", png("orange", (41, 43))))
    page.ask("What is a bandicoot?")
    page.ask("Is the bandicoot alone?")
    first, second = page.run_id(0), page.run_id(1)
    picture_id = served.history.run(first).prompt.images[0].id
    session = served.history.run(first).row.session
    blob = served.history.store.blobs.path(picture_id)
    assert blob.exists()
    opened(page, "bandicoot alone")
    page.page.locator("#delete-run").click()
    page.page.locator("#delete-no").click()
    page.page.locator("#delete-yes").wait_for(state="hidden")
    assert served.history.run(second).row.id == second
    page.page.locator("#delete-run").click()
    page.page.locator(".fv-sure", has_text="Delete this turn, its answer, and pictures that no other turn uses?").wait_for()
    page.page.locator("#delete-yes").click()
    told(page, "Deleted 1 turn and 0 pictures")
    page.page.locator(".fv-empty", has_text="No turn matches.").wait_for()
    assert [row.id for row in served.history.search("bandicoot", limit=9)] == [first]
    assert blob.exists()
    page.tab("Chat")
    page.settled(1)
    opened(page, "bandicoot")
    page.page.locator("#delete-session").click()
    page.page.locator(".fv-sure", has_text="Delete the whole session: 1 turn with its answer").wait_for()
    page.page.locator("#delete-yes").click()
    told(page, "Deleted 1 turn and 1 picture")
    page.page.locator(".fv-turnbox").wait_for(state="hidden")
    assert served.history.search("bandicoot", limit=9) == []
    assert all(found.id != session for found in served.history.sessions(1000))
    assert not blob.exists()
    page.tab("Chat")
    # a session of its own, begun as for a newcomer, takes the place of the one turn that was there
    page.page.wait_for_function("run => ![run, undefined].includes(document.querySelector('.fv-turn')?.dataset.run)", arg=first)
    assert served.history.run(page.settled(1).run_id()).row.session != session


def test_keys_move_through_the_list(page: Watched, served: Program) -> None:
    for i in range(3):
        turn(served.history.store, says("user", f"Glider number {i}"), session=served.history.new_session())
    page.tab("Sessions")
    search(page, "glider", 3)
    rows(page).first.focus()
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    page.page.wait_for_function("document.querySelector('.fv-detail .fv-text')?.innerText === 'Glider number 0'")
    assert page.page.evaluate("document.querySelectorAll('.fv-run[tabindex=\"0\"]').length") == 1
