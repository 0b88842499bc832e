"""Chromium for the tests of pages.

Without playwright or Chromium the tests are skipped; with `-m browser`, which asks for exactly
these tests, they fail.
"""

import shutil
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


def pytest_ignore_collect(config):
    """Ignore this directory if slow tests are deselected: starting Chromium takes a second."""
    return True if config.option.markexpr == "not slow" else None


@pytest.fixture(scope="session")
def browser(request):
    """Return a running Chromium."""
    is_required = request.config.option.markexpr == "browser"
    refuse = pytest.fail if is_required else pytest.skip
    if CHROMIUM is None:
        refuse("Chromium is not installed. Install it with apt-get install chromium.")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        refuse('playwright is not installed. Install it with pip install -e ".[browser]".')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def show(browser):
    """Return a function that opens a file; at the end, check for requests and errors."""
    contexts, problems = [], []

    def open_file(path, **options):
        context = browser.new_context(reduced_motion="reduce", **options)
        contexts.append(context)
        context.set_default_timeout(5000)
        page = context.new_page()
        own = Path(path).resolve().as_uri()
        page.on("request", lambda r: r.url in (own,) or problems.append(f"request for {r.url}"))
        page.on("console", lambda m: problems.append(f"console: {m.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.goto(own)
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert [problem for problem in problems if not problem.startswith("request for data:")] == []
