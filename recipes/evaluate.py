# /// script
# dependencies = ["faceshield-hf[eval]"]
# ///
r"""Judge a system on labelled images: a FaceShield checkpoint, a zero-shot model, CLIP, a ResNet, or a CSV of scores.

```bash
python recipes/evaluate.py --data outputs/tiny/images/validation-A --dev outputs/tiny/images/dev-A --out outputs/report
accelerate launch --num_processes 2 recipes/evaluate.py --data outputs/tiny/images/validation-A --out outputs/report
python recipes/evaluate.py --scorer resnet --model 18 --data simpad=outputs/simpad \
    --protocol recipes/sim-benchmark/cross.yaml:simpad-cross-C --out outputs/resnet
```

Writes `report.json`, `report.md` and plots, and prints the numbers; `faceshield evaluate` is the same command. Results
on simulated attacks say nothing of real ones.
"""

import sys

from faceshield_hf.evaluation import main


if __name__ == "__main__":
    sys.exit(main())
