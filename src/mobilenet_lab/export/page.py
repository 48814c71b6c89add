"""One HTML file that classifies drawings or images in a browser, without a server or a network."""

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import jinja2
from markupsafe import Markup

from mobilenet_lab.export.javascript import for_html, join_modules
from mobilenet_lab.export.web_runtime import LICENSE, VERSION, WebRuntime, web_runtime
from mobilenet_lab.inference.model_metadata import ModelMetadata

SOURCES = Path(__file__).parent / "web"
SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)  # developer tools would request it

MODEL = re.compile(r'<script type="text/plain" id="model">([^<]*)</script>')


def build_page(
    model: bytes,
    metadata: ModelMetadata,
    channels: int | None = None,
    runtime: WebRuntime | None = None,
) -> str:
    """Return a page that runs a model.

    A model for digits in MNIST's style gets a pad to draw on. Any other takes images.

    Args:
        model: ONNX file of `onnx_format.to_onnx`.
        metadata: Description of the model. Class names may come from anyone.
        channels: Channels of the images that go into the model, 1 or 3; by default as many as the network
            takes.
        runtime: ONNX Runtime Web; downloaded by default.

    Raises:
        InputError: ONNX Runtime Web cannot be downloaded.
    """
    runtime = runtime or web_runtime()
    style = (SOURCES / "style.css").read_text(encoding="utf-8")
    script = "\n" + for_html(join_modules(SOURCES, "app")) + "\n"
    runtime_script = for_html(SOURCE_MAP.sub("", runtime.script))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("index.html.jinja").render(
        **_texts(metadata, channels or metadata.preprocessing["channels"]),
        policy=_policy(style, script, runtime_script),
        style=Markup(style),
        script=Markup(script),
        runtime=Markup(runtime_script),
        runtime_version=VERSION,
        runtime_license=LICENSE,
        packed={"wasm": _pack(runtime.wasm), "loader": _pack(runtime.loader), "model": _pack(model)},
    )


def model_of_page(page: str) -> bytes:
    """Return the ONNX file that a page contains."""
    found = MODEL.search(page)
    assert found is not None, "not a page of build_page"
    return gzip.decompress(base64.b64decode(found[1]))


def _texts(metadata: ModelMetadata, channels: int) -> dict[str, object]:
    """Return what the template says about the model."""
    data, can_draw = metadata.data, metadata.data["mnist_style"]
    subject = "digit" if all(name.isdecimal() for name in metadata.classes) else "character"
    description = {
        "classes": metadata.classes,
        "channels": channels,
        "visible_side": metadata.visible_side,
        **{key: data[key] for key in ("native_size", "mnist_style", "fit")},
    }
    return {
        "title": f"Draw a {subject}" if can_draw else "Classify an image",
        "prompt": f"Draw a {subject}" if can_draw else "Choose an image",
        "hint": f"Draw a {subject} here, or drop an image" if can_draw else "Drop, paste or choose an image",
        "can_draw": can_draw,
        "visible_side": metadata.visible_side,
        "data_name": data["name"],
        "num_classes": len(metadata.classes),
        "precision": metadata.precision,
        # JSON in a script element: "<" could end the element.
        "metadata": Markup(json.dumps(description).replace("<", r"\u003c")),
    }


def _policy(style: str, *scripts: str) -> str:
    """Return a Content Security Policy that allows these scripts and this style, and no request."""
    allowed = " ".join(_hash_source(script) for script in scripts)
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {allowed} 'wasm-unsafe-eval' blob:",
            f"style-src {_hash_source(style)}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash_source(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _pack(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()
