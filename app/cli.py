"""The command line: serve, study, train, evaluate, doctor, readme."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from . import zerogpu as zero
from .quiet import hide_deprecations
from .settings import DEFAULT_CHECKPOINTS, DEFAULT_PORT, ENVIRONMENT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, or 2 after a sentence on what went wrong."""
    given = _parser().parse_args(arguments)
    if given.run is _doctor:  # what keeps the next lines from being imported is among what it tells
        return _doctor(given)
    zero.prepare()  # before anything imports torch
    from model.errors import WorkbenchError  # the whole core, which --help need not wait for

    logging.basicConfig(level=logging.INFO if given.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if not given.verbose:
        hide_deprecations()
    try:
        return given.run(given)
    except WorkbenchError as error:
        print(f"fovea: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="Fovea: a workbench for looking into vision-language models.",
        epilog="environment:\n" + "\n".join(f"  {names}: {what}" for names, what in ENVIRONMENT.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log loads, evictions and self-tests")
    _serve_flags(parser)
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", description="Without a command the page is served.")
    serve = commands.add_parser("serve", help="serve the page (the default)")
    _serve_flags(serve, argparse.SUPPRESS)
    serve.set_defaults(run=_serve)
    study = commands.add_parser("study", help="run a study and print its table")
    study.add_argument("name", help="faithfulness, lens, log, shortcut, side-by-side, throughput or trace-cost")
    study.add_argument("--checkpoint", action="append", default=[], metavar="SPEC")
    study.add_argument("--scenes", type=positive_count, metavar="N", help="how many drawn scenes, or pictures and categories")
    study.add_argument("--turns", type=positive_count, metavar="N", help="how large the log gets (default 200000)")
    study.add_argument("--annotations", type=Path, metavar="COCO.json", help="your own pictures: boxes or polygons")
    study.add_argument("--pictures", type=Path, metavar="DIR", help="their folder (default: that of the json)")
    study.add_argument("--json", action="store_true", help="print the figures last, as one line of JSON")
    study.add_argument("--keep", action="store_true", help="write the table and the figures to studies/results, for the README")
    study.set_defaults(run=_study)
    train = commands.add_parser("train", help="make a built-in checkpoint anew; goes on where a killed run stopped")
    train.add_argument("name", help="tiny-llava or tiny-qwen2-vl")
    train.add_argument("--folder", type=Path, help="where the run's state lies (default: training/NAME)")
    train.add_argument("--out", type=Path, help="where checkpoints are written (default: assets/checkpoints)")
    train.add_argument("--scale", type=positive_number, default=1.0, help="length of the run as a share of the full one")
    train.add_argument("--seed", type=int, help="seed of the weights it begins with (default: that of the built-in ones)")
    train.set_defaults(run=_train)
    evaluate = commands.add_parser("evaluate", help="ask a checkpoint 4,000 held-out questions and write its model card")
    evaluate.add_argument("checkpoint", metavar="SPEC")
    evaluate.add_argument("--questions", type=positive_count, default=4000, help="size of the main set")
    evaluate.add_argument("--json", action="store_true", help="print the figures last, as one line of JSON")
    evaluate.set_defaults(run=_evaluate)
    doctor = commands.add_parser("doctor", help="say what is here and what is wrong; goes into a bug report")
    doctor.add_argument("--checkpoint", action="append", default=argparse.SUPPRESS, metavar="SPEC", help="open this one, too")
    doctor.add_argument("--data", metavar="DIR", default=argparse.SUPPRESS, help="folder of the log (default ./data)")
    doctor.add_argument("--json", action="store_true", help="print one line of JSON instead")
    doctor.set_defaults(run=_doctor)
    readme = commands.add_parser("readme", help="write the tables of README.md, docs/ and studies/README.md anew")
    readme.set_defaults(run=_readme)
    types = commands.add_parser("types", help="write assets/js/types.d.ts anew, the types of what scripts are sent")
    types.set_defaults(run=_types)
    return parser


def _serve_flags(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """`default` SUPPRESS leaves what was said before the command as it is."""
    parser.add_argument("--host", default=default, help="address to serve on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=default, help=f"port to serve on (default {DEFAULT_PORT})")
    parser.add_argument("--data", metavar="DIR", default=default, help="folder of the log (default ./data)")
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=default,
        metavar="SPEC",
        help="checkpoint to load, repeatable: a built-in name, a folder, or owner/name[@revision][:options] on the Hub "
        f"(default {' and '.join(DEFAULT_CHECKPOINTS)})",
    )


def positive_number(text: str) -> float:
    """A number above 0. argparse tells the user what is raised."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def positive_count(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _serve(given: argparse.Namespace) -> int:
    from model.late import nothing_collected

    from .quick_start import import_gradio

    with nothing_collected():
        import_gradio()  # before anything of ours does
        from .serve import serve
        from .settings import from_environment

    serve(from_environment(given.host, given.port, given.data, tuple(given.checkpoint or ())))
    return 0


def _study(given: argparse.Namespace) -> int:
    from studies.runner import RESULTS, run_study

    keep = RESULTS if given.keep else None
    taken = ("scenes", "turns", "annotations", "pictures")
    options = {name: value for name in taken if (value := getattr(given, name)) is not None}
    if given.name == "log":  # a study may not know how a log is kept
        from .log.measured import MeasuredLog

        options["log"] = MeasuredLog
    return run_study(given.name, given.checkpoint, as_json=given.json, say=print, keep=keep, options=options)


def _train(given: argparse.Namespace) -> int:
    from studies.training.make import make

    make(given.name, given.folder, given.out, scale=given.scale, seed=given.seed, say=print)
    return 0


def _evaluate(given: argparse.Namespace) -> int:
    from studies.training.card import evaluate_and_write

    evaluate_and_write(given.checkpoint, given.questions, as_json=given.json, say=print)
    return 0


def _types(given: argparse.Namespace) -> int:
    from . import script_types

    script_types.write()
    return 0


def _doctor(given: argparse.Namespace) -> int:
    from .doctor import doctor

    return doctor(tuple(given.checkpoint or ()), given.data, as_json=given.json, say=print)


def _readme(given: argparse.Namespace) -> int:
    from studies import tables

    from .readme import ROOT, pages, rewrite

    for path, written in (*((page, rewrite) for page in pages(ROOT)), (ROOT / "studies" / "README.md", tables.rewrite)):
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0
