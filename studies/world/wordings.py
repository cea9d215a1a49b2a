"""How questions are put: for each kind, wordings that are trained and wordings that never are.

Slots: {a} is "a red circle", {the} is "the red circle", {some} is "red circles". `as_typed` turns a
wording into what people type: lower case, no question mark, a polite opening, another spelling.
"""

from __future__ import annotations

import random
import re

TRAINED: dict[str, tuple[str, ...]] = {
    "describe": (
        "Describe the image.", "Describe the picture.", "What is in the picture?", "What do you see?", "What is in this image?",
        "Write a caption for this image.", "Describe what you see.", "What does the picture show?", "Caption this.",
        "What is shown here?", "Give a description of the scene.", "Tell me what is in the picture.", "Describe this scene.",
        "Describe everything in the image.", "What can you see here?", "What is this?",
    ),
    "exist": (
        "Is there {a} in the image?", "Do you see {a}?", "Is there {a}?", "Does the image contain {a}?", "Can you see {a} here?",
        "Is {a} in the picture?", "Does the picture show {a}?", "Is {a} present?", "Are there any {some}?", "Any {some} in the image?",
        "Are there {some} in the picture?", "Can you find {a} in the scene?", "Do you notice {a}?", "Is {a} visible?",
        "Does this scene have {a}?", "Is there {a} in here?",
    ),
    "colour": (
        "What color is {the}?", "What is the color of {the}?", "Which color does {the} have?", "Which color is {the}?",
        "Name the color of {the}.", "What color does {the} have?", "Give the color of {the}.", "{the} is what color?",
        "State the color of {the}.", "What is the color {the} has?", "Color of {the}?", "What color is used for {the}?",
    ),
    "shape": (
        "What shape is {the}?", "What is the shape of {the}?", "Which shape is {the}?", "What shape does {the} have?",
        "Name the shape of {the}.", "What kind of shape is {the}?", "Give the shape of {the}.", "{the} is what shape?",
        "{the} has which shape?", "State the shape of {the}.", "Shape of {the}?", "What is {the}?",
    ),
    "size": (
        "Is {the} small or large?", "How big is {the}?", "What size is {the}?", "What is the size of {the}?", "Is {the} large or small?",
        "How large is {the}?", "Name the size of {the}.", "Which size does {the} have?", "Size of {the}?", "{the} is what size?",
    ),
    "texture": (
        "What pattern does {the} have?", "Is {the} plain, striped or dotted?", "What texture does {the} have?", "What is the texture of {the}?",
        "What is the pattern of {the}?", "Which texture is on {the}?", "Name the texture of {the}.", "Which pattern does {the} show?",
        "Texture of {the}?", "{the} has which pattern?",
    ),
    "count": (
        "How many {some} are there?", "How many {some} do you see?", "Count the {some}.", "What is the number of {some}?",
        "How many {some} are in the image?", "How many {some} can you see?", "Number of {some}?", "How many {some} does the picture show?",
        "Tell me the number of {some}.", "Count all {some}.", "What is the count of {some}?", "How many {some}?", "Give the number of {some}.",
    ),
    "where": (
        "In which part of the image is {the}?", "Which region of the picture is {the} in?", "Where is {the}?", "Where in the image is {the}?",
        "Where can I see {the}?", "What part of the picture is {the} in?", "In what area is {the}?", "Where is {the} in the picture?",
        "Name the part of the image that has {the}.", "Where do you see {the}?",
    ),
    "relation": (
        "Is {the} {side} {other}?", "Is it true that {the} is {side} {other}?", "Does {the} lie {side} {other}?", "Would you say {the} is {side} {other}?",
        "Is {the} placed {side} {other}?", "{the} is {side} {other}, right?", "Do you see {the} {side} {other}?", "Is {the} located {side} {other}?",
    ),
    "beside": (
        "What is {side} {other}?", "Which object is {side} {other}?", "What do you see {side} {other}?", "What lies {side} {other}?",
        "Name the object {side} {other}.", "What can be seen {side} {other}?", "What is placed {side} {other}?", "Tell me what is {side} {other}.",
    ),
    "read": (
        "What does the text say?", "Read the text.", "What is written in the image?", "What word or number is shown?", "What does it say?",
        "Read what is written.", "What text is in the picture?", "What is the text?", "Which word is written?", "Read the word.",
        "What number is written?", "Is there any text?", "What is written here?", "Which text do you see?",
    ),
    "find": (
        "Locate {the}.", "Find {the}.", "Give the box of {the}.", "Point to {the}.", "Show me {the}.", "Detect {the}.", "Give the location of {the}.",
        "Find {the} in the image.", "Locate {the} in the picture.", "Where exactly is {the}? Give a box.", "Draw a box around {the}.", "Mark {the}.",
        "What is the bounding box of {the}?", "Give me the box for {the}.",
    ),
    "find_all": (
        "Detect all {some}.", "Find all {some}.", "Find every one of the {some}.", "Locate all {some}.", "Give the boxes of all {some}.",
        "Box all {some}.", "Mark all {some}.", "Show me all {some}.", "Point to all {some}.",
    ),
    "at_box": (
        "What is at {box}?", "What is in the box {box}?", "Describe the object at {box}.", "Which object is at {box}?", "Name the object in {box}.",
        "What do you see at {box}?", "What is inside {box}?", "What does {box} show?",
    ),
    "background": (
        "What color is the background?", "What is the background color?", "Which color is the background?", "What is the color of the background?",
        "Name the background color.", "What background does the picture have?", "Background color?", "What is the background?",
    ),
    "more": (
        "Are there more {some} than {others}?", "Are there more {some} than {others} in the image?", "Do you see more {some} than {others}?",
        "Is the number of {some} larger than the number of {others}?", "Does the picture show more {some} than {others}?",
        "Are the {some} more than the {others}?", "Can you see more {some} than {others}?", "More {some} than {others}?",
    ),
    "same": (
        "Are {the} and {other} the same {attribute}?", "Do {the} and {other} have the same {attribute}?", "Is the {attribute} of {the} the same as that of {other}?",
        "Does {the} have the same {attribute} as {other}?", "Is {the} the same {attribute} as {other}?", "{the} and {other}: same {attribute}?",
    ),
}  # fmt: skip
"""Wordings the built-in checkpoints are trained on."""

HELD_OUT: dict[str, tuple[str, ...]] = {
    "describe": ("Could you summarize the drawing?", "List what appears in this picture.", "What would you say this image shows?"),
    "exist": ("Would you say there is {a} in this drawing?", "I am looking for {a}, is it here?", "Does {a} appear anywhere?"),
    "colour": ("Could you say what color {the} is?", "I want to know the color of {the}.", "{the}: what color?"),
    "shape": ("Could you say what shape {the} is?", "I want to know the shape of {the}.", "{the}: what shape?"),
    "size": ("Could you say how big {the} is?", "Would you call {the} small or large?"),
    "texture": ("Could you say which pattern is on {the}?", "Would you call {the} plain, striped or dotted?"),
    "count": ("Could you count the {some} for me?", "I want to know how many {some} are here.", "What is the total number of {some}?"),
    "where": ("Could you say where {the} is?", "Which part of the drawing holds {the}?"),
    "relation": ("Could you say if {the} is {side} {other}?", "Am I right that {the} is {side} {other}?"),
    "beside": ("Could you say what is {side} {other}?", "Which thing sits {side} {other}?"),
    "read": ("Could you read the writing?", "What are the letters or digits in the picture?", "Tell me what the sign says."),
    "find": ("Could you box {the} for me?", "I need the coordinates of {the}.", "Where precisely is {the}? I need its box."),
    "find_all": ("Could you box each of the {some}?", "I need the boxes of all the {some}."),
    "at_box": ("Could you say what is at {box}?", "Which thing lies inside {box}?"),
    "background": ("Could you say what color the background has?", "What color is behind the objects?"),
    "more": ("Could you say if there are more {some} than {others}?", "Do the {some} outnumber the {others}?"),
    "same": ("Could you say if {the} and {other} share the same {attribute}?", "Are {the} and {other} alike in {attribute}?"),
}  # fmt: skip
"""Wordings that no training question uses. They measure whether a question is understood or recognised."""

SIDES = {
    "left": ("to the left of", "left of", "on the left side of"),
    "right": ("to the right of", "right of", "on the right side of"),
    "above": ("above", "over", "higher than"),
    "below": ("below", "under", "lower than"),
}

OPENINGS = (
    "please ", "hey, ", "can you tell me: ", "tell me, ", "ok, ", "now ", "so ", "could you tell me: ", "hi, ", "please tell me: ", "quick question: ",
)  # fmt: skip
SPELLINGS = (
    ("color", ("color", "colour")),
    ("image", ("image", "picture", "photo", "scene", "drawing")),
    ("picture", ("picture", "image", "photo", "drawing")),
    ("objects", ("objects", "things", "items", "shapes")),
    ("object", ("object", "thing", "item")),
    ("What is", ("What is", "What's")),
    ("Do you see", ("Do you see", "Can you see", "Do you spot")),
)


def as_typed(rng: random.Random, text: str) -> str:
    """`text` as somebody might type it. Location tokens are left as they are."""
    if rng.random() < 0.3:
        return text
    for word, others in SPELLINGS:
        if rng.random() < 0.5:
            text = re.sub(rf"\b{word}\b", rng.choice(others), text, count=1)
    if rng.random() < 0.2:
        text = rng.choice(OPENINGS) + text[0].lower() + text[1:]
    if rng.random() < 0.15:
        text = re.sub(r"\b(the|a|an) (?=[a-z])", "", text)
    if rng.random() < 0.4:
        text = text.lower()
    if rng.random() < 0.4:
        text = text.rstrip("?.!") or text
    return text
