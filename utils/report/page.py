"""Puts the page together: our styles and scripts inline, data beside them, all else barred.

What models wrote is data only: JSON and compressed JSON in script elements that are no scripts.
The content security policy allows exactly our one script and one style sheet, by their hashes; no
network, no inline handlers, no markup from strings (trusted types).
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).parent / "assets"
STYLES = ("page.css", "charts.css", "conversations.css")
#: What a conversation's view calls, in this page and wherever one is shown alone.
CONVERSATION_SCRIPTS = (
    "dom.js",
    "meaning.js",
    "metrics.js",
    "temml.min.js",
    "math.js",
    "prose.js",
    "charts.js",
    "sessions.js",
    "conversation.js",
)
SCRIPTS = (
    *CONVERSATION_SCRIPTS,
    "plane.js",
    "overview.js",
    "students.js",
    "learning.js",
    "store.js",
    "browser.js",
    "main.js",
)


def _joined(files: Iterable[Path]) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def data_block(name: str, value: Any) -> str:
    """A script element that holds JSON and cannot be left: no `<`, no line that ends a script."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="{name}">{text}</script>\n'


def document(
    title: str, styles: Iterable[Path], scripts: Iterable[Path], body: str, *, served: bool = False
) -> str:
    """A whole page with these files inline; `body` is markup of ours.

    A `served` page may talk to its own server; any other reaches nothing at all.
    """
    style = "\n" + _joined(styles)
    script = '\n(() => {\n"use strict";\n' + _joined(scripts) + "\n})();\n"
    own = "connect-src 'self'; " if served else ""
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        f"img-src data:; {own}base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(title)}</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n{body}"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def page(data: dict[str, Any], chunks: Iterable[tuple[str, str]]) -> str:
    """The whole page.  `data` is JSON; `chunks` are (talk, solutions), base64 of gzipped JSON."""
    packed = "".join(
        f'<script type="text/plain" class="data-talk">{talk}</script>\n'
        f'<script type="text/plain" class="data-solutions">{solutions}</script>\n'
        for talk, solutions in chunks
    )
    return document(
        f"{data['title']} - tutor report",
        [ASSETS / name for name in STYLES],
        [ASSETS / name for name in SCRIPTS],
        '<a class="skip" href="#conversations">Skip to the conversations</a>\n'
        '<div id="app"><noscript>This page draws itself with a script of its own; '
        "allow scripts to read it.</noscript></div>\n"
        f"{data_block('data', data)}{packed}",
    )
