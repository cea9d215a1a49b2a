"""What a checkpoint's files lack: a head is tied where a config says so, the rest is refused or told.

transformers draws what is missing at random and says so in a log. An answer that went through random numbers is noise,
and so is every map of it: what matters is refused, by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import BrokenCheckpoint
from ..late import torch
from .forms import common_prefix

UNREAD = (".head.", ".pooler.")
"""Parts of a vision tower that sum a picture up in one vector, which no decoder reads."""
NAMED = 3


def settle(
    model: torch.nn.Module, told: Mapping[str, Any], config: Mapping[str, Any], name: str, tower: str = ""
) -> tuple[str, ...]:
    """Tie the head where a config says so and the files have none; then sentences about what is left.

    `told` is transformers' loading info, `tower` the path of the vision tower. Raises BrokenCheckpoint where a weight has
    another shape than the config gives it, and where a weight is missing that decides an answer: any matrix, and any vector that
    was drawn at random. What is left are norms and biases, which are as in a layer that was never trained.
    """
    _check_shapes(told.get("mismatched_keys") or (), name)
    missing = sorted(_parameters(model).keys() & set(told["missing_keys"]))
    if missing and _wants_tied(config):
        missing = _tied(model, missing)
    if not missing:
        return ()
    lost = [one for one in missing if _decides(one, model.get_parameter(one), tower)]
    if lost:
        extra = told.get("unexpected_keys") or ()
        raise BrokenCheckpoint(f"{name} lacks {_named(lost)}, without which an answer is noise. {_cure(lost, extra, model)}")
    return (f"Not in its files, and as in a layer that was never trained: {_named(missing)}.",)


def _check_shapes(mismatched: Iterable[tuple[str, Any, Any]], name: str) -> None:
    found = sorted((str(key), list(stored), list(made)) for key, stored, made in mismatched)
    if found:
        key, stored, made = found[0]
        more = f", and {len(found) - 1} more" if found[1:] else ""
        raise BrokenCheckpoint(
            f"{name}'s weights do not fit its config.json: {key} is {_shape(stored)} in the files and {_shape(made)} by the "
            f"config{more}. Take both from the same place."
        )


def _shape(lengths: Iterable[int]) -> str:
    return " x ".join(f"{length:,}" for length in lengths) or "a single number"


def _wants_tied(config: Mapping[str, Any]) -> bool:
    """Whether any part of a config says that the head is the embedding."""
    return config.get("tie_word_embeddings") is True or any(_wants_tied(part) for part in _parts(config))


def _parts(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (part for part in config.values() if isinstance(part, Mapping))


def _tied(model: Any, missing: list[str]) -> list[str]:
    """Make the output embedding the input one where it alone is missing. What is missing then."""
    head, words = model.get_output_embeddings(), model.get_input_embeddings()
    names = {id(value): key for key, value in _parameters(model).items()}
    if head is None or words is None or head.weight.shape != words.weight.shape:
        return missing
    if names[id(head.weight)] in missing and names[id(words.weight)] not in missing:
        missing = [one for one in missing if one != names[id(head.weight)]]
        head.weight = words.weight
    return missing


def _parameters(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return dict(model.named_parameters())


def _decides(name: str, value: torch.Tensor, tower: str) -> bool:
    """Whether a weight that was made new can change an answer in ways nobody trained: all but constants."""
    if tower and name.startswith(f"{tower}.") and any(part in name for part in UNREAD):
        return False
    return value.ndim > 1 or bool((value != value.flatten()[0]).any())


def _named(names: list[str]) -> str:
    """Some of them, those of the same part together: 'all 4 weights of multi_modal_projector (linear_1.bias, ...)'."""
    shown = ", ".join(names[:NAMED])
    return f"{len(names)} of its weights ({shown}{' and more' if names[NAMED:] else ''})"


def _cure(lost: list[str], extra: Iterable[str], model: torch.nn.Module) -> str:
    extra = list(extra)
    prefix = common_prefix(extra)
    if prefix and len(extra) >= len(lost) and len(lost) > len(_parameters(model)) / 2:
        return (
            f"All names in its files begin with '{prefix}.': it was saved from within a wrapper. Save the model inside instead, "
            "for example after merge_and_unload()."
        )
    return "Download it again, or take the part from where the checkpoint was made."
