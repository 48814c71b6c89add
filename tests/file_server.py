"""Serve a folder over HTTP on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NO_SERVER = "http://127.0.0.1:9/"  # the discard port, where nothing listens


class FileHandler(SimpleHTTPRequestHandler):
    """Notes the paths of all requests, and prints nothing."""

    requests: list[str] = []

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.requests.append(self.path)
        super().do_GET()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Yield the URL of a real server of the files in a folder."""
    FileHandler.requests.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(FileHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()
