"""`make run`: everything on one machine, under one process tree, stopped by Ctrl-C.

    python -m quasimusic.launch [--dataset FOLDER] [--port 8000]

Writes `.env` where there is none, starts the embedded Valkey where no REDIS_URL is set, prepares the database, the
music and the models (`manage.py prepare`), then runs web, worker and beat.
"""

import argparse
import os
import secrets
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from honcho.manager import Manager

BASE_DIR = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
UNQUOTABLE = set(" \t\n\"'")


def main() -> int:
    options = _options()
    if _taken(options.port):
        return _complain(f"Port {options.port} is taken. Free it, or choose another: make run PORT=8001")
    if options.dataset and not options.dataset.is_dir():
        return _complain(f"No folder {options.dataset}. DATASET is a folder of songs.csv, history.csv and so on.")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quasimusic.settings")
    try:
        write_env(BASE_DIR / ".env")
        _check_settings()
    except (ImproperlyConfigured, OSError, ValueError) as fault:
        return _complain(f"The settings cannot be used: {fault}\n.env.example tells what each of them may be.")
    try:
        with _valkey():
            return _prepare(options.dataset) or _serve(options.port)
    except KeyboardInterrupt:
        return _complain("Stopped.")


def write_env(path: Path) -> None:
    """A `.env` with a fresh secret key, readable by its owner alone; one that is there is left as it is."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as file:
        file.write("# Written by `make run`; .env.example tells what else can stand here.\n")
        file.write(f"SECRET_KEY={secrets.token_urlsafe(50)}\n")


def _check_settings() -> None:
    """Raises what reading them raises, and ImproperlyConfigured where the embedded server cannot live in the folder."""
    if not settings.SECRET_KEY:
        raise ImproperlyConfigured("SECRET_KEY is empty.")
    if not os.access(settings.DATA_DIR, os.W_OK):
        raise ImproperlyConfigured(f"DATA_DIR is {settings.DATA_DIR}, where nothing may be written.")
    if not settings.REDIS_URL and UNQUOTABLE & set(str(settings.DATA_DIR)):
        raise ImproperlyConfigured(
            f"DATA_DIR is {settings.DATA_DIR}, but the embedded Valkey can live in no path with spaces or quotes. "
            "Set DATA_DIR to another folder, or REDIS_URL to a server of your own."
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run")
    parser.add_argument("--dataset", type=lambda text: Path(text) if text else None, default=None)
    parser.add_argument("--port", type=_port, default=8000)
    return parser.parse_args()


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port; they go from 1 to 65535")
    return port


def _complain(words: str) -> int:
    sys.stderr.write(words + "\n")
    return 1


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


@contextmanager
def _valkey() -> Iterator[None]:
    if settings.REDIS_URL:
        yield
        return
    command = [sys.executable, "-m", "quasimusic.embedded", settings.DATA_DIR / "valkey", settings.VALKEY_SOCKET]
    # A session of its own: Ctrl-C must reach it last, when web and worker have let go of it.
    with subprocess.Popen(
        command, cwd=BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as server:
        try:
            if server.stdout.readline() != b"ready\n":
                raise SystemExit("The embedded Valkey did not start; the lines above say why.")
            yield
        finally:
            server.stdin.close()
            server.wait()


def _prepare(dataset: Path | None) -> int:
    command = [sys.executable, "manage.py", "prepare", *(["--dataset", dataset.resolve()] if dataset else [])]
    return subprocess.run(command, cwd=BASE_DIR, check=False).returncode


def _serve(port: int) -> int:
    python = shlex.quote(sys.executable)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    manager = Manager()
    web = f"gunicorn quasimusic.wsgi --bind {HOST}:{port} --workers 2 --threads 8"
    for name, command in {
        "web": f"{web} --graceful-timeout 3 --no-control-socket",
        "worker": "celery --quiet --app quasimusic.celery worker --concurrency 2 --loglevel INFO",
        "beat": "celery --quiet --app quasimusic.celery beat --loglevel WARNING",
    }.items():
        manager.add_process(name, f"exec {python} -m {command}", env=environment, cwd=str(BASE_DIR))
    sys.stdout.write(f"\nQuasimusic is at http://{HOST}:{port}/ - Ctrl-C stops it.\n\n")
    sys.stdout.flush()
    manager.loop()
    return 0 if manager.returncode in (0, 130, 143) else 1


if __name__ == "__main__":
    sys.exit(main())
