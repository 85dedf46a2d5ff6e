"""Where a Chromium is: installed already, else Playwright's own download, else Debian's package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
FETCH_SECONDS = 600


class BrowserAbsent(Exception):
    """No Chromium is installed and none could be fetched."""


def find() -> Path | None:
    """An installed Chromium, or the one Playwright has downloaded before."""
    for name in NAMES:
        if path := shutil.which(name):
            return Path(path)
    return _playwrights_own()


def fetch() -> Path:
    """Download a Chromium. Raises BrowserAbsent, telling what to install, where none can be had."""
    _try(sys.executable, "-m", "playwright", "install", "chromium")
    if path := _playwrights_own():
        return path
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _try("apt-get", "update", "-qq")
        _try("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core")
    if path := find():
        return path
    raise BrowserAbsent(
        "The suite drives a real browser, and there is none.\n"
        "Install one and run again: `apt-get install chromium` as root, or `.venv/bin/playwright install chromium`."
    )


def _playwrights_own() -> Path | None:
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def _try(*command: str) -> None:
    """Run a command that may fail; what it says is shown, what it leaves is looked at afterwards."""
    try:
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"{' '.join(command)} did not end within {FETCH_SECONDS} s\n")
