"""From a name to a model in memory: files found and checked, processors opened, weights placed."""
