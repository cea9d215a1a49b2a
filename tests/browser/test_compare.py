"""The Compare tab in a browser: columns side by side, Stop, blind votes that leak nothing, heat, sets, addresses, Sessions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from browser_kit import Watched, faint, wide
from playwright.sync_api import Locator
from program import Program

from model import parse_spec

pytestmark = pytest.mark.browser
ROOT = "document.querySelector('.fv-versus')"
SLOW_MS = 120_000
# Keeps what the page is sent, as it comes: pictures aside. A stream that never ends is heard too.
LISTEN = """() => { window.heard = []; const fetched = window.fetch;
  window.fetch = async (...asked) => { const got = await fetched(...asked);
    if (got.body && !(got.headers.get('content-type') || '').includes('image')) listen(got.clone()); return got; };
  async function listen(copy) { const reader = copy.body.pipeThrough(new TextDecoderStream()).getReader();
    try { for (;;) { const { done, value } = await reader.read(); if (done) return; window.heard.push(value); } }
    catch (ended) { window.heard.push(''); } } }"""
SECRETS = ("tiny-llava", "endless-llava", parse_spec("tiny-llava").id, "temperature")


class Versus:
    """The tab, opened on the question of the first minute."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.page = watched, watched.page
        self.page.set_default_timeout(SLOW_MS)

    def open(self) -> Versus:
        self.watched.do(-1, "Compare")
        return self.there()

    def there(self) -> Versus:
        self.page.locator(".fv-versus-card").nth(1).wait_for()
        return self

    def choose(self, column: int, spec: str) -> Versus:
        """A checkpoint by the end of its name."""
        select = self.card(column).locator("select").first
        values = select.locator("option").evaluate_all("all => all.map((one) => one.value)")
        select.select_option(next(value for value in values if value.endswith(spec)))
        return self

    def set(self, column: int, label: str, value: str) -> Versus:
        card = self.card(column)
        if not card.locator("details").evaluate("node => node.open"):
            card.locator("summary").click()
        field = card.get_by_label(label, exact=True)
        field.fill(value)
        field.dispatch_event("change")
        return self

    def ask(self, question: str = "") -> Versus:
        if question:
            self.page.fill("#compare-question", question)
        self.button("Compare").click()
        return self

    def until(self, state: str) -> Versus:
        self.page.wait_for_function(f"{ROOT}.dataset.state === '{state}'")
        return self

    def card(self, i: int) -> Locator:
        return self.page.locator(".fv-versus-card").nth(i)

    def text(self, i: int) -> str:
        return self.page.locator(".fv-versus-col .fv-text").nth(i).inner_text()

    def button(self, name: str) -> Locator:
        return self.page.locator(".fv-versus-setup").get_by_role("button", name=name, exact=True)

    @property
    def names(self) -> list[str]:
        return self.page.locator(".fv-versus-name").all_inner_texts()


@pytest.fixture
def versus(page: Watched) -> Versus:
    return Versus(page).open()


def test_one_click_from_an_answer_and_both_columns_grow_until_stop(versus: Versus, served: Program) -> None:
    page = versus.page
    assert page.input_value("#compare-question") == page.locator(".fv-specimen .fv-question").inner_text()
    versus.choose(0, "tiny-llava").choose(1, "endless-llava").set(1, "Length", "1000").ask()
    page.wait_for_function(
        "document.querySelectorAll('.fv-versus-col .fv-text')[1]?.textContent.length > 20"
        " && document.querySelectorAll('.fv-versus-col .fv-text')[0].textContent.length > 0"
    )
    assert page.evaluate(f"{ROOT}.dataset.state") == "running"  # nobody waited for another's end
    page.keyboard.press("Escape")
    versus.until("done")
    assert "Stopped here." in page.locator(".fv-versus-col").nth(1).inner_text()
    assert versus.text(0) == page.locator(".fv-specimen .fv-answer").inner_text()
    rows = served.history.search(panel="compare", limit=2)
    assert {row.status for row in rows} == {"done", "stopped"}
    assert len({row.group for row in rows}) == 1


def test_under_the_answers_stand_words_strips_times_and_heat_of_both(versus: Versus) -> None:
    page = versus.page
    versus.choose(0, "tiny-llava").choose(1, "tiny-llava").set(1, "Temperature", "1.5").set(1, "Seed", "5")
    versus.ask("Describe the picture.").until("done")
    assert versus.names == ["tiny-llava", "tiny-llava, temperature 1.5, seed 5"]
    facts = page.locator(".fv-versus-col .fv-versus-facts").first.inner_text()
    assert all(name in facts for name in ("to first token", "tokens/s", "length", "image tokens", "memory"))
    assert page.locator(".fv-versus-other").count() > 0
    assert page.locator(".fv-versus-cells").count() == 2
    page.locator(".fv-versus-words .fv-wchip").nth(1).click()
    page.locator(".fv-versus-words").nth(1).locator(".fv-wchip").last.click()  # another word: another map
    page.wait_for_function("document.querySelector('.fv-versus-heat')?.dataset.drawn")
    pixels = "[...document.querySelectorAll('.fv-versus-heat canvas')][0].toDataURL()"
    before = page.evaluate(pixels)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        "() => { const s = document.querySelector('#compare-divider'); s.value = 0; s.dispatchEvent(new Event('input')); }"
    )
    assert page.evaluate(pixels) != before  # all of B now
    assert asked == []


def test_maps_are_offered_when_their_comparison_is_opened_again_and_stand_in_sessions(versus: Versus, served: Program) -> None:
    page, drawn = versus.page, "document.querySelector('.fv-versus-heat')?.dataset.drawn"
    versus.choose(0, "tiny-llava").choose(1, "tiny-llava").set(1, "System", "Be brief.").ask().until("done")
    page.locator(".fv-versus-words .fv-wchip").first.click()
    page.wait_for_function(drawn)
    said, what = page.locator(".fv-versus-kept button").all_inner_texts(), page.evaluate(drawn)
    assert len(said) == 1
    words = [versus.text(0), versus.text(1)]
    assert said[0].endswith(": " + " | ".join(words)), "answers of one token"
    group = page.evaluate(f"{ROOT}.dataset.key")
    page.goto(f"{versus.watched.url}?compare={group}")
    versus.there().until("done")
    page.locator(".fv-versus-kept button").first.wait_for()
    assert page.locator(".fv-versus-kept button").all_inner_texts() == said
    page.locator(".fv-versus-kept button").click()
    page.wait_for_function(drawn)
    assert page.evaluate(drawn) == what
    versus.watched.tab("Sessions")
    run = served.history.comparison(group).columns[1].run
    page.locator(f".fv-run[data-run='{run}']").click()
    page.locator(f"#detail .fv-maps button[title*='in Compare, beside \u201c{words[0]}\u201d of tiny-llava']").wait_for()
    assert len(served.history.kept(run, "heat")) == 1


def test_blind_nothing_says_which_is_which_until_the_vote(versus: Versus, served: Program) -> None:
    page = versus.page
    versus.choose(0, "tiny-llava").choose(1, "tiny-llava").set(1, "Temperature", "1").set(1, "Seed", "9")
    page.locator(".fv-versus-setup").get_by_label("Blind").check()
    page.evaluate(LISTEN)
    versus.ask("Describe the picture.").until("sealed")
    rows = served.history.search(panel="compare", limit=2)
    group = rows[0].group
    assert {row.checkpoint for row in rows} == {"hidden until the vote"}
    texts = [versus.text(0), versus.text(1)]
    heard = page.evaluate("() => window.heard.join('')")
    assert texts[0] in heard  # it was listened to
    assert texts[1] in heard
    told = [page.locator(".fv-versus").evaluate("node => node.outerHTML"), heard]
    runs = [side.run for side in served.history.comparison(group).columns]
    for secret in (*SECRETS, *runs):
        assert not [text for text in told if secret in text], secret
    page.get_by_role("button", name="clearer").click()
    page.get_by_role("button", name="B is better").click()
    versus.until("done")
    assert sorted(versus.names) == ["tiny-llava", "tiny-llava, temperature 1, seed 9"]
    held = served.history.comparison(group)
    assert (held.outcome, held.reasons, held.revealed) == ("B", ("clearer",), True)
    assert [served.history.run(side.run).row.answer for side in held.columns] == texts
    assert versus.names == [side.label for side in held.columns]
    versus.button("Votes").click()
    page.locator(".fv-versus-table").first.wait_for()
    assert "blind" in page.locator(".fv-versus").inner_text()
    with page.expect_download() as file:
        page.locator(".fv-versus").get_by_role("button", name="JSON").click()
    votes = json.loads(file.value.path().read_text(encoding="utf-8"))
    assert votes[-1]["winner"] == held.columns[1].label


def test_an_address_opens_columns_and_sessions_finds_the_comparison_again(new_page: Callable[..., Watched]) -> None:
    watched = new_page().open("?a=tiny-llava&b=tiny-lava")
    versus = Versus(watched).there()
    page = versus.page
    assert page.get_by_role("tab", name="Compare").get_attribute("aria-selected") == "true"
    selects = page.locator(".fv-versus-card select:first-of-type")
    assert selects.first.input_value() == "tiny-llava"
    versus.ask("What color is the heart?").until("done")
    assert "There is no checkpoint 'tiny-lava'" in page.locator(".fv-versus-col").nth(1).inner_text()
    assert versus.text(0) == "pink"  # the other column went on
    watched.tab("Sessions")
    page.locator(".fv-run", has_text="What color is the heart?").first.click()
    page.locator(".fv-detail section").first.wait_for()
    page.locator("#compare-run").click()
    versus.until("done")
    page.locator(".fv-versus").get_by_role("button", name="Ask again").click()
    page.locator(".fv-versus .fv-note", has_text="tiny-llava. Replayed: the one token is the same.").wait_for()


def test_a_question_set_is_asked_and_the_difference_tested(versus: Versus) -> None:
    page = versus.page
    versus.choose(0, "tiny-llava").choose(1, "tiny-llava").set(1, "System", "Be brief.")
    versus.button("Question set").click()
    page.locator(".fv-versus-setup").get_by_label("Questions").select_option("typed")
    page.fill("#compare-questions", "What color is the heart? | pink\nWhat color is the star? | blue")
    versus.button("Ask all of them").click()
    page.locator(".fv-versus", has_text="Is the difference real?").wait_for()
    versus.until("set")
    tables = page.locator(".fv-versus-table").all_inner_texts()
    assert "1 of 2" in tables[0]  # the star is red
    assert "McNemar" in page.locator(".fv-versus").inner_text()
    assert "What color is the star?" in tables[-1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_reaches_over_the_edge_and_all_can_be_read(new_page: Callable[..., Watched], scheme: Any) -> None:
    watched = new_page(width=390, height=844, color_scheme=scheme).open("?__theme=" + scheme)
    versus = Versus(watched).open()
    versus.choose(0, "tiny-llava").choose(1, "tiny-llava").set(1, "Temperature", "1").ask().until("done")
    assert wide(versus.page) == []
    assert faint(versus.page) == []
