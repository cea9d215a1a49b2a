"""Where model work runs: the model thread, the pool of checkpoints, calls and comparisons."""
