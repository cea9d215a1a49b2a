"""Where visual tokens look: a picture whose colours are its coordinates, through the real image processors and towers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from bed import Bed
from fakes import picture
from PIL import Image
from zoo import LAYOUTS

from model.checkpoint import Checkpoint, parse_spec
from model.errors import InputError, PromptError
from model.families import families, family_for
from model.families.base import Capability, Inputs
from model.generation.vlm import VisionLanguageModel
from model.geometry.boxes import Box
from model.geometry.grid import View
from model.pictures import from_image
from model.prompt import ImagePart, ask

TILED = (*LAYOUTS["tiled"],)
PLAIN = (*LAYOUTS["plain"], "tiny-llava", "tiny-llava-stage1")
GRIDS = (*PLAIN, *TILED)
"""Checkpoints of families that tie tokens to pixels: centre crop, padding, squashing, any aspect ratio, tiles."""
SIZES = {"landscape": (640, 427), "portrait": (480, 700), "tiny": (40, 31)}
TOLERANCE_PX = 1.0
BLUE = 200


def coordinates(size: tuple[int, int]) -> ImagePart:
    """Red is x, green is y, and blue is the same everywhere: where it is not, padding is mixed in."""
    width, height = size
    pixels = np.full((height, width, 3), BLUE, np.uint8)
    pixels[..., 0] = np.round((np.arange(width) + 0.5) / width * 255)[None]
    pixels[..., 1] = np.round((np.arange(height) + 0.5) / height * 255)[:, None]
    return from_image(Image.fromarray(pixels))


def centres(colours: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Colours 0..1 of the pixels of T patches, [T, pixels, 3], as their mean (x, y) in the source; nan where padding is in it."""
    found = colours[..., :2].mean(1) * size
    found[(np.abs(colours[..., 2] - BLUE / 255) > 0.004).any(1)] = np.nan
    return found


def reach(vlm: VisionLanguageModel, inputs: Inputs) -> np.ndarray:
    """Which numbers of `pixel_values` reach each visual token when patches do not see each other: bool [T, numbers].

    Asked of the model itself by gradients, so merging, pooling, windows, unpadding and line breaks are its own.
    """
    (image,) = inputs.images
    pixels = image.tensors["pixel_values"].clone().requires_grad_(True)
    with without_vision_attention(vlm), torch.enable_grad():
        out = vlm.parts.model.base_model.get_image_features(**{**image.tensors, "pixel_values": pixels}).pooler_output
        features = torch.cat([part.reshape(-1, part.shape[-1]) for part in out])
        weight = torch.linspace(1, 2, features.shape[-1])
        found = [torch.autograd.grad(row @ weight, pixels, retain_graph=True)[0].reshape(-1) != 0 for row in features]
    return torch.stack(found).numpy()


def colours_of(vlm: VisionLanguageModel, inputs: Inputs) -> np.ndarray:
    """The colours, 0..1, of the numbers of `pixel_values` as pixels: [pixels, 3] and their order in it, [pixels, 3]."""
    settings = vlm.parts.image_processor.to_dict()
    order = np.arange(inputs.tensors["pixel_values"].numel())
    pixels = inputs.tensors["pixel_values"].double().numpy().reshape(-1)
    if "image_grid_thw" in inputs.tensors:  # [patches, 3 * t * p * p]
        order = order.reshape(len(inputs.tensors["pixel_values"]), 3, -1).transpose(0, 2, 1).reshape(-1, 3)
    else:  # [..., 3, H, W]
        height, width = inputs.tensors["pixel_values"].shape[-2:]
        order = order.reshape(-1, 3, height * width).transpose(0, 2, 1).reshape(-1, 3)
    return pixels[order] * settings["image_std"] + settings["image_mean"], order


def looked(vlm: VisionLanguageModel, inputs: Inputs, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels that reach each token come from, [T, 2], nan where none do or padding is among them; and their number."""
    (colours, order), reached = colours_of(vlm, inputs), reach(vlm, inputs)
    found, count = np.full((len(reached), 2), np.nan), np.zeros(len(reached), int)
    for token, held in enumerate(reached):
        pixels = held[order].any(-1)
        count[token] = pixels.sum()
        if pixels.any():
            found[token] = centres(colours[pixels][None], size)[0]
    return found, count


def token_centres(inputs: Inputs) -> np.ndarray:
    """Where the grid says that tokens look, [T, 2]; nan for those without a place."""
    boxes = inputs.grid.cells()[inputs.grid.cell]
    said = np.stack([boxes[:, [0, 2]].mean(1), boxes[:, [1, 3]].mean(1)], 1)
    said[inputs.grid.cell < 0] = np.nan
    return said


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", GRIDS)
def test_each_token_looks_where_its_pixels_come_from(name: str, shape: str, bed: Bed) -> None:
    size, vlm = SIZES[shape], bed.vlm(name)
    inputs = vlm.prepare(ask("Where?", coordinates(size)))
    (found, count), said = looked(vlm, inputs, size), token_centres(inputs)
    assert found.shape == said.shape == (len(inputs.visual), 2)
    assert ((count == 0) == (inputs.grid.cell < 0)).all(), "line breaks see nothing, and nothing else does"
    inside = ~np.isnan(found).any(1)
    assert inside.mean() > 0.3, "most of the picture is padding: too little was checked"
    assert np.abs(found - said)[inside].max() <= TOLERANCE_PX


@pytest.mark.parametrize("name", GRIDS)
def test_every_cell_is_looked_at_once_and_every_pixel_by_at_most_one_token(name: str, bed: Bed) -> None:
    vlm = bed.vlm(name)
    inputs = vlm.prepare(ask("Where?", coordinates((480, 300))))
    grid = inputs.grid
    assert sorted(grid.cell[grid.cell >= 0]) == list(range(len(grid.cells())))
    assert reach(vlm, inputs).sum(0).max() == 1


@pytest.mark.parametrize("name", GRIDS)
def test_a_wrong_grid_is_noticed(name: str, bed: Bed) -> None:
    """The check above can fail: rows and columns exchanged, or the crop forgotten, are far off."""
    vlm, size = bed.vlm(name), SIZES["landscape"]
    inputs = vlm.prepare(ask("Where?", coordinates(size)))
    view = inputs.grid.views[0]
    found, _ = looked(vlm, inputs, size)
    found = found[[int(np.flatnonzero(inputs.grid.cell == cell)[0]) for cell in range(view.rows * view.cols)]]
    turned = View(view.box, view.cols, view.rows).cells().reshape(view.cols, view.rows, 4).transpose(1, 0, 2).reshape(-1, 4)
    assert np.nanmax(np.abs(turned[:, :2] - found)) > 10 * TOLERANCE_PX


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", GRIDS)
def test_what_is_shown_as_seen_is_what_was_fed_and_where_it_is_from(name: str, shape: str, bed: Bed) -> None:
    size, vlm = SIZES[shape], bed.vlm(name)
    inputs = vlm.prepare(ask("Where?", coordinates(size)))
    checked = []
    for seen in vlm.family.seen(vlm.parts, inputs):
        height, width = seen.pixels.shape[:2]
        found = centres(seen.pixels.reshape(-1, 1, 3) / 255, size).reshape(height, width, 2)
        x0, y0, x1, y1 = seen.box
        ys, xs = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
        said = np.stack([x0 + xs * (x1 - x0) / width, y0 + ys * (y1 - y0) / height], -1)
        # A colour has 256 steps, and at the border a resampling filter sees half of what it would.
        tolerance = np.array(size) / 255 + np.maximum(np.array([x1 - x0, y1 - y0]) / (width, height), 0.75)
        checked.append((~np.isnan(found)).mean())
        assert (np.abs(found - said)[~np.isnan(found).any(-1)] <= tolerance).all(), seen.name
    assert len(checked) == 1 or name in TILED
    assert np.mean(checked) > 0.3


@contextmanager
def without_vision_attention(vlm: VisionLanguageModel) -> Iterator[None]:
    """A tower in which a patch sees itself alone."""
    vision = vlm.parts.model.get_submodule(vlm.family.paths["vision"])
    last = [m for n, m in vision.named_modules() if n.endswith(("self_attn.out_proj", "attn.proj", "attention.projection_layer"))]
    assert last, "no attention found in the tower"
    hooks = [module.register_forward_hook(lambda module, args, out: torch.zeros_like(out)) for module in last]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("name", GRIDS)
def test_poking_the_picture_changes_the_token_that_looks_there(name: str, bed: Bed) -> None:
    """The order of the features themselves, merging and windows included, which the pixels fed do not show."""
    vlm, size = bed.vlm(name), (150, 110)
    hits = spots = 0
    base = np.array(picture(3, size).image)
    with torch.inference_mode(), without_vision_attention(vlm):
        plain, inputs = features(vlm, base)
        for x in range(6, 150, 19):
            for y in range(6, 110, 19):
                poked = base.copy()
                poked[y - 4 : y + 4, x - 4 : x + 4] = 255 - poked[y - 4 : y + 4, x - 4 : x + 4]
                change = (features(vlm, poked)[0] - plain).norm(dim=-1).numpy()
                wanted = inputs.grid.tokens_in(spot_box(x, y))
                for owners in in_views(inputs):
                    mine = owners[change[owners] > 0]
                    if not len(mine):  # cut off by the processor, or in another tile
                        assert not set(owners) & set(wanted)
                        continue
                    if len(set(owners) & set(wanted)):
                        spots += 1
                        hits += mine[change[mine].argmax()] in wanted
    assert spots >= 20
    assert hits == spots


def in_views(inputs: Inputs) -> list[np.ndarray]:
    """The tokens that look at each view."""
    ends = np.cumsum([view.rows * view.cols for view in inputs.grid.views])
    return [np.flatnonzero((inputs.grid.cell >= start) & (inputs.grid.cell < end)) for start, end in zip((0, *ends), ends)]


def spot_box(x: int, y: int) -> Box:
    return Box(x - 4, y - 4, x + 4, y + 4)


def features(vlm: VisionLanguageModel, pixels: np.ndarray) -> tuple[torch.Tensor, Inputs]:
    inputs = vlm.prepare(ask("Where?", from_image(Image.fromarray(pixels))))
    (image,) = inputs.images
    return torch.cat(list(vlm.parts.model.base_model.get_image_features(**image.tensors).pooler_output)), inputs


NESTED = ("paligemma", "gemma3", "llava_onevision", "idefics2", "idefics3", "smolvlm")
"""Their processors want the pictures of one prompt as a list in a list."""


@pytest.mark.parametrize("name", [*GRIDS, "idefics2"])
def test_a_prompt_is_what_the_checkpoint_s_own_processor_makes_of_it(name: str, bed: Bed) -> None:
    vlm = bed.vlm(name)
    images = [picture(1), picture(2, (40, 70)), picture(3, (150, 110))]
    for given in (images[:1], images[2:], images[:2], images, []):
        if not given and name == "paligemma":
            with pytest.raises(PromptError, match="picture with every question"):
                vlm.prepare(ask("What is there?"))
            continue
        inputs = vlm.prepare(ask("What is there?", *given))
        text = "<image>" * len(given) + "What is there?" if name == "paligemma" else templated(vlm, len(given))
        twice = {"add_special_tokens": False} if text.startswith(vlm.parts.tokenizer.bos_token or "\0") else {}
        pictures = [part.image for part in given]
        pictures = [pictures] if name in NESTED else pictures
        made = vlm.parts.processor(text=[text], images=pictures if given else None, return_tensors="pt", **twice)
        assert inputs.ids == made["input_ids"][0].tolist()
        assert not given or "pixel_values" in inputs.tensors
        for key, value in inputs.tensors.items():
            if key in made:
                assert torch.equal(value, torch.as_tensor(made[key]).to(value.dtype)), key
        missing = {"attention_mask", "token_type_ids", "image_sizes", "pixel_attention_mask", "batch_num_images"} & set(made)
        assert missing <= set(inputs.tensors)
        assert inputs.pictures == len(given)
        assert (inputs.grid is None) == (not given)
        assert not given or inputs.grid.tokens == len(inputs.visual) == sum(image.tokens for image in inputs.images)


def templated(vlm: VisionLanguageModel, pictures: int) -> str:
    content = [*({"type": "image"} for _ in range(pictures)), {"type": "text", "text": "What is there?"}]
    template = {"chat_template": vlm.parts.chat_template, "add_generation_prompt": True, "tokenize": False}
    return vlm.parts.tokenizer.apply_chat_template([{"role": "user", "content": content}], **template)


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "llava_onevision"])
def test_two_pictures_have_their_own_tokens_pixels_and_places(name: str, bed: Bed) -> None:
    vlm = bed.vlm(name)
    one, other = picture(1), picture(2, (50, 120))
    both = vlm.prepare(ask("What?", one, other))
    apart = [vlm.prepare(ask("What?", part)) for part in (one, other)]
    counts = [len(inputs.visual) for inputs in apart]
    assert [image.tokens for image in both.images] == counts
    assert [image.id for image in both.images] == [one.id, other.id]
    for image, alone in zip(both.images, apart, strict=True):
        assert image.tensors.keys() == alone.images[0].tensors.keys()
        assert all(torch.equal(value, alone.images[0].tensors[key]) for key, value in image.tensors.items())
    owner, placed = both.grid.owners()[both.grid.cell], both.grid.cell >= 0
    assert owner[placed].tolist() == np.repeat([0, 1], counts)[placed].tolist()
    assert placed.tolist() == [cell >= 0 for inputs in apart for cell in inputs.grid.cell]
    assert both.grid.sizes == ((90, 60), (50, 120))
    assert [view.box for view in both.grid.views] == [view.box for inputs in apart for view in inputs.grid.views]
    seen = [[one.box for one in vlm.family.seen(vlm.parts, inputs)] for inputs in (both, *apart)]
    assert seen[0] == seen[1] + seen[2]
    assert [one.image for one in vlm.family.seen(vlm.parts, both)] == [0] * len(seen[1]) + [1] * len(seen[2])


def test_a_class_token_that_is_kept_has_no_place(folder_of: Callable[[str], Path], tmp_path: Path, own_bed: Bed) -> None:
    folder = shutil.copytree(folder_of("llava_clip"), tmp_path / "keeps_class")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vision_feature_select_strategy": "full"}))
    for _ in own_bed.core.load(parse_spec(str(folder))):
        pass
    vlm = own_bed.core.vlm(parse_spec(str(folder)))
    inputs = vlm.prepare(ask("What?", picture()))
    assert len(inputs.visual) == 17
    assert inputs.grid.cell.tolist() == [-1, *range(16)]
    assert torch.cat(list(vlm.parts.model.base_model.get_image_features(**inputs.images[0].tensors).pooler_output)).shape[0] == 17
    assert vlm.fast.features, vlm.fast.notes


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (3, 2), (500, 7)])
@pytest.mark.parametrize("name", [*PLAIN[:-1], *TILED])
def test_a_picture_of_any_shape_is_taken_or_refused_in_a_sentence(name: str, size: tuple[int, int], bed: Bed) -> None:
    vlm = bed.vlm(name)
    part = from_image(Image.new("RGB", size, (200, 30, 30)), "thin.png")
    inputs, refused = None, ""
    try:
        inputs = vlm.prepare(ask("What?", part))
    except InputError as error:
        refused = str(error)
    if inputs is None:
        assert refused.endswith(".")
    elif inputs.grid is not None and inputs.grid.exact:
        assert len(inputs.visual) == inputs.grid.tokens
        assert np.isfinite(inputs.grid.cells()).all()


def test_the_family_is_found_from_the_config() -> None:
    expected = {
        "llava": "llava", "vipllava": "llava", "qwen2_vl": "qwen2_vl", "qwen2_5_vl": "qwen2_vl", "qwen3_vl": "qwen2_vl",
        "llava_next": "llava_next", "llava_onevision": "llava_onevision", "idefics3": "idefics3", "smolvlm": "idefics3",
        "internvl": "internvl", "paligemma": "paligemma", "gemma3": "gemma3", "idefics2": "idefics2", "blip-2": "blip2",
        "something_new": "generic", None: "generic",
    }  # fmt: skip
    for kind, family in expected.items():
        assert family_for({"model_type": kind}).slug == family, kind
    pixtral = {"model_type": "llava", "vision_config": {"model_type": "pixtral"}}
    assert family_for(pixtral).slug == "generic"
    for odd in (None, [], "text"):
        assert family_for({"model_type": "llava", "vision_config": odd}).slug in ("llava", "generic")


def test_every_family_says_what_it_can_and_where_its_parts_are(bed: Bed) -> None:
    assert families.failures == {}
    assert set(families) == {
        "blip2", "gemma3", "generic", "idefics2", "idefics3", "internvl", "llava", "llava_next", "llava_onevision",
        "paligemma", "qwen2_vl",
    }  # fmt: skip
    for family in families.values():
        assert family.title
        assert Capability.GENERATE in family.capabilities
        all_of_them = family.capabilities == frozenset(Capability)
        assert all_of_them == (family.limits == ""), f"{family.title} says what it lacks if it lacks something"
    for name in GRIDS:
        vlm = bed.vlm(name)
        for role, path in vlm.family.paths.items():
            assert vlm.parts.model.get_submodule(path), role
        layers = vlm.parts.model.get_submodule(vlm.family.paths["layers"])
        assert len(layers) == vlm.parts.config.get_text_config().num_hidden_layers


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_positions_behind_a_prefix_are_those_of_the_whole_prompt(name: str, bed: Bed) -> None:
    vlm = bed.vlm(name)
    for prompt in (
        ask("How many are there?", picture(1, (200, 60))),
        ask("a b c"),
        ask("Two?", picture(1), picture(2, (40, 150))),
    ):
        inputs = vlm.prepare(prompt)
        kinds = (inputs.tensors["input_ids"] == vlm.parts.image_token_id).int()
        whole, _ = vlm.parts.model.model.get_rope_index(
            inputs.tensors["input_ids"], kinds, inputs.tensors.get("image_grid_thw")
        )  # [3, 1, L]
        for start in {int(inputs.visual[-1]) + 1 if len(inputs.visual) else 2, len(inputs.ids) - 1}:
            depths = torch.arange(len(inputs.ids) - start)
            vlm.parts.model.model.rope_deltas = torch.tensor([[77]])  # what another prompt left behind
            assert torch.equal(vlm.family.positions(vlm.parts, inputs, start, depths), whole[:, :, start:])
        assert vlm.family.positions(vlm.parts, inputs, 0, torch.arange(3)).tolist() == [[[0, 1, 2]]] * 3


def test_the_builtin_names_are_llava(bed: Bed) -> None:
    assert bed.core.family(Checkpoint("tiny-llava", "tiny-llava")).slug == "llava"
