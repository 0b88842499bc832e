"""Chromium for the tests of pages.

Without playwright or Chromium the tests are skipped; with `-m browser`, which asks for exactly
these tests, they fail.
"""

import functools
import shutil
import threading
import time
from pathlib import Path

import pytest

from tinygrad_np.playground.app import create_app
from tinygrad_np.playground.server import Server
from tinygrad_np.playground.settings import Settings

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
PATIENCE = 20_000  # milliseconds until a wait fails; only a busy machine needs more than one second
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
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        refuse('playwright is not installed. Install it with pip install -e ".[browser]".')
    expect.set_options(timeout=PATIENCE)
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
        context.set_default_timeout(PATIENCE)
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


def _wait_for_function(page, expression, arg=None, timeout=PATIENCE):
    """Do what Playwright's own method does, which the page's content security policy blocks."""
    end = time.monotonic() + timeout / 1000
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, f"timeout: {expression}"
        page.wait_for_timeout(20)


class Playground:
    """A running playground with its own directory of runs.

    `open` opens its page. `problems` collects console messages, errors and requests to other hosts,
    and must be empty at the end; a test of an expected problem removes it.
    """

    def __init__(self, browser, folder):
        self.runs = folder / "runs"
        self.problems = []
        self._browser = browser
        self._contexts = []
        self.app = create_app(Settings(runs=self.runs))
        self._port = 0
        self.start()
        self.url = f"http://127.0.0.1:{self._port}/"

    def open(self, tab="", **options):
        """Open the page at a tab, in a new context with these options."""
        options = {"reduced_motion": "reduce", "viewport": {"width": 1280, "height": 800}} | options
        context = self._browser.new_context(**options)
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.wait_for_function = functools.partial(_wait_for_function, page)
        note = self.problems.append
        page.on("request", lambda r: r.url.startswith(self._own) or note(f"request for {r.url}"))
        page.on("console", lambda message: note(f"console: {message.text}"))
        page.on("pageerror", lambda error: note(f"error: {error}"))
        page.goto(f"{self.url}#{tab}")
        return page

    @property
    def _own(self):
        return self.url, "data:", f"blob:{self.url}"

    def start(self):
        """Start the server; on the same port, if it was stopped."""
        self._server = Server(self.app, "127.0.0.1", self._port)
        self._port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,))
        self._thread.start()

    def stop(self):
        """Stop the server; the page gets no answer any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.disconnect()
        self._server.server_close()

    def close(self):
        """Close all pages, then the server."""
        for context in self._contexts:
            context.close()
        if self._thread.is_alive():
            self.stop()


@pytest.fixture
def playground(browser, tmp_path):
    """Return a running `Playground`; at the end, check that its pages had no problems."""
    running = Playground(browser, tmp_path)
    yield running
    running.close()
    assert running.problems == []
