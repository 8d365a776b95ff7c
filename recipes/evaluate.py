# /// script
# dependencies = ["faceshield-hf[train]"]
# ///
"""Judge a checkpoint on a folder of labelled images, such as `faceshield simulate` writes.

```bash
python recipes/evaluate.py --data outputs/tiny/images/validation-AB --out outputs/tiny/report
```

Writes `report.json` and `report.md` and prints the table. Results on simulated attacks say nothing of real ones.
"""

import argparse

from faceshield_hf.data.samples import read_samples
from faceshield_hf.detector import FaceShield
from faceshield_hf.evaluation.evaluate import judge, markdown_table, summarize, write_report


def main() -> None:
    """Parse the arguments, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="checkpoint folder or Hub id; the embedded one by default")
    parser.add_argument("--data", required=True, help="folder with metadata.jsonl")
    parser.add_argument("--out", required=True, help="folder for report.json and report.md")
    parser.add_argument("--batch-size", type=int, default=8)
    arguments = parser.parse_args()
    detector = FaceShield.from_pretrained(arguments.model)
    judged = judge(detector, read_samples(arguments.data), arguments.batch_size)
    report = {"model": detector.name, "data": arguments.data} | summarize(
        judged, detector.model.config.score_threshold
    )
    write_report(report, arguments.out)
    print(markdown_table(report))


if __name__ == "__main__":
    main()
