"""Ctrl-C and the second start. The last of the browser tests by name: it stops the site the others look at."""

import re
import time
from pathlib import Path

import pytest

from tests.browser.conftest import STOP_SECONDS, Site, answers, start_site

pytestmark = pytest.mark.browser

RESTART_SECONDS = 15


def left_behind(site: Site) -> list[str]:
    """Command lines of the processes that still run on this site's data folder."""
    mark = f"DATA_DIR={site.data_dir}\0".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # somebody else's, or gone meanwhile
            continue
    return found


def test_a_second_start_is_quick_keeps_the_data_and_ctrl_c_leaves_nothing_behind(tmp_path, site: Site):
    assert left_behind(site)
    stopped = site.interrupt()
    assert stopped < STOP_SECONDS
    assert left_behind(site) == []
    assert not answers(site.url)
    assert not (site.data_dir / "valkey.sock").exists()
    began = time.monotonic()
    again = start_site(site.data_dir, tmp_path / "log")
    try:
        assert time.monotonic() - began < RESTART_SECONDS
        assert "Demo logins" not in again.lines
        assert not re.search(r"Training|songs,", again.lines)
    finally:
        assert again.interrupt() < STOP_SECONDS
