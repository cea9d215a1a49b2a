"""What a checkpoint's generation_config.json asks for: obeyed, or set aside with a sentence.

`generate` obeys penalties, suppressed tokens, biases, guidance and lengths by itself. What is set aside here speeds an
answer up, asks for several, or marks it: it would change tokens behind the recorder's back, or make `generate` refuse.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import BrokenCheckpoint
from ..late import transformers

SET_ASIDE = {
    "assistant_early_exit": "speculative decoding only changes the speed",
    "is_assistant": "it is asked by itself here",
    "prompt_lookup_num_tokens": "speculative decoding only changes the speed",
    "use_mtp": "speculative decoding only changes the speed",
    "num_return_sequences": "one answer is made at a time",
    "watermarking_config": "an answer is what the model chose",
    "token_healing": "a prompt is read as it is written",
    "dola_layers": "it needs code of its own, which is not run",
    "penalty_alpha": "contrastive search needs code of its own, which is not run",
    "max_time": "an answer ends by its length, or when it is stopped",
    "return_dict_in_generate": "it changes no token",
    "output_attentions": "it changes no token",
    "output_hidden_states": "it changes no token",
    "output_scores": "it changes no token",
    "output_logits": "it changes no token",
}
"""Fields of transformers' GenerationConfig that are not obeyed, and why."""
SILENT = "it changes no token"


def generation_wishes(folder: Path) -> tuple[transformers.GenerationConfig | None, tuple[str, ...]]:
    """The folder's generation config less what is set aside, with a sentence for each of those that would change an answer.

    None where there is no such file, or none that can be read: transformers then goes by config.json. Raises BrokenCheckpoint for
    one that holds something else than settings.
    """
    try:
        wished: Any = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None, ()
    if not isinstance(wished, dict):
        raise BrokenCheckpoint(f"generation_config.json of {folder.name} holds no settings. Copy it again, or take it away.")
    asked = {name: value for name, value in wished.items() if name in SET_ASIDE and value not in (None, False)}
    aside = [name for name, value in asked.items() if (name, value) != ("num_return_sequences", 1)]
    kept = {name: value for name, value in wished.items() if name not in SET_ASIDE}
    told = tuple(
        f"Its generation_config.json asks for {name}, which is set aside: {SET_ASIDE[name]}."
        for name in aside
        if SET_ASIDE[name] != SILENT
    )
    return transformers.GenerationConfig.from_dict(kept), told
