"""A real site for a real browser: what `make run` starts, on a small world, a port of its own and quick lessons."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings
from playwright.sync_api import Page
from psycopg import sql

from tests.browser.chromium import ARGUMENTS, BrowserAbsent, find

START_SECONDS = 180
STOP_SECONDS = 10


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict) -> dict:
    path = find()
    if path is None:
        raise BrowserAbsent("No Chromium here. `python -m tests.browser` fetches one, or says what to install.")
    return {**browser_type_launch_args, "executable_path": path, "args": list(ARGUMENTS)}


@dataclass
class Site:
    """A running site. `lines` is all it has printed so far."""

    process: subprocess.Popen
    log: Path
    url: str
    data_dir: Path

    @property
    def lines(self) -> str:
        return self.log.read_text()

    def login(self, who: str) -> tuple[str, str]:
        """Username and password of the demo listener or staff member."""
        found = re.search(rf"^\s+{who}\s+(\S+)\s+(\S+)", self.lines, re.MULTILINE)
        assert found, f"no login of a {who} in:\n{self.lines}"
        return found[1], found[2]

    def interrupt(self) -> float:
        """Ctrl-C; returns how many seconds it took until all was over."""
        began = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=3 * STOP_SECONDS)
        return time.monotonic() - began


def start_site(data_dir: Path, log: Path, *arguments: str) -> Site:
    """Start the launcher and wait until the site answers."""
    port = free_port()
    # A session of its own makes a process group that Ctrl-C can be sent to, as a terminal would.
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "quasimusic.launch", "--port", str(port), *arguments],
            cwd=settings.BASE_DIR, env=environment(data_dir), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    site = Site(process, log, f"http://127.0.0.1:{port}", data_dir)
    until = time.monotonic() + START_SECONDS
    while not answers(site.url):
        assert process.poll() is None, f"the launcher gave up:\n{site.lines}"
        assert time.monotonic() < until, f"the site did not come up:\n{site.lines}"
        time.sleep(0.2)
    return site


def environment(data_dir: Path) -> dict[str, str]:
    """The suite's own settings, on a data folder and a database of its own, with quick lessons."""
    own = {"DATA_DIR": str(data_dir), "DATABASE_URL": "", "REDIS_URL": "", "LEARN_SECONDS": "3"}
    if settings.DATABASE_URL:
        own["DATABASE_URL"] = make_database(f"site_{data_dir.name}")
    return os.environ | own


def make_database(name: str) -> str:
    """URL of a database on the suite's PostgreSQL server, made where it is not there yet."""
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as connection:
        there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if not there:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}"))


def manage(data_dir: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=settings.BASE_DIR, env=environment(data_dir), check=True
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 - our own site on loopback
            return reply.status == 200
    except OSError:
        return False


def log_in(page: Page, site: Site, who: str) -> None:
    """As the demo listener or staff member, landing on the home page."""
    username, password = site.login(who)
    page.goto(f"{site.url}/account/login/")
    page.locator("input[name=login]").fill(username)
    page.locator("input[name=password]").fill(password)
    page.locator("#page form button[type=submit]").first.click()
    page.wait_for_url(f"{site.url}/")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data_dir = tmp_path_factory.mktemp("site")
    manage(data_dir, "migrate", "--verbosity", "0")
    manage(data_dir, "make_world", "--songs", "240", "--listeners", "60")
    running = start_site(data_dir, data_dir / "log")
    yield running
    if running.process.poll() is None:
        running.interrupt()
