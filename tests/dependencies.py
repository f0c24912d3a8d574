#!/usr/bin/env python3
"""Licences, bans and sources of deny.toml, compared with what cargo resolves; `cargo deny check` also asks for advisories, and takes minutes to install.

    python3 tests/dependencies.py
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]


class Package(NamedTuple):
    """A package that is built; `source` is empty for one of the registry."""

    name: str
    version: str
    source: str
    licence: str


def packages(targets: list[str]) -> set[Package]:
    """The packages of others that are built for these targets, with the features that are on, tests included."""
    found = set()
    for target in targets:
        command = ["cargo", "tree", "--locked", "--workspace", "--target", target, "--edges", "normal,build,dev"]
        shown = ["--prefix", "none", "--no-dedupe", "--format", "{p}\t{l}"]
        text = subprocess.run([*command, *shown], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout
        for line in filter(None, text.splitlines()):
            package, _, licence = line.partition("\t")
            name, version, *marks = package.split(" ", 2)
            source = "".join(marks).removeprefix("(proc-macro)").strip().strip("()")
            if not source.startswith(str(REPOSITORY)):
                found.add(Package(name, version.removeprefix("v"), source, licence))
    return found


def satisfied(expression: str, allowed: set[str]) -> bool:
    """True where the allowed licences satisfy an SPDX expression; cargo's old `/` is OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def either() -> bool:
        value = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            value = both() or value
        return value

    def both() -> bool:
        value = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            value = one() and value
        return value

    def one() -> bool:
        token = tokens.pop(0)
        if token == "(":
            value = either()
            assert tokens.pop(0) == ")", expression
            return value
        if tokens[:1] == ["WITH"]:
            token = f"{token} WITH {tokens[1]}"
            del tokens[:2]
        return token in allowed

    value = either()
    assert not tokens, expression
    return value


def older(version: str, floor: str) -> bool:
    """True where a version is below another one; a pre-release counts as its release."""
    numbers = lambda text: [int(part) for part in re.split(r"[-+]", text)[0].split(".")]  # noqa: E731
    return numbers(version) < numbers(floor)


def main() -> None:
    rules = tomllib.loads((REPOSITORY / "deny.toml").read_text())
    allowed = set(rules["licenses"]["allow"])
    assert satisfied("(MIT OR GPL-3.0) AND Zlib", {"MIT", "Zlib"}) and not satisfied("MIT AND GPL-3.0", {"MIT"})
    found = packages(rules["graph"]["targets"])
    wrong = []
    for one in sorted(found):
        name = f"{one.name} {one.version}"
        if not one.licence or not satisfied(one.licence, allowed):
            wrong.append(f"{name}: licence {one.licence or 'unknown'}")
        if one.source:
            wrong.append(f"{name}: from {one.source}")
        for rule in rules["bans"]["deny"]:
            crate, _, floor = rule["crate"].partition(":<")
            if one.name == crate and (not floor or older(one.version, floor)):
                wrong.append(f"{name}: {rule['reason']}")
    assert len(found) > 100, f"only {len(found)} packages"
    print("\n".join([*wrong, f"{len(found)} packages, {len(wrong)} against deny.toml"]))
    sys.exit(bool(wrong))


main()
