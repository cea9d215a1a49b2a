"""TypeScript of what Python sends to the scripts of the page: `assets/js/types.d.ts`, written from the dataclasses of the views.

`python app.py types` writes it; a test fails while it is stale. A dataclass of a module of panels/ whose name ends in `views`
is an interface of the same name, with those it is made of.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import types
from collections import abc
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import panels
from panels.base.scripts import SCRIPTS

PATH = SCRIPTS / "types.d.ts"
HEAD = "// Written by `python app.py types` from the dataclasses that panels send. Not to be edited.\n"
PLAIN: dict[Any, str] = {
    str: "string", int: "number", float: "number", bool: "boolean", type(None): "null", Any: "any", Path: "string",
}  # fmt: skip
LISTS = (list, set, frozenset, abc.Sequence, abc.Iterable, abc.Collection)
RECORDS = (dict, abc.Mapping)


def replies() -> list[type]:
    """Every dataclass that is defined in a module of views, in the order of modules and lines."""
    found = []
    for info in pkgutil.walk_packages(panels.__path__, "panels."):
        if info.name.endswith("views"):
            module = importlib.import_module(info.name)
            own = [cls for cls in vars(module).values() if dataclasses.is_dataclass(cls) and inspect.isclass(cls)]
            found += sorted((cls for cls in own if cls.__module__ == info.name), key=lambda cls: inspect.getsourcelines(cls)[1])
    return found


def text(classes: Iterable[type]) -> str:
    """The file. Raises TypeError where a field has a type that JSON has not, or two dataclasses share a name."""
    known: dict[str, type] = {}
    for cls in classes:
        _collect(cls, known)
    return HEAD + "".join(f"\n{_interface(cls)}" for cls in known.values()) + ("" if known else "\nexport {};\n")


def write(path: Path = PATH) -> None:
    """Write the file anew."""
    path.write_text(text(replies()), encoding="utf-8")


def _collect(cls: type, known: dict[str, type]) -> None:
    """Add a dataclass, and every one that its fields hold."""
    if known.setdefault(cls.__name__, cls) is not cls:
        raise TypeError(f"{cls.__module__} and {known[cls.__name__].__module__} both have a {cls.__name__}. Rename one.")
    for hint in _fields(cls).values():
        for part in _parts(hint):
            if dataclasses.is_dataclass(part) and known.get(part.__name__) is not part:
                _collect(part, known)


def _fields(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _parts(hint: Any) -> Iterator[type]:
    """The classes that a type is made of."""
    if inspect.isclass(hint) and get_origin(hint) is None:
        yield hint
    for argument in get_args(hint):
        yield from _parts(argument)


def _interface(cls: type) -> str:
    doc = inspect.getdoc(cls) or ""
    if doc.startswith(f"{cls.__name__}("):  # what dataclass says where nobody did
        doc = ""
    said = [f" * {line}".rstrip() for line in doc.splitlines()]
    comment = [f"/** {doc} */"] if len(said) == 1 else ["/**", *said, " */"] if said else []
    lines = [f"  {name}: {typescript(hint)};" for name, hint in _fields(cls).items()]
    return "\n".join([*comment, f"export interface {cls.__name__} {{", *lines, "}", ""])


def typescript(hint: Any) -> str:
    """A Python type as one of TypeScript, as JSON carries it. Raises TypeError for what it does not carry."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in PLAIN:
        return PLAIN[hint]
    if origin is Literal:
        return " | ".join(_literal(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(typescript(argument) for argument in arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"[{', '.join(typescript(argument) for argument in arguments)}]"
    if origin is tuple or origin in LISTS:
        item = typescript(arguments[0])
        return f"({item})[]" if " | " in item else f"{item}[]"
    if origin in RECORDS and arguments[0] is str:
        return f"Record<string, {typescript(arguments[1])}>"
    if inspect.isclass(hint) and issubclass(hint, Enum):
        return " | ".join(_literal(member.value) for member in hint)
    if dataclasses.is_dataclass(hint) and inspect.isclass(hint):
        return hint.__name__
    raise TypeError(f"{hint} cannot be sent to a script. Use what JSON has, or a dataclass of it.")


def _literal(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    raise TypeError(f"{value!r} cannot be sent to a script. Use what JSON has.")
