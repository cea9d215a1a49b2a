"""Runs that nobody will finish: their process is gone. Looked for when a log is opened.

A process number says little by itself, because numbers are used again, and in a container the program
has the same one after every restart. So the process must also be older than the run. Where the system
does not tell when a process started (Windows, macOS), its number decides.
"""

from __future__ import annotations

import os
import socket
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from sqlite_utils import Database

ENDED = "The program ended during this run."
ELSEWHERE = timedelta(days=1)
_CLOCK_S = 2.0


def fail_dead_runs(db: Database) -> int:
    """Marks the runs of dead processes as failed; says how many.

    A run on another host counts as dead after a day, because its process cannot be asked.
    """
    running = db.execute("SELECT id, pid, host, started_at FROM runs WHERE status = 'running'").fetchall()
    dead = [id for id, pid, host, started_at in running if not _may_live(pid, host, datetime.fromisoformat(started_at))]
    for id in dead:
        db.execute("UPDATE runs SET status = 'failed', error = ? WHERE id = ?", [ENDED, id])
    return len(dead)


def _may_live(pid: int | None, host: str | None, started_at: datetime) -> bool:
    if pid is None:
        return False
    if host != socket.gethostname() or sys.platform == "win32":
        return datetime.now(timezone.utc) - started_at < ELSEWHERE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, and belongs to somebody else
    stat = _stat(pid)
    return stat is None or (stat[0] not in "ZX" and _started(stat) <= started_at.timestamp() + _CLOCK_S)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the third on, its state; None where the system has none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _started(stat: list[str]) -> float:
    """When that process started, in seconds since 1970."""
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    return int(boot.split()[1]) + int(stat[19]) / os.sysconf("SC_CLK_TCK")
