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
    scheme = HAS_SCHEME.match(name)
    if scheme is None:
        return name
    # A password may contain any character but a slash.
    host, slash, path = name[scheme.end() :].partition("/")
    return scheme[0] + host.rpartition("@")[2] + slash + path


def without_secrets(name: str) -> str:
    """Return the name of an image for messages: an address also without its query, which may hold a key."""
    if not is_url(name):
        return name
    try:
        parts = urlsplit(display_name(name))
        return printable(urlunsplit(SplitResult(parts.scheme, parts.netloc, parts.path, "", "")))
    except ValueError:  # not a valid address
        return printable(display_name(name).partition("?")[0])
