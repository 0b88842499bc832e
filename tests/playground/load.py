"""Load test: `python -m tests.playground.load --clients 16 --seconds 60` posts digits to a server.

Without --url, it starts a server of its own. Every answer is compared with the direct computation.
"""

import argparse
import http.client
import io
import json
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from tinygrad_np import data
from tinygrad_np.playground.app import create_app
from tinygrad_np.playground.draw import predict_picture
from tinygrad_np.playground.library import BUNDLED, Library
from tinygrad_np.playground.server import Server
from tinygrad_np.playground.settings import Settings

PERCENTILES = (50, 90, 99, 100)


def make_pictures(count=20):
    """Return PNG files of dark digits on white pages of 280x280 pixels, as the page sends them."""
    files = []
    for image in data.digits()[1].images[:count, 0]:
        ink = Image.fromarray((255 - image * (255 / 16)).astype(np.uint8)).resize((200, 200))
        page = Image.new("L", (280, 280), 255)
        page.paste(ink, (40, 40))
        file = io.BytesIO()
        page.save(file, "PNG")
        files.append(file.getvalue())
    return files


@contextmanager
def own_server(runs):
    """Run a server on a free port in this process; yield its address."""
    app = create_app(Settings(runs=Path(runs)))
    server = Server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.shutdown()
        thread.join()
        for close in app.extensions["on_exit"]:
            close()
        server.disconnect()


def send(url, path, body, kind):
    """Post a body and return the status and the JSON of the answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": kind})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def measure(url, clients, seconds):
    """Let `clients` threads post pictures for some seconds.

    Returns:
        The latencies of all requests in seconds, and what was wrong with answers.
    """
    pictures = make_pictures()
    model = Library(Path("no-runs")).load(BUNDLED)
    expected = [predict_picture(model, picture, "The drawing") for picture in pictures]
    latencies, problems = [], []
    end = time.monotonic() + seconds

    def post(client):
        place = client
        while time.monotonic() < end:
            place = (place + 1) % len(pictures)
            start = time.perf_counter()
            try:
                answer = send(url, f"/api/predict?model={BUNDLED}", pictures[place], "image/png")
            except (OSError, ValueError, http.client.HTTPException) as error:
                answer = 0, repr(error)
            latencies.append(time.perf_counter() - start)
            if problem := find_problem(answer, expected[place]):
                problems.append(problem)

    threads = [threading.Thread(target=post, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, problems


def find_problem(answer, expected):
    """Return what is wrong with an answer, or ""."""
    status, got = answer
    if status != 200:
        return f"status {status}: {got}"
    if not np.allclose(got["probabilities"], expected["probabilities"], atol=1e-5):
        return f"probabilities {got['probabilities']} instead of {expected['probabilities']}"
    return "" if got["image"] == expected["image"] else "another image"


def main(arguments=None):
    """Run the load test; return 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--url", help="address of a running playground")
    parser.add_argument("--training", action="store_true", help="train a model at the same time")
    parser.add_argument("--runs", default="runs", help="directory of the server's runs")
    args = parser.parse_args(arguments)
    if args.url is None:
        with own_server(args.runs) as url:
            return report(url, args)
    return report(args.url, args)


def report(url, args):
    """Measure a server and print the result; return 1 if an answer was wrong."""
    if args.training:
        config = {"data": "digits", "model": "DigitsCNN", "epochs": 10_000}
        body = json.dumps({"config": config})
        print("training:", send(url, "/api/training", body, "application/json"))
    latencies, problems = measure(url, args.clients, args.seconds)
    if args.training:
        send(url, "/api/training/stop", "{}", "application/json")
    parts = zip(PERCENTILES, np.percentile(latencies, PERCENTILES) * 1000, strict=True)
    print(
        f"{args.clients} clients: {len(latencies) / args.seconds:.0f} requests per second; "
        f"percentiles in ms: {', '.join(f'{name}: {value:.1f}' for name, value in parts)}; "
        f"{len(problems)} wrong answers"
    )
    for problem in problems[:5]:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
