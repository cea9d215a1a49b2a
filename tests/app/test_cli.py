"""The command line: help at once, flags that reach the program, errors as a sentence and a status."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from program import ROOT, Program, environment

from app import cli, doctor, readme, serve
from app.settings import Settings
from model.checkpoint import Checkpoint
from studies import runner
from studies.training import card, make

COMMANDS = ("serve", "study", "train", "evaluate", "doctor", "readme")


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FOVEA_HOST", "FOVEA_PORT", "FOVEA_DATA", "FOVEA_CHECKPOINTS", "FOVEA_LOG", "FOVEA_PUBLIC", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What would have been served."""
    found: list[Settings] = []
    monkeypatch.setattr(serve, "serve", found.append)
    return found


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that is to fail; the one sentence it says."""

    def run(*arguments: str) -> str:
        assert cli.main(arguments) == 2
        out, err = capsys.readouterr()
        assert err.startswith("fovea: ")
        assert "Traceback" not in err + out
        return err.removeprefix("fovea: ").strip()

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Give arguments that are not understood; what is said of them."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    return run


class TestHelp:
    def test_it_names_every_command_and_loads_nothing(self) -> None:
        """Nothing that takes long is imported before the arguments are read."""
        code = "import sys; from app.cli import main\ntry: main(['--help'])\nfinally: print(sorted(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        words, modules = done.stdout.rsplit("\n[", 1)
        for name in (*COMMANDS, "--host", "--port", "--data", "--checkpoint", "FOVEA_DATA"):
            assert name in words
        for name in ("torch", "transformers", "gradio", "numpy", "PIL"):
            assert f"'{name}'" not in modules

    @pytest.mark.parametrize("command", COMMANDS)
    def test_each_command_explains_itself(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0
        assert f"app.py {command}" in capsys.readouterr().out

    def test_a_command_that_is_not_there(self, refused: Callable[..., str]) -> None:
        assert "invalid choice: 'sevre'" in refused("sevre")
        assert "unrecognized arguments: --prot=7" in refused("--prot=7")


class TestServe:
    @pytest.mark.parametrize("before", [[], ["serve"]])
    def test_flags(self, before: list[str], settings: list[Settings], tmp_path: Path) -> None:
        flags = ["--host", "0.0.0.0", "--port", "8001", "--data", "log", "--checkpoint", "a/b", "--checkpoint", "./c"]
        assert cli.main([*before, *flags]) == 0
        assert settings == [Settings("0.0.0.0", 8001, tmp_path / "log", ("a/b", "./c"), "WAL", True, False)]

    def test_flags_before_the_command_hold(self, settings: list[Settings]) -> None:
        cli.main(["--port", "8001", "--checkpoint", "a/b", "serve", "--host", "::1"])
        assert (settings[0].port, settings[0].checkpoints, settings[0].host) == (8001, ("a/b",), "::1")

    def test_flags_come_before_the_environment(self, settings: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FOVEA_PORT", "9000")
        monkeypatch.setenv("FOVEA_CHECKPOINTS", "tiny-llava-stage1")
        cli.main([])
        cli.main(["--port", "9001", "--checkpoint", "tiny-llava"])
        assert [(s.port, s.checkpoints) for s in settings] == [(9000, ("tiny-llava-stage1",)), (9001, ("tiny-llava",))]

    def test_ports(self, said: Callable[..., str], refused: Callable[..., str], settings: list[Settings]) -> None:
        assert said("--port", "70000") == "--port is 70000. Choose a whole number from 1 to 65535."
        assert "invalid int value: 'http'" in refused("--port", "http")
        assert settings == []

    def test_a_variable_that_makes_no_sense(self, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FOVEA_LOG", "of")
        assert said() == "FOVEA_LOG is 'of'. Choose on or off."

    @pytest.mark.parametrize(
        ("spec", "sentence"),
        [
            ("tiny-lava", "There is no checkpoint 'tiny-lava'. Built in: tiny-llava"),
            ("./nowhere", "There is no checkpoint './nowhere'. Built in: "),
            ("tiny-llava:fp12", "fp12"),
        ],
    )
    def test_a_checkpoint_that_is_none(self, spec: str, sentence: str, said: Callable[..., str], unsigned: None) -> None:
        assert sentence in said("--data", "log", "--checkpoint", spec)

    def test_all_that_is_wrong_is_said(self, said: Callable[..., str], unsigned: None) -> None:
        assert [line.split("'")[1] for line in said("--checkpoint", "one", "--checkpoint", "two").splitlines()] == ["one", "two"]

    @pytest.fixture
    def unsigned(self) -> Iterator[None]:
        """The handler of SIGTERM as it was."""
        before = signal.getsignal(signal.SIGTERM)
        yield
        signal.signal(signal.SIGTERM, before)


class TestTheProgram:
    """In a process of its own, as a user starts it."""

    def test_a_bad_checkpoint_ends_it(self, tmp_path: Path) -> None:
        done = started("--checkpoint", "tiny-lava", "--data", str(tmp_path / "log"))
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("fovea: There is no checkpoint 'tiny-lava'.")
        assert len(done.stderr.splitlines()) == 1

    def test_one_that_cannot_be_loaded_is_told_of_and_the_others_serve(self, tmp_path: Path) -> None:
        """And a port that is taken; and it ends when it is told to."""
        program = Program(tmp_path, "--checkpoint", "tiny-lava", "--checkpoint", "tiny-llava")
        try:
            assert "fovea: There is no checkpoint 'tiny-lava'." in program.words
            assert f"Fovea is at http://127.0.0.1:{program.port} (log in {tmp_path / 'data'}; Ctrl+C ends it)" in program.words
            assert (tmp_path / "data" / "fovea.db").exists()
        finally:
            assert program.end(signal.SIGINT) == 0 or program.process.returncode == 130
        assert "Traceback" not in program.words

    def test_a_taken_port_is_a_sentence(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            done = started("--checkpoint", "tiny-llava", "--port", port, "--data", str(tmp_path / "log"))
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith(f"fovea: Nothing can be served at 127.0.0.1:{port}: the port is taken")
        assert "Traceback" not in done.stderr

    NEXT_MONTH = """
import logging, sys, warnings
from app import cli, serve

class OldName(UserWarning):
    pass

def deprecating(settings):
    from transformers.utils import logging as theirs
    warnings.warn("`past` is deprecated and will be removed in version 9.0", FutureWarning)
    warnings.warn("that is old", DeprecationWarning, stacklevel=1)
    warnings.warn("`past` is Deprecated", OldName)
    theirs.get_logger("transformers.models.llava").warning_once("`past` is deprecated. Use `cache`.")
    logging.getLogger("elsewhere").warning("`past` will be removed.")
    warnings.warn("the picture is cut", UserWarning)
    theirs.get_logger("transformers.models.llava").warning("weights are missing")

serve.serve = deprecating
sys.exit(cli.main(sys.argv[1:]))
"""

    @pytest.mark.parametrize("verbose", [[], ["--verbose"]])
    def test_what_packages_deprecate_is_told_to_developers_alone(self, verbose: list[str]) -> None:
        command = [sys.executable, "-W", "always", "-c", self.NEXT_MONTH, *verbose]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment(), cwd=ROOT)
        assert done.returncode == 0, done.stderr
        told = [
            word for word in ("9.0", "that is old", "is Deprecated", "Use `cache`", "will be removed.") if word in done.stderr
        ]
        assert len(told) == (5 if verbose else 0), done.stderr
        assert "the picture is cut" in done.stderr
        assert "weights are missing" in done.stderr


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "app.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment(), cwd=ROOT / "tests")


class TestStudy:
    def test_without_a_name(self, refused: Callable[..., str]) -> None:
        assert "the following arguments are required: name" in refused("study")

    def test_one_that_is_not_there(self, said: Callable[..., str]) -> None:
        assert "There is no study 'truput'. Known: faithfulness: " in said("study", "truput")

    def test_a_checkpoint_that_is_none(self, said: Callable[..., str]) -> None:
        assert said("study", "throughput", "--checkpoint", "tiny-lava").startswith("There is no checkpoint 'tiny-lava'.")

    def test_its_figures_come_last_on_one_line(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(runner, "studies", {"quick": Quick()})
        assert cli.main(["study", "quick", "--checkpoint", "tiny-llava", "--json"]) == 0
        out = capsys.readouterr().out.splitlines()
        assert json.loads(out[-1]) == {"checkpoints": ["tiny-llava"]}
        assert cli.main(["study", "quick"]) == 0
        assert not capsys.readouterr().out.splitlines()[-1].startswith("{")


class Quick:
    """A study that measures nothing."""

    question = "How quick is nothing?"

    def measure(self, checkpoints: list[Checkpoint], tell: Callable[[str], None]) -> Any:
        from studies.base import Report

        return Report("Quick", [("nothing", "0", "not at all")], {"checkpoints": [c.name for c in checkpoints]}, [])  # type: ignore[arg-type]


class TestTrainAndEvaluate:
    def test_names(self, said: Callable[..., str], refused: Callable[..., str]) -> None:
        assert said("train", "tiny-lava").startswith("There is no recipe 'tiny-lava'. Known: tiny-llava")
        assert said("evaluate", "tiny-lava").startswith("There is no checkpoint 'tiny-lava'.")
        assert "required: name" in refused("train")
        assert "required: SPEC" in refused("evaluate")

    @pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf", "long"])
    def test_a_length_that_is_none(self, scale: str, refused: Callable[..., str]) -> None:
        assert "argument --scale: " in refused("train", "tiny-llava", "--scale", scale)

    @pytest.mark.parametrize("count", ["0", "-4", "2.5", "many"])
    def test_a_number_of_questions_that_is_none(self, count: str, refused: Callable[..., str]) -> None:
        assert "argument --questions: " in refused("evaluate", "tiny-llava", "--questions", count)

    def test_what_is_given_arrives(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heard: list[Any] = []
        monkeypatch.setattr(make, "make", lambda *given, **named: heard.append((given, named["scale"])))
        monkeypatch.setattr(card, "evaluate_and_write", lambda *given, **named: heard.append((given, named["as_json"])))
        assert cli.main(["train", "tiny-llava", "--folder", "run", "--out", "made", "--scale", "0.5"]) == 0
        assert cli.main(["evaluate", "./runs/mine", "--questions", "40", "--json"]) == 0
        assert heard == [(("tiny-llava", Path("run"), Path("made")), 0.5), (("./runs/mine", 40), True)]


class TestDoctor:
    def test_what_is_given_arrives_and_what_is_wrong_is_the_status(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heard: list[Any] = []

        def hear(checkpoints: tuple[str, ...], data: str | None, as_json: bool, say: Any) -> int:
            heard.append((checkpoints, data, as_json))
            return len(heard) - 1

        monkeypatch.setattr(doctor, "doctor", hear)
        assert cli.main(["doctor"]) == 0
        assert cli.main(["--data", "log", "doctor", "--checkpoint", "a/b", "--checkpoint", "./c", "--json"]) == 1
        assert heard == [((), None, False), (("a/b", "./c"), "log", True)]


class TestReadme:
    def test_it_takes_nothing_and_rewrites_the_tables_alone(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: Callable[..., str]
    ) -> None:
        (tmp_path / "README.md").write_text("# Before\n<!-- table: panels -->\nold\n<!-- end -->\nAfter\n")
        (tmp_path / "studies").mkdir()
        (tmp_path / "studies" / "README.md").write_text("<!-- kept: throughput -->\nold\n<!-- end -->\nAfter\n")
        monkeypatch.setattr(readme, "ROOT", tmp_path)
        assert cli.main(["readme"]) == 0
        text = (tmp_path / "README.md").read_text()
        assert text.startswith("# Before\n<!-- table: panels -->\n| tab | what it is for |\n")
        assert text.endswith("|\n<!-- end -->\nAfter\n")
        assert "| Chat |" in text
        studies = (tmp_path / "studies" / "README.md").read_text()
        assert studies.startswith("<!-- kept: throughput -->\n**Throughput**\n")
        assert studies.endswith("\n<!-- end -->\nAfter\n")
        assert "unrecognized arguments: now" in refused("readme", "now")
