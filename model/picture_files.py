"""What stands in picture files beside their pixels, read from the bytes: what to leave out, and what the file is."""

from __future__ import annotations

import struct

PNG = b"\x89PNG\r\n\x1a\n"
MAX_XMP_BYTES = 1_000_000
_TEXTS = (b"tEXt", b"zTXt", b"iCCP")
_XMP = b"XML:com.adobe.xmp\0"
HEIF = ("heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1", "mif2")
AVIF = ("avif", "avis", "avio")
"""Brands of the two families of still pictures that look like films from outside. ISO/IEC 23008-12, AV1 Image File Format."""


def without_texts(data: bytes) -> bytes:
    """A PNG file less its texts and colour profile, which Pillow unpacks up to a limit and refuses the picture beyond it.

    Image generators write whole workflows there. What tells which side is up stays (eXIf, and XMP of a moderate size). Any
    other file, and one whose chunks do not add up, comes back as it is.
    """
    if not data.startswith(PNG):
        return data
    kept, at = [PNG], len(PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if end > len(data):
            return data
        xmp = kind == b"iTXt" and data.startswith(_XMP, at + 8) and length <= MAX_XMP_BYTES
        if kind not in _TEXTS and (kind != b"iTXt" or xmp):
            kept.append(data[at:end])
        at = end
        if kind == b"IEND":
            return b"".join(kept)
    return data


def bits_of_png(data: bytes) -> int:
    """Bits of one channel by a PNG's header; 0 for any other file."""
    return data[24] if data.startswith(PNG) and len(data) > 24 else 0


def brand(data: bytes) -> str:
    """The four letters that say what a file of the ISO family (films, HEIF, AVIF) is; empty for any other."""
    return data[8:12].decode("latin-1") if data[4:8] == b"ftyp" else ""
