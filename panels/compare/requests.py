"""The columns of a comparison as they are set on the page, checked, and as the core is asked for them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import get_args

from PIL import Image

from model import Checkpoint, Column, Message, Options, Prompt, WorkbenchError, from_image
from model.checkpoint import Quantization
from model.decoders.base import Decoder
from model.decoders.plain import Plain
from model.errors import InputError, OptionsError, PromptError
from model.prompt import ImagePart
from model.recorder import new_id
from studies.comparison import LETTERS, Comparison

from ..base import settings as _settings
from ..base.bench import Bench
from ..base.scenes import scene_of, suggestions
from ..base.turn import MAX_QUESTION_CHARACTERS
from ..base.turn_views import cut, whole

LEAST, MOST = 2, len(LETTERS)
LOW_SIDE_PX, HIGH_SIDE_PX = 28, 4096
MAX_SPEC = 300
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)


@dataclass(frozen=True)
class Setting:
    """How one column is asked. `side_px` is the longest side its pictures are scaled down to, 0 for their own size."""

    spec: str
    decoder: Decoder = field(default_factory=Plain)
    length: int = 256
    seed: int = 0
    system: str = ""
    side_px: int = 0
    quantization: Quantization = "none"

    @property
    def options(self) -> Options:
        """Raises OptionsError."""
        return _settings.options(self.plain())

    @property
    def typed(self) -> str:
        """What a person would type for its checkpoint, quantisation included."""
        word = "" if self.quantization == "none" else f"{',' if ':' in self.spec else ':'}{self.quantization}"
        return self.spec + word

    def plain(self, error: str = "") -> dict[str, object]:
        """The setting as JSON for the log, with why the column could not be asked, if so."""
        own: dict[str, object] = {one.name: getattr(self, one.name) for one in fields(self)}
        own |= {"decoder": self.decoder.name, **self.decoder.settings}
        return own | ({"error": error} if error else {})

    @property
    def label(self) -> str:
        """Checkpoint and setting in words: what a vote is counted under. Nothing is looked for on the disk."""
        source, at, rest = self.typed.partition("@")
        said = [cut(source.rstrip("/").rsplit("/", 1)[-1] + at + rest, 60)]
        said += [self.decoder.words] if self.decoder != Plain() else []
        said += [f"seed {self.seed}"] if self.seed and self.decoder.sampled else []
        said += [f"at most {self.length} tokens"] if self.length != 256 else []
        said += [f"pictures at {self.side_px} px"] if self.side_px else []
        said += [f"system \u201c{cut(self.system, 40)}\u201d"] if self.system.strip() else []
        return ", ".join(said)


def setting_of(value: object) -> Setting:
    """One column's setting, from the page, the API or the log. Raises InputError, OptionsError."""
    if isinstance(value, str):
        value = {"spec": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("spec"), str) or not value["spec"].strip():
        raise InputError("A column names no checkpoint. Choose one for each column, or remove it.")
    system, side, bits = value.get("system") or "", value.get("side_px") or 0, value.get("quantization") or "none"
    if not isinstance(system, str) or len(system) > _settings.MAX_SYSTEM_CHARACTERS:
        raise InputError(f"A system prompt is a text of at most {_settings.MAX_SYSTEM_CHARACTERS:,} characters. Shorten it.")
    if type(side) is not int or (side and not LOW_SIDE_PX <= side <= HIGH_SIDE_PX):
        raise InputError(f"Pictures can be scaled to {LOW_SIDE_PX} to {HIGH_SIDE_PX} px, not {str(side)[:40]!r}. 0 leaves them.")
    quantization = next((one for one in QUANTIZATIONS if one == bits), None)
    if quantization is None:
        raise InputError(f"Quantisation is one of {', '.join(QUANTIZATIONS)}, not {str(bits)[:40]!r}.")
    decoding = _settings.options(value)
    spec = value["spec"].strip()[:MAX_SPEC]
    return Setting(spec, decoding.decoder, decoding.max_new_tokens, decoding.seed, system, side, quantization)


def settings_of(value: object) -> tuple[Setting, ...]:
    """Two to four columns that differ. Raises InputError, OptionsError."""
    if not isinstance(value, list) or not LEAST <= len(value) <= MOST:
        many = len(value) if isinstance(value, list) else "no"
        raise InputError(f"A comparison has {LEAST} to {MOST} columns; {many} were given.")
    found = tuple(setting_of(one) for one in value)
    if len({one.label for one in found}) < len(found):
        raise InputError("Two columns are the same. Give one another checkpoint, seed, system prompt or size.")
    return found


@dataclass(frozen=True)
class Entrant:
    """One column about to be asked, or why it cannot be: `column` is None where `error` says so."""

    setting: Setting
    run: str
    column: Column | None = field(default=None, repr=False)
    error: str = ""

    @property
    def label(self) -> str:
        return self.setting.label


@dataclass(frozen=True)
class Asking:
    """A comparison about to be made. `prompt` is what all columns are asked, before a column's own changes."""

    group: str
    session: str
    prompt: Prompt = field(repr=False)
    settings: tuple[Setting, ...]
    blind: bool = False
    kind: str = ""
    notes: tuple[str, ...] = ()


def asking(
    bench: Bench, session: str, run_id: str | None, question: str, settings: Sequence[Setting], blind: bool, kind: str = ""
) -> Asking:
    """The question of a turn, or another one about its pictures, for all columns. In blind mode their order is random.

    Raises WorkbenchError, nothing being lost.
    """
    question = whole_question(question)
    record = bench.history.run(run_id) if run_id else None
    before = whole(record) if record is not None else Prompt(())
    if record is not None and before.question.strip() == question:
        prompt = Prompt(before.messages)
    else:
        pictures = {part.id: part for part in before.images}
        prompt = Prompt((Message("user", (*pictures.values(), question)),))
    return Asking(new_id(), session, prompt, shuffled(settings) if blind else tuple(settings), blind, kind)


def whole_question(question: str) -> str:
    """The question itself, without blanks around it. Raises PromptError for none, and for one that is too long."""
    question = question.strip()
    if not question:
        raise PromptError("The question is empty. Type what all columns are to be asked.")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise PromptError(
            f"The question has {len(question):,} characters; at most {MAX_QUESTION_CHARACTERS:,} are read. Shorten it."
        )
    return question


def kind_of(pictures: Sequence[ImagePart], question: str) -> str:
    """The kind of a question that was made for the drawn scene it is about; empty for any other."""
    scene = scene_of(pictures[-1]) if pictures else None
    return next((q.kind for q in suggestions(scene) if q.text == question.strip()), "") if scene else ""


def once_more(bench: Bench, held: Comparison) -> tuple[Entrant, ...]:
    """The columns of a logged comparison to be asked as they were: the same prompts, options and checkpoints."""
    found = []
    for side in held.columns:
        setting, run = setting_of(side.setup), new_id()
        try:
            record = bench.history.run(side.run)
            column = Column(bench.allowed(record.checkpoint), whole(record), record.options, run)
            found.append(Entrant(setting, run, column))
        except WorkbenchError as error:
            found.append(Entrant(setting, run, None, side.setup.get("error") or str(error)))
    return tuple(found)


def shuffled(settings: Sequence[Setting]) -> tuple[Setting, ...]:
    """The settings in an order nobody can foresee."""
    found = list(settings)
    secrets.SystemRandom().shuffle(found)
    return tuple(found)


def entrant(bench: Bench, setting: Setting, prompt: Prompt, run: str = "") -> Entrant:
    """A column as the core is asked for it. What keeps it from being asked is its `error`; it keeps no other from it.

    A checkpoint whose pictures are to be scaled is loaded first, to see whether that makes a difference to it. Ids begin with
    a time: where that may not be told, `run` is one that was made before.
    """
    run = run or new_id()
    try:
        checkpoint = bench.allowed(bench.spec(setting.typed))
        if bench.public and setting.length > bench.longest:
            raise OptionsError(f"Length is {setting.length}; at most {bench.longest} on this public page. Lower it.")
        own = prompt_for(prompt, setting)
        if setting.side_px and own.images != prompt.images:
            _check_size_matters(bench, checkpoint, prompt, own, setting.side_px)
        return Entrant(setting, run, Column(checkpoint, own, setting.options, run))
    except WorkbenchError as error:
        return Entrant(setting, run, None, str(error))


def prompt_for(prompt: Prompt, setting: Setting) -> Prompt:
    """The prompt with a column's own system prompt in place of the chat's, and its pictures scaled."""
    messages = prompt.messages
    if setting.system.strip():
        messages = (Message("system", (setting.system,)), *(m for m in messages if m.role != "system"))
    if setting.side_px:
        messages = tuple(
            replace(m, parts=tuple(p if isinstance(p, str) else scaled(p, setting.side_px) for p in m.parts)) for m in messages
        )
    return replace(prompt, messages=messages)


def scaled(part: ImagePart, side_px: int) -> ImagePart:
    """A picture scaled down until its longest side is `side_px`; itself where it is smaller."""
    width, height = part.image.size
    if max(width, height) <= side_px:
        return part
    share = side_px / max(width, height)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return from_image(part.image.resize(size, Image.Resampling.LANCZOS), f"{part.name or 'picture'} at {side_px} px")


def _check_size_matters(bench: Bench, checkpoint: Checkpoint, prompt: Prompt, own: Prompt, side_px: int) -> None:
    """Raises InputError where the checkpoint takes pictures of both sizes as equally many tokens."""
    before, after = (bench.core.look(checkpoint, one).visual_tokens for one in (prompt, own))
    if before == after:
        raise InputError(
            f"{checkpoint.name} makes {before:,} tokens of this picture at its own size and at {side_px} px: it brings "
            "pictures to a size of its own. Leave the size to it, or choose a checkpoint that keeps theirs."
        )
