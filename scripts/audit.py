"""Audit what this project needs: every installed package's licence, and its known vulnerabilities.

    python scripts/audit.py [--extras train eval sources serve space dev] [--no-vulnerabilities]

Walks from this project's requirements, with the extras, through those of every package, as installed in this
environment, and prints a table in Markdown: version, licence as the package states it, and whether it fits a program
given away under Apache-2.0. Known vulnerabilities come from `pip-audit`, which asks a service on the internet.

Exit codes: 0 all is well; 1 a licence does not fit, or a vulnerability is known; 3 the licences fit, but
vulnerabilities could not be asked for (`pip-audit` is not installed, or its service can't be reached), which is said.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


PROJECT = "faceshield-hf"
EXTRAS = ("train", "eval", "sources", "serve", "space", "dev")
# SPDX identifiers, and what older packages call themselves. Whole words, in any letter case.
FITS = (
    r"0BSD|AFL[- ]2\.1|Apache|Apache[- ]?2(\.0)?|Apache[- ]2\.0|BlueOak-1\.0\.0|BSD|BSD-[1-4]-Clause|BSL-1\.0|"
    r"CC0-1\.0|CNRI-Python|HPND|ISC|MIT|MIT-0|MIT-CMU|MPL[- ]2\.0|NCSA|PSF|PSF-2\.0|PSFL|Python-2\.0(\.1)?|"
    r"Unlicense|Zlib|ZPL[- ]2\.1"
)
# Share alike for the library alone: may be used as it is installed, not copied into this project.
NAMED = r"LGPL|LGPL[- v]*[23](\.[01])?([- ](or[- ]later|only)|\+)?"
NEVER = r"\bA?GPL|SSPL|Commons[- ]Clause|CC-BY-NC|\bBUSL|non-?commercial"
# What packages say that is no licence's name, looked up in their own licence files.
SAID = {
    "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "bsd license": "BSD",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "freebsd": "BSD-2-Clause",
    "new bsd": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "modified bsd license": "BSD-3-Clause",
    "cmu license (mit-cmu)": "MIT-CMU",
    "historical permission notice and disclaimer (hpnd)": "HPND",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "the mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0",
    "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.1-or-later",
    "gnu library or lesser general public license (lgpl)": "LGPL",
}


@dataclass(frozen=True)
class Package:
    """A package that is needed.

    Attributes:
        name (`str`): as it calls itself.
        version (`str`): that is installed; empty if it is not.
        licence (`str`): an SPDX expression where the package gives one.
        verdict (`str`): "fits", "fits, named" (LGPL), "does not fit", "unknown" or "not installed".
    """

    name: str
    version: str
    licence: str
    verdict: str


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", nargs="*", default=list(EXTRAS), help="of this project, whose packages count")
    parser.add_argument("--no-vulnerabilities", action="store_true", help="look at licences only")
    options = parser.parse_args()
    packages = [look(name) for name in needed(PROJECT, options.extras)]
    print("| package | version | licence | for Apache-2.0 |\n|---|---|---|---|")
    for package in packages:
        print(f"| {package.name} | {package.version} | {package.licence} | {package.verdict} |")
    counts = {
        verdict: sum(p.verdict == verdict for p in packages) for verdict in sorted({p.verdict for p in packages})
    }
    print(f"\n{len(packages)} packages: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    bad = [package.name for package in packages if package.verdict in ("does not fit", "unknown")]
    if bad:
        print(f"Look at these: {', '.join(bad)}")
    if options.no_vulnerabilities:
        return 1 if bad else 0
    known = vulnerabilities([package for package in packages if package.version])
    if isinstance(known, str):
        print(f"\nVulnerabilities were NOT checked: {known}")
        return 1 if bad else 3
    print(f"\n{len(known)} known vulnerabilities" + "".join(f"\n- {line}" for line in known))
    return 1 if bad or known else 0


def needed(project: str, extras: Iterable[str]) -> list[str]:
    """All that a package needs, and what that needs, and so on, by the markers of this Python and system.

    Args:
        project (`str`): where to begin; not in the result.
        extras (`Iterable[str]`): its optional parts.

    Returns:
        `list[str]`: canonical names, sorted.
    """
    start = canonicalize_name(project)
    seen: dict[str, set[str]] = {}
    waiting = [(start, frozenset(("", *extras)))]
    while waiting:
        name, wanted = waiting.pop()
        new = wanted - seen.setdefault(name, set())
        if not new:
            continue
        seen[name] |= new
        for requirement in requirements(name):
            if requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in seen[name]
            ):
                waiting.append((canonicalize_name(requirement.name), frozenset(("", *requirement.extras))))
    return sorted(set(seen) - {start})


def requirements(name: str) -> list[Requirement]:
    """What an installed package states that it needs; nothing for one that is not installed."""
    try:
        return [Requirement(line) for line in metadata.requires(name) or ()]
    except metadata.PackageNotFoundError:
        return []


def look(name: str) -> Package:
    """Read a package's licence and judge it."""
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return Package(name, "", "", "not installed")
    licence = licence_of(told)  # type: ignore[arg-type]
    return Package(told["Name"], told["Version"], licence, verdict_on(licence))


def licence_of(told: Message | Mapping[str, str]) -> str:
    """The licence that a package's metadata name: the SPDX expression, else the classifiers, else the free text."""
    if expression := told.get("License-Expression"):
        return str(expression)
    lines = told.get_all("Classifier") if isinstance(told, Message) else None
    names = [line.rpartition(" :: ")[2] for line in lines or () if line.startswith("License :: ")]
    names = [name for name in names if name != "OSI Approved"]
    text = (told.get("License") or "").strip()
    if not names and text:
        names = [
            text if "\n" not in text and len(text) < 80 else next(filter(None, map(str.strip, text.splitlines())))
        ]
    return " AND ".join(dict.fromkeys(SAID.get(name.lower(), name) for name in names))


def verdict_on(licence: str) -> str:
    """Whether a program under Apache-2.0 may need a package of a licence.

    Args:
        licence (`str`): an SPDX expression: with OR one part is enough, with AND all must fit.

    Returns:
        `str`: "fits", "fits, named" for LGPL, "does not fit" for GPL and the like, else "unknown".
    """
    choices = [
        _all_of(choice) for choice in re.split(r"\s+OR\s+|\s*/\s*", licence.replace("(", " ").replace(")", " "))
    ]
    return min(choices, key=("fits", "fits, named", "unknown", "does not fit").index)


def _all_of(licence: str) -> str:
    worst = "fits"
    for part in re.split(r"\s+AND\s+|\s*[,;&]\s*|\s+and\s+", licence):
        word = re.sub(r"\s+WITH\s+\S+$", "", part.strip())
        word = SAID.get(word.lower(), word)
        if re.fullmatch(FITS, word, re.IGNORECASE):
            continue
        if re.fullmatch(NAMED, word, re.IGNORECASE):
            worst = "fits, named" if worst == "fits" else worst
        elif re.search(NEVER, word, re.IGNORECASE):
            return "does not fit"
        else:
            worst = "unknown"
    return worst


def vulnerabilities(packages: Iterable[Package]) -> list[str] | str:
    """Ask `pip-audit` for what is known.

    Args:
        packages (`Iterable[Package]`): installed ones.

    Returns:
        `list[str]` or `str`: a line for each vulnerability, or why nothing could be asked.
    """
    wanted = {canonicalize_name(package.name) for package in packages}
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        return "pip-audit had no answer within ten minutes"
    try:
        told = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        if "No module named" in done.stderr:
            return "pip-audit is not installed: pip install pip-audit"
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return f"pip-audit can't reach its service ({last[:200]})"
    skipped = [one["name"] for one in told if "skip_reason" in one and canonicalize_name(one["name"]) in wanted]
    if skipped:
        return f"pip-audit could not ask for {len(skipped)} packages, among them {', '.join(skipped[:5])}"
    return [
        f"{one['name']} {one['version']}: {fault['id']}, fixed in {', '.join(fault['fix_versions']) or 'no version'}"
        for one in told
        if canonicalize_name(one["name"]) in wanted
        for fault in one.get("vulns", ())
    ]


if __name__ == "__main__":
    sys.exit(main())
