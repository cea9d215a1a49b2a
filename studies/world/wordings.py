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
        "Tell me about the picture.", "Tell me what you see.", "Explain what is in the image.", "Give a summary of the image.",
        "What does it show?", "What is there in the picture?", "Describe it.", "Describe all you see.",
        "Which objects are in the image?", "Name everything in the picture.", "What objects do you see?", "Describe the whole scene.",
        "Caption the image.", "What is drawn here?", "Describe the scene in one sentence.", "Say what is in the image.",
    ),
    "exist": (
        "Is there {a} in the image?", "Do you see {a}?", "Is there {a}?", "Does the image contain {a}?", "Can you see {a} here?",
        "Is {a} in the picture?", "Does the picture show {a}?", "Is {a} present?", "Are there any {some}?", "Any {some} in the image?",
        "Are there {some} in the picture?", "Can you find {a} in the scene?", "Do you notice {a}?", "Is {a} visible?",
        "Does this scene have {a}?", "Is there {a} in here?",
        "Is there {a} anywhere?", "Does it contain {a}?", "Does {a} exist in the image?", "Is {a} there?",
        "Are {some} visible?", "Are there {some}?", "Do you see any {some}?", "Look for {a}. Is it there?",
        "Tell me if there is {a}.", "{a}, is it in the picture?", "Does this contain {some}?", "Have you seen {a}?",
        "Would you find {a} here?", "Could there be {a}?", "Check if there is {a}.", "Say if you see {a}.",
    ),
    "colour": (
        "What color is {the}?", "What is the color of {the}?", "Which color does {the} have?", "Which color is {the}?",
        "Name the color of {the}.", "What color does {the} have?", "Give the color of {the}.", "{the} is what color?",
        "State the color of {the}.", "What is the color {the} has?", "Color of {the}?", "What color is used for {the}?",
        "Tell me the color of {the}.", "What color would you call {the}?", "I would like to know the color of {the}.", "Which color do you see on {the}?",
        "How is {the} colored?", "Can you name the color of {the}?", "{the}, which color is it?", "In what color is {the} drawn?",
        "Say the color of {the}.", "Find out the color of {the}.", "Do you know the color of {the}?", "Say what color {the} has.",
    ),
    "shape": (
        "What shape is {the}?", "What is the shape of {the}?", "Which shape is {the}?", "What shape does {the} have?",
        "Name the shape of {the}.", "What kind of shape is {the}?", "Give the shape of {the}.", "{the} is what shape?",
        "{the} has which shape?", "State the shape of {the}.", "Shape of {the}?", "What is {the}?",
        "Tell me the shape of {the}.", "What shape would you call {the}?", "I would like to know the shape of {the}.", "Which shape do you see on {the}?",
        "How is {the} shaped?", "Can you name the shape of {the}?", "{the}, which shape is it?", "In what shape is {the} drawn?",
        "Say the shape of {the}.", "Find out the shape of {the}.", "Do you know the shape of {the}?", "Say what shape {the} has.",
    ),
    "size": (
        "Is {the} small or large?", "How big is {the}?", "What size is {the}?", "What is the size of {the}?", "Is {the} large or small?",
        "How large is {the}?", "Name the size of {the}.", "Which size does {the} have?", "Size of {the}?", "{the} is what size?",
        "Tell me the size of {the}.", "Is {the} big or small?", "Would you say {the} is small or large?", "{the}, what size is it?",
        "Give the size of {the}.", "Say if {the} is small or large.", "How large would you call {the}?", "Do you know the size of {the}?",
        "Can you tell if {the} is small or large?", "Say what size {the} has.",
    ),
    "texture": (
        "What pattern does {the} have?", "Is {the} plain, striped or dotted?", "What texture does {the} have?", "What is the texture of {the}?",
        "What is the pattern of {the}?", "Which texture is on {the}?", "Name the texture of {the}.", "Which pattern does {the} show?",
        "Texture of {the}?", "{the} has which pattern?",
        "Tell me the texture of {the}.", "How is {the} filled?", "Is {the} striped, dotted or plain?", "What kind of pattern does {the} have?",
        "{the}, which texture is it?", "Say the pattern of {the}.", "Which of plain, striped or dotted is {the}?", "Do you know the texture of {the}?",
        "What pattern is on {the}?", "Say what texture {the} has.",
    ),
    "count": (
        "How many {some} are there?", "How many {some} do you see?", "Count the {some}.", "What is the number of {some}?",
        "How many {some} are in the image?", "How many {some} can you see?", "Number of {some}?", "How many {some} does the picture show?",
        "Tell me the number of {some}.", "Count all {some}.", "What is the count of {some}?", "How many {some}?", "Give the number of {some}.",
        "How many {some} does it have?", "Can you tell how many {some} there are?", "How many {some} exist?", "What number of {some} is there?",
        "Say how many {some} you see.", "How many {some} in total?", "The number of {some} is what?", "How often do {some} appear?",
        "I see some {some}. How many?", "Do you know how many {some} there are?", "Find out how many {some} there are.", "Count how many {some} are shown.",
    ),
    "where": (
        "In which part of the image is {the}?", "Which region of the picture is {the} in?", "Where is {the}?", "Where in the image is {the}?",
        "Where can I see {the}?", "What part of the picture is {the} in?", "In what area is {the}?", "Where is {the} in the picture?",
        "Name the part of the image that has {the}.", "Where do you see {the}?",
        "Where does {the} stand?", "Tell me where {the} is.", "Where is {the} placed?", "Say where {the} is.",
        "In which region is {the}?", "Which area of the image has {the}?", "What is the place of {the}?", "{the}, where is it?",
        "Where can {the} be found?", "Do you know where {the} is?", "Whereabouts is {the}?",
    ),
    "relation": (
        "Is {the} {side} {other}?", "Is it true that {the} is {side} {other}?", "Does {the} lie {side} {other}?", "Would you say {the} is {side} {other}?",
        "Is {the} placed {side} {other}?", "{the} is {side} {other}, right?", "Do you see {the} {side} {other}?", "Is {the} located {side} {other}?",
        "Is {the} {side} {other} or not?", "Tell me if {the} is {side} {other}.", "{the} {side} {other}?", "Can you say whether {the} is {side} {other}?",
        "Check if {the} is {side} {other}.", "Is it correct that {the} is {side} {other}?", "In the image, is {the} {side} {other}?", "Can one say that {the} is {side} {other}?",
        "Does {the} stand {side} {other}?", "Say if {the} is {side} {other}.",
    ),
    "beside": (
        "What is {side} {other}?", "Which object is {side} {other}?", "What do you see {side} {other}?", "What lies {side} {other}?",
        "Name the object {side} {other}.", "What can be seen {side} {other}?", "What is placed {side} {other}?", "Tell me what is {side} {other}.",
        "What stands {side} {other}?", "What do I find {side} {other}?", "Which thing is {side} {other}?", "{side} {other}, what is there?",
        "What object can be found {side} {other}?", "Say what is {side} {other}.", "What is there {side} {other}?", "Do you know what is {side} {other}?",
    ),
    "read": (
        "What does the text say?", "Read the text.", "What is written in the image?", "What word or number is shown?", "What does it say?",
        "Read what is written.", "What text is in the picture?", "What is the text?", "Which word is written?", "Read the word.",
        "What number is written?", "What is written here?", "Which text do you see?",
        "What does the sign say?", "What letters are there?", "Which digits do you see?", "Tell me the text.",
        "What word is it?", "Tell me what is written.", "Say what is written.", "What are the letters?",
        "What can you read?", "Which number is shown?", "Read it.", "Read it to me.",
        "What is the word in the image?", "What does the label say?", "What text do you see?",
        "Spell the text.", "Read out the text.",
    ),
    "find": (
        "Locate {the}.", "Find {the}.", "Give the box of {the}.", "Point to {the}.", "Show me {the}.", "Detect {the}.", "Give the location of {the}.",
        "Find {the} in the image.", "Locate {the} in the picture.", "Where exactly is {the}? Give a box.", "Draw a box around {the}.", "Mark {the}.",
        "What is the bounding box of {the}?", "Give me the box for {the}.",
        "Get the box of {the}.", "Return the bounding box of {the}.", "What are the coordinates of {the}?", "Output the location of {the}.",
        "Tell me the box of {the}.", "Highlight {the}.", "Put a box on {the}.", "I want the box of {the}.",
        "Which box holds {the}?", "Where in the picture is {the}? Answer with a box.", "Ground {the}.", "Search for {the} and give its box.",
        "Say the box of {the}.", "Box {the}.",
    ),
    "find_all": (
        "Detect all {some}.", "Find all {some}.", "Find every one of the {some}.", "Locate all {some}.", "Give the boxes of all {some}.",
        "Box all {some}.", "Mark all {some}.", "Show me all {some}.", "Point to all {some}.",
        "Give all boxes of {some}.", "Return the boxes of all {some}.", "Get the boxes of the {some}.", "Highlight all {some}.",
        "Draw boxes around all {some}.", "Put a box on each of the {some}.", "Output the locations of all {some}.", "Search for all {some} and give their boxes.",
    ),
    "at_box": (
        "What is at {box}?", "What is in the box {box}?", "Describe the object at {box}.", "Which object is at {box}?", "Name the object in {box}.",
        "What do you see at {box}?", "What is inside {box}?", "What does {box} show?",
        "Tell me what is at {box}.", "What object is in {box}?", "Describe what is in {box}.", "What can be seen in {box}?",
        "Say what is inside {box}.", "{box}: what is it?", "Look at {box}. What is there?", "Name what you see in {box}.",
        "Which object does {box} hold?",
    ),
    "background": (
        "What color is the background?", "What is the background color?", "Which color is the background?", "What is the color of the background?",
        "Name the background color.", "What background does the picture have?", "Background color?", "What is the background?",
        "Tell me the background color.", "On what background are the objects?", "Which background is it?", "What color does the background have?",
        "How is the background colored?", "Say the color of the background.", "On which color do the objects lie?", "Do you know the background color?",
        "What is behind everything?",
    ),
    "more": (
        "Are there more {some} than {others}?", "Are there more {some} than {others} in the image?", "Do you see more {some} than {others}?",
        "Is the number of {some} larger than the number of {others}?", "Does the picture show more {some} than {others}?",
        "Are the {some} more than the {others}?", "Can you see more {some} than {others}?", "More {some} than {others}?",
        "Is it true that there are more {some} than {others}?", "Tell me if there are more {some} than {others}.", "Would you count more {some} than {others}?", "Do {some} appear more often than {others}?",
        "Do we have more {some} than {others}?", "Check if there are more {some} than {others}.", "Compare: more {some} than {others}?", "Say if there are more {some} than {others}.",
        "Are {some} more numerous than {others}?",
    ),
    "same": (
        "Are {the} and {other} the same {attribute}?", "Do {the} and {other} have the same {attribute}?", "Is the {attribute} of {the} the same as that of {other}?",
        "Does {the} have the same {attribute} as {other}?", "Is {the} the same {attribute} as {other}?", "{the} and {other}: same {attribute}?",
        "Tell me if {the} and {other} have the same {attribute}.", "Do {the} and {other} match in {attribute}?", "Is the {attribute} of {the} and {other} equal?", "Have {the} and {other} the same {attribute}?",
        "Check if {the} and {other} have the same {attribute}.", "Compare {the} and {other}: same {attribute}?", "Say if {the} and {other} have the same {attribute}.", "Is it true that {the} and {other} have the same {attribute}?",
    ),
}  # fmt: skip
"""Wordings the built-in checkpoints are trained on."""

READS = {
    "Which word is written?": "word",
    "Read the word.": "word",
    "What word is it?": "word",
    "What letters are there?": "word",
    "What are the letters?": "word",
    "What is the word in the image?": "word",
    "What number is written?": "number",
    "Which digits do you see?": "number",
    "Which number is shown?": "number",
}
"""Wordings for reading that name what is written, and which of the two it is."""

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
    "please ",
    "hey, ",
    "can you tell me: ",
    "tell me, ",
    "ok, ",
    "now ",
    "so ",
    "could you tell me: ",
    "hi, ",
    "please tell me: ",
    "quick question: ",
    "i want to know: ",
    "i would like to know: ",
    "let me know: ",
    "just tell me: ",
    "question: ",
    "do you know: ",
    "one more: ",
    "next: ",
    "and ",
    "then ",
    "well, ",
    "could you please tell me: ",
    "would you please tell me: ",
    "could you say: ",
    "i wonder: ",
)
CLOSINGS = (" please", ", please?", " thanks", ", thank you")
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
    if rng.random() < 0.07:
        text = text.rstrip("?.!") + rng.choice(CLOSINGS)
    if rng.random() < 0.15:
        text = re.sub(r"\b(the|a|an) (?=[a-z])", "", text)
    if rng.random() < 0.4:
        text = text.lower()
    if rng.random() < 0.4:
        text = text.rstrip("?.!") or text
    return text


KEPT = re.compile(r"<loc|^.{0,3}$|\d|[?.!,:]")


def mistyped(rng: random.Random, text: str, known: frozenset[str]) -> str:
    """`text` with one slip of the finger, in a word that is not in `known` and has no box in it. Training only."""
    words = text.split(" ")
    free = [i for i, word in enumerate(words) if not KEPT.search(word) and word.lower() not in known]
    if not free:
        return text
    i = rng.choice(free)
    word, at = words[i], rng.randrange(len(words[i]) - 1)
    slips = (word[:at] + word[at + 1 :], word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[: at + 1] + word[at:])
    words[i] = rng.choice(slips)
    return " ".join(words)
