"""The web application: one page, and the routes of its four tabs."""

from flask import Flask, Response, render_template

from tinygrad_np.cli.training import CORRECTIONS
from tinygrad_np.playground import backprop, convolution, draw, training
from tinygrad_np.playground.corrections import Corrections
from tinygrad_np.playground.http import MAX_PICTURE, answer_error
from tinygrad_np.playground.library import Library
from tinygrad_np.playground.security import protect
from tinygrad_np.playground.settings import Settings
from tinygrad_np.viz.theme import css_variables


def create_app(settings: Settings, host: str = "127.0.0.1") -> Flask:
    """Return the application; `server.serve` runs it.

    Args:
        settings: where to find data and models, and to write runs.
        host: the name or address that the server listens on.
    """
    app = Flask(__name__)
    protect(app, host)
    app.config["MAX_CONTENT_LENGTH"] = MAX_PICTURE
    app.register_error_handler(Exception, answer_error)
    app.add_url_rule("/", view_func=_page)
    app.add_url_rule("/theme.css", view_func=_theme)
    draw.add_routes(app, Library(settings.runs), Corrections(settings.runs / CORRECTIONS))
    training.add_routes(app, training.Training(settings))
    backprop.add_routes(app)
    convolution.add_routes(app, settings)
    return app


def _page() -> str:
    return render_template("index.html")


def _theme() -> Response:
    """The colors of graph pictures, as CSS variables."""
    return Response(css_variables(), mimetype="text/css")
