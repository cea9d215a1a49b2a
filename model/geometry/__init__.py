"""Where things are in a picture: boxes, grids of visual tokens, and what an image processor shows."""
