"""The only box arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, (x0, y0) top left, (x1, y1) bottom right, y down."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def area(self) -> float:
        """Pixels covered, 0 for an empty box."""
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    def clip(self, width: float, height: float) -> Box:
        """The part inside a width x height image."""
        return Box(
            min(max(self.x0, 0.0), width), min(max(self.y0, 0.0), height),
            min(max(self.x1, 0.0), width), min(max(self.y1, 0.0), height),
        )  # fmt: skip

    def scale(self, x: float, y: float) -> Box:
        """Coordinates multiplied by x and y."""
        return Box(self.x0 * x, self.y0 * y, self.x1 * x, self.y1 * y)

    def overlap(self, other: Box) -> float:
        """Pixels covered by both."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return max(0.0, width) * max(0.0, height)

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 to 1; 0 where both are empty."""
        both = self.overlap(other)
        union = self.area + other.area - both
        return both / union if union > 0 else 0.0
