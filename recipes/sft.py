# /// script
# dependencies = ["faceshield-hf[train]"]
# ///
"""Stage 2: supervised fine-tuning on the tasks, of the connector and the language model (LoRA or in full).

```bash
accelerate launch --config_file recipes/accelerate/cpu.yaml recipes/sft.py \
    --config recipes/faceshield-tiny/sft.yaml
```

Every key of the YAML can be given as an argument too, and arguments win. A run that was stopped goes on from its
newest checkpoint in `output_dir`.
"""

from trl import ModelConfig, SFTConfig

from faceshield_hf.training.run import RecipeArguments, parse_arguments, run_stage


if __name__ == "__main__":
    run_stage(*parse_arguments(RecipeArguments, SFTConfig, ModelConfig))
