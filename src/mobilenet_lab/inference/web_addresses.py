"""Addresses of images on the web, and what to show of them."""

import re
from urllib.parse import SplitResult, urlsplit, urlunsplit

from mobilenet_lab.runtime.text import printable

HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(name: str) -> bool:
    """Return whether a name starts with a scheme, such as https://."""
    return HAS_SCHEME.match(name) is not None


def display_name(name: str) -> str:
    """Return the name of an image as answers show it: an address without user name and password."""
    return HAS_SCHEME.match(name)[0] + _after_user(name) if is_url(name) else name  # type: ignore[index]


def without_secrets(url: str) -> str:
    """Return an address for messages, also without its query, which may hold a key."""
    try:
        parts = urlsplit(display_name(url))
        return printable(urlunsplit(SplitResult(parts.scheme, parts.netloc, parts.path, "", "")))
    except ValueError:  # not a valid address
        return printable(display_name(url).partition("?")[0])


def _after_user(url: str) -> str:
    """Return what follows the scheme, user name and password, which may contain any character but /."""
    host, slash, path = HAS_SCHEME.sub("", url).partition("/")
    return host.rpartition("@")[2] + slash + path
