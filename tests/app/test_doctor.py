"""`python app.py doctor`: what it looks at, what it takes for wrong, how it says so, and that it runs where nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browser_kit
import pytest
from program import ROOT, environment

from app import doctor as module
from app import versions
from app.doctor import EXACT, INSTALL, REPORT, Finding, doctor, examine
from app.versions import Package, packages
from model import Core
from model.checkpoint import builtin_folders
from model.generation import scoring
from model.heat import heat_methods

LINES, COLUMNS = 24, 110
"""One screen."""
ORDER = ["machine", "packages", "program", "disk", "memory", "checkpoints", "video", "browser"]


@pytest.fixture(scope="module", autouse=True)
def nothing_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("FOVEA_", "SPACE_"))]:
            patch.delenv(name)
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, folder_of: Callable[[str], Path]) -> list[Finding]:
    """What it finds on this machine, with one checkpoint more than the built-in ones."""
    return list(examine((str(folder_of("kosmos2")),), str(tmp_path_factory.mktemp("doctor") / "data")))


def of(found: list[Finding], about: str) -> list[Finding]:
    return [finding for finding in found if finding.about == about]


def told(findings: list[Finding], monkeypatch: pytest.MonkeyPatch, as_json: bool = False) -> tuple[int, list[str]]:
    """Exit status and lines of `doctor` where it finds these."""
    monkeypatch.setattr(module, "examine", lambda checkpoints, data: iter(findings))
    said: list[str] = []
    status = doctor((), None, as_json, said.append)
    return status, "\n".join(said).splitlines()


class TestWhatItFinds:
    def test_nothing_is_wrong_here_and_all_is_looked_at(self, found: list[Finding]) -> None:
        assert list(dict.fromkeys(finding.about for finding in found)) == ORDER
        assert [finding for finding in found if finding.cure and finding.about != "packages"] == []

    def test_every_package_with_the_version_that_is_here(self, found: list[Finding]) -> None:
        import torch
        import transformers

        facts = of(found, "packages")[0].facts
        assert {"gradio", "torch", "transformers", "pandas", "av"} <= set(facts)
        assert (facts["torch"]["found"], facts["transformers"]["found"]) == (torch.__version__, transformers.__version__)
        assert f"transformers {transformers.__version__}" in of(found, "packages")[0].says

    def test_every_built_in_checkpoint_opens_with_all_short_cuts(self, found: list[Finding]) -> None:
        opened = {finding.facts["checkpoint"]: finding for finding in of(found, "checkpoints")}
        assert list(opened)[: len(builtin_folders())] == list(builtin_folders())
        for name in builtin_folders():
            assert all(opened[name].facts["short_cuts"].values())
            assert opened[name].says.endswith("on cpu, all short cuts in use.")
        assert opened["tiny-llava"].facts["parameters"] == 2_084_864
        assert "LLaVA, 2.1 M parameters, float32 on cpu" in opened["tiny-llava"].says

    def test_another_says_which_short_cuts_it_is_left_with_and_why(self, found: list[Finding]) -> None:
        """Which is of its architecture: nothing is wrong."""
        last = of(found, "checkpoints")[-1]
        assert last.cure == ""
        assert last.facts["short_cuts"]["encoder cache"] is False
        assert last.facts["short_cuts"]["each scoring"] is False
        assert "in use given answers read at once" in last.says or "in use reuse across turns, given answers" in last.says
        assert "No encoder cache: this architecture does not take features in place of pixels." in last.says
        kinds = {note["what"]: note["kind"] for note in last.facts["notes"]}
        assert (kinds["No encoder cache"], kinds["Scoring is not packed"]) == ("absent", "failed")

    def test_a_checkpoint_that_does_not_open_is_named_with_the_reason(self, tmp_path: Path) -> None:
        finding = module._checkpoint(Core(), "tiny-lava", False)
        assert finding.says == "tiny-lava does not open."
        assert finding.cure.startswith("There is no checkpoint 'tiny-lava'. Built in: ")
        shutil.copytree(builtin_folders()["tiny-llava"], tmp_path / "broken")
        (tmp_path / "broken" / "model.safetensors").write_bytes(b"nothing")
        assert module._checkpoint(Core(), str(tmp_path / "broken"), False).cure

    def test_a_built_in_checkpoint_that_lost_a_short_cut_is_wrong(self, monkeypatch: pytest.MonkeyPatch) -> None:
        right = scoring._tree_mask
        monkeypatch.setattr(scoring, "_tree_mask", lambda *args: right(*args) * 0)
        finding = module._checkpoint(Core(), "tiny-llava", True)
        assert "in use encoder cache, reuse across turns, reuse before a picture, given answers read at once." in finding.says
        assert "Scoring is not packed: results differ by" in finding.says
        assert finding.cure == REPORT

    def test_an_entry_of_a_registry_that_fails_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(heat_methods.failures, "model/heat/mine.py", "NameError: name 'torhc' is not defined")
        finding = module._program()
        assert finding.says == "It loads without model/heat/mine.py (NameError: name 'torhc' is not defined)."
        assert finding.cure == REPORT

    def test_a_variable_that_makes_no_sense(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FOVEA_LOG", "of")
        monkeypatch.setattr(module, "_video", lambda: Finding("video", "Not looked at."))
        (finding,) = of(list(examine((), None)), "settings")
        assert finding.cure == "FOVEA_LOG is 'of'. Choose on or off."

    def test_the_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert module._disk(tmp_path / "a" / "data").cure == ""
        assert not (tmp_path / "a").exists(), "nothing is made"
        (tmp_path / "file").write_text("")
        assert module._disk(tmp_path / "file" / "data").cure == "Choose another folder with --data DIR."
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2 * 10**9, 0, 10**8))
        full = module._disk(tmp_path)
        assert full.says.startswith("0.1 GB free for the log in ")
        assert full.cure == "Free some, or choose another with --data DIR."

    def test_memory_that_is_short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("model.memory.free_bytes", lambda device: 4 * 10**8)
        finding = module._memory()
        assert finding.says.startswith("0.4 GB can be taken")
        assert finding.cure == "End other programs."

    def test_the_browser_is_the_one_of_the_tests(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert module.BROWSERS == browser_kit.NAMES
        monkeypatch.setenv("FOVEA_CHROMIUM", "/nowhere/chromium")
        assert module._browser().cure == "Set it to a Chromium, or unset it."
        monkeypatch.delenv("FOVEA_CHROMIUM")
        monkeypatch.setattr(shutil, "which", lambda name: None)
        none = module._browser()
        assert none.says.startswith("No Chromium for tests (chromium, ")
        assert none.cure == "", "the program needs none"

    def test_video_that_cannot_be_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*args: Any) -> None:
            raise ValueError("Codec 'libx264' is not there.")

        monkeypatch.setattr("studies.world.film.write_film", broken)
        finding = module._video()
        assert "cannot write a film: ValueError: Codec 'libx264' is not there." in finding.says
        assert finding.cure == INSTALL


class TestVersions:
    @pytest.fixture
    def here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], list[Package]]:
        """What is found where these are installed."""
        (tmp_path / "requirements.txt").write_text(
            "# What running needs.\ntorch>=2.8,<2.14\ntransformers>=5.20,<5.25  # renames things\n\n"
            'sqlite_utils>=4,<5\nwinreg>=1,<2; sys_platform == "win32"\n'
        )
        (tmp_path / "constraints.txt").write_text(
            '# Exact.\nsqlite-utils==4.2.1\ntorch==2.13.0\ntransformers==5.24.0 ; python_version >= "3.99"\n'
        )

        def found(installed: dict[str, str]) -> list[Package]:
            monkeypatch.setattr(versions, "installed", lambda name: installed.get(name, ""))
            return packages(tmp_path / "requirements.txt", tmp_path / "constraints.txt")

        return found

    def test_found_against_tested(self, here: Callable[[dict[str, str]], list[Package]]) -> None:
        torch, transformers, sqlite = here({"torch": "2.13.0+cu128", "transformers": "5.24.0", "sqlite_utils": "4.1"})
        assert [one.as_tested for one in (torch, transformers, sqlite)] == [True, False, False]
        assert [one.trouble for one in (torch, transformers, sqlite)] == ["", "", ""]
        assert str(torch) == "torch 2.13.0+cu128"
        assert str(transformers) == "transformers 5.24.0 (not tested on this Python)"
        assert str(sqlite) == "sqlite_utils 4.1 (tested: 4.2.1)"

    def test_found_against_wanted(self, here: Callable[[dict[str, str]], list[Package]]) -> None:
        torch, transformers, sqlite = here({"torch": "2.14.1", "transformers": "5.24.1.dev0"})
        assert torch.trouble == "torch 2.14.1 is outside of >=2.8,<2.14."
        assert transformers.trouble == ""
        assert sqlite.trouble == "sqlite_utils is not installed; >=4,<5 is needed."
        assert here({"transformers": "5.25.0.dev0"})[1].trouble.endswith("is outside of >=5.20,<5.25.")

    def test_without_constraints_nothing_counts_as_tested(self, tmp_path: Path) -> None:
        (tmp_path / "requirements.txt").write_text("torch>=2\n")
        (one,) = packages(tmp_path / "requirements.txt", tmp_path / "constraints.txt")
        assert (one.as_tested, one.trouble) == (False, "")

    def test_each_that_is_wrong_is_a_finding_with_its_cure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        missing, old = Package("torch", ">=2", "", "2.13.0"), Package("gradio", ">=6", "5.0", "")
        fine = Package("av", ">=14", "18.1.0", "18.1.0")
        monkeypatch.setattr(versions, "packages", lambda: [missing, old, fine])
        whole, *each = module._packages()
        assert whole.says == "gradio 5.0 (not tested on this Python), av 18.1.0."
        assert [(one.says, one.cure) for one in each] == [
            ("torch is not installed; >=2 is needed.", INSTALL), ("gradio 5.0 is outside of >=6.", INSTALL),
        ]  # fmt: skip
        monkeypatch.setattr(versions, "packages", lambda: [fine])
        assert [one.says for one in module._packages()] == ["As in the last full green run: av 18.1.0."]


class TestHowItIsSaid:
    def test_on_one_screen(self, found: list[Finding], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "get_terminal_size", lambda fallback: os.terminal_size((200, 50)))
        built_in = of(found, "checkpoints")[: len(builtin_folders())]
        well = [one for one in found if not one.cure and (one.about != "checkpoints" or one in built_in)]
        status, lines = told(well, monkeypatch)
        assert (status, lines[-1]) == (0, "All is well.")
        assert len(lines) <= LINES
        assert all(len(line) <= COLUMNS for line in lines)
        assert [line.split()[0] for line in lines[:-2] if not line.startswith(" ")] == ORDER

    def test_what_is_wrong_stands_above_its_cure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        findings = [
            Finding("packages", "torch 2.13.0."), Finding("packages", "gradio 5.0 is outside of >=6.", INSTALL),
            Finding("disk", "9 GB free."),
        ]  # fmt: skip
        status, lines = told(findings, monkeypatch)
        assert status == 1
        assert lines == [
            "packages    torch 2.13.0.",
            "            gradio 5.0 is outside of >=6.",
            f"            -> {INSTALL}",
            "disk        9 GB free.",
            "",
            "1 thing is wrong; the cure stands below each.",
        ]
        assert told([*findings, *findings], monkeypatch)[1][-1] == "2 things are wrong; the cure stands below each."

    def test_as_json(self, found: list[Finding], monkeypatch: pytest.MonkeyPatch) -> None:
        status, (line,) = told(found[-2:], monkeypatch, as_json=True)
        assert status == 0
        read = json.loads(line)
        assert read["well"] is True
        assert [one["about"] for one in read["findings"]] == ["video", "browser"]
        status, (line,) = told([*found, Finding("disk", "Full.", "Free some.")], monkeypatch, as_json=True)
        read = json.loads(line)
        assert (status, read["well"]) == (1, False)
        assert read["findings"][-1] == {"about": "disk", "says": "Full.", "cure": "Free some.", "facts": {}}
        assert any(one["facts"].get("checkpoint") == "tiny-llava" for one in read["findings"])


class TestWhereThingsAreBroken:
    """As a user would start it, on a machine where nothing else of the program starts."""

    @pytest.fixture
    def broken(self, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        def run(package: str, error: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            (tmp_path / "shadow" / package).mkdir(parents=True)
            (tmp_path / "shadow" / package / "__init__.py").write_text(f"raise ImportError({error!r})\n")
            command = [sys.executable, str(ROOT / "app.py"), "doctor", *arguments]
            shadowed = environment(PYTHONPATH=str(tmp_path / "shadow"))
            return subprocess.run(command, cwd=tmp_path, env=shadowed, capture_output=True, text=True, timeout=180)

        return run

    def test_a_package_that_renamed_something(self, broken: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        done = broken("transformers", "cannot import name 'DynamicCache' from 'transformers'", "--json")
        assert (done.returncode, done.stderr) == (1, "")
        read = json.loads(done.stdout)
        (wrong,) = (one for one in read["findings"] if one["cure"] and one["about"] != "packages")
        assert wrong["about"] == "program"
        assert wrong["says"] == "It does not load: ImportError: cannot import name 'DynamicCache' from 'transformers'."
        assert wrong["cure"].startswith(EXACT)

    def test_nothing_is_installed(self, broken: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        done = broken("packaging", "No module named 'packaging'")
        assert (done.returncode, done.stderr) == (1, "")
        assert "packages    No module named 'packaging': what running needs is not installed.\n" in done.stdout
        assert f"            -> {INSTALL}\n" in done.stdout
        assert done.stdout.splitlines()[-1] == "2 things are wrong; the cure stands below each."
