"""The Space for the Hub: the app, the package beside it, and its own requirements; it needs nothing else to run.

Example:
    >>> plan = plan_space("user/space", model="user/model")
    >>> plan.variables
    {'FACESHIELD_MODEL': 'user/model'}
"""

from pathlib import Path

from huggingface_hub import RepoCard

import faceshield_hf
from faceshield_hf.hub.commit import Plan, Pushed, check_repo_id, local_files, push


_PACKAGE = Path(faceshield_hf.__file__).parent
SPACE_FOLDERS = (
    _PACKAGE / "_space",  # installed from a wheel
    _PACKAGE.parent / "space",  # a checkout
)


def plan_space(repo_id: str, model: str | None = None, private: bool = False) -> Plan:
    """Say what pushing the Space would do.

    Args:
        repo_id (`str`): "user/name".
        model (`str`, *optional*): Hub id of the checkpoint that it shows; the embedded one, which then goes along,
            when `None`.
        private (`bool`, *optional*, defaults to `False`): whether only you may see it.

    Returns:
        [`Plan`]: to look at or to `push`.

    Raises:
        ValueError: when an id is none, or the installation has no Space.
    """
    if model is not None:
        check_repo_id(model)
    folder = next((folder for folder in SPACE_FOLDERS if (folder / "app.py").is_file()), None)
    if folder is None:
        raise ValueError(f"the Space's app.py was not found: looked in {' and '.join(map(str, SPACE_FOLDERS))}")
    files = local_files(folder)
    package = local_files(_PACKAGE, ("**/*.py", "py.typed", "assets/**/*"))
    kept = {path: file for path, file in package.items() if not path.startswith("_") or path == "__init__.py"}
    if model is not None:
        kept = {path: file for path, file in kept.items() if not path.endswith(".safetensors")}
    files |= {f"{_PACKAGE.name}/{path}": file for path, file in kept.items()}
    card = RepoCard((folder / "README.md").read_text(encoding="utf-8"), ignore_metadata_errors=True)
    if model is not None:
        card.data["models"] = [model]
        card.data["preload_from_hub"] = [model]
    files["README.md"] = str(card).encode()
    return Plan("space", repo_id, files, private, variables={"FACESHIELD_MODEL": model})


def push_space(
    repo_id: str,
    model: str | None = None,
    private: bool = False,
    update: bool = False,
    message: str | None = None,
    token: str | None = None,
) -> Pushed:
    """Push the Space.

    Args:
        repo_id (`str`): "user/name".
        model (`str`, *optional*): as in `plan_space`.
        private (`bool`, *optional*, defaults to `False`): as in `plan_space`.
        update (`bool`, *optional*, defaults to `False`): as in `push`.
        message (`str`, *optional*): as in `push`.
        token (`str`, *optional*): as in `push`.

    Returns:
        [`Pushed`]: page and commit.

    Raises:
        ValueError: as `plan_space` and `push` do.
    """
    return push(plan_space(repo_id, model, private), update, message, token)
