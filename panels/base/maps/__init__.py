"""What tabs that draw maps share: traces kept between clicks, overlays, saved maps."""
