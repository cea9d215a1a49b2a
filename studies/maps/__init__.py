"""How maps are scored: cases with known places, curves, baselines, randomised decoders."""
