"""Pages printed by a browser of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from geodata.errors import GeodataError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PATIENCE = 120.0
"""Time that printing may take, s."""


def print_pdf(page: Path, file: Path) -> Path:
    """Print a page as PDF; the file appears whole or not at all. Return it.

    Raises
    ------
    GeodataError
        When there is no browser to print with, or it fails.
    """
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        raise GeodataError(
            f"{file}: no browser to print with; install Chromium (Debian: chromium) or Chrome, or print {page} from the browser you have"
        )
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".upstairs-") as place:
        draft = Path(place) / "page.pdf"
        asked = ["--headless", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={place}/profile"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            asked.append("--no-sandbox")  # Chromium's does not work for root
        command = [browser, *asked, f"--print-to-pdf={draft}", page.resolve().as_uri()]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GeodataError(f"{file}: {browser} could not print {page}: {error}") from None
        if not draft.is_file() or not draft.stat().st_size:
            last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise GeodataError(f"{file}: {browser} could not print {page}: {last}")
        draft.replace(file)
    return file
