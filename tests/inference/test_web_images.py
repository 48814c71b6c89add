"""Images from a server on this machine."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenet_lab.inference import web_images
from mobilenet_lab.inference.image_files import list_images
from mobilenet_lab.inference.web_addresses import display_name, is_url, without_secrets
from mobilenet_lab.inference.web_images import BAD_REDIRECT, load_url
from mobilenet_lab.runtime.errors import InputError

LONG = 64  # MiB
PIXELS = np.random.default_rng(0).integers(0, 255, (9, 7), np.uint8)


class Handler(BaseHTTPRequestHandler):
    seen: list[tuple[str, str | None]] = []  # path and authorization of each request
    sent: list[int] = []  # bytes of long contents

    def log_message(self, *arguments: object) -> None:
        """Write nothing to standard error."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.seen.append((path, self.headers["Authorization"]))
        if path.startswith("/to/"):
            return self.answer(302, headers={"Location": self.path.removeprefix("/to/")})
        if path == "/loop":
            return self.answer(302, headers={"Location": f"/loop?{len(self.seen)}"})
        if path == "/long-redirect":
            self.answer(302, headers={"Location": "/x.png"})
            with suppress(OSError):  # the client hangs up
                for _ in range(LONG):
                    self.wfile.write(b"x" * (1 << 20))
                    self.sent.append(1 << 20)
            return None
        if path == "/slow":
            time.sleep(0.5)
        if path == "/cut":
            self.answer(200, b"short", {"Content-Length": "1000"})
            return self.connection.close()
        if path == "/large":
            return self.answer(200, headers={"Content-Length": str(1 << 40)})
        if path == "/endless":
            return self.answer(200, b"x" * 300_000)
        if path == "/page":
            return self.answer(200, b"<html>", {"Content-Type": "text/html; charset=utf-8"})
        if path == "/drip":
            self.answer(200, b"")
            for _ in range(20):
                self.wfile.write(b"x")
                time.sleep(0.05)
            return None
        if path.endswith(".png") or path == "/ü":
            buffer = io.BytesIO()
            Image.fromarray(PIXELS).save(buffer, "PNG")
            return self.answer(200, buffer.getvalue())
        return self.answer(404)

    def answer(self, code: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return host and port of a server."""
    service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.handle_error = lambda *arguments: None  # type: ignore[method-assign] # clients hang up
    threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True).start()
    yield f"127.0.0.1:{service.server_port}"
    service.shutdown()
    service.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    Handler.seen.clear()


@pytest.mark.parametrize("path", ["x.png", "a%20b.png?size=1&name=ü#top", "to//x.png", "to//to//to//x.png"])
def test_image_is_downloaded(server: str, path: str) -> None:
    assert (np.asarray(load_url(f"http://{server}/{path}")) == PIXELS).all()


def test_password_is_sent_to_its_host_but_not_to_the_host_of_a_redirect(server: str) -> None:
    port = server.rpartition(":")[2]
    load_url(f"http://me:s%40cret@{server}/to/http://localhost:{port}/x.png")
    assert [authorization for _, authorization in Handler.seen] == ["Basic bWU6c0BjcmV0", None]


def test_contents_of_a_redirect_are_not_read(server: str) -> None:
    assert (np.asarray(load_url(f"http://{server}/long-redirect")) == PIXELS).all()
    assert len(Handler.sent) < LONG / 2  # as much as the sockets buffer


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", "the server answers 404 Not Found; check the address"),
        ("large", "has 1,099,511,627,776 bytes; addresses may have at most 100,000, files more"),
        ("endless", "has more than 100,000 bytes; addresses may have at most 100,000, files more"),
        ("page", "not an image but text/html; use the address of the image itself"),
        ("cut", "damaged image|no valid answer: IncompleteRead|not an image"),
        ("slow", "no answer within 0.2 s; try again later"),
        ("drip", "the download takes more than 0.1 s; download it yourself"),
        ("loop", BAD_REDIRECT),
        ("to/file:///etc/passwd", BAD_REDIRECT),
        ("to/ftp://127.0.0.1/x.png", BAD_REDIRECT),
    ],
)
def test_failure_is_one_line_without_secrets(
    server: str, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    monkeypatch.setattr(web_images, "MAX_BYTES", 100_000)
    monkeypatch.setattr(web_images, "WAIT_S", 0.2)
    monkeypatch.setattr(web_images, "TOTAL_S", 0.1 if path == "drip" else 60)
    with pytest.raises(InputError, match=message) as refused:
        load_url(f"http://me:s3cret@{server}/{path}?key=t0ken")
    text = str(refused.value)
    assert text.startswith(f"http://{server}/{path.partition('?')[0]}: ")
    assert "\n" not in text
    assert "s3cret" not in text
    assert "t0ken" not in text
    chain: BaseException | None = refused.value
    while chain is not None:  # a traceback shows these
        assert "s3cret" not in str(chain)
        chain = chain.__cause__
    assert len(Handler.seen) <= web_images.MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "file:///etc/passwd",
            "file:///etc/passwd: file:// is not read; use http, https or the path of a file",
        ),
        ("ftp://u:pw@host/x.png", "ftp://host/x.png: ftp:// is not read"),
        ("http:///x.png", "http:///x.png: the address has no host"),
        ("http://u:pw@[bad/x.png?key=1", "http://[bad/x.png: not a valid address"),
        ("http://u:p?#w@host:port/x.png", "http://host:port/x.png: not a valid address"),
        ("https://u:pw@host.invalid/x.png", "https://host.invalid/x.png: no such host"),
        ("http://127.0.0.1:9/x.png", "http://127.0.0.1:9/x.png: cannot be reached: Connection refused"),
        ("http://a b\n/x.png", "http://a b/x.png: no valid answer: InvalidURL"),
    ],
)
def test_address_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        load_url(url)
    assert str(refused.value).startswith(message)
    assert "pw" not in str(refused.value)


def test_answers_show_an_address_without_password_and_a_path_as_it_is(tmp_path: Path) -> None:
    assert display_name("https://me:a:b@c@host/x.png?size=1") == "https://host/x.png?size=1"
    assert without_secrets("https://me@host/x.png?size=1#y") == "https://host/x.png"
    for path in ("a@b.png", "c:/x.png", "-", "odd?name.png"):
        assert display_name(path) == without_secrets(path) == path
        assert not is_url(path)
    urls = ["https://host/x.png", "http://host/*.png"]
    assert list_images([urls[0], str(tmp_path / "none.png"), urls[1]])[0] == urls
