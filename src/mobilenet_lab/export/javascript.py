"""Join small JavaScript modules to one script, which can be part of an HTML page."""

import re
from pathlib import Path

IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


def join_modules(folder: Path, entry: str) -> str:
    """Return a module and everything it imports, each after what it needs.

    Every module becomes a function of its own that returns its exports. Imports have the form
    `import { a, b } from "./name.js";`, and exports stand before a function, a class or a constant.

    Args:
        folder: Folder of the modules.
        entry: Stem of the module that nothing else imports.
    """
    joined: dict[str, str] = {}

    def add(name: str) -> None:
        if name in joined:
            return
        source = (folder / f"{name}.js").read_text(encoding="utf-8")
        for _, imported in IMPORT.findall(source):
            add(imported)
        exports = ", ".join(name for _, name in EXPORT.findall(source))
        body = EXPORT.sub(r"\1", IMPORT.sub(r"const \1 = \2_js;", source))
        joined[name] = f"const {name}_js = (() => {{\n{body}return {{ {exports} }};\n}})();\n"

    add(entry)
    return "\n".join(joined.values())


def for_html(source: str) -> str:
    """Return a script that may stand between `<script>` and `</script>`."""
    return re.sub(r"<(?=/script|!--)", r"\\x3C", source, flags=re.IGNORECASE)
