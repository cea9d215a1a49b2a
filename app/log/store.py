"""The session log: one SQLite file and a folder of pictures, written by any thread of any process.

`Store` opens it, writes in whole transactions and implements `model.recorder.Recorder`. Reading is in
`history`, deleting in `cleanup`, trials of studies in `trials`. A call never fails because its log does:
what cannot be written waits in memory, and `Store.trouble` says so.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import sqlite_utils

from model.recorder import CallEnd, CallStart, Loaded

from .blobs import Blobs
from .dead_runs import fail_dead_runs
from .errors import LogError, explain, locked, passing, sentence
from .records import LoadedRecord, Record, begun, ended
from .schema import migrations

logger = logging.getLogger(__name__)

FILE = "fovea.db"
MAX_UNWRITTEN = 1000
MAX_UNWRITTEN_BYTES = 500_000_000
JOURNALS = ("WAL", "DELETE")
DEFECT = "A turn could not be logged because of a defect. The program's own log says more."


class Store:
    """The log in one folder. Raises LogError where it cannot be opened.

    `trouble` is a sentence for the user while nothing can be logged, else None. `patience_s` is how long
    a write waits for other processes; once in trouble it does not wait again until a write succeeds.
    """

    patience_s = 10.0

    def __init__(self, root: Path, journal: str = "WAL") -> None:
        if journal not in JOURNALS:
            raise LogError(f"FOVEA_JOURNAL is {journal!r}. Choose {' or '.join(JOURNALS)}.")
        self.root = Path(root)
        self.blobs = Blobs(self.root / "blobs")
        self.trouble: str | None = None
        self._lost = 0
        self._unwritten: deque[Record] = deque()
        self._lock = threading.RLock()
        self._versions = _versions()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._open(journal)
        except (OSError, sqlite3.DatabaseError) as error:
            raise LogError(sentence("The session log cannot be opened", error)) from error

    @contextmanager
    def write(self) -> Iterator[sqlite_utils.Database]:
        """One transaction, under the lock of this process and the write lock of the database.

        Rolled back on any error. Raises LogError where the database cannot be written.
        """
        try:
            with self._transaction() as db:
                yield db
        except (sqlite3.DatabaseError, OSError) as error:
            if not passing(error):
                raise
            logger.warning("The session log was not changed", exc_info=True)
            raise LogError(sentence("The session log was not changed", error)) from error
        with self._lock:
            self._write_down()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read within is of one moment, whatever others write meanwhile."""
        with self._lock:
            self._conn.execute("BEGIN")
            try:
                yield
            finally:
                if self._conn.in_transaction:
                    self._conn.execute("ROLLBACK")

    def read(self, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> list[dict[str, Any]]:
        """The rows a query gives. Raises LogError where the database cannot be read."""
        with self._lock:
            try:
                cursor = self._patiently(sql, params)
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            except sqlite3.DatabaseError as error:
                if not passing(error):
                    raise
                logger.warning("The session log cannot be read", exc_info=True)
                raise LogError(sentence("The session log cannot be read", error)) from error

    def loaded(self, loaded: Loaded) -> None:
        """Recorder: notes what a checkpoint turned out to be."""
        self._keep(lambda: LoadedRecord(loaded))

    def start(self, call: CallStart) -> None:
        """Recorder: writes the question, its pictures, and a run with status 'running'."""
        self._keep(lambda: begun(call, self._versions))

    def finish(self, end: CallEnd) -> None:
        """Recorder: writes the answer and how the run ended."""
        self._keep(lambda: ended(end))

    def close(self) -> None:
        """Writes what still waits, if it can, and closes the file."""
        with self._lock:
            self._write_down()
            self._conn.close()

    def _open(self, journal: str) -> None:
        self._conn = conn = sqlite3.connect(self.root / FILE, isolation_level=None, check_same_thread=False)
        conn.execute("PRAGMA busy_timeout = 250")  # before the journal mode, which needs a lock
        try:
            mode = self._patiently(f"PRAGMA journal_mode = {journal}").fetchone()[0]
            if mode.upper() != journal:
                logger.warning("The log's journal is %s, not %s: its file system does not support that.", mode, journal)
            conn.execute("PRAGMA synchronous = NORMAL")
            conn.execute("PRAGMA foreign_keys = ON")
            self.db = sqlite_utils.Database(conn)
            with self._transaction() as db:
                _migrate(db)
                fail_dead_runs(db)
        except BaseException:
            conn.close()
            raise

    @contextmanager
    def _transaction(self) -> Iterator[sqlite_utils.Database]:
        """Takes the write lock first, then lets read and write: a deferred BEGIN loses rows among several writers."""
        with self._lock:
            self._patiently("BEGIN IMMEDIATE")
            try:
                yield self.db
                self._patiently("COMMIT")
            except BaseException:
                if self._conn.in_transaction:  # some errors, such as a full disk, have rolled back already
                    self._conn.execute("ROLLBACK")
                raise

    def _patiently(self, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> sqlite3.Cursor:
        """Executes, again and again while another process holds the lock."""
        deadline = time.monotonic() + (0 if self.trouble else self.patience_s)
        while True:
            try:
                return self._conn.execute(sql, params)
            except sqlite3.OperationalError as error:
                if not locked(error) or time.monotonic() >= deadline:
                    raise
                time.sleep(random.uniform(0.001, 0.02))

    def _keep(self, make: Callable[[], Record]) -> None:
        """Writes a record now or later. Whatever happens, the call that reports it goes on."""
        try:
            with self._lock:
                self._unwritten.append(make())
                self._write_down()
        except Exception:  # whatever it is, it is no reason to lose the answer
            self.trouble = DEFECT
            logger.exception("A record could not be made")

    def _write_down(self) -> None:
        """Writes all that waits, oldest first, each in a transaction of its own. Stops where the database does."""
        defect = False
        while self._unwritten:
            try:
                with self._transaction() as db:
                    self._unwritten[0].write(db, self.blobs)
            except Exception as error:
                if passing(error):
                    self._forget_oldest()
                    self._in_trouble(error)
                    return
                defect = True  # it would fail again and hold up all that comes after it
                logger.exception("A record does not fit the log and is left out")
            self._unwritten.popleft()
        if self.trouble and not defect:
            logger.info("The session log works again.")
        self.trouble, self._lost = DEFECT if defect else None, 0

    def _in_trouble(self, error: Exception) -> None:
        if self.trouble is None:
            logger.warning("Nothing is being logged: %s", error)
        lost = f" The oldest {self._lost} entries are lost." if self._lost else ""
        why, cure = explain(error)
        self.trouble = f"Nothing is being logged: {why}. {cure}; unsaved turns are kept in memory until then.{lost}"

    def _forget_oldest(self) -> None:
        """Keeps what waits within its bounds in number and in bytes of pictures."""
        while len(self._unwritten) > MAX_UNWRITTEN or _waiting_bytes(self._unwritten) > MAX_UNWRITTEN_BYTES:
            self._unwritten.popleft()
            self._lost += 1


def _migrate(db: sqlite_utils.Database) -> None:
    """Brings the tables up to date, inside the caller's transaction so that two processes do not do it at once."""
    with sqlite_utils.Database(memory=True) as empty:
        ours = {migration.name for migration in migrations.pending(empty)}
    if {migration.name for migration in migrations.applied(db)} - ours:
        raise LogError("The session log was written by a newer version. Update the program, or set FOVEA_DATA to another folder.")
    migrations.apply(db)


def _waiting_bytes(records: deque[Record]) -> int:
    return sum({sha: len(data) for record in records for sha, data in record.files.items()}.values())


def _versions() -> dict[str, str]:
    """What computes the answers: Python and the packages that matter, as installed."""
    found = {"python": sys.version.split()[0]}
    for name in ("fovea", "torch", "transformers", "gradio"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
