"""Token sequences that begin alike, as one tree in which each beginning stands once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Sequences = Sequence[tuple[Sequence[int], Sequence[int]]]
"""What of a prompt follows the shared prefix, and an answer to it."""


@dataclass
class Node:
    """A token of the tree. `parent` -1 is the end of the shared prefix; `depth` counts from it."""

    token: int
    parent: int
    depth: int
    children: dict[int, int] = field(default_factory=dict)


def build_tree(sequences: Sequences) -> tuple[list[Node], list[list[int]]]:
    """One tree of all (prompt rest, answer) sequences, and for each the nodes that predict its answer's tokens.

    Parents stand before their children.
    """
    nodes: list[Node] = []
    roots: dict[int, int] = {}
    predictors = []
    for rest, answer in sequences:
        at, places = -1, []
        for token in [*rest, *answer]:
            places.append(at)
            branch = roots if at < 0 else nodes[at].children
            if token not in branch:
                branch[token] = len(nodes)
                nodes.append(Node(token, at, 0 if at < 0 else nodes[at].depth + 1))
            at = branch[token]
        predictors.append(places[len(rest) :])
    return nodes, predictors
