"""Read images from http and https addresses, within limits of size and time."""

import base64
import io
import socket
import ssl
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from PIL import Image

from mobilenet_lab.data.images import load_image
from mobilenet_lab.inference.web_addresses import without_secrets
from mobilenet_lab.runtime.errors import InputError

MAX_BYTES = 64 << 20
MAX_REDIRECTS = 5
WAIT_S = 10  # for the connection, and for every part of the answer
TOTAL_S = 60
CHUNK = 1 << 16
BAD_REDIRECT = f"redirects more than {MAX_REDIRECTS} times, or not to http or https; check the address"
REDIRECTS = (301, 302, 303, 307, 308)
SCHEMES = ("http", "https")
HEADERS = {"User-Agent": "mobilenet-lab", "Accept": "image/*"}


def load_url(url: str, for_size: int | None = None) -> Image.Image:
    """Download an image and decode it as `load_image` does.

    User name and password in the address are sent to its host only, not to those of redirects.

    Args:
        url: The address.
        for_size: See `load_image`.

    Raises:
        InputError: The address, the answer or its contents cannot be used. The message has no secrets.
    """
    name = without_secrets(url)
    try:
        content, kind = _download(url)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    try:
        return load_image(io.BytesIO(content), name=name, for_size=for_size)
    except InputError as error:
        if kind in ("text/html", "text/plain", "application/json"):
            raise InputError(
                f"{name}: not an image but {kind}; use the address of the image itself"
            ) from error
        raise


def _download(url: str) -> tuple[bytes, str]:
    """Return the contents at an address and their media type."""
    request = _request(url)
    until = time.monotonic() + TOTAL_S
    try:
        with urllib.request.build_opener(_Redirects).open(request, timeout=WAIT_S) as answer:
            length = answer.headers.get("Content-Length", "")
            if length.isdigit() and int(length) > MAX_BYTES:
                raise InputError(_too_large(int(length)))
            return _read(answer, until), answer.headers.get_content_type()
    except InputError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in REDIRECTS:
            raise InputError(BAD_REDIRECT) from error
        raise InputError(f"the server answers {error.code} {error.reason}; check the address") from error
    except urllib.error.URLError as error:
        raise InputError(_explain(error.reason)) from error
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(_explain(error)) from error


def _request(url: str) -> urllib.request.Request:
    """Return the request for an address, with its password as a header that redirects do not get."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError("not a valid address") from error
    if parts.scheme.lower() not in SCHEMES:
        raise InputError(f"{parts.scheme}:// is not read; use http, https or the path of a file")
    if not host:
        raise InputError("the address has no host")
    credentials, _, place = parts.netloc.rpartition("@")
    quoted = quote(urlunsplit(parts._replace(netloc=place, fragment="")), safe="!#$%&'()*+,/:;=?@[]~")
    request = urllib.request.Request(quoted, headers=HEADERS)
    if credentials:
        token = base64.b64encode(unquote(credentials).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _read(answer: IO[bytes], until: float) -> bytes:
    content = bytearray()
    while chunk := answer.read1(CHUNK):  # type: ignore[attr-defined] # returns what has arrived
        content += chunk
        if len(content) > MAX_BYTES:
            raise InputError(_too_large())
        if time.monotonic() > until:
            raise InputError(f"the download takes more than {TOTAL_S} s; download it yourself")
    return bytes(content)


def _too_large(length: int | None = None) -> str:
    size = f"{length:,} bytes" if length else f"more than {MAX_BYTES:,} bytes"
    return f"has {size}; addresses may have at most {MAX_BYTES:,}, files more"


def _explain(reason: Any) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer within {WAIT_S} s; try again later"
    if isinstance(reason, socket.gaierror):
        return "no such host; check the address and the connection"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"the certificate of the host is not valid: {reason.verify_message}"
    if isinstance(reason, OSError) and reason.strerror:
        return f"cannot be reached: {reason.strerror}; check the address and the connection"
    return f"no valid answer: {type(reason).__name__}; check the address"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, to http and https only."""

    max_redirections = MAX_REDIRECTS
    max_repeats = MAX_REDIRECTS

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuse other schemes, and a step from https back to http."""
        fp.close()  # urllib reads the contents of a redirect otherwise, however long
        target = urlsplit(urljoin(req.full_url, newurl))
        if target.scheme not in SCHEMES or (req.type == "https" and target.scheme == "http"):
            raise InputError(BAD_REDIRECT)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
