"""A checkpoint's tokenizer, image processor and processor, the same with and without torchvision.

Pictures go through Pillow wherever transformers has such an image processor, so that a checkpoint sees the
same pixels on every machine. Processors that insist on a video processor get a stand-in: the frames of a
video are given as pictures. Weights are not read here, and code of a repository is never run.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..errors import (
    BrokenCheckpoint,
    GatedCheckpoint,
    NoNetwork,
    NotAVisionLanguageModel,
    RemoteCode,
    UnknownCheckpoint,
    Unsupported,
    WorkbenchError,
)
from ..late import transformers

log = logging.getLogger(__name__)

_VOCABULARIES = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "tekken.json",
)  # fmt: skip
_PATTERNS = ["*.json", "*.jinja", "*.model", "*.txt"]
_CURE = "Copy the file again from where the checkpoint came from, or download the checkpoint again."
_LOCAL = {"trust_remote_code": False, "local_files_only": True}


@dataclass
class Processors:
    """What turns a prompt into tensors.

    `image_processor` is a Pillow one, or a torchvision one where there is no other. `processor` takes text with
    pictures and holds the same tokenizer and image processor; it is None where the checkpoint has no processor
    class that works here. `chat_template` is Jinja source from wherever the repository keeps it, or None.
    """

    tokenizer: Any
    image_processor: Any
    processor: Any | None
    chat_template: str | None


class NoVideo(dict[str, object]):
    """Stands where a processor wants a video processor, all of which need torchvision.

    It is an empty dict because a processor writes its parts as JSON when it is printed.
    """

    model_input_names: ClassVar[list[str]] = []
    num_frames: ClassVar[None] = None  # SmolVLM's apply_chat_template reads these two for pictures as well
    fps: ClassVar[None] = None

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        raise Unsupported("Video is given to a checkpoint as single frames. Sample frames from it and give those as pictures.")


def load_processors(folder_or_repo: str, *, revision: str | None = None, local_files_only: bool = False) -> Processors:
    """Everything but the model of a local folder or a Hub repository.

    Raises BrokenCheckpoint for a missing or damaged file, RemoteCode where only the repository's own code could
    read it, Unsupported where a package is missing, and NoNetwork, GatedCheckpoint or UnknownCheckpoint from the Hub.
    """
    folder = _folder(folder_or_repo, revision, local_files_only)
    settings = {name: _json(folder / f"{name}.json") for name in ("processor_config", "preprocessor_config", "tokenizer_config")}
    config, template = _config(folder), _chat_template(folder, settings)
    tokenizer = _tokenizer(folder, config)
    image_processor = _image_processor(folder, settings)
    processor = _processor(folder, config, settings, {"tokenizer": tokenizer, "image_processor": image_processor})
    if processor is not None:
        processor.chat_template = template
    return Processors(tokenizer, image_processor, processor, template)


def _folder(source: str, revision: str | None, local_files_only: bool) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    at = f"{source}@{revision}" if revision else source
    try:
        return Path(snapshot_download(source, revision=revision, local_files_only=local_files_only, allow_patterns=_PATTERNS))
    except GatedRepoError as error:
        raise GatedCheckpoint(f"{at} is gated. Accept its licence on huggingface.co and log in with 'hf auth login'.") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise UnknownCheckpoint(f"There is no folder or Hub repository {at}. A private one needs 'hf auth login'.") from error
    except (LocalEntryNotFoundError, HfHubHTTPError) as error:
        raise NoNetwork(f"{at} is not on this machine and the Hub cannot be reached. Choose one that is here.") from error


def _json(path: Path) -> dict[str, Any]:
    """The object in a file, {} where there is no file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BrokenCheckpoint(f"{path.name} of {path.parent.name} cannot be read: {_first_line(error)}. {_CURE}") from error
    if not isinstance(found, dict):
        raise BrokenCheckpoint(f"{path.name} of {path.parent.name} holds a {type(found).__name__}, not an object. {_CURE}")
    return found


@contextmanager
def _reading(folder: Path, what: str) -> Iterator[None]:
    """Say in one sentence what the libraries say in many ways: ValueError, OSError, KeyError, a bare Exception from Rust."""
    try:
        yield
    except WorkbenchError:
        raise
    except ImportError as error:
        raise Unsupported(f"The {what} of {folder.name} needs a package that is not installed: {_first_line(error)}.") from error
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise RemoteCode(
                f"The {what} of {folder.name} is its own Python code, which is not run. Choose another checkpoint."
            ) from error
        if "Missing optional dependencies: torchvision" in str(error):
            raise Unsupported(
                f"The {what} of {folder.name} works with torchvision only. Install it, or choose another checkpoint."
            ) from error
        raise BrokenCheckpoint(f"The {what} of {folder.name} cannot be read: {_first_line(error)}. {_CURE}") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200].rstrip('.')}" if lines else type(error).__name__


def _config(folder: Path) -> Any:
    written = _json(folder / "config.json")
    if not written:
        raise BrokenCheckpoint(f"{folder.name} has no config.json. {_CURE}")
    kind = written.get("model_type")
    if not kind:
        raise BrokenCheckpoint(f"config.json of {folder.name} has no model_type. {_CURE}")
    if kind not in transformers.CONFIG_MAPPING and "auto_map" in written:
        raise RemoteCode(
            f"{folder.name} is a {kind!r}, which is its own Python code. That is not run. Choose another checkpoint."
        )
    if kind not in transformers.CONFIG_MAPPING:
        raise NotAVisionLanguageModel(
            f"{folder.name} is a {kind!r}, which transformers {transformers.__version__} does not know. "
            "Choose another checkpoint."
        )
    with _reading(folder, "configuration (config.json)"):
        return transformers.AutoConfig.from_pretrained(folder, **_LOCAL)


def _tokenizer(folder: Path, config: Any | None = None) -> Any:
    # transformers makes an empty tokenizer where there is no vocabulary, and says nothing.
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise BrokenCheckpoint(f"{folder.name} has no tokenizer: none of {', '.join(_VOCABULARIES)} is there. {_CURE}")
    pieces = next((name for name in _VOCABULARIES if name.endswith(".model") and (folder / name).is_file()), "")
    if pieces and not (folder / "tokenizer.json").is_file() and importlib.util.find_spec("sentencepiece") is None:
        raise Unsupported(
            f"The tokenizer of {folder.name} is there as {pieces} alone, which needs sentencepiece (pip install sentencepiece "
            "protobuf). Or put its tokenizer.json beside it."
        )
    with _reading(folder, "tokenizer (tokenizer.json)"):
        return transformers.AutoTokenizer.from_pretrained(folder, config=config, **_LOCAL)


def _image_processor(folder: Path, settings: dict[str, dict[str, Any]]) -> Any:
    if not settings["preprocessor_config"] and "image_processor" not in settings["processor_config"]:
        raise BrokenCheckpoint(
            f"{folder.name} has no preprocessor_config.json, so its picture size is unknown. "
            "Copy the file from where the checkpoint came from; after training, from the model that was trained on."
        )
    # Without the config: given one, an unknown class is replaced by the model type's usual one, and nobody is told.
    with _reading(folder, "image processor (preprocessor_config.json)"):
        return transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", **_LOCAL)


def _chat_template(folder: Path, settings: dict[str, dict[str, Any]]) -> str | None:
    """The template in the order chat_template.jinja, chat_template.json, processor_config.json, tokenizer_config.json."""
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        with _reading(folder, "chat template (chat_template.jinja)"):
            return jinja.read_text(encoding="utf-8")
    places = (_json(folder / "chat_template.json"), settings["processor_config"], settings["tokenizer_config"])
    found = next((place["chat_template"] for place in places if place.get("chat_template")), None)
    if isinstance(found, list):  # several, each with a name
        found = {entry["name"]: entry["template"] for entry in found}
    if isinstance(found, dict):
        found = found.get("default")
    return found


def _processor(
    folder: Path, config: Any, settings: dict[str, dict[str, Any]], parts: dict[str, Any]
) -> transformers.ProcessorMixin | None:
    named = next((place["processor_class"] for place in settings.values() if place.get("processor_class")), None)
    known = transformers.models.auto.processing_auto
    kind: Any = known.processor_class_from_name(named) if named else known.PROCESSOR_MAPPING.get(type(config), None)
    if kind is None or not issubclass(kind, transformers.ProcessorMixin):
        log.info("%s: no processor class %s here", folder.name, named)
        return None
    wanted = kind.get_attributes()
    if "video_processor" in wanted:
        parts, kind = {**parts, "video_processor": NoVideo()}, _accepts_no_video(kind)
    for name in wanted:
        if name not in parts and name.endswith("_tokenizer") and (folder / name).is_dir():
            parts = {**parts, name: _tokenizer(folder / name)}
    if missing := [name for name in wanted if name not in parts]:
        log.info("%s: %s also wants %s", folder.name, named, ", ".join(missing))
        return None
    with _reading(folder, "processor (processor_config.json)"):
        return kind.from_args_and_dict([parts[name] for name in wanted], settings["processor_config"])


def _accepts_no_video(kind: type[transformers.ProcessorMixin]) -> type[transformers.ProcessorMixin]:
    """The same processor class, but for the check of its video processor's class, which fails without torchvision."""

    class WithoutVideo(kind):  # type: ignore[misc, valid-type]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            return NoVideo if isinstance(argument, NoVideo) else super().check_argument_for_proper_class(argument_name, argument)

    WithoutVideo.__name__, WithoutVideo.__qualname__, WithoutVideo.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    if kind.__name__ == "SmolVLMProcessor":
        # It refuses to start without num2words, which only spells out how many frames a video has.
        module: Any = importlib.import_module(kind.__module__)
        module.num2words = module.num2words or str
    return WithoutVideo
