"""Sources of MNIST and Fashion-MNIST: a directory, the cache, and mirrors.

The mirrors are paths on one local server, which records the requests in order.
"""

import contextlib
import gzip
import hashlib
import http.server
import logging
import os
import re
import socket
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests

import tinygrad_np
from tests.data.test_idx import idx_bytes
from tinygrad_np import data
from tinygrad_np.data import sources
from tinygrad_np.errors import ArgumentError, DataError

pytestmark = pytest.mark.slow

NAMES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]
ARRAYS = [
    np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4),
    np.array([0, 1, 2, 0, 1, 2], np.uint8),
    np.arange(100, 100 + 3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4),
    np.array([2, 1, 0], np.uint8),
]
PAYLOADS = dict(zip(NAMES, map(idx_bytes, ARRAYS), strict=True))
OFFICIAL = {name: gzip.compress(payload, mtime=0) for name, payload in PAYLOADS.items()}
FILES = tuple(
    sources.File(
        name, hashlib.sha256(OFFICIAL[name]).hexdigest(), hashlib.sha256(PAYLOADS[name]).hexdigest()
    )
    for name in NAMES
)


@dataclass
class Server:
    """A local HTTP server with fixed answers and a log of requested paths.

    An answer is a status, a body, and the number of bytes by which Content-Length exceeds the body.
    The first requests are answered from `before`, if it is not empty: with a status, headers and no
    body, or by closing the connection if the status is None. If `drips` is "headers" or "body",
    that part of the response is sent one byte at a time, without end.
    """

    address: str
    answers: dict[str, tuple[int, bytes, int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    before: list[tuple[int | None, dict[str, str]]] = field(default_factory=list)
    drips: str = ""
    is_closed: threading.Event = field(default_factory=threading.Event)

    def mirror(self, name, files=OFFICIAL, status=200, missing=0):
        """Serve `files` under a base URL, and return that URL."""
        for file, content in files.items():
            self.answers[f"/{name}/{file}"] = (status, content, missing)
        return f"{self.address}/{name}/"


@pytest.fixture
def server():
    """Yield a server that answers 404 to every other request."""
    served = Server("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            served.asked.append(self.path)
            status, body, missing = served.answers.get(self.path, (404, b"not here", 0))
            headers = {}
            if served.before:
                status, headers = served.before.pop(0)
                body = b""
            if status is None:
                return
            if served.drips:
                self.drip()
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + missing))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def drip(self):
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Any: ")
            if served.drips == "body":
                self.wfile.write(b"\r\n\r\n")
            with contextlib.suppress(OSError):
                while not served.is_closed.wait(0.005):
                    self.wfile.write(b"a")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        served.address = f"http://127.0.0.1:{http_server.server_port}"
        thread = threading.Thread(target=http_server.serve_forever, args=(0.01,))
        thread.start()
        yield served
        served.is_closed.set()
        http_server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Use an empty cache and no settings from the environment; return the cache of `small`."""
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    for name in ("TINYGRAD_NP_DATA", "TINYGRAD_NP_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    logger, level = pooch.get_logger(), pooch.get_logger().level
    logger.setLevel(logging.WARNING)
    yield tmp_path / "cache" / "tinygrad_np" / "small"
    logger.setLevel(level)


def source(*mirrors):
    """Return a source with four small files and these base URLs."""
    return sources.Source("small", "Small", mirrors, FILES, ("a", "b", "c"), mean=0.5, std=0.25)


def impatient(**changes):
    """Return limits that record delays instead of waiting, and the list of these delays."""
    delays = []
    return sources.Limits(**{"sleep": delays.append, **changes}), delays


def closed_address():
    """Return a base URL at which no server listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def put(folder, files):
    """Write files to a directory, creating it if needed, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def contents(folder):
    """Return the bytes of each file in a directory, by name, including hidden files."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def is_whole(datasets):
    """Assert that these are the training set and the test set of the small source."""
    train, test = datasets
    np.testing.assert_array_equal(train.images, ARRAYS[0][:, None], strict=True)
    np.testing.assert_array_equal(train.labels, ARRAYS[1], strict=True)
    np.testing.assert_array_equal(test.images, ARRAYS[2][:, None], strict=True)
    np.testing.assert_array_equal(test.labels, ARRAYS[3], strict=True)


def altered(content):
    """Return the bytes with the last one changed."""
    return content[:-1] + bytes([content[-1] ^ 1])


RAW = {name.removesuffix(".gz"): payload for name, payload in PAYLOADS.items()}
OTHER_GZIP = {name: gzip.compress(payload, 1, mtime=9) for name, payload in PAYLOADS.items()}
MIXED = dict([*OFFICIAL.items()][:2] + [*RAW.items()][2:])


# Downloading.


def test_download_fills_the_cache(server, cache):
    """The four files are downloaded to the cache unchanged, and read."""
    datasets = sources.load(source(server.mirror("one")))
    is_whole(datasets)
    for dataset in datasets:
        assert (dataset.name, dataset.classes) == ("small", ("a", "b", "c"))
        assert (dataset.scale, dataset.mean, dataset.std) == (255.0, 0.5, 0.25)
    assert server.asked == [f"/one/{name}" for name in NAMES]
    assert contents(cache) == OFFICIAL


@pytest.mark.parametrize(
    "bad",
    [
        {"files": {}},
        {"status": 403},
        {"status": 500},
        {"missing": 10},
        {"files": {name: altered(content) for name, content in OFFICIAL.items()}},
        {"files": {name: content[:-5] for name, content in OFFICIAL.items()}},
        {"files": dict.fromkeys(NAMES, b"<html>please log in</html>")},
        {"files": dict.fromkeys(NAMES, b"")},
        {"files": OTHER_GZIP},
    ],
    ids=["404", "403", "500", "broken-off", "wrong", "truncated", "html", "empty", "other-gzip"],
)
def test_next_mirror_serves_all_files_after_a_failure(server, cache, bad):
    """If a mirror fails, this file and all later ones come from the next; nothing else is left."""
    is_whole(sources.load(source(server.mirror("bad", **bad), server.mirror("good"))))
    assert server.asked == [f"/bad/{NAMES[0]}", *(f"/good/{name}" for name in NAMES)]
    assert contents(cache) == OFFICIAL


def test_working_mirror_moves_to_the_front(server):
    """The other mirrors keep their order."""
    have = {"a": {}, "b": [0, 3], "c": [1, 2]}
    mirrors = [
        server.mirror(mirror, {NAMES[number]: OFFICIAL[NAMES[number]] for number in numbers})
        for mirror, numbers in have.items()
    ]
    is_whole(sources.load(source(*mirrors)))
    orders = ["ab", "bac", "c", "cb"]
    assert server.asked == [
        f"/{mirror}/{name}" for name, order in zip(NAMES, orders, strict=True) for mirror in order
    ]


def test_datasets_do_not_share_directories_or_mirror_order(server, cache):
    """MNIST and Fashion-MNIST use the same file names."""
    small = source(server.mirror("none", {}), server.mirror("good"))
    for folder in ("some", "another"):
        server.asked.clear()
        is_whole(sources.load(replace(small, folder=folder)))
        assert server.asked[:2] == [f"/none/{NAMES[0]}", f"/good/{NAMES[0]}"]
    assert contents(cache.parent / "some") == contents(cache.parent / "another") == OFFICIAL


@pytest.mark.parametrize("slash", ["", "/"])
def test_custom_mirror_comes_first(server, monkeypatch, slash):
    """TINYGRAD_NP_MIRROR is the URL above the dataset's directory."""
    server.mirror("own/small")
    monkeypatch.setenv("TINYGRAD_NP_MIRROR", f"{server.address}/own{slash}")
    is_whole(sources.load(source(server.mirror("one"))))
    assert server.asked == [f"/own/small/{name}" for name in NAMES]


def test_default_mirrors_follow_a_custom_mirror(server, monkeypatch):
    monkeypatch.setenv("TINYGRAD_NP_MIRROR", f"{server.address}/own")
    is_whole(sources.load(source(server.mirror("one"))))
    assert server.asked == [f"/own/small/{NAMES[0]}", *(f"/one/{name}" for name in NAMES)]


@pytest.mark.parametrize("mirror", ["localhost:1/x", "/some/folder", "file:///some/folder"])
def test_invalid_custom_mirror_is_skipped(server, monkeypatch, mirror):
    monkeypatch.setenv("TINYGRAD_NP_MIRROR", mirror)
    is_whole(sources.load(source(server.mirror("one"))))


# The cache.


def test_only_missing_files_are_downloaded(server, cache):
    put(cache, {name: OFFICIAL[name] for name in NAMES[:3]})
    is_whole(sources.load(source(server.mirror("one"))))
    assert server.asked == [f"/one/{NAMES[3]}"]


@pytest.mark.parametrize("damage", [altered, lambda content: content[:-5], lambda content: b""])
def test_damaged_cache_is_downloaded_again(server, cache, damage):
    put(cache, OFFICIAL | {NAMES[1]: damage(OFFICIAL[NAMES[1]])})
    is_whole(sources.load(source(server.mirror("one"))))
    assert server.asked == [f"/one/{NAMES[1]}"]
    assert contents(cache) == OFFICIAL


# Temporary failures.


@pytest.mark.parametrize(
    "fault",
    [(429, {}), (500, {}), (502, {}), (503, {}), (504, {}), (None, {})],
    ids=["429", "500", "502", "503", "504", "reset"],
)
def test_temporary_failure_of_the_only_mirror_is_retried(server, cache, fault):
    small = source(server.mirror("one"))
    server.before = [fault] * 2
    limits, delays = impatient()
    is_whole(sources.load(small, None, limits))
    assert server.asked == [f"/one/{NAMES[0]}"] * 2 + [f"/one/{name}" for name in NAMES]
    assert delays == [1, 4]
    assert contents(cache) == OFFICIAL


def test_interrupted_transfer_is_retried(server):
    small = source(server.mirror("one", missing=1))
    limits, _ = impatient(sleep=lambda delay: server.mirror("one"))
    is_whole(sources.load(small, None, limits))


@pytest.mark.parametrize(
    ("asked", "delay"),
    [("3", 3), ("0", 1), ("9" * 30, 60), ("Wed, 21 Oct 2099 07:28:00 GMT", 1), ("-5", 1)],
)
def test_retry_after_is_respected_up_to_a_bound(server, asked, delay):
    small = source(server.mirror("one"))
    server.before = [(503, {"Retry-After": asked})]
    limits, delays = impatient()
    is_whole(sources.load(small, None, limits))
    assert delays == [delay]


def test_attempts_are_limited(server, cache):
    small = source(server.mirror("busy", status=503))
    limits, delays = impatient()
    with pytest.raises(DataError, match="the server returned status 503"):
        sources.load(small, None, limits)
    assert len(server.asked) == 3
    assert delays == [1, 4]
    assert list(cache.iterdir()) == []


def test_only_mirrors_that_failed_temporarily_are_retried(server):
    small = source(
        server.mirror("none", {}),
        server.mirror("busy", status=503),
        server.mirror("no", status=403),
    )
    failure(small)
    assert server.asked == [
        f"/{name}/{NAMES[0]}" for name in ("none", "busy", "no", "busy", "busy")
    ]


@pytest.mark.parametrize("drips", ["headers", "body"])
def test_slow_transfer_is_aborted(server, drips, cache):
    """An occasional byte resets a timeout, but is below the minimum rate."""
    server.drips = drips
    message = failure(source(server.mirror("one")), window=0.05, rate=1000)
    assert "the server sent fewer than 1000 bytes per second for 0.05 s" in message
    assert list(cache.iterdir()) == []


def test_transfer_may_take_several_windows(monkeypatch):
    windows = []

    def trickle(self, url, body, _):
        while len(windows) < 4:
            body.write(b"a")
            windows.append(body.tell())
            never.wait(0.01)

    never = threading.Event()
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", trickle)
    assert sources._download("any", sources.Limits(window=0.001, rate=0)) == b"aaaa"


def test_nothing_is_on_disk_during_a_transfer(server, cache, monkeypatch):
    """A killed download therefore leaves no file."""
    receive, seen = pooch.HTTPDownloader.__call__, []

    def watched(self, url, body, _):
        receive(self, url, body, None)
        seen.append(contents(cache))

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", watched)
    is_whole(sources.load(source(server.mirror("one"))))
    assert [set(files) for files in seen] == [set(NAMES[:count]) for count in range(4)]


def test_endless_response_is_aborted(server, cache):
    small = source(server.mirror("one", dict.fromkeys(NAMES, bytes(100_000))))
    assert "the server sent more than 9999 bytes" in failure(small, size=9999)
    assert list(cache.iterdir()) == []


# Failed downloads.


def failure(small, data_dir=None, **limits):
    """Return the message of the DataError that loading raises."""
    with pytest.raises(DataError) as caught:
        sources.load(small, data_dir, impatient(**limits)[0])
    return str(caught.value)


def test_error_lists_every_url_with_its_reason(server, cache):
    """The error lists every URL that was tried, in order, with the reason."""
    addresses = {
        server.mirror("none", {}): "the server returned status 404",
        server.mirror("busy", status=503): "the server returned status 503",
        closed_address(): "the connection failed",
        server.mirror(
            "wrong", dict.fromkeys(NAMES, b"other")
        ): "the SHA-256 does not match the official file",
        server.mirror(
            "login", dict.fromkeys(NAMES, b"<!DOCTYPE html><html>")
        ): "the server sent an HTML page, probably an error or login page",
        server.mirror("broken", missing=10): "the transfer was interrupted",
        "not-an-address/": "No scheme supplied",
    }
    message = failure(source(*addresses))
    reasons = [
        rf"\n  {re.escape(address + NAMES[0])}: [^\n]*{reason}[^\n]*"
        for address, reason in addresses.items()
    ]
    assert re.search("".join(reasons), message)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (requests.exceptions.SSLError, "the TLS connection failed"),
        (requests.exceptions.ConnectTimeout, "the connection timed out"),
        (requests.exceptions.ReadTimeout, "the connection timed out"),
        (requests.exceptions.ChunkedEncodingError, "the transfer was interrupted"),
        (requests.exceptions.ProxyError, "the connection failed"),
        (OSError, "what it says"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_message_explains_each_kind_of_error(monkeypatch, error, reason):

    def fail(*args, **options):
        raise error("what it says")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", fail)
    lines = failure(source("http://mirror.invalid/")).splitlines()
    assert lines[4] == f"  http://mirror.invalid/{NAMES[0]}: {reason}"


def test_error_names_a_later_missing_file(server, cache):
    """The error names it, and the downloaded files stay in the cache."""
    some = {name: OFFICIAL[name] for name in NAMES[:2]}
    message = failure(source(server.mirror("one", some)))
    assert f"{server.address}/one/{NAMES[2]}: the server returned status 404" in message
    assert contents(cache) == some


def test_message_lists_places_and_remedies(server, cache):
    lines = failure(source(server.mirror("none", {}))).splitlines()
    assert lines[0].startswith("Small was not found and could not be downloaded.")
    assert lines[1:3] == ["  data_dir: not set", "  TINYGRAD_NP_DATA: not set"]
    assert lines[3] == f"  cache: {cache / NAMES[0]} is missing"
    assert lines[4].startswith(f"  {server.address}/none/{NAMES[0]}: ")
    for words in ("four .gz files", "small/", "--data-dir", "TINYGRAD_NP_DATA", "_MIRROR"):
        assert words in lines[-1]


def test_message_lists_searched_directories(server, monkeypatch, tmp_path):
    (tmp_path / "one").mkdir()
    monkeypatch.setenv("TINYGRAD_NP_DATA", str(tmp_path / "other"))
    lines = failure(source(server.mirror("none", {})), tmp_path / "one").splitlines()
    assert lines[1:3] == [
        f"  {origin}: {NAMES[0]} is not in {tmp_path / folder} or {tmp_path / folder / 'small'}"
        for origin, folder in (("data_dir", "one"), ("TINYGRAD_NP_DATA", "other"))
    ]


@pytest.mark.parametrize("subfolder", ["small", "."])
@pytest.mark.parametrize("missing", NAMES)
def test_message_names_the_first_missing_file(server, tmp_path, missing, subfolder):
    put(tmp_path / subfolder, {name: OFFICIAL[name] for name in NAMES if name != missing})
    message = failure(source(server.mirror("none", {})), tmp_path)
    assert f"data_dir: {missing} is not in {tmp_path} or {tmp_path / 'small'}" in message


def test_message_names_the_damaged_cached_file(server, cache):
    put(cache, {NAMES[0]: OFFICIAL[NAMES[0]], NAMES[1]: altered(OFFICIAL[NAMES[1]])})
    lines = failure(source(server.mirror("none", {}))).splitlines()
    assert lines[3] == f"  cache: {cache / NAMES[1]} is damaged"
    assert lines[4].startswith(f"  {server.address}/none/{NAMES[1]}: ")


def test_uncreatable_cache_raises(server, cache):
    """No mirror is asked."""
    put(cache.parent.parent, {"tinygrad_np": b"a file instead of a directory"})
    message = failure(source(server.mirror("one"), server.mirror("other")))
    expected = f"Small: cannot create or write to the directory {cache} ("
    assert message.startswith(expected)
    assert server.asked == []


# The user's directories.


@pytest.mark.parametrize("subfolder", ["small", "."])
@pytest.mark.parametrize(
    "files", [OFFICIAL, RAW, OTHER_GZIP, MIXED], ids=["gz", "raw", "other-gz", "mixed"]
)
def test_files_are_read_from_data_dir_unchanged(server, tmp_path, cache, files, subfolder):
    """Files are read from the directory or its subdirectory, and nothing is written."""
    folder = put(tmp_path / "mine" / subfolder, files)
    is_whole(sources.load(source(server.mirror("one")), tmp_path / "mine"))
    assert server.asked == []
    assert contents(folder) == files
    assert not cache.exists()


@pytest.mark.parametrize(
    "name",
    [
        "{dotted}",
        "{dotted}.gz",
        "{plain}/{plain}",
        "{plain}/{dotted}",
        "{dotted}/{dotted}",
        "small/{plain}/{plain}.gz",
        "Small/raw/{plain}",
        "Small/raw/{plain}.gz",
        "raw/{plain}",
    ],
)
def test_names_of_kaggle_7_zip_and_torchvision_are_found(tmp_path, name):
    for official, payload in PAYLOADS.items():
        plain = official.removesuffix(".gz")
        path = tmp_path / name.format(plain=plain, dotted=plain.replace("-idx", ".idx"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(payload) if path.suffix == ".gz" else payload)
    is_whole(sources.load(source(), tmp_path))


def test_fashion_mnist_is_found_where_torchvision_puts_it(tmp_path):
    put(tmp_path / "MNIST" / "raw", dict.fromkeys(RAW, b"another dataset's"))
    put(tmp_path / "FashionMNIST" / "raw", RAW)
    is_whole(sources.load(replace(source(), title="Fashion-MNIST"), tmp_path))


def test_html_page_in_place_of_a_file_is_reported(tmp_path):
    put(tmp_path, OFFICIAL | {NAMES[2]: b"<!DOCTYPE html>\n<html>404</html>"})
    message = failure(source(), tmp_path)
    assert message.startswith(f"{tmp_path / NAMES[2]}: expected an IDX file, got an HTML page, ")


@pytest.mark.parametrize("origin", ["data_dir", "TINYGRAD_NP_DATA"])
def test_unknown_user_raises(monkeypatch, origin):
    monkeypatch.setenv("TINYGRAD_NP_DATA", "~no-such-user/sets")
    message = failure(source(), "~no-such-user/sets" if origin == "data_dir" else None)
    assert message.startswith(f"Small: {origin} ~no-such-user/sets is not a directory (")


def test_home_directory_is_expanded(monkeypatch, tmp_path):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    put(tmp_path / "sets" / "small", RAW)
    is_whole(sources.load(source(), "~/sets"))
    is_whole(sources.load(source(), Path("~/sets")))
    monkeypatch.setenv("TINYGRAD_NP_DATA", "~/sets")
    is_whole(sources.load(source()))


PLACES = ["data_dir", "environment", "cache", "mirror"]


@pytest.mark.parametrize("first", range(4), ids=PLACES)
def test_places_are_searched_in_order(server, monkeypatch, tmp_path, cache, first):
    """data_dir, then TINYGRAD_NP_DATA, then the cache, then a mirror."""
    (tmp_path / "data_dir").mkdir()
    monkeypatch.setenv("TINYGRAD_NP_DATA", str(tmp_path / "environment"))
    have = PLACES[first:]
    read = []
    monkeypatch.setattr(
        sources, "read_idx", lambda path, sha256: read.append(path) or data.read_idx(path, sha256)
    )
    for place in {"data_dir", "environment"} & set(have):
        put(tmp_path / place / "small", OFFICIAL)
    if "cache" in have:
        put(cache, OFFICIAL)
    is_whole(sources.load(source(server.mirror("one")), tmp_path / "data_dir"))
    folders = [tmp_path / "data_dir" / "small", tmp_path / "environment" / "small", cache, cache]
    assert read == [folders[first] / name for name in NAMES]
    assert bool(server.asked) == (PLACES[first] == "mirror")


def test_subdirectory_comes_first(tmp_path):
    put(tmp_path, dict.fromkeys(NAMES, b"another dataset's"))
    put(tmp_path / "small", OFFICIAL)
    is_whole(sources.load(source(), tmp_path))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda content: b"", "expected an IDX file, which starts with"),
        (lambda content: content[:-5], "the gzip stream is truncated."),
        (altered, "the gzip stream is damaged"),
        (lambda content: gzip.compress(altered(gzip.decompress(content))), "is damaged or belongs"),
        (lambda content: gzip.compress(gzip.decompress(content)[:-1]), "bytes of entries"),
    ],
    ids=["empty", "cut-off", "damaged", "other-bytes", "too-few"],
)
def test_damaged_file_in_data_dir_raises(server, tmp_path, name, damage, fault):
    """It is not silently replaced by a download."""
    folder = put(tmp_path / "small", OFFICIAL | {name: damage(OFFICIAL[name])})
    message = failure(source(server.mirror("one")), tmp_path)
    assert str(folder / name) in message
    assert fault in message
    assert server.asked == []


def test_files_of_another_dataset_raise(tmp_path):
    others = [idx_bytes(array + 1) for array in ARRAYS]
    put(tmp_path, dict(zip(NAMES, others, strict=True)))
    message = failure(source(), tmp_path)
    assert str(tmp_path / NAMES[0]) in message
    assert "keep each dataset in its own directory" in message


# The two sources.

BOTH = pytest.mark.parametrize(
    ("load", "name"), [(data.mnist, "MNIST"), (data.fashion_mnist, "FASHION_MNIST")]
)


@BOTH
def test_functions_load_their_sources(monkeypatch, tmp_path, load, name):
    monkeypatch.setattr(sources, name, source())
    put(tmp_path / "small", OFFICIAL)
    is_whole(load(tmp_path))
    is_whole(load(data_dir=str(tmp_path)))


@BOTH
def test_sources_are_well_formed(load, name):
    """Four files in reading order, SHA-256 digests and https URLs."""
    official = getattr(sources, name)
    assert [file.name for file in official.files] == NAMES
    digests = {d for file in official.files for d in (file.gz_sha256, file.payload_sha256)}
    assert len(digests) == 8
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert all(re.fullmatch("https://.*/", mirror) for mirror in official.mirrors)
    assert official.folder == name.lower().replace("_", "-")


def test_missing_data_dir_raises(tmp_path):
    """A typo must not load other data from the next place."""
    with pytest.raises(DataError, match=r"^MNIST: data_dir .*nowhere is not a directory\."):
        data.mnist(tmp_path / "nowhere")


FOLDER = os.environ.get("TINYGRAD_NP_DATA")


# The digits.


@pytest.mark.parametrize("size", [8, 28])
def test_digits_have_1797_images(size):
    """1797 images, 359 of them in the test set; batches range from 0 to 1."""
    for dataset, count in zip(data.digits(size), (1438, 359), strict=True):
        assert (dataset.images.shape, dataset.images.dtype) == ((count, 1, size, size), np.uint8)
        images, _ = dataset.batch(slice(None))
        assert (images.min(), images.max()) == (0, 1)


def test_digits_split_is_stratified():
    """The test set has a fifth of each class."""
    train, test = data.digits()
    of_test = np.bincount(test.labels, minlength=10)
    of_all = of_test + np.bincount(train.labels, minlength=10)
    assert of_all.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_array_equal(of_test, np.round(0.2 * of_all))


def test_digits_split_is_fixed():
    """The split is the same in each call and version, whatever the global generator."""
    tinygrad_np.manual_seed(1)
    _, first = data.digits()
    tinygrad_np.manual_seed(2)
    _, second = data.digits()
    np.testing.assert_array_equal(first.images, second.images)
    digest = hashlib.sha256(first.images.tobytes() + first.labels.tobytes()).hexdigest()
    assert digest == "9af880ee3a85b7ef6a07cbbd8d3dd472e753b253e7b8d9265fbd0d18c72528c3"


def labelled(images, labels):
    """Return the sorted pairs of image bytes and label."""
    return sorted((image.tobytes(), int(n)) for image, n in zip(images, labels, strict=True))


def test_digits_match_scikit_learn():
    """Both sets together are scikit-learn's digits."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    theirs = datasets.load_digits()
    train, test = data.digits()
    images = np.concatenate([train.images, test.images])
    labels = np.concatenate([train.labels, test.labels])
    assert labelled(images, labels) == labelled(theirs.images.astype(np.uint8), theirs.target)


def test_digits_at_28_are_framed_like_mnist():
    """The longer side is 20 pixels, the center of mass (14, 14); order and split do not change."""
    for little, large in zip(data.digits(), data.digits(28), strict=True):
        assert large.images.shape == (len(little), 1, 28, 28)
        assert large.images.dtype == np.uint8
        assert large.scale == 255
        np.testing.assert_array_equal(large.labels, little.labels)
        images = large.images[:, 0].astype(np.float64)
        assert (images.max(axis=(1, 2)) == 255).all()
        height = images.any(axis=2).sum(axis=1)
        width = images.any(axis=1).sum(axis=1)
        assert (np.maximum(height, width) == 20).all()
        for axis in (1, 2):
            profile = images.sum(axis=axis)
            center = profile @ np.arange(28) / profile.sum(axis=1)
            assert np.abs(center - 14).max() < 0.51
        # Averaged over columns of 20 / 8 pixels, the rows are those of the small images.
        rows = np.stack([one[one.any(axis=1)].sum(axis=1) for one in images])
        matches = [
            np.corrcoef(r.repeat(2).reshape(8, 5).mean(1), s)[0, 1]
            for r, s in zip(rows, little.images[:, 0].sum(axis=2), strict=True)
        ]
        assert min(matches) > 0.9


@pytest.mark.parametrize("size", [0, 16, 32, "8", None])
def test_digits_with_another_size_raises(size):
    with pytest.raises(
        ArgumentError, match=rf"^digits: expected `size` to be 8 or 28, got {size}\."
    ):
        data.digits(size)


def test_digits_come_with_their_attribution():
    """The license requires it next to the files."""
    text = (Path(sources.__file__).parent / "digits" / "README.md").read_text("utf-8")
    for words in ("Alpaydin", "Kaynak", "UCI", "CC BY 4.0", "Changed"):
        assert words in text


def test_datasets_have_their_class_names():
    train, test = data.digits()
    assert train.classes == test.classes == sources.MNIST.classes == tuple("0123456789")
    clothes = sources.FASHION_MNIST.classes
    words = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
    assert ", ".join(clothes) == words


# The official files, if available.


# For each dataset: the loader, then first labels and label counts of training and test set.
REAL = {
    "mnist": (
        data.mnist,
        ([5, 0, 4, 1, 9], [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        ([7, 2, 1, 0, 4], [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ),
    "fashion-mnist": (
        data.fashion_mnist,
        ([9, 0, 0, 3, 0], [6000] * 10),
        ([9, 2, 1, 1, 6], [1000] * 10),
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_official_files_have_the_known_labels_and_statistics(name):
    """Known labels; the training set has the stated mean and standard deviation."""
    if not FOLDER or not (Path(FOLDER) / name).is_dir():
        pytest.skip(f"{name} is not in TINYGRAD_NP_DATA")
    load, *known = REAL[name]
    datasets = load(FOLDER)
    for dataset, (first, counts) in zip(datasets, known, strict=True):
        assert dataset.images.shape == (sum(counts), 1, 28, 28)
        assert dataset.images.dtype == np.uint8
        assert dataset.labels[:5].tolist() == first
        assert np.bincount(dataset.labels).tolist() == counts
    train, values = datasets[0], np.arange(256) / 255
    histogram = np.bincount(train.images.ravel(), minlength=256) / train.images.size
    mean = histogram @ values
    assert mean == pytest.approx(train.mean, abs=1e-4)
    assert np.sqrt(histogram @ (values - mean) ** 2) == pytest.approx(train.std, abs=1e-4)


def test_is_here_looks_where_load_looks_without_a_download(server, cache, monkeypatch, tmp_path):
    small = source(server.mirror("one"))
    assert not sources.is_here(small, "~nobody-of-this-name/data")
    assert not sources.is_here(small, tmp_path / "missing")
    put(tmp_path / "own" / "small", OFFICIAL)
    assert sources.is_here(small, tmp_path / "own")
    assert not sources.is_here(small)
    monkeypatch.setenv("TINYGRAD_NP_DATA", str(tmp_path / "own"))
    assert sources.is_here(small)
    monkeypatch.delenv("TINYGRAD_NP_DATA")
    put(cache, {name: OFFICIAL[name] for name in NAMES[:3]})
    assert not sources.is_here(small)
    put(cache, OFFICIAL)
    assert sources.is_here(small)
    assert server.asked == []
