"""Pictures with what their places said, drawn once and shown twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

GAP = 8


def panel(single: Mapping[str, Any], name: str, kind: str) -> Markup:
    """A picture, and the same in grey with blue and orange places over it.

    Args:
        single: One of the evidence's ``model.pictures.singles``.
        name: Unique among the drawings of a page.
        kind: ``image`` (beside each other) or ``audio`` (below each other).

    Returns:
        An SVG element; nothing where there was no room for the picture.
    """
    if not single["picture"]:
        return Markup("")
    width, height = single["size"]
    right, down = (width + GAP, 0) if kind == "image" else (0, height + GAP)
    title = f"{single['file'] or 'row ' + str(single['row'])}, and what its places said"
    box = f"0 0 {width + right} {height + down}"
    whole = f'width="{width}" height="{height}"'
    over = f'<image {whole} preserveAspectRatio="none" href="{escape(single["heat"])}"/>'
    return Markup(
        f'<svg class="seen {kind}" viewBox="{box}" role="img" aria-label="{escape(title)}">'
        f'<image id="{escape(name)}" {whole} href="{escape(single["picture"])}"/>'
        f'<g transform="translate({right} {down})"><use class="dim" href="#{escape(name)}"/>'
        f"{over if single['heat'] else ''}</g></svg>"
    )


def small(item: Mapping[str, Any]) -> Markup:
    """A picture beside others.

    Args:
        item: With ``picture``, ``size``, ``file`` and ``row``.

    Returns:
        An image element; nothing where there was no room for the picture.
    """
    if not item["picture"]:
        return Markup("")
    width, height = item["size"]
    title = item["file"] or f"row {item['row']}"
    return Markup(
        f'<img src="{escape(item["picture"])}" width="{width}" height="{height}" '
        f'alt="{escape(title)}" title="{escape(title)}">'
    )
