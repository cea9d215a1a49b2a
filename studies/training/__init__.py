"""How the built-in checkpoints are made: tokenizer, recipes, packed batches, stages, export."""
