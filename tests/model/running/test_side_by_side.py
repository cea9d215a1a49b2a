"""Several answers at once: each as it would be alone, a step each in turn, the others whole when one fails or is stopped."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from bed import Bed
from fakes import picture, tokens

from model.checkpoint import parse_spec
from model.core import Core
from model.decoders.plain import Plain
from model.errors import PromptError, WorkbenchError
from model.events import Encoded, Finished, Loading, Prefilled, Queued, Spent, Token, Waiting
from model.loading import load as loading
from model.options import Options
from model.prompt import Prompt, ask
from model.running import pool
from model.running.round_robin import Column, ColumnEvent, Feed, QueuedColumn, RoundRobin
from model.running.side_by_side import ColumnFailed
from model.running.stepped_thread import SteppedThread, module_state, restore
from model.running.tasks import Here

GREEDY = Options(max_new_tokens=12)
SAMPLED = Options(max_new_tokens=12, decoder=Plain(1.5, 0.9), seed=7)
OTHER_SEED = Options(max_new_tokens=12, decoder=Plain(1.5), seed=8)
QUESTION = ask("What is in the picture?", picture(0))
OTHER = ask("Which colours are there, and where?", picture(1, (160, 70)))
FAMILIES = (
    "llava_clip", "llava_next", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "idefics3", "paligemma", "gemma3", "blip2", "kosmos2",
    "mllama",
)  # fmt: skip


def beside(core: Core, columns: Sequence[Column], **more: Any) -> list[ColumnEvent | ColumnFailed]:
    return list(core.side_by_side(columns, **more))


def of(told: Sequence[ColumnEvent | ColumnFailed], column: int) -> list[Any]:
    """What a column said, the moments in which nothing happened left out."""
    said = [one.event for one in told if isinstance(one, ColumnEvent) and one.column == column]
    return [event for event in said if not isinstance(event, (Waiting, Queued, Loading))]


def order(told: Sequence[ColumnEvent | ColumnFailed]) -> list[int]:
    """Which column each token belongs to."""
    return [one.column for one in told if isinstance(one, ColumnEvent) and isinstance(one.event, Token)]


def alone(bed: Bed, column: Column) -> list[Any]:
    events = bed.core.generate(column.checkpoint, column.prompt, column.options, session=column.session)
    return [event for event in events if not isinstance(event, (Waiting, Queued, Loading))]


def assert_same(found: Sequence[Any], wanted: Sequence[Any]) -> None:
    """To the last bit: tokens, alternatives and log-probabilities; and how it ended."""
    assert tokens(list(found)) == tokens(list(wanted))
    last, other = found[-1], wanted[-1]
    assert (last.text, last.reason, last.new_tokens) == (other.text, other.reason, other.new_tokens)
    assert [type(event) for event in found if not isinstance(event, Spent)] == [type(event) for event in wanted]


# --- the same as alone ------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_columns_of_one_checkpoint_say_what_each_says_alone(name: str, bed: Bed) -> None:
    """Two prompts of different lengths, greedy and sampled: what the model remembers of a prompt is each column's own."""
    bed.vlm(name)
    spec = bed.spec(name)
    columns = [Column(spec, QUESTION, GREEDY), Column(spec, OTHER, SAMPLED), Column(spec, OTHER, GREEDY)]
    wanted = [alone(bed, column) for column in columns]
    told = beside(bed.core, columns)
    for index in range(3):
        assert_same(of(told, index), wanted[index])
    assert len(set(order(told)[:3])) == 3, "each has spoken before any speaks again"


def test_columns_of_different_checkpoints_say_what_each_says_alone(bed: Bed) -> None:
    names = ("llava_clip", "qwen2_vl", "tiny-llava", "tiny-llava-stage1")
    for name in names:
        bed.vlm(name)
    columns = [Column(bed.spec(name), QUESTION, (GREEDY, SAMPLED)[i % 2]) for i, name in enumerate(names)]
    wanted = [alone(bed, column) for column in columns]
    told = beside(bed.core, columns)
    for index in range(4):
        assert_same(of(told, index), wanted[index])


def test_each_sample_has_a_random_state_of_its_own(bed: Bed) -> None:
    bed.vlm("llava_clip")
    spec = bed.spec("llava_clip")
    state = torch.get_rng_state()
    told = beside(bed.core, [Column(spec, QUESTION, options) for options in (SAMPLED, SAMPLED, OTHER_SEED)])
    first, second, third = ([token.id for token in tokens(of(told, i))] for i in range(3))
    assert first == second
    assert first != third
    assert torch.equal(torch.get_rng_state(), state), "the global one is not touched"


def test_a_later_turn_goes_on_from_what_its_own_column_kept(bed: Bed) -> None:
    vlm = bed.vlm("llava_clip")
    assert vlm.fast.reuse
    spec = bed.spec("llava_clip")
    columns = [Column(spec, QUESTION, options, session=f"s{i}") for i, options in enumerate((GREEDY, SAMPLED))]
    wanted = [[alone(bed, column), alone(bed, column)][1] for column in columns]
    for column in columns:
        bed.forget_conversation(column.session)
    beside(bed.core, columns)
    again = beside(bed.core, columns)
    for index in range(2):
        assert_same(of(again, index), wanted[index])
        prefilled = next(event for event in of(again, index) if isinstance(event, Prefilled))
        assert prefilled.reused_tokens == prefilled.prompt_tokens - 1
        bed.forget_conversation(columns[index].session)


# --- in turn ----------------------------------------------------------------------------------


def test_the_columns_take_a_step_each_in_turn(bed: Bed) -> None:
    for name in ("llava_clip", "qwen2_vl"):
        bed.vlm(name)
    long, short = Options(max_new_tokens=9), Options(max_new_tokens=4)
    told = beside(bed.core, [Column(bed.spec("llava_clip"), QUESTION, long), Column(bed.spec("qwen2_vl"), QUESTION, short)])
    assert order(told) == [0, 1] * 4 + [0] * 5, "and the one that is left goes on alone"
    marks = [(one.column, type(one.event)) for one in told if isinstance(one.event, (Encoded, Prefilled, Token))]
    assert marks[:6] == [(0, Encoded), (0, Prefilled), (0, Token), (1, Encoded), (1, Prefilled), (1, Token)]
    assert [type(event) for event in of(told, 1)[-2:]] == [Spent, Finished]


def test_what_each_took_is_told(bed: Bed) -> None:
    for name in ("llava_clip", "qwen2_vl"):
        bed.vlm(name)
    columns = [Column(bed.spec(name), QUESTION, GREEDY) for name in ("llava_clip", "qwen2_vl")]
    told = beside(bed.core, columns)
    for index, name in enumerate(("llava_clip", "qwen2_vl")):
        events, vlm = of(told, index), bed.vlm(name)
        spent, last = next(event for event in events if isinstance(event, Spent)), events[-1]
        prefilled = next(event for event in events if isinstance(event, Prefilled))
        assert spent.steps == last.new_tokens - 1 + (last.reason == "end") == 11
        assert spent.decode_ms == last.decode_ms > spent.decode_compute_ms > 0
        assert spent.first_token_ms >= spent.first_compute_ms >= prefilled.ms > 0
        assert spent.weights_bytes == vlm.size_bytes
        config = vlm.parts.config.get_text_config()
        heads, width = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
        kept = prefilled.prompt_tokens + spent.steps
        assert spent.cache_bytes == 2 * config.num_hidden_layers * heads * width * kept * 4
        assert spent.tokens_per_s == pytest.approx(11e3 / last.decode_ms)
        assert spent.compute_tokens_per_s > spent.tokens_per_s


def test_a_column_that_has_to_be_loaded_does_not_hold_up_the_one_that_is_there(
    own_bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are fetched beside; its weights are read between two steps, after the first has begun."""
    own_bed.vlm("llava_clip")
    hold, real = threading.Event(), pool.hub.find

    def slow(checkpoint: Any) -> Any:
        assert hold.wait(20)
        yield from real(checkpoint)

    monkeypatch.setattr(pool.hub, "find", slow)
    columns = [Column(own_bed.spec("qwen2_vl"), QUESTION, GREEDY), Column(own_bed.spec("llava_clip"), QUESTION, GREEDY)]
    told = []
    for one in own_bed.core.side_by_side(columns):
        told.append(one)
        if isinstance(one.event, Finished):
            hold.set()
    ends = [one.column for one in told if isinstance(one.event, Finished)]
    assert ends == [1, 0]
    assert [one.event.text for one in told if one.column == 0 and isinstance(one.event, Loading)][-1] == "qwen2_vl is ready"
    assert_same(of(told, 0), alone(own_bed, columns[0]))


def test_a_checkpoint_in_two_columns_is_read_once(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, real = [], loading.load_parts
    monkeypatch.setattr(loading, "load_parts", lambda *args: reads.append(1) or real(*args))
    spec = own_bed.spec("llava_clip")
    told = beside(own_bed.core, [Column(spec, QUESTION, GREEDY), Column(spec, QUESTION, SAMPLED)])
    assert reads == [1]
    for index in range(2):
        assert of(told, index)[-1].new_tokens == 12
        loads = [one.event.text for one in told if one.column == index and isinstance(one.event, Loading)]
        assert loads[0] == "Looking for llava_clip"
        assert loads[-1] == "llava_clip is ready"


# --- one that fails ---------------------------------------------------------------------------


def test_a_column_that_cannot_be_loaded_says_why_and_the_others_go_on(own_bed: Bed, tmp_path: Path) -> None:
    own_bed.vlm("llava_clip")
    (tmp_path / "config.json").write_text("{")
    good = Column(own_bed.spec("llava_clip"), QUESTION, GREEDY)
    wanted = alone(own_bed, good)
    told = beside(own_bed.core, [Column(parse_spec(str(tmp_path)), QUESTION, GREEDY), good], group="g")
    (failed,) = [one for one in told if isinstance(one, ColumnFailed)]
    assert failed.column == 0
    assert "config.json is damaged" in failed.error
    assert_same(of(told, 1), wanted)
    ends = {end.run_id: end for end in own_bed.recorder.ends}
    starts = [start for start in own_bed.recorder.starts if start.group == "g"]
    assert [ends[start.run_id].status for start in starts] == ["failed", "done"]
    assert ends[starts[0].run_id].error == failed.error


def test_memory_that_runs_out_in_one_column_leaves_the_others_whole(own_bed: Bed) -> None:
    vlm = own_bed.vlm("llava_siglip")
    own_bed.vlm("llava_clip")
    good = Column(own_bed.spec("llava_clip"), QUESTION, SAMPLED)
    wanted, calls = alone(own_bed, good), []

    def fail(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            torch.empty(2**50)

    hook = vlm.parts.model.model.language_model.layers[0].register_forward_pre_hook(fail)
    try:
        told = beside(own_bed.core, [good, Column(own_bed.spec("llava_siglip"), QUESTION, GREEDY)])
    finally:
        hook.remove()
    (failed,) = [one for one in told if isinstance(one, ColumnFailed)]
    assert failed.column == 1
    assert failed.error.startswith("Memory ran out on cpu; llava_siglip itself takes")
    assert len(tokens(of(told, 1))) == 3, "what it had said by then"
    assert own_bed.recorder.ends[-2].tokens == tuple(tokens(of(told, 1)))
    assert_same(of(told, 0), wanted)


def test_one_that_does_not_fit_beside_the_others_throws_none_of_them_out(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    one = own_bed.vlm("llava_clip").size_bytes

    def free(device: torch.device) -> int:
        return int(1.5 * one) - sum(vlm.size_bytes for vlm in own_bed.core.pool.values())

    monkeypatch.setattr(pool, "free_bytes", free)
    monkeypatch.setattr(loading, "free_bytes", free)
    told = beside(own_bed.core, [Column(own_bed.spec(name), QUESTION, GREEDY) for name in ("llava_clip", "llava_siglip")])
    (failed,) = [one for one in told if isinstance(one, ColumnFailed)]
    assert failed.column == 1
    assert failed.error.startswith("llava_siglip needs about")
    assert of(told, 0)[-1].new_tokens == 12
    assert list(own_bed.core.load(own_bed.spec("llava_siglip")))[-1].text.endswith("is ready"), "alone it takes the other's place"
    assert not own_bed.core.is_loaded(own_bed.spec("llava_clip"))


def test_an_error_nobody_foresaw_is_named_by_its_kind_and_written_down_whole(own_bed: Bed) -> None:
    vlm = own_bed.vlm("llava_siglip")
    own_bed.vlm("llava_clip")
    hook = vlm.parts.model.register_forward_pre_hook(lambda *args: 1 / 0)
    columns = [Column(own_bed.spec(name), QUESTION, GREEDY) for name in ("llava_siglip", "llava_clip")]
    try:
        told = beside(own_bed.core, columns)
    finally:
        hook.remove()
    (failed,) = [one for one in told if isinstance(one, ColumnFailed)]
    assert failed == ColumnFailed(0, "Something went wrong with this column (ZeroDivisionError). The log says more.")
    assert own_bed.recorder.ends[0].error == "ZeroDivisionError: division by zero"
    assert of(told, 1)[-1].new_tokens == 12


def test_work_that_is_refused_as_a_whole_fails_every_column_with_its_sentence(own_bed: Bed) -> None:
    class Refusing(Here):
        def run(self, task: Any, emit: Any, stop: threading.Event) -> None:
            raise WorkbenchError("The GPU was not lent. Try again later.")

    for name in ("llava_clip", "llava_siglip"):
        own_bed.vlm(name)
    slot = Refusing(own_bed.core.pool)
    own_bed.core.slot_of = lambda checkpoint: slot
    told = beside(own_bed.core, [Column(own_bed.spec(name), QUESTION, GREEDY) for name in ("llava_clip", "llava_siglip")])
    assert [one for one in told if isinstance(one, ColumnFailed)] == [
        ColumnFailed(i, "The GPU was not lent. Try again later.") for i in (0, 1)
    ]
    assert [(end.status, end.error) for end in own_bed.recorder.ends] == [
        ("failed", "The GPU was not lent. Try again later.")
    ] * 2


def test_a_prompt_that_one_checkpoint_cannot_hold_fails_there_alone(bed: Bed) -> None:
    for name in ("blip2", "llava_clip"):
        bed.vlm(name)
    both = ask("Which is larger?", picture(0), picture(1))
    told = beside(bed.core, [Column(bed.spec("blip2"), both, GREEDY), Column(bed.spec("llava_clip"), both, GREEDY)])
    with pytest.raises(PromptError, match="takes one picture a prompt, not 2") as error:
        list(bed.core.generate(bed.spec("blip2"), both, GREEDY))
    assert [one for one in told if isinstance(one, ColumnFailed)] == [ColumnFailed(0, str(error.value))]
    assert of(told, 1)[-1].new_tokens == 12


class Elsewhere(Here):
    """A second place: another core's checkpoints and thread, whose answers take no turns with others."""

    pool = None  # type: ignore[assignment]

    def __init__(self, core: Core) -> None:
        object.__setattr__(self, "inner", Here(core.pool))
        object.__setattr__(self, "ran", [])

    @property
    def worker(self) -> Any:
        return self.inner.worker

    def load(self, checkpoint: Any) -> Any:
        return self.inner.load(checkpoint)

    def run(self, task: Any, emit: Any, stop: threading.Event) -> None:
        self.ran.append(type(task).__name__)
        self.inner.run(task, emit, stop)


def test_a_column_whose_checkpoint_runs_elsewhere_answers_there_beside_the_others(own_bed: Bed, bed: Bed) -> None:
    here, there = bed.spec("llava_clip"), bed.spec("qwen2_vl")
    columns = [Column(here, QUESTION, GREEDY), Column(there, QUESTION, GREEDY, run_id="far"), Column(here, OTHER, GREEDY)]
    local, far = Here(own_bed.core.pool), Elsewhere(bed.core)
    own_bed.core.slot_of = lambda checkpoint: far if checkpoint == there else local
    told = beside(own_bed.core, columns, group="both")
    for index, column in enumerate(columns):
        found, wanted = of(told, index), alone(bed, column)
        assert [token.id for token in tokens(found)] == [token.id for token in tokens(wanted)]
        assert [token.logprob for token in tokens(found)] == pytest.approx([token.logprob for token in tokens(wanted)], abs=1e-4)
        assert found[-1].text == wanted[-1].text
    assert far.ran == ["AnswerTask"]
    assert there not in own_bed.core.pool
    assert sorted((end.run_id == "far", end.status) for end in own_bed.recorder.ends) == [(False, "done")] * 2 + [(True, "done")]

    far.ran.clear()
    events = own_bed.core.side_by_side([Column(there, QUESTION, Options(max_new_tokens=4000), run_id="long")])
    for one in events:
        if isinstance(one, ColumnEvent) and isinstance(one.event, Token):
            assert own_bed.core.stop("long")
            break
    assert list(events)[-1].event.reason == "stopped"
    assert far.ran == ["AnswerTask"]


# --- stops ------------------------------------------------------------------------------------

LONG = Options(max_new_tokens=40)


def test_a_stop_of_one_column_leaves_the_others(bed: Bed) -> None:
    bed.vlm("llava_clip")
    spec = bed.spec("llava_clip")
    columns = [Column(spec, QUESTION, LONG, run_id="one"), Column(spec, OTHER, LONG, run_id="two")]
    wanted = alone(bed, columns[1])
    told = []
    for one in bed.core.side_by_side(columns):
        told.append(one)
        if isinstance(one.event, Token) and (one.column, one.event.index) == (0, 2):
            assert bed.core.stop("one")
    first = of(told, 0)
    assert first[-1].reason == "stopped"
    assert 3 <= first[-1].new_tokens < 40
    assert first[-1].text == "".join(token.text for token in tokens(first))
    assert_same(of(told, 1), wanted)
    assert not bed.core.stop("one"), "it runs no more"
    ends = {end.run_id: end.status for end in bed.recorder.ends[-2:]}
    assert ends == {"one": "stopped", "two": "done"}


def test_a_stop_of_the_group_ends_all_with_what_was_said(bed: Bed) -> None:
    for name in ("llava_clip", "qwen2_vl"):
        bed.vlm(name)
    told = []
    for one in bed.core.side_by_side([Column(bed.spec(n), QUESTION, LONG) for n in ("llava_clip", "qwen2_vl")], group="all"):
        told.append(one)
        if isinstance(one.event, Token) and one.event.index == 1:
            assert bed.core.stop("all")
    for index in range(2):
        last = of(told, index)[-1]
        assert (last.reason, last.new_tokens < 40) == ("stopped", True)
    assert [end.status for end in bed.recorder.ends[-2:]] == ["stopped"] * 2
    assert not bed.core.stop("all")


def test_closing_the_generator_ends_all_and_keeps_what_was_said(bed: Bed) -> None:
    for name in ("llava_clip", "qwen2_vl"):
        bed.vlm(name)
    columns = [Column(bed.spec(name), QUESTION, LONG, run_id=f"shut-{name}") for name in ("llava_clip", "qwen2_vl")]
    running = bed.core.side_by_side(columns, panel="compare", session="s", group="shut")
    seen = []
    for one in running:
        seen.append(one)
        if order(seen).count(1) == 2:
            break
    running.close()
    assert bed.core.worker.busy == 0
    starts = [start for start in bed.recorder.starts if start.group == "shut"]
    assert [(s.run_id, s.panel, s.session) for s in starts] == [(c.run_id, "compare", "s") for c in columns]
    ends = {end.run_id: end for end in bed.recorder.ends[-2:]}
    for index, column in enumerate(columns):
        end, said = ends[column.run_id], tokens(of(seen, index))
        assert end.status == "stopped"
        assert list(end.tokens[: len(said)]) == said
        assert len(end.tokens) < 40
    assert beside(bed.core, columns[:1])[-1].event.new_tokens == 40, "and the model is free"


def test_columns_stopped_before_their_turn_end_at_once(bed: Bed) -> None:
    bed.vlm("llava_clip")
    hold = threading.Event()
    threading.Thread(target=lambda: bed.core.worker.call(lambda: hold.wait(20))).start()
    spec, told = bed.spec("llava_clip"), []
    running = bed.core.side_by_side([Column(spec, QUESTION, GREEDY, run_id="w0"), Column(spec, QUESTION, GREEDY, run_id="w1")])
    for one in running:
        told.append(one)
        if isinstance(one.event, Queued):
            bed.core.stop("w0")
        if one == ColumnEvent(0, Finished("w0", "", "stopped", 0, 0.0)):
            hold.set()
    assert told[-1].column == 1
    assert told[-1].event.new_tokens == 12
    assert [(end.run_id, end.status, end.queued_ms is None) for end in bed.recorder.ends[-2:]] == [
        ("w0", "stopped", True), ("w1", "done", False),
    ]  # fmt: skip


def test_a_column_stopped_while_its_checkpoint_is_looked_for_ends(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    hold, real = threading.Event(), pool.hub.find

    def slow(checkpoint: Any) -> Any:
        assert hold.wait(20)
        yield from real(checkpoint)

    monkeypatch.setattr(pool.hub, "find", slow)
    told = []
    for one in own_bed.core.side_by_side([Column(own_bed.spec("llava_clip"), QUESTION, GREEDY, run_id="r")]):
        told.append(one)
        if isinstance(one.event, Waiting):
            own_bed.core.stop("r")
    hold.set()
    assert told[-1] == ColumnEvent(0, Finished("r", "", "stopped", 0, 0.0))
    assert own_bed.recorder.ends[-1].status == "stopped"


# --- what it is made of -----------------------------------------------------------------------


def test_a_comparison_pickles_and_runs_from_the_copy(bed: Bed) -> None:
    vlm = bed.vlm("llava_clip")
    columns = [Column(vlm.checkpoint, QUESTION, GREEDY, "a"), Column(vlm.checkpoint, OTHER, SAMPLED, "b")]
    wanted = [alone(bed, column) for column in columns]
    turns = tuple(QueuedColumn(i, column, 0.0) for i, column in enumerate(columns))
    feed = Feed({0: threading.Event()})
    task = pickle.loads(pickle.dumps(RoundRobin((turns, None), frozenset(), feed)))
    told: list[Any] = []
    bed.core.worker.call(
        lambda: Here(bed.core.pool).run(task, lambda one: told.append(pickle.loads(pickle.dumps(one))), threading.Event())
    )
    said = [one for one in told if isinstance(one, ColumnEvent)]
    for index in range(2):
        assert_same(of(said, index), wanted[index])


def test_no_columns_say_nothing(bed: Bed) -> None:
    assert beside(bed.core, []) == []


def test_two_columns_are_not_one_run(bed: Bed) -> None:
    column = Column(bed.spec("llava_clip"), QUESTION, GREEDY, run_id="same")
    with pytest.raises(AssertionError, match="a run of its own"):
        beside(bed.core, [column, column])


def hooks(model: torch.nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_nothing_is_left_of_a_comparison(own_bed: Bed) -> None:
    vlm = own_bed.vlm("llava_clip")
    before, threads = hooks(vlm.parts.model), threading.active_count()
    beside(own_bed.core, [Column(vlm.checkpoint, QUESTION, GREEDY), Column(vlm.checkpoint, OTHER, SAMPLED)])
    own_bed.core.worker.call(lambda: None)
    assert hooks(vlm.parts.model) == before
    assert threading.active_count() == threads
    gone = weakref.ref(vlm.parts.model)
    own_bed.core.unload(vlm.checkpoint)
    del vlm
    gc.collect()
    assert gone() is None


class Counting(torch.nn.Module):
    """Says how often it was called, as a model that keeps the position shift of its last prompt would."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.register_buffer("doubled", torch.zeros(1))

    def forward(self) -> tuple[int, float]:
        self.calls += 1
        self.doubled = self.doubled + 2
        return self.calls, float(self.doubled)


@pytest.mark.parametrize("shared", [True, False])
def test_what_a_model_remembers_between_steps_is_each_lane_s_own(shared: bool) -> None:
    model, seen = torch.nn.Sequential(Counting()), ([], [])

    def work(index: int, pause: Any) -> None:
        for _ in range(3):
            seen[index].append(model[0]())
            pause()

    threads = [SteppedThread(lambda pause, i=i: work(i, pause), model if shared else None) for i in range(2)]
    for _ in range(4):
        for thread in threads:
            thread.step()
    if shared:
        assert seen == ([(1, 2.0), (2, 4.0), (3, 6.0)],) * 2
    else:
        assert seen == ([(1, 2.0), (3, 6.0), (5, 10.0)], [(2, 4.0), (4, 8.0), (6, 12.0)])


def test_a_lane_runs_only_while_it_has_the_turn() -> None:
    seen: list[str] = []

    def work(pause: Any) -> None:
        for name in "ab":
            seen.append(name)
            pause()
        seen.append("end")

    thread = SteppedThread(work)
    assert seen == []
    for expected in (["a"], ["a", "b"], ["a", "b", "end"]):
        assert not thread.over
        thread.step()
        assert seen == expected
    assert thread.over
    assert thread.busy_ms >= 0


def test_an_error_of_a_lane_is_raised_where_it_was_given_the_turn() -> None:
    thread = SteppedThread(lambda pause: (pause(), 1 / 0))
    thread.step()
    with pytest.raises(ZeroDivisionError):
        thread.step()
    assert thread.over


def test_what_a_model_remembers_is_put_back_whole() -> None:
    class Rotary(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("frequencies", torch.ones(2))
            self.longest, self.shift = 4, None

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), Rotary())
    weight = model[0].weight
    left = module_state(model)
    first = model[1].frequencies
    model[1].register_buffer("frequencies", torch.zeros(2))
    model[1].longest, model[1].shift, model[1].made_later = 9, torch.ones(1), "new"
    restore(left)
    assert model[1].frequencies is first
    assert (model[1].longest, model[1].shift) == (4, None)
    assert "made_later" not in vars(model[1])
    assert model[0].weight is weight


def test_prompts_and_columns_are_plain_data() -> None:
    column = Column(parse_spec("tiny-llava"), ask("What?", picture(3)), SAMPLED, "r", "s")
    again = pickle.loads(pickle.dumps(column))
    assert again == column
    assert isinstance(again.prompt, Prompt)
    assert again.prompt.images[0].image.tobytes() == column.prompt.images[0].image.tobytes()
