"""The review page: one record at a time, with its image and boxes, to accept, fix or reject from the keyboard.

A Gradio page on this machine only. Every decision is on disk before the next record is shown; closing the page loses
nothing, and a reviewer goes on where they stopped. Each reviewer sees all records, in an order of their own, so that
pairs of them overlap early and their agreement can be told. Needs the extras `faceshield-hf[train,space]`.

Example:
    >>> from faceshield_hf.data.review.page import KEYS
    >>> KEYS
    {'a': 'accept', 'f': 'fix', 'r': 'reject', 'u': 'back'}
"""

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceshield_hf.data.build.run import work_folder
from faceshield_hf.data.review.decisions import (
    Decision,
    Verdicts,
    answer_hash,
    append_decision,
    fix_fault,
    read_decisions,
)
from faceshield_hf.image_input_faceshield import to_rgb_image
from faceshield_hf.tasks_faceshield import AttackType, Box, parse_answer
from faceshield_hf.visualize import draw_boxes


KEYS = {"a": "accept", "f": "fix", "r": "reject", "u": "back"}

# Keys work everywhere but inside a text field, where only Ctrl+Enter does, which keeps the fix.
_SCRIPT = """
() => document.addEventListener("keydown", (event) => {
  const typing = ["TEXTAREA", "INPUT"].includes(event.target.tagName);
  const buttons = {a: "accept", f: "fix", r: "reject", u: "back"};
  let name = typing || event.ctrlKey || event.metaKey || event.altKey ? null : buttons[event.key.toLowerCase()];
  if (typing && event.ctrlKey && event.key === "Enter") name = "fix";
  if (typing && event.key === "Escape") event.target.blur();
  const button = name && document.getElementById("review-" + name);
  if (button) { event.preventDefault(); event.target.blur(); button.click(); }
})
"""


@dataclass(frozen=True)
class Item:
    """One record to review.

    Attributes:
        id (`str`): the record's id.
        file (`Path`): the parquet file.
        row (`int`): its row there.
        answer (`str`): the `answer_hash` of its answer.
    """

    id: str
    file: Path
    row: int
    answer: str


class Review:
    """What is left to review for one reviewer, and their decisions.

    Args:
        build (`str` or `Path`): a finished build.
        decisions (`str` or `Path`): folder of decisions; made when the first one is stored.
        reviewer (`str`): whose they are.
        rejected (`bool`, *optional*, defaults to `False`): show what the filters turned down instead of what passed.

    Raises:
        ValueError: when there is nothing to review.
    """

    def __init__(self, build: str | Path, decisions: str | Path, reviewer: str, rejected: bool = False):
        self.folder, self.reviewer = Path(decisions), Decision("-", "accept", reviewer).reviewer
        self.items = _list_items(work_folder(build) / "rejected" if rejected else Path(build) / "data")
        if not self.items:
            raise ValueError(f"{build} has nothing to review: is it the folder of a finished build?")
        seed = int(hashlib.sha256(reviewer.encode()).hexdigest()[:8], 16)
        self.items = [self.items[i] for i in np.random.default_rng(seed).permutation(len(self.items))]
        found = read_decisions(self.folder) if self.folder.is_dir() else {}
        # A record whose answer is not the one that was accepted is open again.
        own = found.get(reviewer, {})
        self.decided = {
            item.id: own[item.id]
            for item in self.items
            if item.id in own and (own[item.id].action != "accept" or own[item.id].seen == item.answer)
        }
        # Records that another reviewer decided come first: only pairs of decisions can agree.
        others = {record for name, one in found.items() if name != reviewer for record in one}
        self.items.sort(key=lambda item: item.id not in others)
        self.position = self._next(0)

    @property
    def current(self) -> Item | None:
        """The record on the page; `None` when all are decided."""
        return self.items[self.position] if self.position < len(self.items) else None

    def record(self) -> dict[str, Any]:
        """The current record with its encoded image.

        Raises:
            ValueError: when all are decided.
        """
        import pyarrow.parquet as pq

        item = self.current
        if item is None:
            raise ValueError("all records are decided")
        return dict(pq.read_table(item.file).slice(item.row, 1).to_pylist()[0])

    def decide(self, action: str, answer: str = "", note: str = "") -> None:
        """Store a decision on the current record and go to the next open one.

        Args:
            action (`str`): "accept", "fix" or "reject".
            answer (`str`): the right answer, with "fix".
            note (`str`): anything worth saying.

        Raises:
            ValueError: for a fix that is the old answer, or contradicts the label, the type or the boxes.
        """
        record = self.record()
        if action == "fix":
            _check_fix(record, answer)
        fixed = answer.strip() if action == "fix" else ""
        decision = Decision(record["id"], action, self.reviewer, fixed, note, answer_hash(record["answer"]))
        append_decision(self.folder, decision)
        self.decided[decision.id] = decision
        self.position = self._next(self.position + 1)

    def back(self) -> None:
        """Go to the record before; a new decision on it will count instead of the old one."""
        self.position = max(0, self.position - 1)

    def progress(self) -> str:
        """How far this reviewer is, and how far reviewers agree."""
        told = f"{len(self.decided):,} of {len(self.items):,} decided by {self.reviewer}"
        for row in Verdicts.read(self.folder).agreement() if self.folder.is_dir() else []:
            pair = " and ".join(str(name) for name in row["reviewers"])
            kappa = "undefined" if row["kappa"] is None else f"{row['kappa']:.2f}"
            told += f"; {pair}: kappa {kappa} on {row['records']} records"
        return told

    def _next(self, start: int) -> int:
        return next(
            (i for i in range(start, len(self.items)) if self.items[i].id not in self.decided), len(self.items)
        )


def picture_of(record: dict[str, Any]) -> Image.Image:
    """The image of a record: its labelled boxes, and those of the answer where they differ."""
    image = to_rgb_image(record["image"]["bytes"])  # boxes are fractions of the upright image
    boxes = [Box(b["x1"], b["y1"], b["x2"], b["y2"], b["region"] or "label") for b in record["boxes"]]
    said = [Box(b.x1, b.y1, b.x2, b.y2, "answer") for b in parse_answer(record["answer"], record["task"]).boxes]
    differing = [box for box in said if all(box.iou(other) < 0.9 for other in boxes)]
    return draw_boxes(image, [*boxes, *differing])


def make_page(review: Review) -> Any:
    """The page over a review.

    Args:
        review (`Review`): one reviewer's.

    Returns:
        `gradio.Blocks`: to be launched.

    Raises:
        ValueError: when gradio is not installed.
    """
    try:
        import gradio as gr
    except ImportError as error:
        raise ValueError("the review page needs gradio: pip install 'faceshield-hf[train,space]'") from error

    def show(message: str = "") -> list[Any]:
        """The current record for the page's parts, in the order of `shown`."""
        if review.current is None:
            return [None, "All records are decided.", "", "", review.progress(), "", ""]
        record = review.record()
        told = f"**{record['attack_type']}** ({record['label']}), task {record['task']}, split {record['split']}"
        fault = json.loads(record["provenance"]["filters"] or "{}").get("fault")
        if fault:
            told += f". Turned down: {fault}"
        return [
            picture_of(record),
            told,
            record["question"],
            record["answer"],
            review.progress(),
            message,
            record["id"],
        ]

    def act(action: str, answer: str, seen: str) -> list[Any]:
        """What a button or key does; a decision that can't be stored leaves the page as it is, edits included."""
        try:
            if action == "back":
                review.back()
            elif review.current is not None and review.current.id == seen:
                review.decide(action, answer)
        except ValueError as error:
            shown_now = show(f"Not stored: {error}")
            shown_now[3] = answer
            return shown_now
        return show()

    with gr.Blocks(title="Review", analytics_enabled=False) as page:
        with gr.Row():
            image = gr.Image(label="Image, with boxes", type="pil", interactive=False, height=520)
            with gr.Column():
                told = gr.Markdown(elem_id="review-told")
                question = gr.Textbox(label="Question", interactive=False)
                answer = gr.Textbox(label="Answer (edit it to fix)", lines=9, elem_id="review-answer")
                with gr.Row():
                    buttons = {
                        action: gr.Button(f"{action.capitalize()} ({key.upper()})", elem_id=f"review-{action}")
                        for key, action in KEYS.items()
                    }
                message = gr.Markdown(elem_id="review-message")
                progress = gr.Markdown(elem_id="review-progress")
                # Goes back with each click: a key pressed before the next record is on the page decides nothing.
                seen = gr.Textbox(visible=False)
        shown = [image, told, question, answer, progress, message, seen]
        for action, button in buttons.items():
            button.click(
                partial(act, action), [answer, seen], shown, api_visibility="private", concurrency_id="review"
            )
        page.load(show, None, shown, api_visibility="private")
        page.load(None, None, None, js=_SCRIPT)
    return page


def _check_fix(record: dict[str, Any], answer: str) -> None:
    if answer.strip() == record["answer"].strip():
        raise ValueError("the answer is as it was: edit it first, or accept it")
    boxes = [Box(b["x1"], b["y1"], b["x2"], b["y2"]) for b in record["boxes"]]
    fault = fix_fault(answer, record["task"], AttackType(record["attack_type"]), boxes)
    if fault:
        raise ValueError(fault)


def _list_items(folder: Path) -> list[Item]:
    import pyarrow.parquet as pq

    items = []
    for path in sorted(folder.glob("*.parquet")):
        rows = pq.read_table(path, columns=["id", "answer"]).to_pylist()
        items += [Item(one["id"], path, row, answer_hash(one["answer"])) for row, one in enumerate(rows)]
    return items
