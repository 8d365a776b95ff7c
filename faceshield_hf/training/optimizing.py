"""What every trainer of this project does beside transformers' own step: rates of parts, and a stop at a broken loss.

It knows transformers' trainer and torch's optimizers; no model and no loss.

Example:
    >>> import torch
    >>> from faceshield_hf.training.optimizing import learn_at
    >>> slow, fast = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    >>> optimizer = torch.optim.SGD([slow, fast], lr=0.1)
    >>> learn_at(optimizer, [slow], 0.01)
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.1, 0.01]
"""

from collections.abc import Iterable

import torch
from transformers import Trainer

from faceshield_hf.training.resuming import last_checkpoint, output_folder


def learn_at(optimizer: torch.optim.Optimizer, parameters: Iterable[torch.nn.Parameter], rate: float) -> None:
    """Give some parameters a learning rate of their own; whatever else their groups have stays.

    Args:
        optimizer (`torch.optim.Optimizer`): changed in place, before its schedule is made.
        parameters (`Iterable[torch.nn.Parameter]`): which; those that it does not hold are passed over.
        rate (`float`): their peak.
    """
    chosen = {id(parameter) for parameter in parameters}
    for group in list(optimizer.param_groups):
        own = [p for p in group["params"] if id(p) in chosen]
        if own:
            group["params"] = [p for p in group["params"] if id(p) not in chosen]
            optimizer.add_param_group({**group, "params": own, "lr": rate})


def stop_at_nan(trainer: Trainer, loss: torch.Tensor) -> None:
    """Stop a run whose loss is no finite number: going on would only spoil the weights.

    Args:
        trainer (`Trainer`): whose loss it is.
        loss (`torch.Tensor`): of the batch that is at work.

    Raises:
        ValueError: naming the step, what to try, and where the same command would go on.
    """
    if torch.isfinite(loss.detach()).all():
        return
    saved = last_checkpoint(output_folder(trainer.args))
    goes_on = f"The same command goes on from {saved}; delete it as well if the loss was bad before."
    raise ValueError(
        f"the loss is {loss.item()} at step {trainer.state.global_step + 1}: lower learning_rate "
        f"({trainer.args.learning_rate}) or max_grad_norm ({trainer.args.max_grad_norm}), train in bf16 instead of "
        f"fp16, and look at the data of this step. {goes_on if saved else 'Nothing was saved so far.'}"
    )
