# /// script
# dependencies = ["faceshield-hf[train]"]
# ///
"""Build an instruction data set from labelled images: descriptions, the four tasks, or chains of thought.

```bash
python recipes/build_dataset.py --config recipes/build-dataset/sft45k.yaml \
    --inputs outputs/images/train-A outputs/images/train-B --out outputs/sft45k
```

Every key of the YAML can be given as an argument too, and arguments win. A build that was stopped goes on when the
same command is run again. Several processes share the work under `accelerate launch --num_processes N`.
"""

import sys

from faceshield_hf.data.build import main


if __name__ == "__main__":
    sys.exit(main())
