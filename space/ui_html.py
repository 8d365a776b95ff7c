"""Safe HTML: text that may come from a file's name, a model or a visitor, and pictures without a file.

Pictures are written into the page itself as data URIs, so that the server writes no file of them.

Example:
    >>> safe("<b>${1}</b>")
    '&lt;b&gt;&#36;&#123;1&#125;&lt;/b&gt;'
"""

import base64
import io
from html import escape

from PIL import Image


# The page's components fill templates with these signs: text must not be taken for one.
_TEMPLATE_SIGNS = str.maketrans({sign: f"&#{ord(sign)};" for sign in "{}$`"})


def safe(text: str) -> str:
    """Escape text for use in HTML, between tags and in quoted attributes."""
    return escape(text).translate(_TEMPLATE_SIGNS)


def data_uri(image: Image.Image, side: int | None = None, quality: int = 85) -> str:
    """Write a picture as a `data:` address.

    Args:
        image (`PIL.Image.Image`): left as it is.
        side (`int`, *optional*): shrunk to at most so many pixels a side.
        quality (`int`, *optional*, defaults to 85): of the WebP, 1..100.

    Returns:
        `str`: for the `src` of an `<img>`.
    """
    shown = image.convert("RGB")
    if side is not None:
        shown.thumbnail((side, side))
    file = io.BytesIO()
    shown.save(file, "WEBP", quality=quality, method=2)
    return file_uri(file.getvalue(), "image/webp")


def file_uri(content: bytes, kind: str) -> str:
    """Write a file's bytes as a `data:` address of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
