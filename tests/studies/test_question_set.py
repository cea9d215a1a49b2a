"""A whole set put to several columns: where questions come from, what is right, what it comes to, how it ends early."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bed import Bed
from fakes import picture

from model import Column, Finished, Options, ask, parse_spec
from model.errors import InputError
from model.prompt import ImagePart
from studies import question_set
from studies.evaluation import evaluate, grade, main_items
from studies.metrics import wilson
from studies.paired import McNemar
from studies.question_set import Compared, SetQuestion, compare_all, differing_first, drawn, is_right, listed, summary, typed
from studies.world.locations import to_tokens


def short(bed: Bed, *names: str) -> Any:
    specs = [bed.spec(name) for name in names]
    options = Options(max_new_tokens=24, alternatives=0)
    return lambda asked: [Column(spec, ask(asked.question, *asked.pictures), options) for spec in specs]


# --- where questions come from ----------------------------------------------------------------


def test_typed_lines_are_asked_about_each_picture() -> None:
    a, b = picture(1), picture(2)
    found = typed("What is it?\n\n  How many? | 2 \n", [a, b])
    assert [(one.question, one.pictures, one.truths) for one in found] == [
        ("What is it?", (a,), ()), ("What is it?", (b,), ()), ("How many?", (a,), ("2",)), ("How many?", (b,), ("2",)),
    ]  # fmt: skip
    assert typed("Hello?", []) == [SetQuestion("Hello?", ())]
    with pytest.raises(InputError, match="There is no question"):
        typed("  \n ", [a])
    with pytest.raises(InputError, match=r"'\| yes' has no question"):
        typed("| yes", [a])


def test_a_set_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_set, "MOST", 3)
    assert len(typed("a\nb\nc", [])) == 3
    with pytest.raises(InputError, match=r"These are 4 questions\. A set holds up to 3"):
        typed("a\nb", [picture(0), picture(1)])


ROWS = [
    {"image": "x.png", "question": "What?", "answer": "a cat", "kind": "animal"},
    {"image": ["x.png", "y.png"], "question": "Same?", "answer": ["no", "No."]},
    {"question": "And now?"},
]
CSV = '\ufeffimage,question,answer,kind\nx.png,What?,a cat,animal\nx.png,"Same, or not?",,\n'


@pytest.mark.parametrize(("name", "text"), [("q.json", json.dumps(ROWS)), ("q.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n")])
def test_a_json_file_gives_its_questions(name: str, text: str) -> None:
    x, y, opened = picture(1), picture(2), []

    def open_(image: str) -> ImagePart:
        opened.append(image)
        return {"x.png": x, "y.png": y}[image]

    assert listed(text, name, open_) == [
        SetQuestion("What?", (x,), ("a cat",), "animal"),
        SetQuestion("Same?", (x, y), ("no", "No.")),
        SetQuestion("And now?", ()),
    ]
    assert opened == ["x.png", "y.png"], "each once"


def test_a_csv_file_gives_its_questions() -> None:
    x = picture(1)
    assert listed(CSV, "Q.CSV", lambda name: x) == [
        SetQuestion("What?", (x,), ("a cat",), "animal"),
        SetQuestion("Same, or not?", (x,)),
    ]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("q.csv", "image,text\nx.png,What?\n", "Row 1 of q.csv has no question"),
        ("q.json", '[{"question": "a"}, 3]', "Row 2 of q.json has no question"),
        ("q.json", "[{", "q.json is neither CSV nor JSON"),
        ("q.txt", "What?", "q.txt is neither CSV nor JSON"),
        ("q.json", "[]", "q.json has no questions"),
    ],
)
def test_a_file_that_is_no_list_says_what_one_is(name: str, text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        listed(text, name, lambda name: picture(0))


def test_drawn_questions_are_the_evaluation_s_own() -> None:
    found = list(drawn(12))
    items = [item for item in main_items(4000) if item.question.kind != "describe"][:12]
    assert [one.item for one in found] == items
    assert [(one.question, one.kind, one.truths) for one in found] == [
        (item.question.text, item.question.kind, (item.question.answer,)) for item in items
    ]
    assert all(one.pictures[0].image.size == (512, 512) for one in found)


# --- what is right ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("truths", "said", "right"),
    [
        (("yes",), "Yes.", True),
        (("yes",), "Yes, there is one.", True),
        (("no",), "Not at all", False),
        (("2",), "Two circles", True),
        (("two",), "2", True),
        (("2",), "12", False),
        (("red", "dark red"), "Dark Red!", True),
        (("dark red",), "dark", False),
        (("red",), "", False),
        ((), "anything", None),
    ],
)
def test_right_is_words_that_begin_with_the_truth(truths: tuple[str, ...], said: str, right: bool | None) -> None:
    assert is_right(SetQuestion("?", (), truths), said) is right


def test_a_drawn_question_is_right_where_its_own_scorer_says_so() -> None:
    items = [item for item in main_items(4000) if item.question.kind == "find" and item.question.variant == "present"][:5]
    for item in items:
        asked = SetQuestion(item.question.text, (), (item.question.answer,), "find", item)
        assert is_right(asked, item.question.answer) is True
        assert is_right(asked, "nothing") is False
        x0, y0, x1, y1 = item.scene.things[item.question.things[0]].box
        for share in (0.3, 0.4, 0.6, 0.8):
            said = to_tokens((x0, y0, x0 + (x1 - x0) * share, y1))
            assert is_right(asked, said) is (grade(item, said) >= 0.5)


# --- asking -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answered(bed: Bed) -> list[Compared]:
    questions = list(drawn(6))
    names = iter(f"set-{i}" for i in range(6))
    columns = short(bed, "tiny-llava", "tiny-llava-stage1")
    return list(compare_all(bed.core, questions, columns, panel="compare", session="s", group=lambda: next(names)))


def test_every_column_answers_every_question_as_it_does_alone(bed: Bed, answered: list[Compared]) -> None:
    for column, name in enumerate(("tiny-llava", "tiny-llava-stage1")):
        for one in answered:
            events = bed.core.generate(bed.spec(name), ask(one.asked.question, *one.asked.pictures), Options(max_new_tokens=24))
            text = next(event.text for event in events if isinstance(event, Finished))
            assert one.said[column] == text.strip()
    assert all(one.errors == ("", "") for one in answered)


def test_a_column_is_right_where_the_evaluation_says_so(bed: Bed, answered: list[Compared]) -> None:
    results = evaluate(bed.core, bed.spec("tiny-llava"), [one.asked.item for one in answered])
    assert [one.right[0] for one in answered] == [result.score >= 0.5 for result in results]
    assert summary(answered).right[0] == wilson(sum(result.score >= 0.5 for result in results), 6)


def test_each_question_is_a_comparison_in_the_log(bed: Bed, answered: list[Compared]) -> None:
    starts = [start for start in bed.recorder.starts if start.group.startswith("set-")]
    assert [start.group for start in starts] == [f"set-{i // 2}" for i in range(12)]
    assert {(start.panel, start.session) for start in starts} == {("compare", "s")}
    assert [one.group for one in answered] == [f"set-{i}" for i in range(6)]


def test_a_column_that_fails_is_missing_and_the_others_are_counted(own_bed: Bed, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    good, bad = own_bed.spec("llava_clip"), parse_spec(str(tmp_path))

    def columns(asked: SetQuestion) -> list[Column]:
        return [Column(spec, ask(asked.question, *asked.pictures), Options(max_new_tokens=3)) for spec in (bad, good)]

    (one,) = compare_all(own_bed.core, [SetQuestion("What?", (picture(0),), ("x",))], columns)
    assert one.said[0] is None
    assert "config.json is damaged" in one.errors[0]
    assert one.right == (None, False)
    assert one.likeness == 0.0
    assert one.said[1]
    found = summary([one])
    assert found.right == (None, wilson(0, 1))
    assert found.tests == found.same == {}


def test_a_set_can_be_left_between_questions_and_within_one(bed: Bed) -> None:
    bed.vlm("llava_clip")
    asked: list[SetQuestion] = []

    def questions() -> Any:
        for index in range(100):
            asked.append(SetQuestion(f"Number {index}?", (picture(0),)))
            yield asked[-1]

    running = compare_all(bed.core, questions(), short(bed, "llava_clip", "llava_clip"))
    next(running)
    next(running)
    running.close()
    assert len(asked) == 2
    assert bed.core.worker.busy == 0


# --- what it comes to -------------------------------------------------------------------------


def compared(number: int, said: tuple[str, ...], right: tuple[bool | None, ...], kind: str = "k") -> Compared:
    return Compared(SetQuestion(str(number), (), (), kind), "", said, right, ("",) * len(said))


FOUND = [
    compared(0, ("a b", "a b"), (True, True)),
    compared(1, ("a b", "a c"), (False, False)),
    compared(2, ("yes", "no"), (True, False)),
    compared(3, ("x", "y"), (None, None), "open"),
    compared(4, ("Yes", "yes."), (True, True)),
    compared(5, ("p q", "p r"), (True, False), "other"),
]


def test_where_one_is_right_and_another_wrong_comes_first() -> None:
    order = [int(one.asked.question) for one in differing_first(FOUND)]
    assert order == [2, 5, 3, 1, 0, 4]


def test_a_summary_counts_what_is_known() -> None:
    found = summary(FOUND)
    assert found.asked == 6
    assert found.right == (wilson(4, 5), wilson(2, 5))
    assert found.by_kind == {"k": (wilson(3, 4), wilson(2, 4)), "open": (None, None), "other": (wilson(1, 1), wilson(0, 1))}
    assert found.tests == {(0, 1): McNemar(2, 2, 0, 1, 0.5)}
    assert found.same == {(0, 1): wilson(2, 6)}
    assert summary([]).right == ()


def test_three_columns_are_tested_two_by_two() -> None:
    found = summary([compared(0, ("a", "a", "b"), (True, True, False)), compared(1, ("a", "b", "b"), (True, False, None))])
    assert set(found.tests) == {(0, 1), (0, 2), (1, 2)}
    assert found.tests[0, 2] == McNemar(0, 1, 0, 0, 1.0), "only what both answered"
    assert found.tests[0, 1] == McNemar(1, 1, 0, 0, 1.0)
