"""The tables of the session log, as migrations.

Append only: a released migration is never edited, a change is a new function with a comment why and a
test that upgrades a database with rows in it. Times are ISO-8601 in UTC.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from .search_index import INDEXED, SEARCHED, UNINDEXED

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
    db.table("run_search").enable_fts(["question", "answer"], create_triggers=True, tokenize="unicode61 remove_diacritics 2")


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


@migrations()
def m008_totals(db: Database) -> None:
    # The list of sessions and the size of the log took longer the more was in it. What comes and goes is counted as it
    # does, by triggers, so that whoever writes need not know.
    _run(
        db,
        "ALTER TABLE sessions ADD COLUMN runs INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE sessions ADD COLUMN last_at TEXT",
        f"UPDATE sessions SET runs = (SELECT count(*) FROM runs WHERE session_id = sessions.id), last_at = {_LAST_AT}",
        """CREATE TRIGGER sessions_begin AFTER INSERT ON sessions WHEN new.last_at IS NULL BEGIN
            UPDATE sessions SET last_at = started_at WHERE id = new.id; END""",
        """CREATE TRIGGER runs_come AFTER INSERT ON runs WHEN new.session_id IS NOT NULL BEGIN
            UPDATE sessions SET last_at = iif(runs, max(last_at, new.started_at), new.started_at), runs = runs + 1
            WHERE id = new.session_id; END""",
        f"""CREATE TRIGGER runs_go AFTER DELETE ON runs WHEN old.session_id IS NOT NULL BEGIN
            UPDATE sessions SET runs = runs - 1, last_at = {_LAST_AT} WHERE id = old.session_id; END""",
        f"""CREATE TRIGGER runs_move AFTER UPDATE OF session_id, started_at ON runs BEGIN
            UPDATE sessions SET runs = runs - 1 WHERE id = old.session_id;
            UPDATE sessions SET runs = runs + 1 WHERE id = new.session_id;
            UPDATE sessions SET last_at = {_LAST_AT} WHERE id IN (old.session_id, new.session_id); END""",
        "CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    )
    _index(db, "sessions", "last_at")
    _index(db, "artifacts", "id")
    for table in ("sessions", "runs", "messages", "images", "trials"):
        db.execute(f"INSERT INTO totals SELECT '{table}', count(*) FROM {table}")
        _count(db, table, table, "1", "1")
    # Bytes of the files beside the database. A file may be kept with several runs, and be a picture, too.
    db.execute("""INSERT INTO totals SELECT 'blob_bytes', coalesce(sum(size_bytes), 0) FROM
        (SELECT max(size_bytes) AS size_bytes FROM
            (SELECT id, size_bytes FROM images UNION ALL SELECT id, size_bytes FROM artifacts) GROUP BY id)""")
    bytes_of = "coalesce({row}.size_bytes, 0)"
    _count(db, "images", "blob_bytes", bytes_of, "NOT EXISTS (SELECT 1 FROM artifacts WHERE id = {row}.id)")
    others = "(SELECT count(*) FROM artifacts WHERE id = {row}.id) = {others}"
    _count(db, "artifacts", "blob_bytes", bytes_of, f"NOT EXISTS (SELECT 1 FROM images WHERE id = {{row}}.id) AND {others}")


@migrations()
def m009_search_in_time_order(db: Database) -> None:
    # The newest turns with a word are to be found without looking at all turns that have it. So the index is in order of
    # time, what a search can be narrowed to is words in it, and beginnings of up to four letters are indexed themselves.
    _run(
        db,
        "DROP TABLE run_search_fts",
        "DROP TABLE run_search",
        """CREATE TABLE run_search (
            id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE REFERENCES runs(id), question TEXT, answer TEXT, facets TEXT)""",
    )
    for (run,) in db.execute("SELECT id FROM runs ORDER BY started_at, rowid").fetchall():
        db.execute(SEARCHED.format(run="?"), [run])
    _run(
        db,
        """CREATE VIRTUAL TABLE run_search_fts USING fts5 (question, answer, facets, content = 'run_search',
            content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3 4')""",
        "INSERT INTO run_search_fts (run_search_fts) VALUES ('rebuild')",
        f"CREATE TRIGGER run_search_come AFTER INSERT ON run_search BEGIN {INDEXED}; END",
        f"CREATE TRIGGER run_search_go AFTER DELETE ON run_search BEGIN {UNINDEXED}; END",
        f"CREATE TRIGGER runs_searched AFTER INSERT ON runs BEGIN {SEARCHED.format(run='new.id')}; END",
        f"""CREATE TRIGGER runs_searched_anew AFTER UPDATE OF status, prompt_id, answer_id, panel, checkpoint_id, session_id,
            group_id, started_at ON runs BEGIN
            DELETE FROM run_search WHERE run_id = new.id; {SEARCHED.format(run="new.id")}; END""",
        "CREATE TRIGGER runs_unsearched BEFORE DELETE ON runs BEGIN DELETE FROM run_search WHERE run_id = old.id; END",
        # Whoever says a run's status again has it searched anew.
        *(f"""CREATE TRIGGER ratings_{event.lower()} AFTER {event} ON ratings BEGIN
            UPDATE runs SET status = status WHERE id = {row}.run_id; END"""
          for event, row in (("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old"))),
        *(f"""CREATE TRIGGER comparisons_{event} AFTER {when} ON comparisons BEGIN
            UPDATE runs SET status = status WHERE group_id = new.id; END"""
          for event, when in (("insert", "INSERT"), ("reveal", "UPDATE OF blind, revealed_at"))),
    )  # fmt: skip
    db.execute("CREATE INDEX comparisons_sealed ON comparisons (id) WHERE blind AND revealed_at IS NULL")


@migrations()
def m010_warnings(db: Database) -> None:
    # An answer may come of a checkpoint whose parts were made new, or end in numbers that are not finite. Whoever reads it
    # later must know. JSON: a list of sentences, null where there are none.
    _run(db, "ALTER TABLE runs ADD COLUMN warnings TEXT")


_LAST_AT = "coalesce((SELECT max(started_at) FROM runs WHERE session_id = sessions.id), sessions.started_at)"


def _count(db: Database, table: str, total: str, amount: str, when: str) -> None:
    """Triggers that keep a total while rows of a table come and go.

    In `amount` and `when` `{row}` stands for the row, `{others}` for how many rows there are then of those that share its id.
    """
    for event, row, sign, others in (("INSERT", "new", "+", 1), ("DELETE", "old", "-", 0)):
        change = f"UPDATE totals SET value = value {sign} {amount.format(row=row)} WHERE name = '{total}'"
        only = when.format(row=row, others=others)
        db.execute(f"CREATE TRIGGER {table}_{total}_{event.lower()} AFTER {event} ON {table} WHEN {only} BEGIN {change}; END")


def _run(db: Database, *statements: str) -> None:
    for statement in statements:
        db.execute(statement)


def _index(db: Database, table: str, *columns: str) -> None:
    for names in columns:
        db.execute(f"CREATE INDEX {table}_{names.replace(', ', '_')} ON {table} ({names})")
