"""The report of a build: one HTML page without scripts, with images, distributions and losses.

Images are taken from the finished files, a few of every type, shrunk, with their boxes drawn. The page holds
everything itself; the contact sheet is beside it as a PNG too. It counts nothing: see `statistics.py`.

Example:
    >>> from faceshield_hf.data.build.report import bars
    >>> "width:50%" in bars({"a": 2, "b": 1})
    True
"""

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from faceshield_hf.data.build.card import losses_table
from faceshield_hf.data.build.statistics import BOX_BINS, CLIP_BINS, WORD_BINS
from faceshield_hf.data.simulate.sheet import contact_sheet
from faceshield_hf.image_input_faceshield import to_rgb_image
from faceshield_hf.tasks_faceshield import AttackType, Box
from faceshield_hf.whole_files import write_whole


_PER_TYPE = 4
_CELL = 220
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1c1c1e }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.15rem } img { max-width: 100%; border-radius: 4px }
table { border-collapse: collapse; width: 100% } td, th { padding: .15rem .6rem .15rem 0; text-align: left }
td.n { text-align: right; font-variant-numeric: tabular-nums; width: 6rem } td.b { width: 55% }
.bar { background: #3367d6; height: .8rem; border-radius: 2px } details { margin: .4rem 0 }
@media (prefers-color-scheme: dark) { body { background: #16161a; color: #e6e6e6 } .bar { background: #7aa2ff } }
"""


def write_report(folder: str | Path, counts: Mapping[str, Any], title: str) -> Path:
    """Write `report.html` and `contact_sheet.png` into a build.

    Args:
        folder (`str` or `Path`): the build, with its parquet files.
        counts (`Mapping`): its counts.
        title (`str`): the page's heading.

    Returns:
        `Path`: the page.
    """
    folder = Path(folder)
    sheet, examples = _look(folder)
    png = io.BytesIO()
    sheet.save(png, "PNG", optimize=True)
    write_whole(folder / "contact_sheet.png", png.getvalue())
    jpeg = io.BytesIO()
    sheet.save(jpeg, "JPEG", quality=85)
    picture = f'<img alt="contact sheet" src="data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}">'
    parts = [
        ("Images, with their boxes", picture),
        ("Types", bars(_ordered_types(counts["attack_type"]))),
        ("Tasks", bars(counts["task"])),
        ("Splits", bars(counts["split"])),
        ("Domains", bars(counts["domain"])),
        ("Box sizes: share of the image, up to", bars(_ordered(counts["box_share"], BOX_BINS))),
        *[
            (f"Answer lengths of {task}: words, up to", bars(_ordered(words, WORD_BINS)))
            for task, words in counts["answer_words"].items()
        ],
        *([("CLIP scores, up to", bars(_ordered(counts["clip_score"], CLIP_BINS)))] if counts["clip_score"] else []),
        ("Filters and losses", _html_tables(losses_table(counts))),
        ("One answer of every task and type", "".join(examples)),
    ]
    body = "".join(f"<h2>{html.escape(name)}</h2>{content}" for name, content in parts)
    summary = (
        f"<p>{counts['records']:,} records ({counts['paraphrases']:,} of them paraphrases) of "
        f"{counts['images_used']:,} images; {counts['images_read']:,} rows read.</p>"
    )
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    page = f'<!doctype html><html lang="en">{head}<h1>{html.escape(title)}</h1>{summary}{body}</html>\n'
    return write_whole(folder / "report.html", page)


def bars(part: Mapping[str, int]) -> str:
    """Counts as a table with bars, the largest as wide as the column."""
    if not part:
        return "<p>None.</p>"
    most = max(part.values()) or 1
    rows = "".join(
        f'<tr><td>{html.escape(str(key))}</td><td class="n">{number:,}</td>'
        f'<td class="b"><div class="bar" style="width:{100 * number / most:.3g}%"></div></td></tr>'
        for key, number in part.items()
    )
    return f"<table>{rows}</table>"


def _look(folder: Path) -> tuple[Image.Image, list[str]]:
    """The contact sheet and one answer of every task and type, from as few files as hold them."""
    import pyarrow.parquet as pq

    found: dict[str, list[tuple[Image.Image, list[Box]]]] = {kind.value: [] for kind in AttackType}
    answers: dict[tuple[str, str], str] = {}
    for path in sorted((folder / "data").glob("*.parquet")):
        if all(len(images) >= _PER_TYPE for images in found.values()):
            break
        plain = pq.read_table(path, columns=["attack_type", "task", "answer", "boxes", "width"]).to_pylist()
        wanted: list[int] = []
        last = None
        for i, row in enumerate(plain):
            answers.setdefault((row["task"], row["attack_type"]), row["answer"])
            key = (row["attack_type"], str(row["boxes"]), row["width"])
            if key != last and len(found[row["attack_type"]]) + _planned(wanted, plain, row) < _PER_TYPE:
                wanted.append(i)
            last = key
        if not wanted:
            continue
        contents = pq.read_table(path, columns=["image"])["image"].take(wanted).to_pylist()
        for i, content in zip(wanted, contents, strict=True):
            image = to_rgb_image(content["bytes"])  # boxes are fractions of the upright image
            image.thumbnail((_CELL, _CELL))
            boxes = [Box(b["x1"], b["y1"], b["x2"], b["y2"]) for b in plain[i]["boxes"]]
            found[plain[i]["attack_type"]].append((image, boxes))
    cells = [(image, kind, boxes) for kind, images in found.items() for image, boxes in images]
    told = [
        f"<details><summary>{html.escape(task)}, {html.escape(kind)}</summary><p>{html.escape(answer)}</p></details>"
        for (task, kind), answer in sorted(answers.items())
    ]
    shown, labels, marked = [c[0] for c in cells], [c[1] for c in cells], [c[2] for c in cells]
    return contact_sheet(shown, labels, marked, columns=_PER_TYPE * 2, cell=_CELL), told


def _planned(wanted: list[int], rows: list[dict[str, Any]], row: dict[str, Any]) -> int:
    return sum(rows[i]["attack_type"] == row["attack_type"] for i in wanted)


def _ordered(part: Mapping[str, int], edges: tuple[float, ...]) -> dict[str, int]:
    return {f"{edge:g}": part[f"{edge:g}"] for edge in edges if f"{edge:g}" in part}


def _ordered_types(part: Mapping[str, int]) -> dict[str, int]:
    return {kind.value: part[kind.value] for kind in AttackType if kind.value in part}


def _html_tables(markdown: str) -> str:
    """The card's tables as HTML: plain rows of cells, nothing else."""
    out, inside = [], False
    for line in markdown.splitlines():
        cells = [html.escape(cell.strip()) for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            out.append(("</table>" if inside else "") + (f"<p>{html.escape(line)}</p>" if line else ""))
            inside = False
        elif set(line) > set("|-"):
            tag = "td" if inside else "th"
            out.append(
                ("" if inside else "<table>") + "<tr>" + "".join(f"<{tag}>{c}</{tag}>" for c in cells) + "</tr>"
            )
            inside = True
    return "".join(out) + ("</table>" if inside else "")
