"""The study side-by-side: its ratios are what they are called, and what it times starts from nothing."""

from __future__ import annotations

from typing import Any

import pytest
from bed import Bed

from model import Encoded, Token
from model.errors import WorkbenchError
from studies import side_by_side, studies
from studies.side_by_side import Moment, Round, figures


def moment(wall: float, cpu: float) -> Moment:
    return Moment(wall, cpu)


def test_ratios_are_medians_of_those_within_a_repetition() -> None:
    rounds = [
        Round((moment(1, 0.5), moment(2, 0.5)), (moment(4, 2), moment(6, 2)), (moment(1, 0.5), moment(3.5, 1)), moment(10, 5)),
        Round((moment(2, 1), moment(2, 1)), (moment(5, 4), moment(5, 4)), (moment(2, 1), moment(4, 2)), moment(15, 8)),
        Round((moment(1, 1), moment(1, 1)), (moment(2, 2), moment(2, 2)), (moment(1, 1), moment(3, 3)), moment(8, 4)),
    ]
    found = figures(rounds)
    assert found["repetitions"] == 3
    assert found["total_vs_sequential"] == 1.5, "of 1, 1.5 and 2"
    assert found["total_range"] == [1.0, 2.0]
    assert found["cpu_total_vs_sequential"] == 1.0, "of 1.25, 1 and 1"
    assert found["first_token_vs_bar"] == 0.875, "the later column of each: 3.5 of 3 + 1, 4 of 3 + 2, 3 of 1.5 + 1"
    assert found["first_token_range"] == [0.8, 1.2]
    assert found["cpu_first_token_vs_bar"] == 0.8, "1 of 1.25, 2 of 2.5, 3 of 2.5"
    assert found["first_vs_alone"] == [1.0, 2.0]
    assert found["cpu_first_vs_alone"] == [1.0, 2.0]
    assert (found["alone_first_s"], found["cpu_alone_total_s"]) == (1.5, 2.0)


def test_a_repetition_times_each_alone_and_both_together_from_nothing(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [bed.vlm(name).checkpoint for name in ("llava_clip", "qwen2_vl")]
    heard: list[list[tuple[int, Any]]] = []
    real = side_by_side._timed

    def timed(events: Any) -> Any:
        heard.append([])
        return real(heard[-1].append(pair) or pair for pair in events)

    monkeypatch.setattr(side_by_side, "_timed", timed)
    found = side_by_side._round(bed.core, specs, 5)
    assert len(heard) == 3
    assert [[column for column, event in said if isinstance(event, Token)] for said in heard] == [[0] * 5, [0] * 5, [0, 1] * 5]
    assert [event.cached_images for said in heard for _, event in said if isinstance(event, Encoded)] == [0] * 4
    assert all(0 < first.wall_s < end.wall_s for first, end in zip(found.alone_first, found.alone_end, strict=True))
    assert 0 < found.beside_first[0].wall_s < found.beside_first[1].wall_s < found.beside_end.wall_s


def test_the_study_reports_what_it_measured(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "REPETITIONS", 2)
    monkeypatch.setattr(side_by_side, "NEW_TOKENS", 4)
    said: list[str] = []
    report = studies["side-by-side"].measure([bed.spec("llava_clip"), bed.spec("qwen2_vl")], said.append)
    assert report.about == "llava_clip-qwen2_vl"
    assert [line.split(":")[0] for line in said] == ["1 of 2", "2 of 2"]
    f = report.figures
    assert f["repetitions"] == 2
    assert report.rows[0][1] == f"{f['cpu_total_vs_sequential']:.2f} x, {f['total_vs_sequential']:.2f} x wall"
    assert report.rows[3][1].startswith(f"{f['cpu_first_token_vs_bar']:.2f} x")
    assert "llava_clip and qwen2_vl; 4 tokens" in report.notes[0]
    once = studies["side-by-side"].measure([bed.spec("llava_clip")], said.append)
    assert once.about == "llava_clip", "one checkpoint is in both columns"


def test_a_column_that_fails_ends_the_study_with_its_sentence(bed: Bed) -> None:
    spec = bed.vlm("llava_clip").checkpoint
    with pytest.raises(WorkbenchError, match=r"3 checkpoints were given\. Side by side measures two"):
        studies["side-by-side"].measure([spec] * 3, print)
    hook = bed.vlm("llava_clip").parts.model.register_forward_pre_hook(lambda *args: 1 / 0)
    try:
        columns = [side_by_side.Column(spec, side_by_side.ask("What?"))]
        with pytest.raises(WorkbenchError, match="Something went wrong with this column"):
            list(side_by_side._events(bed.core, columns))
    finally:
        hook.remove()
