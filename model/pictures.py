"""Files to pictures, safely: the only way into the core for anything a user gives.

The header is read before any pixel is decoded, so a bomb costs nothing. What had to be done to a
picture (turned upright, flattened, first frame taken) is said in `Picture.notes`.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from PIL import Image, ImageOps, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError, features

from .errors import PictureError
from .picture_files import AVIF, HEIF, bits_of_png, brand, without_texts
from .prompt import ImagePart

MAX_BYTES = 25_000_000
MAX_PIXELS = 40_000_000
MAX_JPEG_PIXELS = 89_000_000
"""A JPEG file of up to so many is decoded at a half of its size or less, which takes a quarter of the memory."""
MAX_ASPECT = 200
FORMATS = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    **({"AVIF": "image/avif"} if features.check("avif") else {}),
}
ANIMATED = ("PNG", "WEBP", "GIF", "TIFF", "AVIF")
_BITS = (8, 10, 12, 14, 16)
"""How many bits cameras and scanners give a channel."""
_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 258
_SCALED = "The picture has more than 8 bits a channel, of which it uses {bits}; they were scaled to 8."
_MOST = f"{MAX_PIXELS // 10**6} megapixels"
_SUFFIXES = {
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "gif": "GIF",
    "bmp": "BMP",
    "tif": "TIFF",
    "tiff": "TIFF",
    "avif": "AVIF",
}


@dataclass(frozen=True)
class Picture:
    """An opened file. `part` goes into prompts; `notes` are sentences for the user, most often none."""

    part: ImagePart
    notes: tuple[str, ...] = ()


def open_picture(data: bytes, name: str = "") -> Picture:
    """The picture in these file bytes, upright RGB. Raises PictureError with a cure where there is none.

    PNG, JPEG, WebP, GIF, BMP, TIFF, and AVIF where Pillow decodes it, up to 25 MB and 40 megapixels; JPEG up to 89, decoded at
    a half of its size. CMYK, palette, 16-bit and transparent pictures are brought to 8-bit RGB; of an animation the first
    frame is taken.
    """
    shown = _short(name) or "The file"
    if not data:
        raise PictureError(f"{shown} is empty (0 bytes). Choose the picture again.")
    if len(data) > MAX_BYTES:
        raise PictureError(f"{shown} has {len(data) / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read. Save it smaller.")
    notes: list[str] = []
    try:
        with Image.open(io.BytesIO(without_texts(data)), formats=tuple(FORMATS)) as opened:
            _check_size(shown, opened, notes)
            if _bits(opened, data) == 16 and opened.mode in ("RGB", "RGBA"):  # others say so themselves, by their mode
                notes.append(_SCALED.format(bits=16))
            kind = "JPEG" if opened.format == "MPO" else str(opened.format)  # a JPEG that holds previews as well
            image = _upright_rgb(opened, notes)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(f"{shown} is {_guess(data)}. Save it as PNG, JPEG or WebP.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"{shown} claims so many pixels that it is not opened; at most {_MOST} are. Scale it down.") from error
    except MemoryError as error:
        raise PictureError(f"{shown} takes more memory than there is. Scale it down.") from error
    except Exception as error:  # Pillow's readers raise a dozen kinds on damaged files
        raise PictureError(f"{shown} is damaged or cut off and could not be read whole. Save or download it again.") from error
    claimed = _SUFFIXES.get(PurePath(name).suffix.lstrip(".").lower())
    if claimed and claimed != kind:
        notes.insert(0, f"{shown} is a {kind} file despite its name.")
    part = ImagePart(image, data, FORMATS[kind], hashlib.sha256(data).hexdigest(), _short(name))
    return Picture(part, tuple(notes))


def from_image(image: Image.Image, name: str = "") -> ImagePart:
    """A picture held in memory, as the prompt part its PNG file would give."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG")
    return open_picture(buffer.getvalue(), name).part


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits of one channel where a file says so, else 0."""
    stored = image.tag_v2.get(_BITS_PER_SAMPLE) if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    return max(stored) if isinstance(stored, tuple) and stored else bits_of_png(data)


def _check_size(shown: str, image: Image.Image, notes: list[str]) -> None:
    width, height = image.size
    if isinstance(image, JpegImagePlugin.JpegImageFile) and MAX_PIXELS < width * height <= MAX_JPEG_PIXELS:
        image.draft(None, (-(-width // 2), -(-height // 2)))
        notes.append("The picture has {:,} x {:,} pixels; it was read at {:,} x {:,}.".format(width, height, *image.size))
        width, height = image.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"{shown} has {width} x {height} pixels; at most {_MOST} are opened. Scale it down.")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError(f"{shown} is {width} x {height} pixels, too long and thin for a model. Crop it.")


def _upright_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.format in ANIMATED and image.is_animated:  # type: ignore[attr-defined]  # those formats have it
        notes.append("The file is an animation or has several pages; the first is used.")
        image.seek(0)
    # Asked before loading, which turns a TIFF and forgets. Numbers beyond these mean nothing.
    sideways = image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    image.load()
    turned = ImageOps.exif_transpose(image)
    if sideways:
        notes.append("The picture was turned upright as its camera says.")
    if turned.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        return _to_8_bit(turned, notes).convert("RGB")
    if turned.mode == "CMYK":
        notes.append("The picture is CMYK; it was converted to RGB without its colour profile.")
    if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
        with_alpha = turned.convert("RGBA")
        flat = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
        flat.alpha_composite(with_alpha)
        if with_alpha.getchannel("A").histogram()[255] < with_alpha.width * with_alpha.height:
            notes.append("Transparent parts were laid on white.")
        return flat.convert("RGB")
    return turned.convert("RGB")


def _to_8_bit(image: Image.Image, notes: list[str]) -> Image.Image:
    """Whole numbers by the smallest range of 8, 10, 12, 14 or 16 bits that holds them; others by their own least and most."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I") and low >= 0 and high <= 65535:
        bits = next(bits for bits in _BITS if high < 2**bits)
        low, high = 0.0, 2.0**bits - 1
        notes.append(_SCALED.format(bits=bits))
    else:
        notes.append(f"The picture's values go from {low:g} to {high:g}; they were scaled to 8 bits.")
    scaled = (values - low) / (high - low or 1.0) * 255
    return Image.fromarray(np.round(scaled).astype(np.uint8))


def _guess(data: bytes) -> str:
    head = data[:512].lstrip().lower()
    if head.startswith(b"<svg") or (head.startswith(b"<?xml") and b"<svg" in data[:4096].lower()):
        return "an SVG drawing, which is code rather than pixels and is not run here"
    if head.startswith((b"<!doctype", b"<html")):
        return "a web page, not a picture"
    if brand(data) in HEIF:
        return "an HEIC photo, which is not supported"
    if brand(data) in AVIF:
        return "an AVIF picture that cannot be decoded here"
    if brand(data) or data.startswith(b"\x1a\x45\xdf\xa3"):
        return "a video, not a picture"
    if head.startswith(b"%pdf"):
        return "a PDF, not a picture"
    return "no picture of a known kind"


def _short(name: str) -> str:
    """A file name fit for a sentence: its last part, no control characters, at most 60 characters."""
    base = PurePath(name.replace("\\", "/")).name
    clean = "".join(c for c in base if c.isprintable())
    return clean if len(clean) <= 60 else f"{clean[:28]}...{clean[-28:]}"
