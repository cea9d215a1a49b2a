"""Answers from one loaded checkpoint: prompts read, tokens written and scored, short cuts tested."""
