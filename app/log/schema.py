"""The tables of the session log, as migrations.

Append only: a released migration is never edited, a change is a new function with a comment why and a
test that upgrades a database with rows in it. Times are ISO-8601 in UTC.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("fovea")


@migrations()
def m001_core(db: Database) -> None:
    # What is said once: conversations, pictures, checkpoints and the model calls that tie them together.
    _run(
        db,
        """CREATE TABLE sessions (
            id TEXT PRIMARY KEY, started_at TEXT NOT NULL, ended_at TEXT, name TEXT, app_version TEXT, client TEXT)""",
        # id is the hash of spec, so the same spec is one row however often it is loaded.
        """CREATE TABLE checkpoints (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, family TEXT NOT NULL, source TEXT NOT NULL, revision TEXT,
            device TEXT, dtype TEXT, quantization TEXT, attention TEXT, parameters INTEGER,
            spec TEXT, first_seen_at TEXT)""",
        # id is the sha256 of the file's bytes, which lie in blobs/. Crops and frames point to their parent.
        """CREATE TABLE images (
            id TEXT PRIMARY KEY, media_type TEXT, width INTEGER, height INTEGER, size_bytes INTEGER, source TEXT,
            parent_id TEXT REFERENCES images(id), box TEXT, time_s REAL)""",
        # A conversation is a chain of messages, each named by a hash of itself and its parent, so a fork, or two
        # checkpoints answering one question, share rows. parts is what was said; text is for people and search.
        """CREATE TABLE messages (
            id TEXT PRIMARY KEY, parent_id TEXT REFERENCES messages(id),
            role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')), text TEXT, parts TEXT NOT NULL)""",
        """CREATE TABLE message_images (
            message_id TEXT NOT NULL REFERENCES messages(id), position INTEGER NOT NULL,
            image_id TEXT NOT NULL REFERENCES images(id), PRIMARY KEY (message_id, position))""",
        # One model call. group_id ties a comparison. tokens: [[id, logprob, text, [[id, text, logprob], ...], given], ...]
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY, session_id TEXT REFERENCES sessions(id), checkpoint_id TEXT REFERENCES checkpoints(id),
            panel TEXT NOT NULL, group_id TEXT,
            prompt_id TEXT REFERENCES messages(id), answer_id TEXT REFERENCES messages(id),
            answer_prefix TEXT, answer_tokens TEXT,
            status TEXT NOT NULL CHECK (status IN ('running', 'done', 'stopped', 'failed')),
            error TEXT, options TEXT, finish_reason TEXT,
            prompt_tokens INTEGER, visual_tokens INTEGER, new_tokens INTEGER,
            queued_ms REAL, prefill_ms REAL, decode_ms REAL, tokens TEXT, started_at TEXT NOT NULL, versions TEXT)""",
        """CREATE TABLE boxes (
            run_id TEXT NOT NULL REFERENCES runs(id), position INTEGER NOT NULL, image_id TEXT REFERENCES images(id),
            label TEXT, x0 REAL, y0 REAL, x1 REAL, y1 REAL, score REAL, said TEXT, PRIMARY KEY (run_id, position))""",
        """CREATE TABLE artifacts (
            run_id TEXT NOT NULL REFERENCES runs(id), kind TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL,
            media_type TEXT, size_bytes INTEGER, meta TEXT, PRIMARY KEY (run_id, kind, name))""",
        """CREATE TABLE ratings (
            run_id TEXT NOT NULL REFERENCES runs(id), rater TEXT NOT NULL, value INTEGER NOT NULL CHECK (value IN (-1, 0, 1)),
            note TEXT, rated_at TEXT, PRIMARY KEY (run_id, rater))""",
    )
    _index(db, "runs", "session_id, started_at", "checkpoint_id", "group_id", "started_at", "prompt_id", "answer_id")
    _index(db, "messages", "parent_id")
    _index(db, "message_images", "image_id")
    _index(db, "images", "parent_id")
    _index(db, "boxes", "image_id")


@migrations()
def m002_studies(db: Database) -> None:
    # A study is resumed by what is in here: a trial's key is the hash of what it asks.
    _run(
        db,
        """CREATE TABLE studies (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, config TEXT, created_at TEXT, app_version TEXT)""",
        """CREATE TABLE trials (
            study_id TEXT NOT NULL REFERENCES studies(id), key TEXT NOT NULL, checkpoint_id TEXT REFERENCES checkpoints(id),
            condition TEXT, item TEXT, status TEXT NOT NULL CHECK (status IN ('planned', 'done', 'failed')),
            run_id TEXT REFERENCES runs(id), output TEXT, scores TEXT, error TEXT, attempts INTEGER NOT NULL DEFAULT 0,
            updated_at TEXT, PRIMARY KEY (study_id, key))""",
    )
    _index(db, "trials", "study_id, status", "run_id", "checkpoint_id")


@migrations()
def m003_search(db: Database) -> None:
    # FTS with external content is keyed by rowid, and a text primary key leaves rowids free to move under VACUUM:
    # hence an integer key. No stemming, because it contradicts finding a word by its beginning.
    _run(
        db,
        """CREATE TABLE run_search (
            id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE REFERENCES runs(id), question TEXT, answer TEXT)""",
        """INSERT INTO run_search (run_id, question, answer)
            SELECT r.id, coalesce(q.text, ''), coalesce(a.text, '') FROM runs r
            LEFT JOIN messages q ON q.id = r.prompt_id LEFT JOIN messages a ON a.id = r.answer_id
            WHERE r.status != 'running'""",
        """CREATE VIEW run_list AS
            SELECT r.id, r.started_at, r.panel, c.name AS checkpoint, q.text AS question, a.text AS answer, r.status,
                r.visual_tokens, r.new_tokens, round(r.prefill_ms + r.decode_ms) AS model_ms, r.group_id
            FROM runs r LEFT JOIN checkpoints c ON c.id = r.checkpoint_id
            LEFT JOIN messages q ON q.id = r.prompt_id LEFT JOIN messages a ON a.id = r.answer_id
            ORDER BY r.started_at DESC""",
    )
    db["run_search"].enable_fts(["question", "answer"], create_triggers=True, tokenize="unicode61 remove_diacritics 2")


@migrations()
def m004_branches(db: Database) -> None:
    # A chat is a tree of turns. Which turn follows which cannot be told from messages alone: two calls may give
    # the same answer to the same question. Older rows follow the latest call of their panel that gave the answer
    # they build on.
    _run(
        db,
        "ALTER TABLE sessions ADD COLUMN current_run_id TEXT REFERENCES runs(id)",
        "ALTER TABLE sessions ADD COLUMN settings TEXT",
        "ALTER TABLE runs ADD COLUMN parent_run_id TEXT REFERENCES runs(id)",
        """UPDATE runs SET parent_run_id = (
            SELECT earlier.id FROM messages question JOIN runs earlier ON earlier.answer_id = question.parent_id
            WHERE question.id = runs.prompt_id AND earlier.session_id = runs.session_id
                AND earlier.panel = runs.panel AND earlier.started_at < runs.started_at
            ORDER BY earlier.started_at DESC LIMIT 1)""",
        """UPDATE sessions SET current_run_id = (
            SELECT id FROM runs WHERE session_id = sessions.id AND panel = 'chat' AND status != 'running'
            ORDER BY started_at DESC LIMIT 1)""",
    )
    _index(db, "runs", "parent_run_id")
    _index(db, "sessions", "current_run_id")


@migrations()
def m005_provenance(db: Database) -> None:
    # A run must say what was computed and what was reused, and with which weights. The process is kept so that
    # only runs of processes that are gone are marked as failed when several share a log.
    _run(
        db,
        "ALTER TABLE runs ADD COLUMN reused_tokens INTEGER",
        "ALTER TABLE runs ADD COLUMN cached_images INTEGER",
        "ALTER TABLE runs ADD COLUMN pid INTEGER",
        "ALTER TABLE runs ADD COLUMN host TEXT",
        "ALTER TABLE checkpoints ADD COLUMN weights TEXT",
    )
    _index(db, "runs", "status")


@migrations()
def m006_comparisons(db: Database) -> None:
    # The runs of a comparison share its id as their group. Which column is which must be known to the log alone
    # until a blind vote is cast, and a vote is about answers side by side, which no rating of one run can say.
    _run(
        db,
        """CREATE TABLE comparisons (
            id TEXT PRIMARY KEY, session_id TEXT REFERENCES sessions(id), question TEXT, kind TEXT,
            blind INTEGER NOT NULL DEFAULT 0 CHECK (blind IN (0, 1)), revealed_at TEXT, columns TEXT NOT NULL,
            created_at TEXT NOT NULL)""",
        """CREATE TABLE votes (
            comparison_id TEXT NOT NULL REFERENCES comparisons(id), rater TEXT NOT NULL, outcome TEXT NOT NULL,
            reasons TEXT, blind INTEGER NOT NULL DEFAULT 0 CHECK (blind IN (0, 1)), waited_ms REAL, voted_at TEXT NOT NULL,
            PRIMARY KEY (comparison_id, rater))""",
    )
    _index(db, "comparisons", "session_id", "created_at")


@migrations()
def m007_guests(db: Database) -> None:
    # On a public page a session belongs to the browser that began it. What is shared by link is shared on purpose,
    # and who does not want their turns kept has said so before they are written.
    _run(
        db,
        "ALTER TABLE sessions ADD COLUMN owner TEXT",
        "CREATE TABLE guests (id TEXT PRIMARY KEY, kept INTEGER NOT NULL DEFAULT 1 CHECK (kept IN (0, 1)), changed_at TEXT)",
        "CREATE TABLE shares (run_id TEXT PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE, shared_at TEXT NOT NULL)",
    )
    _index(db, "sessions", "owner")


def _run(db: Database, *statements: str) -> None:
    for statement in statements:
        db.execute(statement)


def _index(db: Database, table: str, *columns: str) -> None:
    for names in columns:
        db.execute(f"CREATE INDEX {table}_{names.replace(', ', '_')} ON {table} ({names})")
