"""The SQL of the search index, of which migration m009 makes its triggers: what is in it, and in which order.

As append only as the migrations: a change is a new one.
"""

from __future__ import annotations

KEY = "strftime('%s', {at}) * 1000000 + CAST(substr({at}, 21, 6) AS INTEGER)"
"""Microseconds since 1970 of a time as the log writes it."""
SEALED = "(SELECT {what} FROM comparisons k WHERE k.id = r.group_id AND k.blind AND k.revealed_at IS NULL)"
AT = f"coalesce({SEALED.format(what='k.created_at')}, r.started_at)"
SESSION = "coalesce(r.session_id, (SELECT f.session_id FROM runs f WHERE f.id = r.group_id))"
RATING = "coalesce((SELECT value FROM ratings t WHERE t.run_id = r.id AND t.rater = 'local'), 0)"
FACETS = " || ' ' || ".join(
    f"hex('{name}=' || coalesce({value}, ''))"
    for name, value in (
        ("panel", "r.panel"),
        ("status", "r.status"),
        ("session", SESSION),
        ("rating", RATING),
        ("checkpoint", f"iif({SEALED.format(what='1')}, '', c.name)"),
        ("checkpoint", f"iif({SEALED.format(what='1')}, '', c.id)"),
    )
)
"""What a search can be narrowed to, as words of hexadecimal digits: letters and digits alone, whatever they say.

The checkpoint of a run of a sealed comparison is not among them.
"""
SEARCHED = f"""INSERT INTO run_search (id, run_id, question, answer, facets)
    SELECT iif(EXISTS (SELECT 1 FROM run_search WHERE id = key),
            (SELECT max(id) + 1 FROM run_search WHERE id >= key AND id < key + 1000000), key),
        run, question, answer, facets
    FROM (SELECT {KEY.format(at="at")} AS key, * FROM (SELECT {AT} AS at, r.id AS run, coalesce(q.text, '') AS question,
            coalesce(a.text, '') AS answer, {FACETS} AS facets
        FROM runs r LEFT JOIN checkpoints c ON c.id = r.checkpoint_id
        LEFT JOIN messages q ON q.id = r.prompt_id LEFT JOIN messages a ON a.id = r.answer_id WHERE r.id = {{run}}))"""
"""A run made searchable. Its place is its time in microseconds, or the next free one where others began with it."""
INDEXED = """INSERT INTO run_search_fts (rowid, question, answer, facets)
    VALUES (new.id, new.question, new.answer, new.facets)"""
UNINDEXED = """INSERT INTO run_search_fts (run_search_fts, rowid, question, answer, facets)
    VALUES ('delete', old.id, old.question, old.answer, old.facets)"""
