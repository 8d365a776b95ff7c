# /// script
# dependencies = ["faceshield-hf[train]"]
# ///
"""Build SimPAD, the benchmark of simulated attacks, from a folder of faces: one command, resumable.

```bash
python recipes/sim_benchmark.py --config recipes/sim-benchmark/simpad.yaml --faces path/to/faces --out outputs/simpad
```

Every key of the YAML can be given as an argument too, and arguments win. A stopped run, even one that was killed, goes
on when the same command is run again. The same faces and settings give the same bytes on any number of processes.
"""

import sys

from faceshield_hf.data.sim_benchmark import BenchmarkSettings, build_sim_benchmark
from faceshield_hf.training.run import parse_arguments


def main(settings: BenchmarkSettings) -> int:
    """Build, and say where."""
    try:
        print(build_sim_benchmark(settings))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    (parsed,) = parse_arguments(BenchmarkSettings)
    sys.exit(main(parsed))
