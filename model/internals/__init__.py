"""Inside a forward pass: traces, features, lenses, and interventions on what a model computes."""
