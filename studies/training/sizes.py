"""What a picture measures as its image processor hands it to the tower."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PictureSize:
    """A picture of `width_px` x `height_px`, cut into square patches of `patch_px`, `merge` x `merge` of them to a token.

    Pixel values are normalised with `mean` and `std`.
    """

    width_px: int
    height_px: int
    patch_px: int
    merge: int = 1
    mean: float = 0.5
    std: float = 0.25

    @property
    def rows(self) -> int:
        """Rows of image tokens."""
        return self.height_px // self.token_px

    @property
    def cols(self) -> int:
        """Image tokens in a row."""
        return self.width_px // self.token_px

    @property
    def tokens(self) -> int:
        return self.rows * self.cols

    @property
    def token_px(self) -> int:
        """The side of the square that one image token stands for."""
        return self.patch_px * self.merge
