"""A TOML file into the settings of a command, each checked for its name and its kind.

    data = "sites.csv"                       # paths are those from the file's own folder
    formula = "y ~ x + (x | site)"
    seed = 1

    [priors]
    x = "Normal(mu=0, sigma=1)"

    [pooling]                                # of one command alone
    group = "site"

A name that no command has is an error that lists the possible ones.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hiermodels.distributions import Prior
from hiermodels.errors import PriorError, SettingsError, did_you_mean

__all__ = ["KINDS", "parse_priors", "read_settings"]

STANDARD_INPUT = "-"
#: What a setting can be, by the name of its kind: the types of TOML, and the word for them.
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "text": ((str,), "text in quotes"),
    "path": ((str,), "a path in quotes"),
    "whole": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "truth": ((bool,), "true or false"),
    "texts": ((list, dict), "a list of texts, or a table of names and texts"),
}
PRIOR = re.compile(r"(?P<name>[^=]+)=\s*(?P<distribution>\w+)\s*\((?P<inside>[^()]*)\)\s*")


def read_settings(
    path: str | Path, *, command: str, commands: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """The settings of ``command``; ``commands`` has the kinds of the settings of each.

    A table named as a command is for that command and goes before what stands above it.

    Raises
    ------
    SettingsError
        No such file, no TOML, a name that is none, a value of another kind.
    """
    target = Path(path)
    content = parse(target)
    own = commands[command]
    everywhere = {name: kind for kinds in commands.values() for name, kind in kinds.items()}
    tables = {name: content.pop(name) for name in commands if isinstance(content.get(name), dict)}
    for name, table in tables.items():
        tables[name] = checked(table, commands[name], where=f"[{name}] of {str(target)!r}")
    found = checked(content, everywhere, where=repr(str(target)), tables=tuple(commands))
    chosen = {k: v for k, v in found.items() if k in own} | tables.get(command, {})
    return {name: from_folder(value, own[name], target) for name, value in chosen.items()}


def parse(target: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(target.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        near = [p.name for p in target.parent.glob("*.toml")] if target.parent.is_dir() else []
        hint = did_you_mean(target.name, near)
        raise SettingsError(f"no file of settings {str(target)!r}.{hint}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{str(target)!r} is not text in UTF-8, as TOML has to be") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"{str(target)!r} is not TOML: {error}. A line is a name, =, and a value, "
            "with text in quotes."
        ) from None


def checked(
    content: Mapping[str, Any],
    kinds: Mapping[str, str],
    *,
    where: str,
    tables: Iterable[str] = (),
) -> dict[str, Any]:
    found = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name not in kinds:
            possible = ", ".join(sorted(kinds))
            also = f"; tables: {', '.join(f'[{t}]' for t in tables)}" if tables else ""
            raise SettingsError(
                f"no setting {key!r} in {where}. Possible: {possible}{also}."
                f"{did_you_mean(name, kinds)}"
            )
        found[name] = of_kind(value, kinds[name], name=key, where=where)
    return found


def of_kind(value: Any, kind: str, *, name: str, where: str) -> Any:
    types, words = KINDS[kind]
    right = isinstance(value, types) and (kind == "truth" or not isinstance(value, bool))
    if right and kind == "texts":
        items = value.values() if isinstance(value, dict) else value
        right = all(isinstance(item, str) for item in items)
    if not right:
        raise SettingsError(f"{name} = {value!r} in {where}: it is {words}")
    return value


def from_folder(value: Any, kind: str, target: Path) -> Any:
    """Paths from the folder of the file, so that it can be used from anywhere."""
    return str(target.parent / value) if kind == "path" and value != STANDARD_INPUT else value


def parse_priors(texts: Iterable[str]) -> dict[str, Prior]:
    """``x=Normal(mu=0, sigma=1)`` as a name and a prior.

    Raises
    ------
    PriorError
        Text that is not of this form; a distribution or a parameter that does not exist.
    """
    return dict(parse_prior(text) for text in texts)


def parse_prior(text: str) -> tuple[str, Prior]:
    found = PRIOR.fullmatch(text)
    if found is None:
        raise PriorError(
            f"the prior {text!r} cannot be read. Write it as x=Normal(mu=0, sigma=1), "
            "in quotes on the command line."
        )
    values = {}
    for part in filter(None, (p.strip() for p in found["inside"].split(","))):
        name, equals, number = (p.strip() for p in part.partition("="))
        try:
            values[name] = float(number)
        except ValueError:
            values[name] = math.nan
        if not equals or math.isnan(values[name]):
            raise PriorError(
                f"{part!r} in the prior {text!r} is not a parameter and its number, such as sigma=1"
            )
    return found["name"].strip(), Prior(found["distribution"], **values)
