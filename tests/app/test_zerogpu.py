"""ZeroGPU: every job through a real fork and pickle, with a stand-in for `spaces`; the same answers and values as without."""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from bed import Bed

from app.zerogpu import FIXED, LentSlot, is_lent
from model import Column, Message, Options, Prompt, WorkbenchError, ask, open_picture, parse_spec
from model.core import Core
from model.decoders.plain import Plain
from model.errors import CheckpointError, PromptError
from model.events import Encoded, Finished, Prefilled, Share, Token
from model.heat import heat_methods
from model.heat.base import Choice
from model.internals.subject import Subject
from model.progress import Run
from model.running import tasks
from panels.base.maps import looks as _attention_look
from panels.base.maps.heat import heat_by
from panels.base.requests import Request
from panels.patches import endpoints as _patches_api
from panels.patches import views as _patches_views
from panels.patches.answers import ANSWERS, _opened, _worked
from panels.patches.requests import Colours, Likeness, OfTokens, TowerLook, Without, WordLikeness, WordLook
from studies.world.files import to_png
from studies.world.scene import make_scene
from studies.world.splits import held_out_seed

ROOT = Path(__file__).resolve().parents[2]
TINY, SMALL = "tiny-llava", "llava_clip"


@pytest.fixture(scope="module")
def lender() -> Iterator[ModuleType]:
    """The stand-in, where the program would find `spaces`."""
    path = str(ROOT / "tests" / "kit" / "stand_in")
    sys.path.insert(0, path)
    os.environ["SPACES_ZERO_GPU"] = "1"
    yield importlib.import_module("spaces")
    del os.environ["SPACES_ZERO_GPU"], sys.modules["spaces"]
    sys.path.remove(path)


@pytest.fixture(scope="module")
def lent(lender: ModuleType, endless: Path, bed: Bed) -> Core:
    """A core as it is on ZeroGPU: checkpoints placed once, nothing tested before the first job."""
    torch.set_num_threads(1)
    core = Core()
    core.pool.tests_later = True
    for spec in (bed.spec(TINY), bed.spec(SMALL), parse_spec(str(endless))):
        for _ in core.load(spec):
            pass
    slot = LentSlot(core.pool, lender)
    core.slot_of = lambda checkpoint: slot
    core.pool.fixed = FIXED
    return core


@pytest.fixture(scope="module")
def picture() -> Any:
    return open_picture(to_png(make_scene(held_out_seed(47))), "scene.png").part


@pytest.fixture(scope="module")
def other() -> Any:
    return open_picture(to_png(make_scene(held_out_seed(64))), "other.png").part


def said(events: list[Any]) -> tuple[Any, ...]:
    """What a call said, less what depends on what was kept and how long it took."""
    tokens = tuple((e.id, e.text, e.given) for e in events if isinstance(e, Token))
    (end,) = (e for e in events if isinstance(e, Finished))
    visual = [(e.visual_tokens, e.images) for e in events if isinstance(e, Encoded)]
    return tokens, end.text, end.reason, end.new_tokens, visual, [e.prompt_tokens for e in events if isinstance(e, Prefilled)]


def same(first: Any, second: Any, where: str = "value") -> None:
    """Equal through and through, numbers to 1e-5."""
    assert type(first) is type(second), where
    if isinstance(first, np.ndarray):
        np.testing.assert_allclose(first, second, atol=1e-5, rtol=1e-4, err_msg=where)
    elif isinstance(first, float):
        assert first == pytest.approx(second, abs=1e-5, rel=1e-4, nan_ok=True), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            same(a, b, f"{where}[{i}]")
    elif hasattr(first, "__dataclass_fields__"):
        for name in first.__dataclass_fields__:
            if name != "ms":
                same(getattr(first, name), getattr(second, name), f"{where}.{name}")
    else:
        assert first == second, where


# --- every job --------------------------------------------------------------------------------------


def test_an_answer_is_the_same_and_streams(lent: Core, bed: Bed, picture: Any, lender: ModuleType) -> None:
    spec, prompt = bed.spec(TINY), ask("Describe the image.", picture)
    bed.vlm(TINY)
    lender.CALLS.clear()
    came: list[tuple[float, Any]] = [(time.monotonic(), event) for event in lent.generate(spec, prompt, Options(48))]
    assert said([event for _, event in came]) == said(list(bed.core.generate(spec, prompt, Options(48))))
    assert [(kind, seconds) for kind, seconds, _ in lender.CALLS] == [("AnswerTask", 60)]
    at = [when for when, event in came if isinstance(event, Token)]
    assert at[-1] - at[0] > 0.002, "tokens come one by one, not all at the end"


def test_sampling_with_a_seed_is_the_same(lent: Core, bed: Bed, picture: Any) -> None:
    spec, prompt, options = bed.spec(TINY), ask("Describe the image.", picture), Options(32, Plain(1.0, 0.9), 5)
    bed.vlm(TINY)
    assert said(list(lent.generate(spec, prompt, options))) == said(list(bed.core.generate(spec, prompt, options)))


def test_a_comparison_takes_one_slot_and_says_the_same(lent: Core, bed: Bed, picture: Any, lender: ModuleType) -> None:
    prompt = ask("Describe the image.", picture)
    columns = [
        Column(bed.spec(TINY), prompt, Options(24)), Column(bed.spec(TINY), prompt, Options(24, Plain(1.0, 0.9), 5)),
        Column(bed.spec(SMALL), prompt, Options(24)),
    ]  # fmt: skip
    lender.CALLS.clear()
    told = list(lent.side_by_side(columns))
    assert [kind for kind, *_ in lender.CALLS] == ["RoundRobin"]
    order = [one.column for one in told if isinstance(one.event, Token)]
    assert order[:6] == [0, 1, 2] * 2
    for index, column in enumerate(columns):
        bed.vlm(TINY if index < 2 else SMALL)
        alone = list(bed.core.generate(column.checkpoint, column.prompt, column.options))
        assert said([one.event for one in told if one.column == index]) == said(alone)


def test_a_second_turn_is_read_anew_with_the_same_answer(lent: Core, bed: Bed, picture: Any) -> None:
    """What a fork keeps goes with it: nothing is reused, and the answer is that of a program that reuses."""
    spec = bed.spec(TINY)
    bed.vlm(TINY)
    first = ask("How many objects are there?", picture)
    answers, reused = {}, {}
    for name, core in (("lent", lent), ("here", bed.core)):
        (one,) = (e for e in core.generate(spec, first, Options(32), session=f"zero-{name}") if isinstance(e, Finished))
        turns = (Message("assistant", (one.text,)), Message("user", ("What color is the heart?",)))
        follow = Prompt((*first.messages, *turns))
        events = list(core.generate(spec, follow, Options(32), session=f"zero-{name}"))
        answers[name] = (one.text, said(events)[:4])
        reused[name] = next(e.reused_tokens for e in events if isinstance(e, Prefilled))
    assert answers["lent"] == answers["here"]
    assert (reused["lent"], reused["here"] > 0) == (0, True)
    assert lent.vlm(spec).conversations.used_bytes == lent.encoder_cache.used_bytes == 0


def test_scores_forced_tokens_and_what_was_seen_are_the_same(lent: Core, bed: Bed, picture: Any, lender: ModuleType) -> None:
    spec, prompt = bed.spec(TINY), ask("Is there a red star?", picture)
    bed.vlm(TINY)
    lender.CALLS.clear()
    same(lent.score(spec, prompt, ["Yes", "No"]), bed.core.score(spec, prompt, ["Yes", "No"]))
    same(lent.forced(spec, prompt, "Yes"), bed.core.forced(spec, prompt, "Yes"))
    same(lent.look(spec, prompt), bed.core.look(spec, prompt))
    assert [(kind, seconds) for kind, seconds, _ in lender.CALLS] == [("ScoreTask", 60), ("ForceTask", 30), ("LookTask", 15)]
    assert all(size < 4_000_000 for _, _, size in lender.CALLS), lender.CALLS


@pytest.mark.parametrize("slug", sorted(heat_methods))
def test_every_heat_method_gives_the_same_map(slug: str, lent: Core, bed: Bed, picture: Any) -> None:
    work = partial(heat_by, slug=slug, words=(0,), choice=Choice())
    _both(lent, bed, picture, work, SMALL)


def _works(other: Any) -> dict[str, Callable[[Subject, Run], Any]]:
    requests: dict[str, Request] = {
        "alike": Likeness(stage="decoder", layer=2),
        "seen": TowerLook(layer=2),
        "used": WordLook(tokens=(5,)),
        "says": OfTokens(tokens=(5, 6)),
        "hidden": Without(tokens=(5, 6), how="mean"),
        "again": Without(tokens=(5, 6), how="mean"),
        "like_word": WordLikeness(word="red"),
        "coloured": Colours(stage="decoder", layer=2),
    }
    assert set(requests) == set(ANSWERS) - {"open", "partners", "measure", "between", "keep", "export"}
    found: dict[str, Any] = {
        f"patches {kind}": partial(_worked, work=getattr(_patches_views, kind), request=one) for kind, one in requests.items()
    }
    found["patches opened"] = partial(_opened, request=Request())
    found["similar over the API"] = partial(_patches_api.similar, place=([5, 3], None, 0), stage="decoder", layer=-1)
    found["attention's trace"] = partial(_attention_look.seen_by, rows="predicting")
    return found


@pytest.mark.parametrize("name", sorted(_works(None)))
def test_every_question_of_the_panels_has_the_same_answer(name: str, lent: Core, bed: Bed, picture: Any, other: Any) -> None:
    _both(lent, bed, picture, _works(other)[name])


def _both(lent: Core, bed: Bed, picture: Any, work: Callable[[Subject, Run], Any], name: str = TINY) -> None:
    spec, prompt = bed.spec(name), ask("What color is the heart?", picture)
    bed.vlm(name)
    same(lent.examined(spec, prompt, "pink", work), bed.core.examined(spec, prompt, "pink", work))


# --- around it --------------------------------------------------------------------------------------


def test_short_cuts_are_tested_in_the_first_job_and_the_parent_hears_of_it(lender: ModuleType, bed: Bed, picture: Any) -> None:
    core, spec = Core(), bed.spec(TINY)
    core.pool.tests_later = True
    for _ in core.load(spec):
        pass
    slot = LentSlot(core.pool, lender)
    core.slot_of = lambda checkpoint: slot
    assert not core.vlm(spec).fast.tested
    assert core.answer("What color is the heart?", picture).text == "pink"
    found, wanted = core.vlm(spec).fast, bed.vlm(TINY).fast
    assert found.tested
    assert (found.features, found.extend, found.reuse, found.ahead, found.scoring) == (
        wanted.features, wanted.extend, wanted.reuse, wanted.ahead, wanted.scoring,
    )  # fmt: skip


def test_stop_ends_the_work_in_the_fork(lent: Core, bed: Bed, endless: Path) -> None:
    """By name, and by closing the iterator: within a second, with what was written so far."""
    spec = parse_spec(str(endless))
    for closing in (False, True):
        events, tokens = lent.generate(spec, ask("Go on."), Options(4000), run_id=f"stop{closing}"), []
        for event in events:
            tokens += [event] if isinstance(event, Token) else []
            if len(tokens) == 3:
                break
        begun = time.monotonic()
        if closing:
            events.close()
        else:
            assert lent.stop("stopFalse")
            (end,) = (event for event in events if isinstance(event, Finished))
            assert (end.reason, end.new_tokens < 4000) == ("stopped", True)
            assert end.text
        assert time.monotonic() - begun < 5
        begun = time.monotonic()
        assert lent.worker.call(lambda: True)
        assert time.monotonic() - begun < 5, "the model thread is free again"


def test_one_column_or_all_can_be_stopped_in_the_fork(lent: Core, bed: Bed, endless: Path) -> None:
    """The one ends with what was heard of it, the other goes on; the group ends it too, and the model thread is free."""
    spec = parse_spec(str(endless))
    columns = [Column(spec, ask("Go on."), Options(4000), run_id=name) for name in ("first", "second")]
    heard: dict[int, list[Any]] = {0: [], 1: []}
    for one in lent.side_by_side(columns, group="both"):
        heard[one.column].append(one.event)
        if isinstance(one.event, Token) and (one.column, one.event.index) == (0, 3):
            assert lent.stop("first")
        if isinstance(one.event, Token) and any(isinstance(event, Finished) for event in heard[0]) and len(heard[1]) > 20:
            lent.stop("both")
    ends = [[event for event in heard[index] if isinstance(event, Finished)] for index in range(2)]
    assert [(len(end), end[0].reason) for end in ends] == [(1, "stopped")] * 2
    assert 4 <= ends[0][0].new_tokens < 4000
    assert ends[0][0].text == "".join(event.text for event in heard[0] if isinstance(event, Token))
    begun = time.monotonic()
    assert lent.worker.call(lambda: True)
    assert time.monotonic() - begun < 5, "the model thread is free again"


def test_closing_ends_an_examination(lent: Core, bed: Bed, picture: Any) -> None:
    events = lent.examine(bed.spec(TINY), ask("What color is the heart?", picture), "pink", _slowly)
    for event in events:
        if isinstance(event, Share):
            break
    events.close()
    begun = time.monotonic()
    assert lent.worker.call(lambda: True)
    assert time.monotonic() - begun < 5


def _slowly(subject: Subject, run: Run) -> int:
    for i in range(1200):
        run.step(i, 1200)
        time.sleep(0.05)
    return 1


def _wrong(subject: Subject, run: Run) -> int:
    raise ZeroDivisionError("secret /path")


def _too_long(subject: Subject, run: Run) -> int:
    raise PromptError("Too long. Shorten it.")


def test_errors_come_home_as_what_they_are(lent: Core, bed: Bed, picture: Any) -> None:
    def examined(work: Callable[[Subject, Run], Any]) -> Any:
        return lent.examined(bed.spec(TINY), ask("What color is the heart?", picture), "pink", work)

    with pytest.raises(PromptError, match=r"^Too long\. Shorten it\.$"):
        examined(_too_long)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        examined(_wrong)
    with pytest.raises(WorkbenchError, match="not lent, or not for long enough"):
        examined(lambda subject, run: 1)  # does not pickle
    with pytest.raises(PromptError):
        list(lent.generate(bed.spec(TINY), ask("word " * 19_000), Options(4)))


def test_a_job_ends_before_its_time_is_up(lent: Core, bed: Bed, picture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer with what was written, other work with a sentence."""
    monkeypatch.setattr(tasks.AnswerTask, "gpu_s", 10)  # 5 s of work: a process of a busy machine has begun to write by then
    monkeypatch.setattr(tasks.ExamineTask, "gpu_s", 6)
    endless = next(status.checkpoint for status in lent.loaded() if status.checkpoint.name.startswith("endless"))
    events = list(lent.generate(endless, ask("Go on."), Options(4000)))
    assert isinstance(events[-1], Finished)
    assert (events[-1].reason, 0 < events[-1].new_tokens < 4000) == ("stopped", True)
    with pytest.raises(WorkbenchError, match="longer than the 6 s a GPU is lent for"):
        lent.examined(bed.spec(TINY), ask("What color is the heart?", picture), "pink", _slowly)


def test_no_checkpoint_comes_or_goes(lent: Core, bed: Bed) -> None:
    with pytest.raises(CheckpointError, match="On ZeroGPU"):
        list(lent.load(bed.spec("qwen2_vl")))
    with pytest.raises(CheckpointError, match="On ZeroGPU"):
        lent.unload(bed.spec(TINY))
    assert len(lent.loaded()) == 3


def test_it_is_lent_only_where_the_space_says_so() -> None:
    assert is_lent({"SPACES_ZERO_GPU": "true"})
    assert not is_lent({"SPACES_ZERO_GPU": ""})
    assert not is_lent({})


# --- what keeps it so -------------------------------------------------------------------------------


def test_every_kind_of_task_pickles_and_says_how_long_it_may_take(bed: Bed, picture: Any) -> None:
    classes = [kind for _, kind in inspect.getmembers(tasks, inspect.isclass) if kind.__module__ == "model.running.tasks"]
    kinds = [kind for kind in classes if "__call__" in vars(kind) and kind is not tasks.Task]
    assert len(kinds) >= 5
    assert all(5 < kind.gpu_s <= 120 for kind in kinds)
    task = tasks.AnswerTask(bed.spec(TINY), "r", ask("Hello?", picture), Options())
    assert pickle.loads(pickle.dumps(task)) == task


def test_nothing_that_does_not_pickle_is_handed_to_the_model_thread() -> None:
    """No lambda and no function inside another as work on an answer, anywhere in the panels."""
    handed = 0
    for path in sorted((ROOT / "panels").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name))):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if name in ("examine", "examined", "work", "of_subject"):
                handed += 1
                lambdas = [a for a in (*node.args, *[k.value for k in node.keywords]) if isinstance(a, ast.Lambda)]
                assert not lambdas, f"{path.name}:{node.lineno} hands a lambda to {name}"
    assert handed >= 8


def test_threads_of_the_parent_are_no_matter(lent: Core, bed: Bed, picture: Any) -> None:
    """Others at work in the parent while it forks: nothing waits for a lock that is nobody's."""
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            logging.getLogger("busy").debug("x")
            sum(range(1000))

    others = [threading.Thread(target=busy, daemon=True) for _ in range(2)]
    for one in others:
        one.start()
    try:
        for _ in range(3):
            assert lent.answer("What color is the heart?", picture, checkpoint=bed.spec(TINY)).text == "pink"
    finally:
        over.set()
