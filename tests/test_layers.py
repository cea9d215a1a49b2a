"""What may import what, what may be called at all, and how large a file gets: read from the source, nothing is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ["model", "studies", "panels", "app"]
"""Each imports only itself and what stands to its left."""
ONLY_IN = {
    "gradio": {"panels", "app"},
    "sqlite_utils": {"app"},
    "sqlite3": {"app"},
    "spaces": {"app"},
}
ONLY_IN_FILES = {
    "plotly": r"panels/.*|(.*/)?report[^/]*\.py",
    "matplotlib": r"panels/.*|(.*/)?report[^/]*\.py",
    "decord": r"model/frames\.py",
    "av": r"studies/world/film\.py",
    "pickle": r"never",
    "dill": r"never",
    "joblib": r"never",
    "requests": r"never",
}
TABS = frozenset(path.parent.name for path in (ROOT / "panels").glob("*/__init__.py")) - {"base"}
MODULE_LINES, FUNCTION_LINES = 400, 90
ANYS = 60
"""So many times the panels may not say `Any`: what goes between log, page and scripts has types that mypy can check."""
SCRIPTS = ROOT / "assets" / "js"
SCRIPT_LINES, SCRIPT_FUNCTION_LINES = 400, 60
LOWER = ["dom", "drawing"]
"""Folders of scripts that all others may import. Each of them imports what stands to its left."""
SCRIPT_FOLDERS = [*LOWER, *sorted({path.name for path in SCRIPTS.iterdir() if path.is_dir()} - {*LOWER}), "main.js"]
"""The tabs and the header know nothing of one another."""
STATEMENT = re.compile(r"\s*(?:\} )?(?:if|for|while|switch|catch|else|do|try|finally|class|return class|export class)\b")
OPENS = re.compile(r"=>(?: [{(\[].*|[^;]*[({\[])?$|\) \{$")


def sources() -> list[Path]:
    found = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]
    assert len(found) > 60, "the layers have moved"
    return [*found, *([ROOT / "app.py"] if (ROOT / "app.py").exists() else [])]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def layer_of(name: str) -> str:
    return "script" if name == "app.py" else name.split("/")[0]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and top-level name of everything imported from outside the package, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, (node.module or "").split(".")[0]


def imported_modules(name: str, tree: ast.AST) -> Iterator[tuple[int, list[str]]]:
    """Line and dotted path of everything imported from our own packages; what a `from` names is the last part."""
    package = list(Path(name).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = start + (node.module.split(".") if node.module else [])
            yield from ((node.lineno, [*base, alias.name]) for alias in node.names)


def other_tabs(name: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each tab that a file of `panels` takes something from, its own aside. What tabs share is in `base`."""
    parts = Path(name).parts
    own = parts[1] if len(parts) > 2 else ""
    for line, path in imported_modules(name, tree) if parts[0] == "panels" else ():
        if path[0] == "panels" and len(path) > 1 and path[1] in TABS - {own}:
            yield line, path[1]


def problems(name: str, source: str) -> list[str]:
    """What a file does that it may not, each as 'path:line what'."""
    tree, layer, found = ast.parse(source), layer_of(name), []

    def wrong(line: int, what: str) -> None:
        found.append(f"{name}:{line} {what}")

    for line, imported in imports(tree):
        above = imported in LAYERS and layer in LAYERS and LAYERS.index(imported) > LAYERS.index(layer)
        if above or (imported in LAYERS and layer == "script" and imported != "app"):
            wrong(line, f"imports {imported}, which is above {layer}")
        if layer not in ONLY_IN.get(imported, {layer}):
            wrong(line, f"imports {imported}")
        if imported in ONLY_IN_FILES and not re.fullmatch(ONLY_IN_FILES[imported], name):
            wrong(line, f"imports {imported}")
    for line, tab in other_tabs(name, tree):
        wrong(line, f"imports the tab {tab}")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level >= len(Path(name).parts):
            wrong(node.lineno, "leaves its package by dots")
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            wrong(node.lineno, "has a bare except")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "compile"):
            wrong(node.lineno, f"calls {node.func.id}")
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code" and ast.unparse(node.value) != "False":
            wrong(node.value.lineno, "may run a repository's code")
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "trust_remote_code" and ast.unparse(value) != "False":
                    wrong(node.lineno, "may run a repository's code")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.system":
            wrong(node.lineno, "calls os.system")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            safe = any(keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True" for keyword in node.keywords)
            if not (safe and name.startswith("studies/training/")):
                wrong(node.lineno, "calls torch.load")
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length >= FUNCTION_LINES:
                wrong(node.lineno, f"has a function of {length} lines")
        if isinstance(node, ast.Global):
            wrong(node.lineno, "has a global")
    if len(source.splitlines()) >= MODULE_LINES:
        wrong(1, f"has {len(source.splitlines())} lines")
    return found


def anys(source: str) -> int:
    """How often a file says `Any`, imports aside."""
    return sum(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(ast.parse(source)))


def test_types_of_panels_say_what_a_value_is() -> None:
    counted = {name_of(path): anys(path.read_text(encoding="utf-8")) for path in sources() if layer_of(name_of(path)) == "panels"}
    assert sum(counted.values()) < ANYS, {name: many for name, many in counted.items() if many}


def test_any_is_counted_wherever_a_type_stands() -> None:
    assert anys("from typing import Any\ndef f(x: dict[str, Any]) -> Any:\n    found: list[Any] = []") == 3
    assert anys("Many = 'Any'  # Any\nAnything = Many") == 0


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_file_keeps_to_the_rules(path: Path) -> None:
    assert problems(name_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("model/x.py", "import gradio as gr", "imports gradio"),
        ("studies/x.py", "def f():\n    from gradio import Blocks", "imports gradio"),
        ("model/x.py", "import studies", "imports studies, which is above model"),
        ("model/x.py", "from app.store import Store", "imports app, which is above model"),
        ("panels/x.py", "from app.store import Store", "imports app, which is above panels"),
        ("panels/x.py", "import sqlite_utils", "imports sqlite_utils"),
        ("studies/x.py", "import plotly.express", "imports plotly"),
        ("model/other.py", "import decord", "imports decord"),
        ("model/frames.py", "import av", "imports av"),
        ("app/x.py", "import pickle", "imports pickle"),
        ("panels/compare/x.py", "from ..attention.requests import method_of", "imports the tab attention"),
        ("panels/compare/x.py", "from .. import attention", "imports the tab attention"),
        ("panels/sessions/__init__.py", "from panels.patches import files", "imports the tab patches"),
        ("panels/base/maps/x.py", "from ...chat import views", "imports the tab chat"),
        ("panels/base/x.py", "import panels.chat.views", "imports the tab chat"),
        ("app.py", "from model import Core", "imports model, which is above script"),
        ("model/x.py", "from ..app import store", "leaves its package by dots"),
        ("app/x.py", "try:\n    f()\nexcept:\n    g()", "has a bare except"),
        ("app/x.py", "eval('1')", "calls eval"),
        ("model/x.py", "load(trust_remote_code=True)", "may run a repository's code"),
        ("model/x.py", "load(trust_remote_code=wanted)", "may run a repository's code"),
        ("model/x.py", "arguments = {'trust_remote_code': True}", "may run a repository's code"),
        ("model/x.py", "torch.load(path, weights_only=True)", "calls torch.load"),
        ("studies/training/x.py", "torch.load(path)", "calls torch.load"),
        ("studies/training/x.py", "torch.load(path, weights_only=False)", "calls torch.load"),
        ("app/x.py", "import os\nos.system('ls')", "calls os.system"),
        ("model/x.py", "def f():\n    global x\n    x = 1", "has a global"),
        ("model/x.py", "def f():\n" + "    x = 1\n" * 90, "has a function of 91 lines"),
        ("model/x.py", "x = 1\n" * 400, "has 400 lines"),
    ],
)
def test_a_broken_rule_is_found(name: str, line: str, said: str) -> None:
    assert [problem for problem in problems(name, line) if said in problem]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("app.py", "from app.cli import main"),
        ("app/x.py", "import gradio, sqlite_utils, panels, studies, model"),
        ("panels/compare/x.py", "from .. import panels\nfrom ..base import actions\nfrom .heat import ANSWERS"),
        ("app/x.py", "from panels.chat import views"),
        ("panels/x.py", "import plotly\nfrom studies import base\nfrom ._figures import draw"),
        ("studies/report_pope.py", "import matplotlib.pyplot as plt\nfrom model import Core"),
        ("model/frames.py", "import decord"),
        ("studies/world/film.py", "import av\nfrom ..base import Study"),
        ("studies/training/x.py", "torch.load(path, weights_only=True)"),
        ("model/x.py", "model.eval()\nload(trust_remote_code=False)\nre.compile('a')"),
    ],
)
def test_what_is_allowed_is_not_found(name: str, line: str) -> None:
    assert problems(name, line) == []


def function_lengths(source: str) -> Iterator[tuple[int, int]]:
    """Line and length of every function of a script, as Prettier lays it out: it ends where the indentation is back."""
    lines = source.splitlines()
    for at, line in enumerate(lines):
        if STATEMENT.match(line) or not OPENS.search(line) or line.lstrip().startswith(("*", "//")):
            continue
        depth = len(line) - len(line.lstrip())
        rest = range(at + 1, len(lines))
        end = next((i for i in rest if lines[i].strip() and len(lines[i]) - len(lines[i].lstrip()) <= depth), len(lines))
        closes = end < len(lines) and lines[end].lstrip()[0] in "})]"
        yield at + 1, end - at + closes


def script_problems(name: str, source: str) -> list[str]:
    """What a script does that it may not, each as 'path:line what'."""
    found = [
        f"{name}:{line} has a function of {length} lines"
        for line, length in function_lengths(source)
        if length > SCRIPT_FUNCTION_LINES
    ]
    if len(source.splitlines()) >= SCRIPT_LINES:
        found.append(f"{name}:1 has {len(source.splitlines())} lines")
    folder = name.split("/")[0]
    for wanted in re.findall(r"^(?:import|export) .*?from '(.*?)';", source, re.MULTILINE | re.DOTALL):
        target = (SCRIPTS / name).parent.joinpath(wanted).resolve().relative_to(SCRIPTS).parts[0]
        below = target in SCRIPT_FOLDERS[: min(len(LOWER), SCRIPT_FOLDERS.index(folder))]
        if folder not in (target, "main.js") and not below:
            found.append(f"{name}:1 imports {target}")
    return found


@pytest.mark.parametrize("path", sorted(SCRIPTS.rglob("*.js")), ids=lambda path: path.relative_to(SCRIPTS).as_posix())
def test_a_script_keeps_to_the_rules(path: Path) -> None:
    assert script_problems(path.relative_to(SCRIPTS).as_posix(), path.read_text(encoding="utf-8")) == []


LONG = "\n".join(["    x;"] * 60)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (f"const f = (a) => {{\n{LONG}\n}};", "main.js:1 has a function of 62 lines"),
        (f"class A {{\n  f(a) {{\n{LONG}\n  }}\n}}", "main.js:2 has a function of 62 lines"),
        (f"class A {{\n  async #f(\n    a,\n  ) {{\n{LONG}\n  }}\n}}", "main.js:4 has a function of 62 lines"),
        (f"const f = () =>\n{LONG.replace(';', ',')}", "main.js:1 has a function of 61 lines"),
        (f"node.on('x', () => {{\n{LONG}\n}});", "main.js:1 has a function of 62 lines"),
        ("x;\n" * 400, "main.js:1 has 400 lines"),
    ],
)
def test_a_broken_rule_of_scripts_is_found(source: str, said: str) -> None:
    assert said in script_problems("main.js", source)


def test_what_scripts_may_do_is_not_found() -> None:
    short = LONG.removesuffix("\n    x;\n    x;")
    assert script_problems("main.js", f"const f = (a) => {{\n{short}\n}};\nclass A {{\n{LONG}\n}}") == []
    assert script_problems("main.js", f"const A = {{\n  a: [\n{LONG.replace(';', ',')}\n  ],\n}};") == []


@pytest.mark.parametrize(
    ("name", "wanted", "told"),
    [
        ("dom/a.js", "../drawing/b.js", ["dom/a.js:1 imports drawing"]),
        ("drawing/a.js", "../chat/b.js", ["drawing/a.js:1 imports chat"]),
        ("chat/a.js", "../compare/b.js", ["chat/a.js:1 imports compare"]),
        ("chat/a.js", "../dom/b.js", []),
        ("compare/a.js", "../drawing/b.js", []),
        ("compare/a.js", "./b.js", []),
        ("main.js", "./chat/b.js", []),
    ],
)
def test_folders_of_scripts_stand_in_an_order(name: str, wanted: str, told: list[str]) -> None:
    assert script_problems(name, f"import {{ b }} from '{wanted}';") == told


MODULES = {name_of(path).removesuffix(".py"): path for path in sources()}
FOLDERS = sorted({Path(name).parent.as_posix() for name in MODULES} - {"."})
MANY = {"model/families", "model/heat", "model/decoders", "model/box_formats", "studies"}
"""Folders of one entry a file. Any other holds at most FOLDER_FILES."""
FOLDER_FILES = 20
Arrows = dict[str, set[str]]


def module_of(path: list[str]) -> str:
    """The file that a dotted path of ours leads to, as `MODULES` names it."""
    for end in range(len(path), 0, -1):
        for name in ("/".join(path[:end]), "/".join([*path[:end], "__init__"])):
            if name in MODULES:
                return name
    raise AssertionError(f"{'.'.join(path)} is no module of ours")


def for_types(tree: ast.AST) -> set[int]:
    """Lines of what is imported for types alone."""
    blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return {line for block in blocks for line in range(block.lineno, (block.end_lineno or 0) + 1)}


def rooms(folder: str) -> Arrows:
    """What lies in a folder -> what else in it it imports. A folder within is one room; two files may name each other's types."""
    found: Arrows = {}
    for name, path in MODULES.items():
        if not name.startswith(f"{folder}/"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        here, inner = name.removeprefix(f"{folder}/").split("/")[0], "/" in name.removeprefix(f"{folder}/")
        for line, wanted in imported_modules(name_of(path), tree):
            target = module_of(wanted).removeprefix(f"{folder}/") if wanted[0] in LAYERS else "/"
            if not target.startswith(("/", *(f"{layer}/" for layer in LAYERS))):
                within = inner or "/" in target
                if target.split("/")[0] != here and (within or line not in for_types(tree)):
                    found.setdefault(here, set()).add(target.split("/")[0])
    return found


def circle(arrows: Arrows) -> list[str]:
    """Rooms of a circle and those that lead to it: what is left when what leads nowhere is taken away."""
    left = {room: set(to) for room, to in arrows.items()}
    while ends := {to for tos in left.values() for to in tos} - set(left):
        left = {room: to - ends for room, to in left.items() if to - ends}
    return sorted(left)


@pytest.mark.parametrize("folder", FOLDERS)
def test_rooms_of_a_folder_stand_on_floors(folder: str) -> None:
    """No circle: each file and each folder in it imports only what stands below."""
    assert circle(rooms(folder)) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_looked_over_at_once(folder: str) -> None:
    files = [name for name in MODULES if Path(name).parent.as_posix() == folder]
    assert folder in MANY or len(files) <= FOLDER_FILES


def test_a_circle_of_rooms_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d"}}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "e": {"f"}}) == ["a", "b", "c"]
    assert circle({"a": {"a"}}) == ["a"]


def test_arrows_between_rooms_are_read_from_the_source() -> None:
    arrows = rooms("model")
    assert {"generation", "running", "families", "checkpoint"} <= arrows["core"]
    assert "families" in arrows["generation"]
    assert "generation" not in arrows["families"]
    assert "core" not in arrows["running"]


def test_no_class_has_the_name_of_another() -> None:
    """But for the log as panels name it, a protocol, and the log itself."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in sources())
    classes = (node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))
    names = [node.name for node in classes if not node.name.startswith("_")]
    assert sorted({name for name in names if names.count(name) > 1}) == ["History"]


def test_app_is_the_package_and_tests_are_none() -> None:
    """A module app.py beside a package without __init__.py would win; a package under tests could shadow ours."""
    import app

    assert app.__file__ is not None
    assert Path(app.__file__).resolve() == ROOT / "app" / "__init__.py"
    assert list((ROOT / "tests").rglob("__init__.py")) == []
    for layer in LAYERS:
        assert (ROOT / layer / "__init__.py").is_file()
