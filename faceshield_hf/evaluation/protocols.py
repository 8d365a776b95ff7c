"""Published protocols as YAML: which sample is for training, for the threshold, for the test.

A file holds one protocol, or a family of them with a changing part:

```yaml
name: mcio-$held_out
about: leave one of four sets out
vary: {held_out: [msu-mfsd, casia-fasd]}
train: [{source: {not: $held_out}, share: {below: 0.9}}]
dev: [{source: {not: $held_out}, share: {from: 0.9}}]
test: [{source: $held_out}]
```

A split is a list of rules; a sample belongs to it if one rule holds, and a rule holds if all its conditions do. A
condition names a field and what it must be: one value, a list of values, `{not: ...}`, or `{from: x, below: y}` for
numbers. Fields are `source` (the data set), `attack_type`, `live` (true or false), `subject`, `domain`, `split` (the
source's own: train, validation or test), `native_label`, `share` (a fixed number 0..1 of each subject, to part
subjects without an official list), and any attribute that the source tells, such as `session`. It knows labels and
attributes; it opens no image.

Example:
    >>> from pathlib import Path
    >>> from faceshield_hf.data.samples import Sample
    >>> from faceshield_hf.evaluation.protocols import Condition
    >>> from faceshield_hf.tasks_faceshield import AttackType
    >>> sample = Sample(Path("a.jpg"), AttackType.PRINT, "s1", domain="A")
    >>> Condition("domain", ["A", "B"]).holds(sample, "simpad")
    True
"""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from faceshield_hf.data.samples import Sample
from faceshield_hf.tasks_faceshield import AttackType


SPLITS = ("train", "dev", "test")
_KEYS = {"name", "about", "vary", *SPLITS}
_RANGE = {"from", "below"}


@dataclass(frozen=True)
class Condition:
    """What one field of a sample must be."""

    field: str
    wanted: Any

    def holds(self, sample: Sample, source: str) -> bool:
        """Whether a sample of a source has it; an attribute that is missing equals nothing."""
        return _matches(field_of(sample, source, self.field), self.wanted)


@dataclass(frozen=True)
class Protocol:
    """One protocol.

    Attributes:
        name (`str`): such as "wsp-ws-p".
        about (`str`): what it is, in a sentence, with its paper.
        rules (`dict[str, list[list[Condition]]]`): split -> rules; a split that is not there has none.
    """

    name: str
    about: str
    rules: dict[str, list[list[Condition]]]


@dataclass(frozen=True)
class Assigned:
    """Samples by split.

    Attributes:
        train, dev, test (`list[Sample]`): the splits; `dev` is empty if the protocol has none.
        left_out (`int`): samples that no split takes.
    """

    train: list[Sample]
    dev: list[Sample]
    test: list[Sample]
    left_out: int = 0


def load_protocols(path: str | Path) -> dict[str, Protocol]:
    """Read a YAML file.

    Args:
        path (`str` or `Path`): the file.

    Returns:
        `dict[str, Protocol]`: name -> protocol; several if the file varies something.

    Raises:
        ValueError: when the file is no protocol; the message says which part.
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no protocol file {path}: the published ones stand in recipes/evaluate/")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not isinstance(content.get("name"), str) or "test" not in content:
        raise ValueError(f"{path}: expected a mapping with at least name and test")
    unknown = sorted(set(content) - _KEYS)
    if unknown:
        raise ValueError(f"{path}: unknown keys {', '.join(unknown)}; expected {', '.join(sorted(_KEYS))}")
    vary = content.pop("vary", None) or {}
    if not isinstance(vary, dict) or not all(isinstance(values, list) and values for values in vary.values()):
        raise ValueError(f"{path}, vary: got {vary!r:.80}; expected names with a list of values each")
    found = {}
    for values in itertools.product(*vary.values()):
        chosen = _filled(content, dict(zip(vary, values, strict=True)), path)
        rules = {split: _rules(chosen[split], f"{path}, {split}") for split in SPLITS if split in chosen}
        name = chosen["name"]
        found[name] = Protocol(name, chosen.get("about", ""), rules)
    return found


def load_protocol(path: str | Path, name: str | None = None) -> Protocol:
    """Read one protocol of a YAML file; `name` may be left out if there is only one.

    Raises:
        ValueError: as `load_protocols`, and when there is none of that name.
    """
    found = load_protocols(path)
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name not in found:
        raise ValueError(f"{path} has no protocol {name!r}; choose one of {', '.join(found)}")
    return found[name]


def assign(protocol: Protocol, samples: Mapping[str, Sequence[Sample]], needs: Sequence[str] = SPLITS) -> Assigned:
    """Put samples into a protocol's splits and check that they can be used.

    Args:
        protocol (`Protocol`): the protocol.
        samples (`Mapping[str, Sequence[Sample]]`): source -> its samples.
        needs (`Sequence[str]`, *optional*): splits that will be used; only those are checked for classes.

    Returns:
        `Assigned`: the splits, in the samples' order.

    Raises:
        ValueError: when a sample or a subject falls into two splits, or bona fide or attacks are missing from a split.
    """
    splits: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    home: dict[tuple[str, str], str] = {}
    left_out = 0
    for source, members in samples.items():
        for sample in members:
            fitting = [split for split in SPLITS if _fits(protocol, split, sample, source)]
            if len(fitting) > 1:
                raise ValueError(
                    f"{protocol.name}: {sample.path} falls into {' and '.join(fitting)}; its rules overlap"
                )
            if not fitting:
                left_out += 1
                continue
            (split,) = fitting
            keep_together(home, source, sample, split, protocol.name)
            splits[split].append(sample)
    for split in needs:
        if split in protocol.rules:
            _check_classes(protocol, split, splits[split], samples)
    return Assigned(**splits, left_out=left_out)


def keep_together(home: dict[tuple[str, str], str], source: str, sample: Sample, split: str, where: str) -> None:
    """Note the split that a subject is in, or refuse a second one.

    Args:
        home (`dict[tuple[str, str], str]`): source and subject -> split; changed in place.
        source (`str`): the data set's name.
        sample (`Sample`): of the subject.
        split (`str`): as the message calls it.
        where (`str`): what the message begins with.

    Raises:
        ValueError: when the subject is in another split.
    """
    before = home.setdefault((source, sample.subject_id), split)
    if before != split:
        raise ValueError(
            f"{where}: subject {sample.subject_id} of {source} is both in {before} and in {split}: splits must never "
            "part a subject. If they are two people, name the folders apart (NAME=FOLDER)"
        )


def field_of(sample: Sample, source: str, name: str) -> Any:
    """A field of a sample as rules name it; `None` if the source does not tell it."""
    known = {
        "source": source,
        "attack_type": sample.attack_type.value,
        "live": sample.is_live,
        "subject": sample.subject_id,
        "domain": sample.domain,
        "split": sample.split or None,
        "native_label": sample.native_label or None,
    }
    if name == "share":
        return subject_share(source, sample.subject_id)
    return known[name] if name in known else sample.attributes.get(name)


def subject_share(source: str, subject: str) -> float:
    """A fixed number of a subject, spread evenly over 0..1, the same on every machine."""
    digest = hashlib.sha256(json.dumps([source, subject]).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        if "not" in wanted:
            return not _matches(value, wanted["not"])
        low, high = wanted.get("from", float("-inf")), wanted.get("below", float("inf"))
        return value is not None and low <= float(value) < high
    return value in wanted if isinstance(wanted, list) else value == wanted


def _fits(protocol: Protocol, split: str, sample: Sample, source: str) -> bool:
    return any(all(c.holds(sample, source) for c in rule) for rule in protocol.rules.get(split, ()))


def _check_classes(
    protocol: Protocol, split: str, members: Sequence[Sample], samples: Mapping[str, Sequence[Sample]]
) -> None:
    live = sum(sample.is_live for sample in members)
    if live and live < len(members):
        return
    missing = "images" if not members else "attacks" if live else "bona fide images"
    there = ", ".join(f"{source} ({len(found)} images)" for source, found in samples.items()) or "none"
    raise ValueError(
        f"{protocol.name}: the {split} split has no {missing} ({live} bona fide, {len(members) - live} attacks). The "
        f"data sets given are {there}; its rules for {split} are "
        + "; ".join(", ".join(f"{c.field}: {json.dumps(c.wanted)}" for c in rule) for rule in protocol.rules[split])
    )


def _filled(content: Any, values: Mapping[str, Any], path: Path) -> Any:
    """Put the varying values in; one that stands alone keeps its type."""
    if isinstance(content, str):
        if content.startswith("$") and content[1:] in values:
            return values[content[1:]]
        try:
            return Template(content).substitute(values)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path}: {content!r} names something that vary does not hold ({error})") from error
    if isinstance(content, Mapping):
        return {key: _filled(value, values, path) for key, value in content.items()}
    if isinstance(content, list):
        return [_filled(value, values, path) for value in content]
    return content


def _rules(content: Any, where: str) -> list[list[Condition]]:
    if not isinstance(content, list) or not all(isinstance(rule, Mapping) and rule for rule in content):
        raise ValueError(
            f"{where}: expected a list of rules such as {{source: wmca, live: true}}, got {content!r:.80}"
        )
    for rule in content:
        for name, wanted in rule.items():
            _check_condition(name, wanted, where)
    return [[Condition(name, wanted) for name, wanted in rule.items()] for rule in content]


def _check_condition(name: str, wanted: Any, where: str) -> None:
    if isinstance(wanted, Mapping):
        if set(wanted) == {"not"}:
            _check_condition(name, wanted["not"], where)
            return
        if not wanted or not set(wanted) <= _RANGE:
            raise ValueError(f"{where}, {name}: got {dict(wanted)}; expected {{not: ...}} or {{from: x, below: y}}")
        for end in wanted.values():
            if isinstance(end, bool) or not isinstance(end, int | float):
                raise ValueError(f"{where}, {name}: got {end!r} in {dict(wanted)}; a range has numbers as its ends")
        return
    values = wanted if isinstance(wanted, list) else [wanted]
    if name == "attack_type":
        for value in values:
            if value not in {kind.value for kind in AttackType}:
                raise ValueError(f"{where}, attack_type: {value!r} is none of the twelve types")
