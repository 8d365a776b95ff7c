"""A recipe on this machine's CPU, run as its user would: through `accelerate launch`, one thread a process.

It builds the command; whoever runs it decides where its words go and what a failure means.

Example:
    >>> from pathlib import Path
    >>> from faceshield_hf.training.launching import cpu_launch
    >>> command, environment = cpu_launch(Path("recipes/sft.py"), 1, ["--config", "sft.yaml"])
    >>> command[-3:], environment["OMP_NUM_THREADS"]
    (['recipes/sft.py', '--config', 'sft.yaml'], '1')
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path


_ENVIRONMENT = {
    "ACCELERATE_USE_CPU": "true",
    "OMP_NUM_THREADS": "1",
    # glibc gives large freed tensors back to the kernel at once and gets them zeroed page by page at the next step:
    # kept, a step of the embedded checkpoint's tower takes 0.53 instead of 0.65 seconds of processor time.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
}


def cpu_launch(recipe: Path, processes: int, options: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """How to run a recipe on the CPU.

    Args:
        recipe (`Path`): its script; the folder `accelerate` with the launcher's settings lies beside it.
        processes (`int`): how many, one core each.
        options (`Sequence[str]`): the recipe's arguments.

    Returns:
        `tuple[list[str], dict[str, str]]`: the command, and the environment for it.
    """
    settings = recipe.parent / "accelerate" / f"{'cpu' if processes == 1 else 'cpu_processes'}.yaml"
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(settings)]
    return [*command, "--num_processes", str(processes), str(recipe), *options], os.environ | _ENVIRONMENT
