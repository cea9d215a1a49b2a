"""Checkpoints that load while the page is served: what is told of them, what waits for them, what fails."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bed import Bed
from gradio_client import Client
from program import HeldProgram, soon_true, without_weights

from app.starting import WAITS, Starting, named
from model import Checkpoint, Finished, Loading, Options, WorkbenchError, ask, parse_spec
from model.errors import BrokenCheckpoint, CheckpointError
from model.running import pool as pools

ONE, TWO = parse_spec("tiny-llava"), parse_spec("tiny-qwen2-vl")
READING = Loading("Reading 8 MB of weights", 0.5)
HELD = Loading("Reading tokenizer and image processor")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Weights are not read before this is set."""
    go, read = threading.Event(), pools.loading.load_parts

    def wait(checkpoint: Checkpoint, files: Any, placement: Any, say: Callable[[str], None]) -> Any:
        say("Reading tokenizer and image processor")
        assert go.wait(60)
        return read(checkpoint, files, placement, say)

    monkeypatch.setattr(pools.loading, "load_parts", wait)
    yield go
    go.set()


class TestWhatIsTold:
    def test_one_after_the_other_with_the_step_each_is_at(self, capsys: pytest.CaptureFixture[str]) -> None:
        seen: list[dict[Checkpoint, Loading]] = []

        def load(checkpoint: Checkpoint) -> Iterator[object]:
            seen.append(starting.loading)
            yield READING
            yield "nothing of loading"
            seen.append(starting.loading)

        starting = Starting([ONE, TWO], load)
        assert starting.loading == {ONE: WAITS, TWO: WAITS}
        starting.run()
        assert seen == [{ONE: WAITS, TWO: WAITS}, {ONE: READING, TWO: WAITS}, {TWO: WAITS}, {TWO: READING}]
        assert (starting.loading, starting.errors, starting.first) == ({}, {}, ONE)
        assert capsys.readouterr().out == "Loaded: tiny-llava, tiny-qwen2-vl\n"

    def test_one_that_fails_is_told_of_and_new_pages_use_the_next(self, capsys: pytest.CaptureFixture[str]) -> None:
        def load(checkpoint: Checkpoint) -> Iterator[object]:
            yield READING
            if checkpoint == ONE:
                raise BrokenCheckpoint("tiny-llava lacks its weights. Download it again.")

        starting = Starting([ONE, TWO], load)
        assert starting.first == ONE
        starting.run()
        assert starting.errors == {ONE: "tiny-llava lacks its weights. Download it again."}
        assert (starting.loading, starting.first) == ({}, TWO)
        out, err = capsys.readouterr()
        assert (out, err) == ("Loaded: tiny-qwen2-vl\n", "fovea: tiny-llava lacks its weights. Download it again.\n")

    def test_what_nobody_expected_is_told_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        def load(checkpoint: Checkpoint) -> Iterator[object]:
            raise ZeroDivisionError

        starting = Starting([ONE], load)
        starting.run()
        assert "ZeroDivisionError" in starting.errors[ONE]
        assert starting.first == ONE
        assert capsys.readouterr().out == "Loaded: nothing\n"

    def test_names_are_looked_at_once_each(self) -> None:
        def look(spec: str) -> Checkpoint:
            if spec == "x":
                raise WorkbenchError("There is no x.")
            return parse_spec(spec)

        found, troubles = named(["tiny-llava", "x", "tiny-llava", "tiny-qwen2-vl"], look)
        assert (found, [str(trouble) for trouble in troubles]) == ([ONE, TWO], ["There is no x."])


class TestTheProgram:
    """In a process of its own, whose weights are held back."""

    def test_its_page_is_there_before_its_checkpoints_and_what_is_asked_is_answered(self, tmp_path: Path) -> None:
        """One that fails is told of, and the program goes on."""
        program = HeldProgram(tmp_path, "--checkpoint", str(without_weights(tmp_path)), "--checkpoint", "tiny-llava")
        try:
            client = Client(program.url, verbose=False)
            job = client.submit(question="What is it?", checkpoint="tiny-llava", max_new_tokens=4, api_name="/chat_ask")
            soon_true(lambda: "half-llava has a config but no weights" in program.words)
            assert [found["loaded"] for found in client.predict(api_name="/checkpoints_list")] == [False] * 3
            assert not job.done()
            assert "Loaded: " not in program.words
            program.release()
            assert job.result(timeout=60)["checkpoint"] == "tiny-llava"
            soon_true(lambda: "Loaded: tiny-llava\n" in program.words)
            listed = {found["name"]: found["loaded"] for found in client.predict(api_name="/checkpoints_list")}
            assert listed == {"tiny-llava": True, "tiny-llava-stage1": False, "tiny-qwen2-vl": False}
            client.close()
        finally:
            program.end()
        assert "Traceback" not in program.words

    def test_it_can_be_ended_meanwhile(self, tmp_path: Path) -> None:
        program = HeldProgram(tmp_path, "--checkpoint", "tiny-llava")
        assert program.end() == 128 + signal.SIGTERM
        assert "Traceback" not in program.words
        assert "Loaded: " not in program.words


class TestAQuestionMeanwhile:
    def test_it_waits_says_so_and_is_answered(self, own_bed: Bed, held: threading.Event) -> None:
        core, spec = own_bed.core, own_bed.spec("llava_clip")
        starting = Starting([spec], core.load)
        starting.begin()
        soon_true(lambda: starting.loading[spec] == HELD)
        question = core.generate(spec, ask("What is it?"), Options(max_new_tokens=2))
        told: list[str] = []
        for event in question:
            if isinstance(event, Loading):
                told.append(event.text)
            if told and told[-1].startswith("Waiting for llava_clip to load"):
                break
        assert told[-1] == "Waiting for llava_clip to load: reading tokenizer and image processor"
        assert list(starting.loading) == [spec]
        assert not core.is_loaded(spec)
        held.set()
        assert isinstance(list(question)[-1], Finished)
        assert len(own_bed.recorder.loads) == 1, "read once for both"

    def test_so_does_one_for_another_checkpoint(self, own_bed: Bed, held: threading.Event) -> None:
        core = own_bed.core
        starting = Starting([own_bed.spec("llava_clip")], core.load)
        starting.begin()
        soon_true(lambda: HELD in starting.loading.values())
        steps = core.load(own_bed.spec("qwen2_vl"))
        told = next(step.text for step in steps if isinstance(step, Loading) and step.text.startswith("Waiting"))
        assert told == "Waiting for llava_clip to load: reading tokenizer and image processor"
        held.set()
        assert list(steps)[-1] == Loading("qwen2_vl is ready", 1.0)


def test_packages_that_cannot_be_imported_are_a_sentence(own_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError("No module named 'torch'")

    monkeypatch.setattr(pools, "import_all", missing)
    with pytest.raises(CheckpointError, match=r"cannot be imported .No module named 'torch'.. Run python app.py doctor"):
        list(own_bed.core.load(own_bed.spec("llava_clip")))


def test_packages_are_imported_on_the_model_thread_before_anything_is_looked_for(
    own_bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    monkeypatch.setattr(pools, "all_imported", lambda: False)
    monkeypatch.setattr(pools, "import_all", lambda: names.append(threading.current_thread().name))
    steps = [step.text for step in own_bed.core.load(own_bed.spec("llava_clip")) if isinstance(step, Loading)]
    assert steps[:2] == ["Importing torch and transformers", "Looking for llava_clip"]
    assert names == ["model"]
