"""Experiments on checkpoints: the drawn world, training, evaluation and measurements."""
