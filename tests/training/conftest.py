"""What tests of training stages start from."""

import pytest
from stage import save_start, write_config, write_records

from faceshield_hf.tasks_faceshield import Task


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """A folder with a random checkpoint (`init`), records of two tasks about four pictures and a stage's YAML."""
    folder = tmp_path_factory.mktemp("start")
    save_start(folder / "init")
    write_records(folder / "records", (Task.FINE, Task.REASONING))
    write_config(folder)
    return folder
