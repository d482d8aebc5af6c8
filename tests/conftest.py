"""Fixtures for all tests."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from tests import postgres

settings.register_profile("thorough", settings.default)
SHARED = Path(__file__).resolve().parents[2] / "shared"


@cache
def qgis_python() -> str | None:
    """The machine's own Python where it has QGIS."""
    python = shutil.which("python3", path=os.defpath)
    if python is None:
        return None
    asked = subprocess.run([python, "-c", "import qgis.core"], capture_output=True, check=False)
    return python if asked.returncode == 0 else None


def pytest_collection_modifyitems(items):
    no_shared = pytest.mark.skip(reason=f"the published data are not beside the project ({SHARED.name}/ missing)")
    no_browser = pytest.mark.skip(reason="no chromium on this machine; Debian has it: chromium")
    no_qgis = pytest.mark.skip(reason="no QGIS for the machine's own Python; Debian has it: python3-qgis")
    no_postgis = pytest.mark.skip(
        reason="no PostgreSQL with PostGIS on this machine; Debian has it: postgresql postgresql-15-postgis-3"
    )
    for item in items:
        if "shared" in item.keywords and not SHARED.is_dir():
            item.add_marker(no_shared)
        if "qgis" in item.keywords and qgis_python() is None:
            item.add_marker(no_qgis)
        if "browser" in item.keywords and not shutil.which("chromium"):
            item.add_marker(no_browser)
        if "postgis" in item.keywords and postgres.programs() is None:
            item.add_marker(no_postgis)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of published data beside the project."""
    return SHARED


@pytest.fixture(scope="session")
def project() -> Path:
    """Folder of the project."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server of these tests alone."""
    with postgres.running() as found:
        yield found


@pytest.fixture
def database(server):
    """An empty database with PostGIS, gone after the test."""
    with server.database() as found:
        yield found
