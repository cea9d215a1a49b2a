"""What a person types that is not about the picture, and the one honest sentence a small model owes them.

Training and held-out texts are built from disjoint lists, so that "does it know what it does not
know" can be measured on subjects it never met.
"""

from __future__ import annotations

import random

from .asking import Question
from .wordings import as_typed

KNOWS = "shapes, colors, sizes, textures, counts, places and text"
HELLO = f"Hello. Ask me about a drawn scene: {KNOWS}."
OUTSIDE = f"I do not know. I only know drawn scenes: {KNOWS}."
WHO = f"I am a small vision-language model trained on drawn scenes: {KNOWS}."
WELCOME = "You are welcome."
NO_PICTURE = "There is no picture. Attach one first."

GREETINGS = {
    "trained": ("Hello", "Hi", "Hi there", "Hello there", "Hey", "Good morning", "Good evening", "Hello!", "Hi!", "Hey there!", "Greetings", "Good day", "yo"),
    "held_out": ("Hello model", "Hi friend", "Good afternoon", "hello hello"),
}  # fmt: skip
THANKS = {
    "trained": ("Thanks", "Thank you", "Thanks a lot", "Thank you very much", "Great, thanks", "Thanks!", "ok thanks", "Nice, thank you"),
    "held_out": ("Many thanks", "thank you so much"),
}  # fmt: skip
WHO_ASKS = {
    "trained": ("Who are you?", "What are you?", "What can you do?", "What model are you?", "How can you help me?", "What do you know?", "help", "Help me",
                "What can I ask you?", "Tell me about yourself.", "Are you a robot?", "What is your name?", "What do you do?", "What are you able to do?",
                "How do you work?", "Describe yourself.", "What kind of questions do you know?", "What is this tool?", "Which questions may I ask?",
                "Are you an AI?", "Can you help?", "What do you understand?", "Who is this?"),
    "held_out": ("Introduce yourself.", "What questions can you answer?", "Who made you?"),
}  # fmt: skip

SUBJECTS = {
    "trained": (
        "France", "Germany", "Japan", "Brazil", "Canada", "Egypt", "India", "Spain", "London", "Paris", "Rome", "New York", "the moon", "the sun", "Mars",
        "gravity", "music", "football", "chess", "history", "physics", "chemistry", "biology", "economics", "the weather", "love", "life", "time", "money",
        "a dog", "a cat", "a horse", "an elephant", "a car", "a train", "a house", "a tree", "a person", "a woman", "a man", "a child", "a table", "a chair",
        "bread", "coffee", "tea", "pizza", "Shakespeare", "Einstein", "Newton", "Mozart", "Python", "a computer", "the internet", "a phone", "a book",
        "the ocean", "a mountain", "a river", "a volcano", "democracy", "a war", "a recipe", "a poem", "a joke", "a story", "the president", "the king",
    ),
    "held_out": (
        "Italy", "Kenya", "Tokyo", "Jupiter", "tennis", "geology", "a bird", "a bicycle", "a bridge", "chocolate", "Darwin", "Beethoven", "Java", "a robot",
        "the desert", "an island", "a novel", "the queen", "happiness", "a giraffe",
    ),
}  # fmt: skip
OUTSIDE_ASKS = {
    "trained": (
        "What is the capital of {}?", "Tell me about {}.", "Who invented {}?", "Write a text about {}.", "What do you think of {}?", "Why is {} important?",
        "How old is {}?", "Explain {}.", "Where can I buy {}?", "What is the price of {}?", "Who was {}?", "Do you like {}?", "Is there {} in the image?",
        "How do I make {}?", "What is the history of {}?", "Translate {} to German.", "How far away is {}?", "Describe {}.", "What does {} mean?",
        "Can you sing about {}?", "Which is better, {} or {}?", "Compare {} and {}.", "What is the population of {}?", "When was {} discovered?",
        "Do you see {}?", "Find {}.", "What color is {}?", "How many legs has {}?", "Give me facts about {}.", "I want to learn about {}.", "What is {}?",
    ),
    "held_out": (
        "What is the largest city of {}?", "Who discovered {}?", "Write me an essay on {}.", "How does {} work?", "Is {} dangerous?", "What is {} made of?",
        "Recommend something about {}.",
    ),
}  # fmt: skip
ODD = {
    "trained": ("What is 2 plus 2?", "What time is it?", "What day is today?", "I am bored.", "Tell me a joke.", "Write a poem.", "Sing a song.", "asdf", "qwerty",
                "Is the person happy?", "What are they doing?", "What is the person wearing?", "Is it raining?", "What happens next?", "Who took this photo?",
                "What is 7 times 8?", "Solve x + 3 = 5.", "print('hello')", "lorem ipsum", "...", "?", "yes", "no", "maybe", "why?", "Really?", "Are you sure?"),
    "held_out": ("What is 3 minus 1?", "How is the weather?", "Who will win the election?", "zxcvb", "Is the animal asleep?", "What month is it?"),
}  # fmt: skip


def chat(rng: random.Random, *, held_out: bool = False, typed: bool = False) -> Question:
    """A greeting, a thank you, a question about the model or one outside its world, with the trained answer."""
    part = "held_out" if held_out else "trained"
    kind = rng.choices(("hello", "thanks", "who", "outside", "odd"), (2, 1, 2, 6, 2))[0]
    if kind == "hello":
        text, answer = rng.choice(GREETINGS[part]), HELLO
    elif kind == "thanks":
        text, answer = rng.choice(THANKS[part]), WELCOME
    elif kind == "who":
        text, answer = rng.choice(WHO_ASKS[part]), WHO
    elif kind == "odd":
        text, answer = rng.choice(ODD[part]), OUTSIDE
    else:
        text, answer = rng.choice(OUTSIDE_ASKS[part]), OUTSIDE
        text = text.format(*rng.sample(SUBJECTS[part], 2))
    return Question("chat", as_typed(rng, text) if typed else text, answer, (), kind, held_out)
