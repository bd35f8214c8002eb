"""Licences, bans, sources and duplicate versions by deny.toml, for a root without cargo-deny.

usage: deny.py deny.toml metadata.json NAME=FILE...

Each FILE lists the packages that the shipped thing NAME links: `name version` a line.

Reads the few keys that our deny.toml uses, not all that cargo-deny knows. Duplicates are judged
for each thing that ships, apart: a second version costs where it is linked twice.
"""

import json
import re
import sys

def strings(text, section, key):
    """The strings of `key = [..]` in [section]; for tables in the list, their names."""
    body = re.search(r"^\[" + re.escape(section) + r"\]\n(.*?)(?=^\[|\Z)", text, re.S | re.M)
    if not body:
        return []
    found = re.search(r"^" + re.escape(key) + r"\s*=\s*\[(.*?)\]\s*(?:#[^\n]*)?$", body.group(1), re.S | re.M)
    if not found:
        return []
    lines = re.sub(r"#[^\n\"]*$", "", found.group(1), flags=re.M)
    if "{" in lines:
        return re.findall(r"(?:name|crate)\s*=\s*\"([^\"]+)\"", lines)
    return re.findall(r"\"([^\"]+)\"", lines)


def allowed(expression, allow):
    """Whether an SPDX expression can be met: words become True or False, the rest is and/or."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    out, i = [], 0
    while i < len(tokens):
        token = tokens[i]
        if token in "()":
            out.append(token)
        elif token in ("AND", "OR"):
            out.append(token.lower())
        else:
            if i + 2 < len(tokens) and tokens[i + 1] == "WITH":
                token, i = token + " WITH " + tokens[i + 2], i + 2
            out.append(str(token in allow or token.split(" WITH ")[0] in allow))
        i += 1
    if not re.fullmatch(r"(True|False|and|or|[() ])+", " ".join(out)):
        return False
    return eval(" ".join(out))  # only the six words matched above


def main():
    deny = open(sys.argv[1], encoding="utf-8").read()
    metadata = json.load(open(sys.argv[2], encoding="utf-8"))
    faults = []
    allow = set(strings(deny, "licenses", "allow"))
    banned = set(strings(deny, "bans", "deny"))
    skip = strings(deny, "bans", "skip")
    # Cargo-deny counts macros too, so an excuse is needed wherever the lock file holds two versions.
    names = [package["name"] for package in metadata["packages"]]
    needless = {s for s in skip if names.count(s.split("@")[0]) < 2}
    exceptions = set(strings(deny, "licenses", "exceptions"))

    for package in metadata["packages"]:
        name, version = package["name"], package["version"]
        if package["source"] is None:
            continue
        if not package["source"].startswith("registry+"):
            faults.append(f"{name} {version} does not come from the registry")
        licence = package["license"] or ""
        if name not in exceptions and not (licence and allowed(licence, allow)):
            faults.append(f"{name} {version}: the licence {licence or '(none named)'} is not in deny.toml")
    counts = []
    for argument in sys.argv[3:]:
        start, path = argument.split("=", 1)
        versions = {}
        for line in open(path, encoding="utf-8"):
            name, version = line.split()[:2]
            versions.setdefault(name, set()).add(version.lstrip("v"))
        if start not in versions:
            faults.append(f"the list of what {start} links is empty")
        counts.append(f"{len(versions)} linked into {start}")
        for name in sorted(versions):
            if name in banned:
                faults.append(f"{start} links {name}, which deny.toml bans")
            excused = {v for v in versions[name] for s in skip if f"{name}@{v}.".startswith(s + ".")}
            if len(versions[name] - excused) > 1:
                faults.append(f"{start} links {name} {len(versions[name])} times: {', '.join(sorted(versions[name]))}")
    print(f"{len(metadata['packages'])} packages: " + ", ".join(counts))
    for name in sorted(needless):
        faults.append(f"deny.toml excuses {name}, of which there is one version at most: take it out")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


sys.exit(main())
