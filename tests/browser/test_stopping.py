"""Ctrl-C and the second start. The last of the browser tests by name: it stops the site the others look at."""

import re

import pytest

from tests.browser.conftest import STOP_SECONDS, Site, answers, start_site

pytestmark = pytest.mark.browser


def test_a_second_start_is_quick_keeps_the_data_and_ctrl_c_leaves_nothing_behind(tmp_path, site: Site):
    stopped = site.interrupt()
    assert stopped < STOP_SECONDS
    assert not answers(site.url)
    assert not (site.data_dir / "valkey.sock").exists()
    again = start_site(site.data_dir, tmp_path / "log")
    try:
        assert "Demo logins" not in again.lines
        assert not re.search(r"Training|songs,", again.lines)
    finally:
        assert again.interrupt() < STOP_SECONDS
