"""How the program was started: flags before environment before defaults; what makes no sense is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.settings import DEFAULT_CHECKPOINTS, DEFAULT_PORT, ENVIRONMENT, from_environment
from model.errors import WorkbenchError


def test_without_anything_it_is_local_private_and_logged() -> None:
    found = from_environment(environment={})
    assert (found.host, found.port, found.data) == ("127.0.0.1", DEFAULT_PORT, Path("data").resolve())
    assert found.checkpoints == DEFAULT_CHECKPOINTS == ("tiny-llava", "tiny-qwen2-vl", "tiny-llava-stage1")
    assert (found.journal, found.log, found.public) == ("WAL", True, False)


def test_the_environment_says_what_flags_would(tmp_path: Path) -> None:
    found = from_environment(
        environment={
            "FOVEA_HOST": "0.0.0.0",
            "FOVEA_PORT": "8000",
            "FOVEA_DATA": str(tmp_path),
            "FOVEA_CHECKPOINTS": "  tiny-llava   owner/name@main:nf4 ",
            "FOVEA_JOURNAL": "delete",
            "FOVEA_LOG": "off",
            "FOVEA_PUBLIC": "1",
        }
    )
    assert (found.host, found.port, found.data) == ("0.0.0.0", 8000, tmp_path)
    assert found.checkpoints == ("tiny-llava", "owner/name@main:nf4")
    assert (found.journal, found.log, found.public) == ("DELETE", False, True)


def test_flags_come_first() -> None:
    given = {"FOVEA_HOST": "10.0.0.1", "FOVEA_PORT": "8000", "FOVEA_DATA": "/elsewhere", "FOVEA_CHECKPOINTS": "tiny-llava"}
    found = from_environment("127.0.0.2", 8001, "here", ("a/b",), given)
    assert (found.host, found.port, found.data) == ("127.0.0.2", 8001, Path("here").resolve())
    assert found.checkpoints == ("a/b",)


def test_empty_variables_count_as_not_given() -> None:
    names = [name for names in ENVIRONMENT for name in names.split(", ")]
    assert from_environment(environment=dict.fromkeys(names, "")) == from_environment(environment={})


def test_a_space_is_public_listens_to_all_and_has_no_locks() -> None:
    found = from_environment(environment={"SPACE_ID": "somebody/fovea"})
    assert (found.host, found.journal, found.public) == ("0.0.0.0", "DELETE", True)
    own = from_environment(environment={"SPACE_ID": "somebody/fovea", "FOVEA_PUBLIC": "no", "FOVEA_JOURNAL": "wal"})
    assert (own.public, own.journal) == (False, "WAL")


def test_the_data_folder_is_absolute_and_home_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert from_environment(data="~/log", environment={}).data == tmp_path / "log"
    monkeypatch.chdir(tmp_path)
    assert from_environment(data="log", environment={}).data == tmp_path / "log"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"FOVEA_PORT": "http"}, "FOVEA_PORT is 'http'. Choose a whole number from 1 to 65535."),
        ({"FOVEA_PORT": "0"}, "FOVEA_PORT is '0'."),
        ({"FOVEA_PORT": "65536"}, "FOVEA_PORT is '65536'."),
        ({"FOVEA_PORT": "-1"}, "FOVEA_PORT is '-1'."),
        ({"FOVEA_PORT": "7860.0"}, "FOVEA_PORT is '7860.0'."),
        ({"FOVEA_LOG": "of"}, "FOVEA_LOG is 'of'. Choose on or off."),
        ({"FOVEA_PUBLIC": "maybe"}, "FOVEA_PUBLIC is 'maybe'. Choose on or off."),
    ],
)
def test_what_makes_no_sense_is_refused(environment: Mapping[str, str], sentence: str) -> None:
    with pytest.raises(WorkbenchError) as refused:
        from_environment(environment=environment)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("port", [0, -5, 70_000])
def test_a_flag_is_named_in_its_own_error(port: int) -> None:
    with pytest.raises(WorkbenchError, match=f"--port is {port}. Choose a whole number"):
        from_environment(port=port, environment={"FOVEA_PORT": "8000"})


@pytest.mark.parametrize("word", ["1", "on", "YES", "True"])
def test_switches_are_turned_on_by_any_usual_word(word: str) -> None:
    assert from_environment(environment={"FOVEA_PUBLIC": word}).public


@pytest.mark.parametrize("word", ["0", "OFF", "no", "false"])
def test_switches_are_turned_off_by_any_usual_word(word: str) -> None:
    assert not from_environment(environment={"FOVEA_LOG": word}).log


def test_the_real_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("FOVEA_", "SPACE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FOVEA_PORT", "8123")
    assert from_environment().port == 8123
