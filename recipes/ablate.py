# /// script
# dependencies = ["faceshield-hf[train,eval]"]
# ///
"""Ablations of one recipe: every variant trained and judged over several seeds, in tables with intervals.

```bash
python recipes/ablate.py --config recipes/faceshield-tiny/ablations.yaml
```

`--only "Share of masked tokens"` makes one table, `--seeds 0` one seed. A stopped command goes on; a run that two
tables share is done once. Tables are written after every run: `<out>/ablations.md` and `ablations.json`.
"""

from pathlib import Path

from faceshield_hf.training.ablations import AblationArguments, run_ablations
from faceshield_hf.training.run import parse_arguments


if __name__ == "__main__":
    (parsed,) = parse_arguments(AblationArguments)
    print(run_ablations(parsed, Path(__file__).parent).read_text(encoding="utf-8"))
