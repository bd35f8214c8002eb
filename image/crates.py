"""The crates that ship, with licences and their texts: for the bill of materials.

usage, inside the root `build`: crates.py metadata.json Cargo.lock NAME=FILE... > crates.json
Each FILE lists what the shipped thing NAME links: `name version` a line, as `cargo tree` prints it.
"""

import json
import os
import re
import sys

TEXTS = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|UNLICENSE|COPYRIGHT)([-._].*)?", re.I)


def checksums(path):
    found = {}
    for block in open(path, encoding="utf-8").read().split("[[package]]"):
        fields = dict(re.findall(r'^(name|version|checksum) = "([^"]+)"', block, re.M))
        if "checksum" in fields:
            found[fields["name"], fields["version"]] = fields["checksum"]
    return found


def texts(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if TEXTS.fullmatch(name) and os.path.isfile(path):
            found[name] = open(path, encoding="utf-8", errors="replace").read()
    return found


def main():
    metadata = json.load(open(sys.argv[1], encoding="utf-8"))
    known, sums, crates = {(p["name"], p["version"]): p for p in metadata["packages"]}, checksums(sys.argv[2]), {}
    for argument in sys.argv[3:]:
        thing, path = argument.split("=", 1)
        for line in open(path, encoding="utf-8"):
            name, version = line.split()[0], line.split()[1].lstrip("v")
            package = known[name, version]
            crate = crates.setdefault((name, version), {
                "name": name, "version": version, "licence": package["license"] or "", "sha256": sums.get((name, version)),
                "in": [], "texts": texts(os.path.dirname(package["manifest_path"])) if package["source"] else {},
            })
            crate["in"] = sorted({*crate["in"], thing})
    json.dump([crates[key] for key in sorted(crates)], sys.stdout, sort_keys=True)


main()
