"""Many verdicts as a table on the page and as a CSV file, the likeliest attacks first.

Example:
    >>> rows = [Row("a.jpg", verdict=Verdict(label="real", score=0.1)), Row("b.jpg", error="no image")]
    >>> [row.name for row in sort_rows(rows)]
    ['a.jpg', 'b.jpg']
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ui_html import file_uri, safe
from ui_words import Words

from faceshield_hf.tasks_faceshield import Verdict


CSV_COLUMNS = ("file", "label", "score", "threshold", "attack_type", "boxes", "quality", "explanation", "error")
"""The columns that `faceshield detect --csv` writes too."""
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Row:
    """One photo of a batch: its name, and a verdict or what is wrong with it.

    Attributes:
        name (`str`): the file's.
        verdict (`Verdict`, *optional*): as the detector gave it.
        error (`str`, *optional*): why there is none.
        thumb (`str`): the photo, small, as a `data:` address; may be empty.
    """

    name: str
    verdict: Verdict | None = None
    error: str | None = None
    thumb: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The row as plain JSON values: `file`, then the verdict's own keys or `error`."""
        return {"file": self.name} | ({"error": self.error} if self.verdict is None else self.verdict.to_dict())


def sort_rows(rows: Iterable[Row]) -> list[Row]:
    """Put the highest p(spoof) first and what could not be read last."""
    return sorted(rows, key=lambda row: (row.verdict is None, -(row.verdict.score or 0.0) if row.verdict else 0.0))


def batch_html(rows: Sequence[Row], total: int, running: bool, words: Words) -> str:
    """Write the progress, the table and the link to the CSV file.

    Args:
        rows (`Sequence[Row]`): what is judged by now.
        total (`int`): how many there are in all.
        running (`bool`): whether more come.
        words (`Words`): the page's language.

    Returns:
        `str`: HTML.
    """
    done = len(rows)
    if running:
        said = safe(words.batch_progress.format(done=done, total=total))
        head = (
            f'<div class="fs-progress"><progress value="{done}" max="{total}" aria-label="{said}"></progress>'
            f"<span>{said}</span></div>"
        )
    else:
        found = Counter(None if row.verdict is None else row.verdict.label for row in rows)
        counts = {label: found[label] for label in ("spoof", "unsure", "real")}
        said = words.batch_done.format(total=total, failed=found[None], **counts)
        head = f'<p class="fs-summary">{safe(said)}</p>'
    return head + (_table(sort_rows(rows), words) + _csv_link(rows, words) if rows else "")


def write_csv(rows: Iterable[Row]) -> str:
    """Write rows as a CSV file with `CSV_COLUMNS`, the highest p(spoof) first.

    Returns:
        `str`: boxes are `x1 y1 x2 y2` of 0..1, several joined by `;`, so are quality codes; a text that a spreadsheet
        would take for a formula gets an apostrophe before it.
    """
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, CSV_COLUMNS, restval="", extrasaction="ignore")
    writer.writeheader()
    for row in sort_rows(rows):
        values = row.to_dict()
        if row.verdict is not None:
            boxes = [f"{b.x1:.4f} {b.y1:.4f} {b.x2:.4f} {b.y2:.4f}" for b in row.verdict.boxes]
            values |= {"boxes": ";".join(boxes), "quality": ";".join(row.verdict.quality)}
        writer.writerow({key: _no_formula(value) for key, value in values.items()})
    return file.getvalue()


def _no_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_SIGNS) else value


def _table(rows: Sequence[Row], words: Words) -> str:
    heads = "".join(f'<th scope="col">{safe(name)}</th>' for name in words.batch_columns)
    body = "".join(_table_row(row, words) for row in rows)
    return (
        f'<div class="fs-scroll" tabindex="0" role="region" aria-label="{safe(words.batch_table)}">'
        f'<table class="fs-table"><caption>{safe(words.batch_table)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _table_row(row: Row, words: Words) -> str:
    name = safe(row.name)
    thumb = f'<img src="{row.thumb}" alt="{safe(words.batch_thumb.format(name=row.name))}">' if row.thumb else ""
    verdict = row.verdict
    if verdict is None or verdict.score is None:
        cells = [safe(words.batch_unreadable), "", "", safe(row.error or "")]
        kind = "none"
    else:
        kind = verdict.label or "none"
        attack = verdict.attack_type
        cells = [
            f'<span class="fs-chip"><span class="fs-mark" aria-hidden="true"></span>'
            f"{safe(words.labels[verdict.label])}</span>",
            words.percent(verdict.score),
            "" if attack is None or attack.is_live else safe(words.type_name(attack)),
            " ".join(safe(words.advice[code]) for code in verdict.quality),
        ]
    tail = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr class="fs-{kind}"><td>{thumb}</td><th scope="row">{name}</th>{tail}</tr>'


def _csv_link(rows: Sequence[Row], words: Words) -> str:
    address = file_uri(write_csv(rows).encode("utf-8-sig"), "text/csv;charset=utf-8")
    return f'<a class="fs-link" download="faceshield.csv" href="{address}">{safe(words.batch_csv)}</a>'
