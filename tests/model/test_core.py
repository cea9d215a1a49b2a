"""The core as panels use it: loading and making room, every ending written down, looking, unloading under others' feet."""

from __future__ import annotations

import gc
import hashlib
import inspect
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bed import Bed
from fakes import finished, picture, tokens

from model import open_core
from model.checkpoint import Checkpoint, parse_spec
from model.core import Core
from model.errors import (
    BrokenCheckpoint,
    CheckpointError,
    NotAVisionLanguageModel,
    OutOfMemory,
    PromptError,
    TooBig,
    WorkbenchError,
)
from model.events import Encoded, Finished, Loading, Prefilled, Queued, Token, Waiting
from model.families.base import Capability
from model.generation.vlm import VisionLanguageModel
from model.loading import load as loading
from model.options import Options
from model.prompt import Message, Prompt, ask
from model.running import pool
from model.running.round_robin import Column
from model.running.tasks import Here
from model.running.worker import HEARTBEAT_S

SHORT = Options(max_new_tokens=3)
QUESTION = ask("Is there a red circle?", picture(0))


def run(bed: Bed, name: str = "llava_clip", prompt: Prompt = QUESTION, options: Options = SHORT, **more: Any) -> list[Any]:
    return list(bed.core.generate(bed.spec(name), prompt, options, **more))


# --- loading ----------------------------------------------------------------------------------


def test_loading_tells_its_steps_and_what_was_found(own_bed: Bed) -> None:
    spec = own_bed.spec("llava_clip")
    assert not own_bed.core.is_loaded(spec)
    assert own_bed.core.loaded() == []
    steps = [step for step in own_bed.core.load(spec) if not isinstance(step, (Queued, Waiting))]
    assert all(isinstance(step, Loading) for step in steps)
    assert [step.text.split()[0] for step in steps] == ["Looking", "About", "Reading", "Reading", "Testing", "llava_clip"]
    assert steps[-1] == Loading("llava_clip is ready", 1.0)
    assert own_bed.core.is_loaded(spec)
    assert list(own_bed.core.load(spec)) == [], "already there"
    vlm = own_bed.core.vlm(spec)
    (told,) = own_bed.recorder.loads
    digest = hashlib.sha256((spec.folder / "model.safetensors").read_bytes()).hexdigest()
    assert (told.checkpoint, told.family, told.device, told.dtype, told.weights) == (spec, "llava", "cpu", "float32", digest)
    assert told.parameters == vlm.parameters == sum(p.numel() for p in vlm.parts.model.parameters())
    (status,) = own_bed.core.loaded()
    assert (status.checkpoint, status.family, status.device, status.dtype) == (spec, "LLaVA", "cpu", "float32")
    assert status.capabilities == vlm.family.capabilities
    assert (status.context_tokens, status.weights, status.parameters) == (4096, digest, vlm.parameters)
    assert status.size_bytes == pytest.approx(4 * vlm.parameters, rel=0.01)


def test_the_digest_tells_other_weights_and_large_ones_are_not_read_for_it(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {own_bed.vlm(name).weights for name in ("llava_clip", "llava_pad", "qwen2_vl")}
    assert len(digests) == 2, "padding is a setting, and the weights are those of llava_clip"
    monkeypatch.setattr(pool, "DIGEST_BYTES", 1000)
    assert own_bed.vlm("llava_siglip").weights == ""


def test_what_a_checkpoint_can_is_known_without_loading_it(own_bed: Bed, tmp_path: Path) -> None:
    assert Capability.GRID in own_bed.core.capabilities(own_bed.spec("llava_clip"))
    assert own_bed.core.capabilities(own_bed.spec("mllama")) == {Capability.GENERATE}
    assert own_bed.core.family(own_bed.spec("qwen2_vl")).title.startswith("Qwen2-VL")
    assert own_bed.core.loaded() == []
    own_bed.vlm("llava_clip")
    assert own_bed.core.family(own_bed.spec("llava_clip")) is own_bed.vlm("llava_clip").family
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(NotAVisionLanguageModel, match="is a bert"):
        own_bed.core.capabilities(parse_spec(str(tmp_path)))


def test_a_checkpoint_is_loaded_once_however_many_ask(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, real = [], loading.load_parts
    monkeypatch.setattr(loading, "load_parts", lambda *args: reads.append(1) or real(*args))
    threads = [threading.Thread(target=lambda: run(own_bed)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert reads == [1]
    assert [end.status for end in own_bed.recorder.ends] == ["done"] * 4


def test_a_load_that_fails_leaves_the_others_answering(own_bed: Bed, tmp_path: Path) -> None:
    before = [t.id for t in tokens(run(own_bed))]
    (tmp_path / "config.json").write_text("{")
    for _ in range(2):
        with pytest.raises(BrokenCheckpoint):
            list(own_bed.core.load(parse_spec(str(tmp_path))))
        assert [t.id for t in tokens(run(own_bed))] == before
    with pytest.raises(BrokenCheckpoint):
        list(own_bed.core.generate(parse_spec(str(tmp_path)), QUESTION))
    assert own_bed.recorder.ends[-1].status == "failed"
    assert "config.json is damaged" in own_bed.recorder.ends[-1].error


def test_loading_can_be_left_and_nobody_is_kept(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes the tab does not wait for weights, and the load he asked for does not stand in another's way."""
    hold, inside, real = threading.Event(), threading.Event(), loading.load_parts

    def slow(*args: Any) -> Any:
        inside.set()
        assert hold.wait(20)
        return real(*args)

    own_bed.vlm("qwen2_vl")
    monkeypatch.setattr(loading, "load_parts", slow)
    events = own_bed.core.generate(own_bed.spec("llava_clip"), QUESTION, SHORT, run_id="left")
    while not inside.is_set():
        next(events)
    events.close()
    assert (own_bed.recorder.ends[-1].run_id, own_bed.recorder.ends[-1].status) == ("left", "stopped")
    stopped = own_bed.core.generate(own_bed.spec("llava_siglip"), QUESTION, SHORT, run_id="stopped")
    while not isinstance(next(stopped), Queued):
        pass
    own_bed.core.stop("stopped")
    assert [e for e in stopped if isinstance(e, Finished)] == [Finished("stopped", "", "stopped", 0, 0.0)]
    hold.set()
    assert finished(run(own_bed, "qwen2_vl")).reason in ("end", "length")
    assert own_bed.core.is_loaded(own_bed.spec("llava_clip")), "what was begun is finished and kept"
    assert not own_bed.core.is_loaded(own_bed.spec("llava_siglip")), "what had not begun is not"


# --- room -------------------------------------------------------------------------------------


class Memory:
    """A machine with room for a number of tiny checkpoints; what is loaded takes away from it."""

    def __init__(self, core: Core, monkeypatch: pytest.MonkeyPatch, total_bytes: int) -> None:
        self.core, self.total_bytes = core, total_bytes
        monkeypatch.setattr(pool, "free_bytes", self.free)
        monkeypatch.setattr(loading, "free_bytes", self.free)

    def free(self, device: torch.device) -> int:
        return self.total_bytes - sum(vlm.size_bytes for vlm in self.core.pool.values())


def names(bed: Bed) -> list[str]:
    return [status.checkpoint.name for status in bed.core.loaded()]


def test_the_least_recently_used_goes_first_and_no_more_than_must(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    one = own_bed.vlm("llava_clip").size_bytes
    own_bed.core.unload(own_bed.spec("llava_clip"))
    Memory(own_bed.core, monkeypatch, int(3.5 * one))
    for name in ("llava_clip", "llava_pad", "llava_siglip"):
        own_bed.vlm(name)
    assert names(own_bed) == ["llava_clip", "llava_pad", "llava_siglip"]
    run(own_bed, "llava_clip")
    gone = weakref.ref(own_bed.vlm("llava_pad").parts.model)
    own_bed.vlm("qwen2_vl")
    assert names(own_bed) == ["llava_clip", "llava_siglip", "qwen2_vl"], "llava_pad was used longest ago"
    gc.collect()
    assert gone() is None, "its memory is free"
    own_bed.core.score(own_bed.spec("llava_clip"), QUESTION, ["Yes"])
    own_bed.core.look(own_bed.spec("llava_siglip"), QUESTION)
    own_bed.vlm("llava_pad")
    assert "qwen2_vl" not in names(own_bed), "scoring and looking are uses too"
    assert finished(run(own_bed, "qwen2_vl")).text, "who is asked again is loaded again"


def test_what_can_never_fit_is_refused_and_nothing_is_thrown_out_for_it(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    one = own_bed.vlm("llava_clip").size_bytes
    Memory(own_bed.core, monkeypatch, int(1.1 * one))
    with pytest.raises(TooBig, match=r"llava_siglip needs about .* in float32 and cpu has .* free\. Write :bfloat16"):
        own_bed.vlm("llava_siglip")
    assert names(own_bed) == ["llava_clip"]
    assert finished(run(own_bed)).reason in ("end", "length")
    own_bed.core.unload(own_bed.spec("llava_clip"))
    half = replace(own_bed.spec("llava_siglip"), dtype="bfloat16")
    assert list(own_bed.core.load(half))[-1].text.endswith("is ready")
    assert own_bed.core.vlm(half).parts.model.dtype == torch.bfloat16
    assert own_bed.core.loaded()[0].dtype == "bfloat16"


def test_memory_that_runs_out_while_loading_is_said_and_the_others_stay(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [t.id for t in tokens(run(own_bed))]
    real, held = loading._model, []

    def full(*args: Any) -> Any:
        model, _ = real(*args)
        held.append(weakref.ref(model))
        torch.empty(2**50)  # the processor's allocator says no in its own words

    monkeypatch.setattr(loading, "_model", full)
    freed = []
    monkeypatch.setattr(loading, "free_unused", lambda device: (gc.collect(), freed.append(held[-1]())))
    for _ in range(3):
        with pytest.raises(TooBig, match="Memory ran out while llava_siglip was read"):
            own_bed.vlm("llava_siglip")
        assert [t.id for t in tokens(run(own_bed))] == before
    assert freed == [None] * 3, "the half-read model was gone when memory was given back"
    monkeypatch.setattr(loading, "_model", real)
    assert own_bed.vlm("llava_siglip")


@pytest.mark.parametrize("fails", [lambda: torch.empty(2**50), lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA"))])
def test_memory_that_runs_out_while_answering_is_said_and_the_next_answer_is_right(
    fails: Callable[[], Any], own_bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm = own_bed.vlm("llava_clip")
    before = run(own_bed, session="s")
    assert vlm.conversations.used_bytes > 0
    layer = vlm.parts.model.model.language_model.layers[1]
    hook = layer.register_forward_pre_hook(lambda *args: fails() and None)
    try:
        for work in (
            lambda: run(own_bed, session="s"),
            lambda: own_bed.core.score(own_bed.spec("llava_clip"), QUESTION, ["Yes"]),
            lambda: own_bed.core.forced(own_bed.spec("llava_clip"), QUESTION, "Yes"),
        ):
            with pytest.raises(OutOfMemory, match=r"Memory ran out on cpu; llava_clip itself takes .* fewer or smaller pictures"):
                work()
    finally:
        hook.remove()
    assert vlm.conversations.used_bytes == 0
    assert own_bed.core.encoder_cache.used_bytes == 0
    assert tokens(run(own_bed, session="s")) == tokens(before)


def test_unloading_waits_for_a_running_answer_and_frees_everything(own_bed: Bed) -> None:
    vlm, spec = own_bed.vlm("llava_clip"), own_bed.spec("llava_clip")
    own_bed.vlm("qwen2_vl")
    gone, answered = weakref.ref(vlm.parts.model), []
    layer = vlm.parts.model.model.language_model.layers[0]
    reached, hold = threading.Event(), threading.Event()
    hook = layer.register_forward_pre_hook(lambda *args: (reached.set(), hold.wait(20)) and None)
    asker = threading.Thread(target=lambda: answered.append(run(own_bed, session="s")))
    asker.start()
    assert reached.wait(20)
    unloader = threading.Thread(target=lambda: answered.append(own_bed.core.unload(spec)))
    unloader.start()
    assert own_bed.core.is_loaded(spec)
    hook.remove()
    hold.set()
    asker.join(20)
    unloader.join(20)
    events, dropped = answered
    assert dropped is True
    assert finished(events).new_tokens == 3, "the answer was not cut short"
    assert names(own_bed) == ["qwen2_vl"]
    assert own_bed.core.encoder_cache.used_bytes == 0
    del vlm, layer, hook
    gc.collect()
    assert gone() is None
    assert own_bed.core.unload(spec) is False
    with pytest.raises(CheckpointError, match="llava_clip was unloaded in the meantime"):
        own_bed.core.vlm(spec)


def test_a_checkpoint_taken_away_while_one_waits_is_said(own_bed: Bed) -> None:
    own_bed.vlm("llava_clip")
    hold = threading.Event()
    threading.Thread(target=lambda: own_bed.core.worker.call(lambda: hold.wait(20))).start()
    threading.Thread(target=lambda: own_bed.core.unload(own_bed.spec("llava_clip"))).start()
    while own_bed.core.worker.busy < 2:
        pass
    events = own_bed.core.generate(own_bed.spec("llava_clip"), QUESTION, SHORT)
    assert isinstance(next(events), Queued)
    hold.set()
    with pytest.raises(CheckpointError, match=r"was unloaded in the meantime\. Ask again"):
        list(events)


def test_readers_never_see_a_pool_in_the_making(own_bed: Bed) -> None:
    own_bed.vlm("llava_clip")
    wrong, done = [], threading.Event()

    def read() -> None:
        while not done.wait(0.002):
            try:
                for status in own_bed.core.loaded():
                    assert status.parameters > 0
            except Exception as error:
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(3):
        own_bed.vlm("llava_pad")
        own_bed.core.unload(own_bed.spec("llava_pad"))
    done.set()
    for reader in readers:
        reader.join(20)
    assert wrong == []


# --- what is written down ---------------------------------------------------------------------


def test_a_call_that_is_done_is_written_down_with_all_of_it(own_bed: Bed) -> None:
    own_bed.vlm("llava_clip")
    events = run(own_bed, panel="chat", session="s1", group="g1", run_id="r1")
    (start,), (end,) = own_bed.recorder.starts, own_bed.recorder.ends
    assert (start.run_id, start.checkpoint, start.prompt, start.options) == ("r1", own_bed.spec("llava_clip"), QUESTION, SHORT)
    assert (start.panel, start.session, start.group) == ("chat", "s1", "g1")
    said, last = tokens(events), finished(events)
    assert (end.run_id, end.status, end.reason, end.text, end.error) == ("r1", "done", last.reason, last.text, None)
    assert end.tokens == tuple(said)
    prefilled = next(event for event in events if isinstance(event, Prefilled))
    encoded = next(event for event in events if isinstance(event, Encoded))
    assert (end.prompt_tokens, end.reused_tokens, end.prefill_ms) == (prefilled.prompt_tokens, 0, prefilled.ms)
    assert (end.visual_tokens, end.cached_images) == (encoded.visual_tokens, 0) == (16, 0)
    assert end.decode_ms == last.decode_ms > 0
    assert 0 <= end.queued_ms < 5000


def test_every_call_has_a_name_of_its_own(own_bed: Bed) -> None:
    for _ in range(3):
        run(own_bed)
    ids = [start.run_id for start in own_bed.recorder.starts]
    assert len(set(ids)) == 3
    assert ids == sorted(ids), "names sort by time"
    assert [end.run_id for end in own_bed.recorder.ends] == ids
    assert finished(run(own_bed, run_id="x")).run_id == "x"


@pytest.mark.parametrize(
    ("prompt", "error", "said"),
    [
        (ask("   ", picture(0)), PromptError, "The question is empty"),
        (Prompt(()), PromptError, "There is no question"),
        (Prompt((*QUESTION.messages, Message("assistant", ("Yes",)))), PromptError, "There is no question"),
        (ask("yes " * 5000), PromptError, "holds 4,096"),
    ],
)
def test_a_prompt_that_cannot_be_answered_fails_with_a_sentence(
    prompt: Prompt, error: type[Exception], said: str, bed: Bed
) -> None:
    with pytest.raises(error, match=said):
        run(bed, prompt=prompt)
    end = bed.recorder.ends[-1]
    assert (end.status, end.text, end.tokens, end.prefill_ms) == ("failed", "", (), None)
    assert said in end.error
    assert end.queued_ms is not None


def test_an_unknown_error_is_raised_at_next_and_named_in_the_record(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = own_bed.vlm("llava_clip")
    layer = vlm.parts.model.model.language_model.layers[2]
    calls: list[int] = []

    def fail_later(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise ZeroDivisionError("in the third pass")

    hook = layer.register_forward_pre_hook(fail_later)
    events, heard = own_bed.core.generate(own_bed.spec("llava_clip"), QUESTION, Options(max_new_tokens=9)), []
    with pytest.raises(ZeroDivisionError, match="third"):
        heard.extend(event for event in events)
    hook.remove()
    end = own_bed.recorder.ends[-1]
    assert (end.status, end.error) == ("failed", "ZeroDivisionError: in the third pass")
    assert len(end.tokens) == 2
    assert end.text.startswith("".join(token.text for token in end.tokens))
    assert list(events) == []
    assert finished(run(own_bed)).reason in ("end", "length"), "the next one answers"


def test_stops_and_closed_tabs_are_written_down_as_such(bed: Bed) -> None:
    vlm = bed.vlm("llava_clip")
    before, vlm.parts.model.generation_config.eos_token_id = vlm.parts.model.generation_config.eos_token_id, None
    try:
        for how in ("stop", "close"):
            events = bed.core.generate(bed.spec("llava_clip"), QUESTION, Options(max_new_tokens=4000), run_id=f"ended by {how}")
            said = []
            while len(said) < 3:
                event = next(events)
                said += [event] if isinstance(event, Token) else []
            if how == "stop":
                assert bed.core.stop(f"ended by {how}")
                list(events)
            else:
                events.close()
            end = bed.recorder.ends[-1]
            assert (end.run_id, end.status, end.reason, end.error) == (f"ended by {how}", "stopped", "stopped", None)
            assert end.tokens[:3] == tuple(said)
            assert end.decode_ms > 0
    finally:
        vlm.parts.model.generation_config.eos_token_id = before
    assert not bed.core.stop("ended by stop")
    assert not bed.core.stop("never heard of")


def test_a_call_closed_before_it_says_anything_is_stopped(bed: Bed) -> None:
    bed.vlm("llava_clip")
    hold = threading.Event()
    threading.Thread(target=lambda: bed.core.worker.call(lambda: hold.wait(20))).start()
    events = bed.core.generate(bed.spec("llava_clip"), QUESTION, SHORT, run_id="closed early")
    assert isinstance(next(events), Queued)
    events.close()
    hold.set()
    end = bed.recorder.ends[-1]
    assert (end.run_id, end.status, end.text, end.reason, end.queued_ms) == ("closed early", "stopped", "", None, None)


def test_a_call_that_nobody_starts_is_not_written_down(own_bed: Bed) -> None:
    own_bed.core.generate(own_bed.spec("llava_clip"), QUESTION).close()
    assert own_bed.recorder.starts == own_bed.recorder.ends == []
    assert not own_bed.core.is_loaded(own_bed.spec("llava_clip"))


def test_two_calls_of_one_name_do_not_trip_over_each_other(bed: Bed) -> None:
    one, other = (bed.core.generate(bed.spec("llava_clip"), QUESTION, SHORT, run_id="same") for _ in range(2))
    next(one)
    next(other)
    assert finished(list(one)).text == finished(list(other)).text


# --- looking ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llava_clip", "llava_pad", "qwen2_vl", "tiny-llava", "smolvlm", "paligemma", "mllama"])
def test_looking_shows_what_the_encoder_gets_without_running_it(name: str, bed: Bed) -> None:
    vlm, prompt = bed.vlm(name), ask("What?", picture(1, (140, 100)), picture(2)) if name != "paligemma" else QUESTION
    ran: list[int] = []
    hook = vlm.parts.model.get_encoder(modality="image").register_forward_hook(lambda *args: ran.append(1) and None)
    try:
        sight = bed.core.look(bed.spec(name), prompt)
    finally:
        hook.remove()
    assert ran == []
    inputs = vlm.prepare(prompt)
    assert (sight.visual_tokens, sight.prompt_tokens) == (len(inputs.visual), len(inputs.ids))
    assert len(sight.pictures) >= len(prompt.images)
    for seen in sight.pictures:
        assert seen.pixels.dtype == np.uint8
        assert seen.pixels.shape[-1] == 3
        assert seen.pixels.std() > 5, "a picture of random blocks is not one colour"
    assert all((seen.box is not None) == (Capability.GRID in vlm.family.capabilities) for seen in sight.pictures)


def test_looking_at_text_alone_shows_nothing(bed: Bed) -> None:
    sight = bed.core.look(bed.spec("llava_clip"), ask("What?"))
    assert (sight.pictures, sight.visual_tokens, sight.grid) == ((), 0, None)
    with pytest.raises(PromptError):
        bed.core.look(bed.spec("llava_clip"), ask(""))


# --- small ways in ----------------------------------------------------------------------------


def test_the_short_way_from_python(folder_of: Callable[[str], Path]) -> None:
    spec = str(folder_of("llava_clip"))
    core = open_core(spec)
    assert core.is_loaded(parse_spec(spec))
    answer = core.answer("Is there a red circle?", picture(0), checkpoint=spec, options=SHORT)
    assert answer.text == finished(list(core.generate(parse_spec(spec), QUESTION, SHORT))).text
    with pytest.raises(CheckpointError, match="no checkpoint"):
        open_core("no such thing")


def test_a_built_in_checkpoint_answers(bed: Bed) -> None:
    vlm = bed.vlm("tiny-llava")
    assert isinstance(vlm, VisionLanguageModel)
    answer = bed.core.answer("What color is the circle?", picture(3), checkpoint="tiny-llava", options=Options(max_new_tokens=8))
    assert answer.new_tokens > 0


# --- what may run ------------------------------------------------------------------------------

CALLS = {
    "answer": lambda core, spec: core.answer("Hello?", checkpoint=spec),
    "examine": lambda core, spec: list(core.examine(spec, ask("Hello?"), "Yes", lambda subject, run: None)),
    "examined": lambda core, spec: core.examined(spec, ask("Hello?"), "Yes", lambda subject, run: None),
    "forced": lambda core, spec: core.forced(spec, ask("Hello?"), "Yes"),
    "generate": lambda core, spec: list(core.generate(spec, ask("Hello?"))),
    "look": lambda core, spec: core.look(spec, ask("Hello?")),
    "score": lambda core, spec: core.score(spec, ask("Hello?"), ["Yes"]),
    "score_many": lambda core, spec: core.score_many(spec, [ask("Hello?")] * 2, [["Yes"]] * 2),
    "side_by_side": lambda core, spec: list(core.side_by_side([Column(spec, ask("Hello?"))] * 2)),
}
"""Every public way to the model, by its name."""
NO_MODEL = {"capabilities", "family", "is_loaded", "load", "loaded", "stop", "unload", "vlm"}
"""Methods that give the model nothing to do."""


def test_every_public_way_to_the_model_asks_for_admission_before_anything_else(own_bed: Bed) -> None:
    public = {name for name, _ in inspect.getmembers(Core, inspect.isfunction) if not name.startswith("_")}
    assert public - NO_MODEL == set(CALLS), "a new method says here whether it runs the model"
    counted: list[int] = []

    @contextmanager
    def refusing(calls: Sequence[tuple[Prompt, Options | None]]) -> Iterator[None]:
        counted.append(len(calls))
        raise WorkbenchError("No more of you.")
        yield

    own_bed.core.admission = refusing
    for name, call in CALLS.items():
        with pytest.raises(WorkbenchError, match="No more of you"):
            call(own_bed.core, own_bed.spec("llava_clip"))
        assert counted.pop() == (2 if name in ("score_many", "side_by_side") else 1), name
    assert own_bed.recorder.starts == []
    assert own_bed.core.loaded() == []


def test_nothing_follows_the_end_of_an_answer_though_its_place_is_busy_a_while(bed: Bed) -> None:
    class Slow(Here):
        def run(self, task: Any, emit: Any, stop: threading.Event) -> None:
            super().run(task, emit, stop)
            time.sleep(3 * HEARTBEAT_S)

    core, slot = Core(), Slow(bed.core.pool)
    bed.vlm("llava_clip")
    core.slot_of = lambda checkpoint: slot
    events = list(core.generate(bed.spec("llava_clip"), QUESTION, SHORT))
    assert [index for index, event in enumerate(events) if isinstance(event, Finished)] == [len(events) - 1]


def test_work_runs_where_its_checkpoint_says(own_bed: Bed, bed: Bed) -> None:
    there, ran = Here(bed.core.pool), []
    spec = bed.spec("llava_clip")

    def slot_of(checkpoint: Checkpoint) -> Here:
        ran.append(checkpoint)
        return there

    own_bed.core.slot_of = slot_of
    assert own_bed.core.answer("Hello?", checkpoint=spec).text == bed.core.answer("Hello?", checkpoint=spec).text
    wanted = bed.core.score(spec, ask("Hello?"), ["Yes", "No"]).total
    np.testing.assert_allclose(own_bed.core.score(spec, ask("Hello?"), ["Yes", "No"]).total, wanted)
    assert set(ran) == {spec}
    assert own_bed.core.loaded() == [], "nothing was loaded here"
