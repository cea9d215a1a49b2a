"""A log filled with a year of turns, and what a page asks of it, for `studies.log_growth`."""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from model.checkpoint import Checkpoint
from model.options import Options
from model.prompt import Message, Prompt
from model.recorder import CallEnd, CallStart, new_id
from studies.world.questions import MAKERS, ask
from studies.world.scene import make_scene

from .history import History
from .store import Store

SEED_TURNS, TURNS_OF_A_SESSION = 1000, 10
CHECKPOINTS = (Checkpoint("tiny-llava", "tiny-llava"), Checkpoint("tiny-qwen2-vl", "tiny-qwen2-vl"))
RARE = "quagga"
"""Asked once, in the first session."""


class MeasuredLog:
    """`studies.log_growth.GrowingLog` in SQLite: turns are written by the recorder, and copies of them by SQL.

    Every copy is a set of sessions, messages and runs of its own with words of its own. All triggers run on them.
    """

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="fovea-log-"))
        self.store = Store(self.root)
        self.history = History(self.store)
        self.turns = 0
        self._copies = 0
        self._longest = ""
        self.actions: Mapping[str, Callable[[], int]] = {
            "listing 100 sessions": lambda: len(self.history.sessions(100)),
            "searching a word of every third turn": lambda: len(self.history.search("what")),
            "searching a word of one turn": lambda: len(self.history.search(RARE)),
            "searching two words of one checkpoint": lambda: len(self.history.search("what color", checkpoint="tiny-llava")),
            "reopening a session": self._reopened,
            "counting what is there": lambda: self.history.usage().runs,
            "opening the log": self._opened,
            "writing a turn": self._written,
        }

    def grow(self, turns: int) -> None:
        """Fill it up to that many turns, in whole sessions: by the recorder up to a thousand, then by copying those."""
        asked = _asked()
        while self.turns < min(turns, SEED_TURNS):
            self._session(asked, TURNS_OF_A_SESSION)
        while (missing := turns - self.turns) > 0:
            self._copies += 1
            self._copy(self._copies, min(SEED_TURNS, missing + TURNS_OF_A_SESSION - 1) // TURNS_OF_A_SESSION)

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())

    def close(self) -> None:
        self.store.close()
        shutil.rmtree(self.root)

    def _session(self, asked: Iterator[tuple[str, str]], turns: int) -> None:
        session = self.history.new_session()
        self._longest = session if turns == TURNS_OF_A_SESSION else self._longest
        said: tuple[Message, ...] = ()
        for number in range(turns):
            question, answer = next(asked)
            question += "" if self.turns else f" {RARE}"
            said = (*said, Message("user", (question,)))
            run = new_id()
            checkpoint = CHECKPOINTS[number % len(CHECKPOINTS)]
            self.store.start(CallStart(run, checkpoint, Prompt(said), Options(), "chat", session))
            self.store.finish(CallEnd(run, "done", answer, "end", prompt_tokens=90, prefill_ms=20.0, decode_ms=9.0))
            said = (*said, Message("assistant", (answer,)))
            self.history.set_current(session, run)
            self.turns += 1

    def _copy(self, number: int, sessions: int) -> None:
        """The first sessions of the seed again, as many hours older as this copy's number, under ids of its own."""
        older = f"strftime('%Y-%m-%dT%H:%M:%f', started_at, '-{number} hours') || '000+00:00'"
        own = {
            name: f"{name} || '-{number}'"
            for name in ("id", "parent_id", "session_id", "parent_run_id", "prompt_id", "answer_id")
        }
        changed = {
            "sessions": {"id": own["id"], "started_at": older, "last_at": older, "current_run_id": "NULL", "runs": "0"},
            "messages": {**own, "text": f"text || ' w{number}'"},
            "runs": {**own, "started_at": older},
        }
        with self.store.write() as db:
            db.execute(
                "CREATE TEMP TABLE seed AS SELECT id FROM sessions WHERE id NOT LIKE '%-%' ORDER BY rowid LIMIT ?", [sessions]
            )
            runs = "SELECT {} FROM runs WHERE session_id IN (SELECT id FROM seed)"
            among = {
                "sessions": "id IN (SELECT id FROM seed)",
                "messages": f"id IN ({runs.format('prompt_id')} UNION {runs.format('answer_id')})",
                "runs": "session_id IN (SELECT id FROM seed)",
            }
            for table, where in among.items():
                names = [column.name for column in db.table(table).columns]
                values = ", ".join(changed[table].get(name, f'"{name}"') for name in names)
                db.execute(f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {where} ORDER BY rowid")
            newest = "SELECT id FROM runs WHERE session_id = sessions.id ORDER BY started_at DESC LIMIT 1"
            db.execute(f"UPDATE sessions SET current_run_id = ({newest}) WHERE id LIKE '%-{number}'")
            db.execute("DROP TABLE seed")
        self.turns += sessions * TURNS_OF_A_SESSION

    def _reopened(self) -> int:
        """Turns of the session of ten that was used last, as Sessions and Chat read them."""
        current = self.history.current(self._longest)
        turns = self.history.thread(current) if current else []
        return len([self.history.run(turn.id) for turn in turns])

    def _opened(self) -> int:
        """Sessions in sight once the file is opened anew, as the program does when it starts."""
        store = Store(self.root)
        try:
            return len(History(store).sessions(1))
        finally:
            store.close()

    def _written(self) -> int:
        """A turn of the recorder, in a session of its own."""
        before = self.turns
        self._session(itertools.cycle([("What color is it?", "red")]), 1)
        return self.turns - before


def _asked() -> Iterator[tuple[str, str]]:
    """Questions about drawn scenes with their true answers, without end."""
    rng = random.Random(0)
    for number in itertools.count():
        scene = make_scene(number)
        for kind in MAKERS:
            if question := ask(rng, scene, kind):
                yield question.text, question.answer
