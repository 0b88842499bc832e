"""Requests and errors of the web application: every answer to a script is JSON."""

import base64
import json
import sys
import traceback
from typing import Any, NoReturn

from flask import Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from tinygrad_np.errors import TinygradNpError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.schema import check

MAX_JSON = 64 * 1024
"""Largest JSON body in bytes."""

MAX_PICTURE = 20 * 1024 * 1024
"""Largest picture in bytes."""


def json_body(who: str, schema: Any) -> Any:
    """Read the JSON body of the current request and check it against a schema.

    Args:
        who: name of the route for error messages.
        schema: the structure of the body, as in `tinygrad_np.schema`.

    Raises:
        HTTPException: with status 415 for another content type, 413 for a body above `MAX_JSON`,
            and 400 for malformed JSON.
        ArgumentError: if a value does not match the schema.
    """
    if request.mimetype != "application/json":
        abort(415, f"{who}: expected the content type application/json, got {_content_type()}.")
    request.max_content_length = MAX_JSON
    try:
        body = json.loads(request.get_data(), parse_constant=_reject)
    except (ValueError, RecursionError):
        abort(400, f"{who}: expected a body of valid JSON.")
    check(who, body, schema, "body")
    return body


def picture_body(who: str) -> bytes:
    """Read the picture in the body of the current request.

    Args:
        who: what error messages call the picture.

    Raises:
        HTTPException: with status 415 if the content type is not an image's, and 413 for a body
            above `MAX_PICTURE`.
    """
    if not request.mimetype.startswith("image/"):
        abort(
            415,
            f"{who}: expected a picture, such as a PNG or JPEG file, got the content type "
            f"{request.mimetype or 'unknown'}.",
        )
    request.max_content_length = MAX_PICTURE
    try:
        return request.get_data()
    except RequestEntityTooLarge:
        abort(413, f"{who}: expected at most {MAX_PICTURE // 2**20} MiB, got more.")


def encode(levels: Array) -> str:
    """Return an array of uint8 in base64, row by row, for `bytesOf` in common.js."""
    return base64.b64encode(levels.tobytes()).decode()


def answer_error(error: Exception) -> tuple[Response, int]:
    """Return the JSON answer to a request that failed.

    The message of an unexpected error goes to standard error only: it may reveal paths.
    """
    if isinstance(error, TinygradNpError):
        return jsonify(error=str(error)), 400
    if isinstance(error, HTTPException):
        return jsonify(error=error.description or error.name), error.code or 500
    traceback.print_exception(error, file=sys.stderr)
    return jsonify(error="The server failed to answer. Its terminal shows the error."), 500


def _content_type() -> str:
    return repr(request.mimetype) if request.mimetype else "none"


def _reject(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not valid JSON")
