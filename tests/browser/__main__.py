"""Finds or fetches the browser the suite drives, before the suite runs: `python -m tests.browser`."""

import sys

from tests.browser.chromium import BrowserAbsent, fetch, find

if __name__ == "__main__":
    try:
        path = find() or fetch()
    except BrowserAbsent as fault:
        sys.exit(str(fault))
    sys.stdout.write(f"browser: {path}\n")
