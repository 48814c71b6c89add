"""Render a page from a template; see `templates`."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mobilenet_lab.runtime.atomic_files import write_atomically
from mobilenet_lab.runtime.text import printable

TEMPLATES = "templates"


def write_page(path: Path, template: str, **values: Any) -> None:
    """Render a template into a self-contained HTML file.

    Every value is escaped, also in attributes: names of classes and files are text from outside. A content
    security policy lets the page load nothing and run no script but its own.

    Args:
        path: The file.
        template: Name of the template.
        values: What the template shows.
    """
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _templates().get_template(template).render(script=Markup(script), digest=digest, **values)
    write_atomically(path, lambda scratch: scratch.write_text(page, encoding="utf-8"))


@cache
def _script() -> str:
    return (files(__package__) / TEMPLATES / "sort.js").read_text(encoding="utf-8")


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__ or "", TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {"percent": percent, "duration": duration, "size": size}
    return environment


def _shown(value: Any) -> Any:
    """Escape what UTF-8 or a browser cannot show, such as bytes of file names, but keep line breaks."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return "\n".join(printable(line) for line in value.split("\n"))
    return value


def percent(fraction: float) -> str:
    """Return a fraction as percent with two decimals; only a perfect result is 100 %."""
    value = 100 * fraction
    return f"{value if value == 100 else min(value, 99.99):.2f} %"


def duration(seconds: float) -> str:
    """Return a duration in units that suit it."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def size(count: float) -> str:
    """Return a large number in thousands, millions or billions."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:g}"
