"""Files to pictures: right, or refused in a sentence, for everything people and fuzzers hand in."""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin, features

from model.errors import PictureError
from model.picture_files import without_texts
from model.pictures import FORMATS, MAX_ASPECT, MAX_BYTES, MAX_PIXELS, from_image, open_picture

# Pillow warns of large pictures and of damaged metadata; on a server that is one line in the log.
pytestmark = [
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
    pytest.mark.filterwarnings("ignore:.*EXIF.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Metadata.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*[Tt]runcated.*:UserWarning"),
]


def scene(size: tuple[int, int] = (40, 30), seed: int = 0) -> Image.Image:
    """Smooth, so that JPEG keeps it, and with every corner another colour."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return Image.fromarray(np.stack([x * 255, y * 255, (1 - x) * 255], -1).round().astype(np.uint8))


def saved(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def array(part: Any) -> np.ndarray:
    return np.asarray(part.image).astype(int)


@pytest.mark.parametrize(("kind", "tolerance"), [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("WEBP", 20), ("JPEG", 12), ("GIF", 40)])
def test_each_format_is_read_as_what_it_shows(kind: str, tolerance: int) -> None:
    data = saved(scene(), kind)
    opened = open_picture(data, f"holiday.{kind.lower()}")
    assert opened.notes == ()
    assert opened.part.image.mode == "RGB"
    assert opened.part.image.size == (40, 30)
    assert np.abs(array(opened.part) - np.asarray(scene()).astype(int)).max() <= tolerance
    assert opened.part.data == data
    assert opened.part.id == hashlib.sha256(data).hexdigest()
    assert (opened.part.media_type, opened.part.name) == (FORMATS[kind], f"holiday.{kind.lower()}")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_file_cut_off_anywhere_is_refused_or_whole(kind: str) -> None:
    data = saved(scene((64, 64)), kind)
    for length in sorted({1, 5, 20, *range(0, len(data), max(1, len(data) // 25))}):
        try:
            opened = open_picture(data[:length], "cut.png")
        except PictureError as error:
            refused = str(error)
        else:
            assert opened.part.image.size == (64, 64)
            continue
        assert refused.startswith("cut.png is ")
        assert refused.endswith(".")


def test_mutated_files_never_do_anything_but_open_or_be_refused() -> None:
    random = np.random.default_rng(0)
    opened = refused = 0
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"):
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "camera"
        more = {"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}
        data = saved(scene((48, 32)), kind, **more)
        for _ in range(60):
            bad = bytearray(data)
            for _ in range(int(random.integers(1, 12))):
                bad[int(random.integers(0, len(bad)))] = int(random.integers(0, 256))
            try:
                part = open_picture(bytes(bad), f"x.{kind}").part
            except PictureError as error:
                refused += 1
                sentence = str(error)
            else:
                opened += 1
                assert part.image.mode == "RGB"
                continue
            assert sentence.endswith(".")
            assert "Traceback" not in sentence
    assert opened > 50
    assert refused > 50


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", r"odd\.png is empty \(0 bytes\)\. Choose"),
        (b"\x00" * 100, "no picture of a known kind"),
        (b"hello", "no picture of a known kind"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "SVG drawing, which is code"),
        (b"<?xml version='1.0'?>\n<!-- " + b"x" * 600 + b" --><svg></svg>", "SVG drawing, which is code"),
        (b"\n <!DOCTYPE html><html></html>", "a web page"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 50, "an HEIC photo, which is not supported"),
        (b"\x00\x00\x00\x1cftyphevc" + b"\x00" * 50, "an HEIC photo, which is not supported"),
        (b"\x00\x00\x00\x1cftypmsf1" + b"\x00" * 50, "an HEIC photo, which is not supported"),
        (b"\x00\x00\x00\x1cftypisom" + b"\x00" * 50, "a video, not a picture"),
        (b"\x00\x00\x00\x20ftypisom" + b"\x00" * 50, "a video"),
        (b"\x1a\x45\xdf\xa3" + b"\x00" * 50, "a video"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\x89PNG\r\n\x1a\n", "damaged or cut off|no picture"),
        (b"GIF89a", "damaged or cut off|no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "no picture of a known kind"),
        (b"P6 2 2 255\n" + b"\x00" * 12, "no picture of a known kind"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(data: bytes, said: str) -> None:
    with pytest.raises(PictureError, match=said) as told:
        open_picture(data, "odd.png")
    assert str(told.value).endswith(".")


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims a size, with hardly any data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_000, 10_000), (30_000, 30_000), (100_000, 100_000), (6400, 6400), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_a_pixel_is_decoded(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*args: Any) -> None:
        raise AssertionError("a pixel was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    with pytest.raises(PictureError, match=r"pixels.* 40 megapixels|40 megapixels"):
        open_picture(bomb(*size), "bomb.png")


def test_limits_are_where_they_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PictureError, match=r"big\.jpg has 25 MB; at most 25 MB are read"):
        open_picture(b"\xff" * (MAX_BYTES + 1), "big.jpg")
    assert MAX_PIXELS == 40_000_000
    monkeypatch.setattr("model.pictures.MAX_PIXELS", 1200)
    assert open_picture(saved(scene((40, 30)))).part.image.size == (40, 30)
    with pytest.raises(PictureError, match="has 41 x 30 pixels"):
        open_picture(saved(scene((41, 30))))
    assert open_picture(saved(scene((MAX_ASPECT, 1)))).part.image.size == (200, 1)
    for size in ((MAX_ASPECT + 1, 1), (2, 2 * MAX_ASPECT + 1)):
        with pytest.raises(PictureError, match="too long and thin"):
            open_picture(saved(scene(size)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_turned_picture_is_set_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_picture(saved(scene(), kind, exif=exif))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(opened.part.data))).convert("RGB")
    assert opened.part.image.size == ((40, 30) if orientation < 5 else (30, 40))
    assert np.array_equal(np.asarray(opened.part.image), np.asarray(upright))
    assert bool(opened.notes) == (orientation != 1)
    assert opened.part.image.getexif().get(0x0112, 1) == 1
    back = {1: lambda a: a, 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a), 8: lambda a: np.rot90(a, -1)}.get(orientation)
    if back and kind in ("PNG", "TIFF"):
        assert np.array_equal(back(np.asarray(opened.part.image)), np.asarray(scene()))


def test_cmyk_is_converted_and_said() -> None:
    opened = open_picture(saved(scene().convert("CMYK"), "JPEG", quality=95))
    assert "CMYK" in opened.notes[0]
    assert np.abs(array(opened.part) - np.asarray(scene()).astype(int)).mean() < 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(kind: str) -> None:
    values = np.linspace(0, 65535, 1200).round().astype(np.uint16).reshape(30, 40)
    opened = open_picture(saved(Image.fromarray(values), kind))
    assert "more than 8 bits" in opened.notes[0]
    assert np.abs(array(opened.part)[..., 0] - values / 257).max() <= 0.51
    dark = (values // 257).astype(np.uint16)
    assert np.array_equal(array(open_picture(saved(Image.fromarray(dark), kind)).part)[..., 0], dark), "8 bits in a box of 16"


def test_fractions_are_scaled_by_their_own_range() -> None:
    values = np.linspace(-2.0, 3.0, 1200).astype(np.float32).reshape(30, 40)
    found = array(open_picture(saved(Image.fromarray(values), "TIFF")).part)[..., 0]
    assert np.abs(found - (values + 2) / 5 * 255).max() <= 0.51
    values[0, 0], values[1, 1] = np.nan, np.inf
    assert array(open_picture(saved(Image.fromarray(values), "TIFF")).part).max() == 255
    assert array(open_picture(saved(Image.fromarray(np.full((3, 3), 7.0, np.float32)), "TIFF")).part).max() == 0


def test_large_whole_numbers_are_scaled_by_their_own_range() -> None:
    values = np.linspace(-5, 200_000, 1200).round().astype(np.int32).reshape(30, 40)
    found = array(open_picture(saved(Image.fromarray(values), "TIFF")).part)[..., 0]
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(mode: str) -> None:
    image = Image.new("RGBA", (20, 10), (200, 30, 30, 255))
    image.paste((0, 0, 0, 0), (0, 0, 10, 10))
    opened = open_picture(saved(image.convert(mode)))
    assert "Transparent parts were laid on white." in opened.notes
    assert opened.part.image.getpixel((2, 5)) == (255, 255, 255)
    assert opened.part.image.getpixel((15, 5)) != (255, 255, 255)
    solid = open_picture(saved(Image.new("RGBA", (4, 4), (1, 2, 3, 255))))
    assert solid.notes == ()
    assert solid.part.image.getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_other_modes_become_rgb(mode: str) -> None:
    part = open_picture(saved(Image.new("L", (8, 8), 255).convert(mode))).part
    assert part.image.mode == "RGB"
    assert part.image.getpixel((3, 3)) == (255, 255, 255)


def test_a_tiff_of_lab_colours_becomes_rgb() -> None:
    part = open_picture(saved(Image.new("LAB", (8, 8), (255, 128, 128)), "TIFF")).part
    assert part.image.mode == "RGB"
    assert min(part.image.getpixel((3, 3))) > 240


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    opened = open_picture(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert "the first is used" in opened.notes[0]
    assert np.abs(array(opened.part) - np.array([255, 0, 0])).max() < 10


def test_a_photo_of_a_phone_that_holds_a_preview_is_a_jpeg() -> None:
    data = saved(scene(), "MPO", save_all=True, append_images=[scene((20, 15))])
    opened = open_picture(data, "IMG_0001.JPG")
    assert (opened.part.media_type, opened.notes, opened.part.image.size) == ("image/jpeg", (), (40, 30))


def test_a_mislabelled_file_is_read_as_what_it_is_and_said() -> None:
    opened = open_picture(saved(scene(), "JPEG"), "drawing.png")
    assert opened.notes == ("drawing.png is a JPEG file despite its name.",)
    assert opened.part.media_type == "image/jpeg"
    assert open_picture(saved(scene(), "JPEG"), "drawing.jpeg").notes == ()
    assert open_picture(saved(scene(), "JPEG"), "drawing.txt").notes == ()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", ""),
        ("../../etc/passwd.png", "passwd.png"),
        ("C:\\Users\\me\\a.png", "a.png"),
        ("a\x00b\x1b[31m\n.png", "ab[31m.png"),
        ("\ud800x.png", "x.png"),
        ("<script>alert(1).png", "<script>alert(1).png"),
        ("{{7*7}}${7*7}.png", "{{7*7}}${7*7}.png"),
        ("x" * 100 + ".png", "x" * 28 + "..." + "x" * 24 + ".png"),
        ("caf\u00e9 \u65e5\u672c.png", "caf\u00e9 \u65e5\u672c.png"),
    ],
)
def test_a_name_is_kept_as_text_without_folders_or_control_characters(name: str, shown: str) -> None:
    assert open_picture(saved(scene()), name).part.name == shown
    with pytest.raises(PictureError) as told:
        open_picture(b"nothing", name)
    assert str(told.value).startswith(f"{shown or 'The file'} is no picture")


def test_the_same_picture_has_the_same_id_and_another_has_not() -> None:
    one, other = from_image(scene()), from_image(scene((41, 30)))
    assert one == from_image(scene())
    assert one.id != other.id
    assert np.array_equal(array(one), np.asarray(scene()))
    assert open_picture(one.data).part.id == one.id


def test_opening_changes_nothing_for_other_threads() -> None:
    """`warnings.catch_warnings` is not for threads; what is hidden in one could stay hidden in all."""
    import warnings

    before, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    data = saved(scene((200, 200)), "JPEG")
    threads = [threading.Thread(target=lambda: [open_picture(data) for _ in range(10)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert warnings.filters == before
    assert limit == Image.MAX_IMAGE_PIXELS


# --- what people have -------------------------------------------------------------------------


def png_with(*texts: tuple[str, str], image: Image.Image | None = None) -> bytes:
    about = PngImagePlugin.PngInfo()
    for key, value in texts:
        about.add_text(key, value, zip=True)
    out = io.BytesIO()
    (image or scene()).save(out, "PNG", pnginfo=about, icc_profile=b"\0" * 3_000_000)
    return out.getvalue()


def test_a_picture_with_a_whole_workflow_in_it_opens() -> None:
    """As image generators write it: Pillow alone refuses a text that unpacks to more than a megabyte."""
    data = png_with(("workflow", "x" * 2_000_000), ("prompt", "y" * 70_000_000))
    opened = open_picture(data)
    assert np.array_equal(array(opened.part), np.asarray(scene()))
    assert opened.notes == ()
    assert opened.part.data == data, "the file is kept as it is"


def test_what_turns_a_png_stays_with_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    scene().save(out, "PNG", exif=exif)
    assert b"eXIf" in without_texts(out.getvalue())
    assert open_picture(out.getvalue()).part.image.size == scene().size[::-1]
    xmp = PngImagePlugin.PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    out = io.BytesIO()
    scene().save(out, "PNG", pnginfo=xmp)
    assert open_picture(out.getvalue()).part.image.size == scene().size[::-1]


@pytest.mark.parametrize("cut", [9, 30, 60])
def test_a_png_that_does_not_add_up_is_left_as_it_is(cut: int) -> None:
    data = png_with(("a", "b"))[:cut]
    assert without_texts(data) == data


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_twelve_bits_in_sixteen_are_not_shown_black(kind: str, bits: int) -> None:
    most, used = 2**bits - 1, max(bits, 10)
    values = np.linspace(0, most, 1200).round().astype(np.uint16).reshape(30, 40)
    opened = open_picture(saved(Image.fromarray(values), kind))
    assert np.abs(array(opened.part)[..., 0] - values / (2**used - 1) * 255).max() <= 0.51
    assert opened.notes == (f"The picture has more than 8 bits a channel, of which it uses {used}; they were scaled to 8.",)


def test_sixteen_bits_of_colour_are_said() -> None:
    rows = b"".join(b"\0" + struct.pack(">12H", *range(0, 60_000, 5_000)) for _ in range(4))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    opened = open_picture(data)
    assert "of which it uses 16" in opened.notes[0]
    assert np.abs(array(opened.part)[0, 1] - np.array([15_000, 20_000, 25_000]) / 257).max() <= 1


@pytest.mark.parametrize("orientation", [0, 1, 9, 65535])
def test_an_orientation_that_means_nothing_is_not_called_a_turn(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    scene().save(out, "JPEG", exif=exif)
    opened = open_picture(out.getvalue())
    assert opened.notes == ()
    assert opened.part.image.size == scene().size


@pytest.mark.skipif(not features.check("avif"), reason="Pillow is built without AVIF")
def test_avif_is_read() -> None:
    opened = open_picture(saved(scene(), "AVIF", quality=100), "scene.avif")
    assert np.abs(array(opened.part) - np.asarray(scene()).astype(int)).mean() < 6
    assert (opened.part.media_type, opened.notes) == ("image/avif", ())


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_photograph_of_48_megapixels_is_read_at_half_its_size(mode: str) -> None:
    whole = Image.new(mode, (8064, 6048))
    opened = open_picture(saved(whole, "JPEG"))
    assert opened.part.image.size == (4032, 3024)
    assert opened.notes[0] == "The picture has 8,064 x 6,048 pixels; it was read at 4,032 x 3,024."


def test_half_the_size_is_the_mean_of_four_pixels() -> None:
    """The reduced decoding against the whole one, averaged."""
    small = scene().resize((800, 600))
    tiled = Image.new("RGB", (8000, 6000))
    for x in range(10):
        for y in range(10):
            tiled.paste(small, (800 * x, 600 * y))
    data = saved(tiled, "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as opened:
        whole = np.asarray(opened.convert("RGB").crop((0, 0, 800, 600))).reshape(300, 2, 400, 2, 3).mean((1, 3))
    found = array(open_picture(data).part)[:300, :400]
    assert np.abs(found - whole).mean() < 1


def test_a_larger_one_is_refused_and_so_is_a_large_png() -> None:
    with pytest.raises(PictureError, match=r"has 9500 x 9500 pixels; at most 40 megapixels"):
        open_picture(saved(Image.new("L", (9500, 9500)), "JPEG"))
    with pytest.raises(PictureError, match=r"has 8064 x 6048 pixels; at most 40 megapixels"):
        open_picture(saved(Image.new("1", (8064, 6048)), "PNG"))
