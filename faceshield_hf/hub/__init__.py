"""What goes to the Hub: checkpoints, data sets and Spaces, each with its card and each in one commit.

`report.py` writes numbers as the Hub reads them, `cards.py` the cards, `commit.py` pushes any list of files whole or
not at all; `model.py`, `dataset.py` and `space.py` say which files those are. It knows no training and no evaluation:
the numbers in a card are those of a `report.json`.

Example:
    >>> from faceshield_hf.hub import plan_checkpoint
    >>> "modeling_faceshield.py" in plan_checkpoint(None, "user/model").files
    True
"""

from faceshield_hf.hub.commit import Plan, Pushed, push
from faceshield_hf.hub.dataset import plan_dataset, push_dataset
from faceshield_hf.hub.model import plan_checkpoint, push_checkpoint
from faceshield_hf.hub.report import eval_results, results_table, write_model_card
from faceshield_hf.hub.space import plan_space, push_space


__all__ = [
    "Plan",
    "Pushed",
    "eval_results",
    "plan_checkpoint",
    "plan_dataset",
    "plan_space",
    "push",
    "push_checkpoint",
    "push_dataset",
    "push_space",
    "results_table",
    "write_model_card",
]
