"""Fixtures for all tests."""

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("thorough", settings.default)
SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items):
    no_shared = pytest.mark.skip(reason=f"the published data are not beside the project ({SHARED.name}/ missing)")
    no_browser = pytest.mark.skip(reason="no chromium on this machine; Debian has it: chromium")
    for item in items:
        if "shared" in item.keywords and not SHARED.is_dir():
            item.add_marker(no_shared)
        if "browser" in item.keywords and not shutil.which("chromium"):
            item.add_marker(no_browser)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of published data beside the project."""
    return SHARED


@pytest.fixture(scope="session")
def project() -> Path:
    """Folder of the project."""
    return Path(__file__).resolve().parents[1]
