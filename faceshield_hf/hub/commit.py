"""Pushes a list of files to the Hub in one commit: afterwards the repository has all of them, or what it had before.

What can go wrong is found before anything is sent where that is possible: the id, the token, what the repository holds
already. It knows repositories and files, not what is in them.

Example:
    >>> plan = Plan("model", "user/model", {"README.md": b"# A model"})
    >>> print(plan.describe())
    model user/model (public): 1 file, 0.0 MB
        0.0 MB  README.md
"""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import get_token, validate_repo_id


Kind = Literal["model", "dataset", "space"]
Gated = Literal["auto", "manual"] | None
KEPT = (".gitattributes",)
"""Files that the Hub itself puts into a repository."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Plan:
    """What one push would do.

    Attributes:
        kind (`str`): "model", "dataset" or "space".
        repo_id (`str`): "user/name".
        files (`dict[str, Path | bytes]`): path in the repository -> a file here, or its content.
        private (`bool`): whether only its owner may see it.
        gated (`str`, *optional*): "auto" or "manual": who wants the files must ask, and share a name, first.
        variables (`dict[str, str | None]`): a Space's environment; with `None` a variable is taken out of it. What is
            not named stays as it is: it is the owner's.

    Raises:
        ValueError: when the id or a path is none that the Hub takes, or leads out of the repository.
    """

    kind: Kind
    repo_id: str
    files: dict[str, Path | bytes]
    private: bool = False
    gated: Gated = None
    variables: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_repo_id(self.repo_id)
        if self.gated not in (None, "auto", "manual"):
            raise ValueError(f"got gated={self.gated!r}: expected 'auto' (anyone who asks), 'manual' or None")
        if self.gated and self.kind == "space":
            raise ValueError("a Space can't be gated: make it private, or gate the model that it shows")
        if not self.files:
            raise ValueError(f"there is nothing to push to {self.repo_id}")
        for path in self.files:
            parts = PurePosixPath(path).parts
            if not parts or path.startswith("/") or "\\" in path or {"..", ".git"} & set(parts):
                raise ValueError(f"got the path {path!r}: expected one inside the repository, with forward slashes")

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(_size(content) for content in self.files.values())

    def describe(self) -> str:
        """List what would go, as `--dry-run` prints it."""
        shown = "private" if self.private else "public"
        shown += f", gated ({self.gated})" if self.gated else ""
        count = f"{len(self.files)} file{'' if len(self.files) == 1 else 's'}"
        head = f"{self.kind} {self.repo_id} ({shown}): {count}, {self.size / 1e6:.1f} MB"
        return "\n".join(
            [head, *(f"{_size(content) / 1e6:7.1f} MB  {path}" for path, content in sorted(self.files.items()))]
        )


class Pushed(NamedTuple):
    """Where a push went.

    Attributes:
        url (`str`): the repository's page.
        revision (`str`): the commit: pin it when loading.
    """

    url: str
    revision: str


def push(plan: Plan, update: bool = False, message: str | None = None, token: str | None = None) -> Pushed:
    """Create the repository if need be, and put all files into it in one commit.

    Args:
        plan ([`Plan`]): what goes where.
        update (`bool`, *optional*, defaults to `False`): whether a repository that holds files already may be changed:
            it then holds the plan's files and no other; its history keeps the old ones.
        message (`str`, *optional*): the commit's title.
        token (`str`, *optional*): with write access; the one of `hf auth login` or `HF_TOKEN` when `None`.

    Returns:
        [`Pushed`]: page and commit.

    Raises:
        ValueError: when the token is missing or may not write, the repository is there already, or the network fails.
            The repository then holds what it held before, and a Space has the variables that it had; a new one is
            empty. Only where the message says so the files are there and the variables are not.
    """
    api = HfApi(token=_checked_token(token))
    try:
        info = _repository(api, plan, update)
        old = {sibling.rfilename for sibling in info.siblings or ()}
        operations: list[Any] = [
            CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
            for path, content in sorted(plan.files.items())
        ]
        operations += [CommitOperationDelete(path) for path in sorted(old - set(plan.files) - set(KEPT))]
        done = api.create_commit(
            plan.repo_id,
            operations,
            commit_message=message or f"Push {plan.kind} with faceshield",
            repo_type=plan.kind,
            parent_commit=info.sha,
        )
    except HfHubHTTPError as error:
        raise ValueError(_refusal(error, plan)) from error
    except ValueError:
        raise
    # Below HfHubHTTPError stands whatever HTTP library this huggingface_hub is built on (it has changed twice).
    except Exception as error:
        raise ValueError(
            f"the push to {plan.repo_id} broke off ({error or type(error).__name__}). A commit is whole or not at "
            "all: the repository holds what it held before, or everything. Run the same command again"
        ) from error
    try:
        _set_variables(api, plan)
    except Exception as error:  # as above
        raise ValueError(
            f"the files are in {plan.repo_id}, commit {done.oid}, but its variables ({', '.join(plan.variables)}) "
            f"could not be set ({' '.join(str(error).split()) or type(error).__name__}): run the same command again, "
            "with --update"
        ) from error
    return Pushed(f"{api.endpoint}/{'' if plan.kind == 'model' else plan.kind + 's/'}{plan.repo_id}", done.oid)


def check_repo_id(repo_id: str) -> None:
    """Refuse what is no repository's id: paths, URLs, control characters, a name without its owner.

    Args:
        repo_id (`str`): should be "user/name".

    Raises:
        ValueError: says what is expected.
    """
    try:
        validate_repo_id(repo_id)
        fine = _NAME.fullmatch(repo_id) is not None
    except HFValidationError:
        fine = False
    if not fine:
        raise ValueError(
            f"got the repository {repo_id!r:.120}: expected 'user/name' or 'organization/name' of letters, digits, "
            "'-', '_' and '.', at most 96 characters"
        )


def local_files(folder: Path, patterns: tuple[str, ...] = ("**/*",)) -> dict[str, Path | bytes]:
    """Find files to push below a folder.

    Args:
        folder (`Path`): searched through; hidden files, caches and half-written ones are left out.
        patterns (`tuple[str, ...]`, *optional*, defaults to all): globs below the folder.

    Returns:
        `dict[str, Path | bytes]`: path in the repository -> file.

    Raises:
        ValueError: when it is no folder, or a link in it leads out of it: a push must not publish what lies elsewhere.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: expected one whose files should go to the Hub")
    root = folder.resolve()
    found: dict[str, Path | bytes] = {}
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        relative = path.relative_to(folder)
        skipped = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
        if skipped or path.suffix in (".part", ".pyc", ".lock", ".tmp") or not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):
            raise ValueError(f"{path} is a link to {path.resolve()}, outside of {folder}: copy the file here first")
        found[relative.as_posix()] = path
    return found


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _checked_token(token: str | None) -> str:
    """Find the token and make sure that the Hub knows it and lets it write."""
    token = token or get_token()
    login = "run `hf auth login`, or set HF_TOKEN to a token with write access (https://hf.co/settings/tokens)"
    if not token:
        raise ValueError(f"there is no Hub token: {login}")
    try:
        who = HfApi(token=token).whoami()
    except HfHubHTTPError as error:
        raise ValueError(f"the Hub does not accept the token ({error.response.status_code}): {login}") from error
    except Exception as error:  # as in push: the HTTP library's own
        raise ValueError(f"the Hub can't be reached ({error or type(error).__name__}): nothing was sent") from error
    if who.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise ValueError(f"the token of {who['name']} may only read: {login}")
    return token


def _repository(api: HfApi, plan: Plan, update: bool) -> Any:
    """Find or make the repository, with its visibility and its gate before the first file is in it."""
    try:
        info: Any = api.repo_info(plan.repo_id, repo_type=plan.kind)
    except RepositoryNotFoundError:
        api.create_repo(
            plan.repo_id,
            repo_type=plan.kind,
            private=plan.private,
            space_sdk="gradio" if plan.kind == "space" else None,
            # There from the first start on.
            space_variables=[{"key": k, "value": v} for k, v in plan.variables.items() if v is not None] or None,
        )
        info = api.repo_info(plan.repo_id, repo_type=plan.kind)
    else:
        _check_existing(info, plan, update)
    if plan.gated:
        api.update_repo_settings(plan.repo_id, repo_type=plan.kind, gated=plan.gated)
    return info


def _set_variables(api: HfApi, plan: Plan) -> None:
    """Bring a Space's variables to what the plan says; each change restarts it, so that only what differs is sent."""
    if not plan.variables:
        return
    found = {name: variable.value for name, variable in api.get_space_variables(plan.repo_id).items()}
    for name, value in plan.variables.items():
        if value is not None and found.get(name) != value:
            api.add_space_variable(plan.repo_id, name, value)
        elif value is None and name in found:
            api.delete_space_variable(plan.repo_id, name)


def _check_existing(info: Any, plan: Plan, update: bool) -> None:
    holds = {sibling.rfilename for sibling in info.siblings or ()} - set(KEPT)
    if holds and not update:
        raise ValueError(
            f"{plan.repo_id} exists and holds {len(holds)} files: choose another name, or update it with a new commit "
            "(--update), after which it holds the new files and no other"
        )
    if plan.private and not info.private:
        raise ValueError(
            f"{plan.repo_id} exists and is public, but the push should be private: make it private in its settings on "
            "the Hub first, or choose another name"
        )


def _refusal(error: HfHubHTTPError, plan: Plan) -> str:
    status = error.response.status_code
    if status in (401, 403):
        return (
            f"the token may not write to {plan.repo_id} ({status}): is {plan.repo_id.split('/')[0]!r} you or an "
            "organization of yours, and does the token have write access?"
        )
    if status == 412:
        return f"{plan.repo_id} was changed by somebody else meanwhile: look at it, then push again"
    return f"the Hub refused the push to {plan.repo_id}: {' '.join(str(error).split())}"
