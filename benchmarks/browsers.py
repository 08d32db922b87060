"""Start a headless chromium without a GPU, controlled by playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]


def why_none() -> str:
    """Return the reason why no browser can be started; empty if one can."""
    try:
        import playwright  # noqa: F401
    except ModuleNotFoundError:
        return "needs playwright (requirements-slow.txt)"
    return "" if program() else "needs chromium: apt-get install chromium"


def program() -> str | None:
    """Return the path of an installed chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator["Browser"]:
    """Context manager that starts a browser and closes it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=program(), args=OPTIONS)
        try:
            yield found
        finally:
            found.close()
