#!/usr/bin/env bash
# transformers 5.20.0 to 5.22.x: Kosmos-2 reads a picture differently under SDPA (its default) than under eager attention. The
# attention of the connector (`image_to_text_projection.x_attn`: 64 learned queries over the patches, which have no order) is
# marked causal, so SDPA lets query i see only the first i keys; eager, given no mask, lets it see all, as the model was trained.
# Features differ by as much as they are large. 5.23.0 agrees with itself. With older ones set `x_attn.is_causal = False`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/compare.py" <<'PY'
import sys

import torch
import transformers
from transformers import Kosmos2Config, Kosmos2ForConditionalGeneration

small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
vision = {**small, "image_size": 28, "patch_size": 7}
text = {"vocab_size": 120, "embed_dim": 32, "layers": 2, "ffn_dim": 64, "attention_heads": 4, "max_position_embeddings": 64}


def features(attention, causal=None):
    torch.manual_seed(0)
    config = Kosmos2Config(vision_config=vision, text_config=text, latent_query_num=8)
    config._attn_implementation = attention
    model = Kosmos2ForConditionalGeneration(config).eval()
    connector = model.get_submodule("image_to_text_projection")
    assert connector.x_attn.config._attn_implementation == attention
    if causal is not None:
        connector.x_attn.is_causal = causal
    torch.manual_seed(1)
    with torch.no_grad():
        return connector(torch.randn(1, 17, 32))[0]  # states of 16 patches and the class token


eager, sdpa, mended = features("eager"), features("sdpa"), features("sdpa", causal=False)
apart, left = ((other - eager).abs().max() / eager.abs().max() for other in (sdpa, mended))
print(f"transformers {transformers.__version__}: largest difference from eager {apart:.1e} of the largest feature, not causal {left:.1e}")
assert left < 1e-5
assert (apart > 1e-2) == (sys.argv[1] == "differs"), sys.argv[1]
PY
for pair in "5.20.0 differs" "5.22.0 differs" "5.23.0 agrees"; do
    read -r version outcome <<< "$pair"
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install -q --disable-pip-version-check "torch==2.13.0" "transformers==$version" pillow
    HF_HUB_OFFLINE=1 "$folder/$version/bin/python" "$folder/compare.py" "$outcome"
done
