# /// script
# dependencies = ["faceshield-hf[train]"]
# ///
"""Reinforcement learning by rewards: format, verdict, type, boxes, and words that agree with the verdict.

```bash
accelerate launch --config_file recipes/accelerate/gpu.yaml recipes/grpo.py --config recipes/facecot/grpo.yaml
```

Every key of the YAML can be given as an argument too, and arguments win. A run that was stopped goes on from its
newest checkpoint in `output_dir`.
"""

from trl import GRPOConfig, ModelConfig

from faceshield_hf.training.grpo import GRPORecipeArguments, run_grpo
from faceshield_hf.training.run import parse_arguments


if __name__ == "__main__":
    run_grpo(*parse_arguments(GRPORecipeArguments, GRPOConfig, ModelConfig))
