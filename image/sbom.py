"""The bill of materials (CycloneDX and SPDX) and the licence texts of an image: Debian packages from
the lock, crates as the compiler linked them."""

import datetime
import json
import re
from pathlib import Path

from . import lock
from .common import OUT, Fault, epoch, run
from .disk import name_uuid


def crates(arch):
    path = OUT / "image" / f"crates-{arch}.json"
    if not path.exists():
        raise Fault(f"{path.name} is missing: start the builder by ci/image")
    return json.loads(path.read_text())


def write(board, version, image, licences, folder):
    packages = sorted((p for p in lock.read(board.arch).values() if p.groups & {"root", "boot", board.id}),
                      key=lambda p: p.name)
    linked = crates(board.arch)
    digest = lock.sha256_of(image)
    when = datetime.datetime.fromtimestamp(epoch(), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = f"bulle-{board.id}"
    _put(folder / "sbom.cdx.json", cyclonedx(name, board, version, when, digest, packages, linked))
    _put(folder / "sbom.spdx.json", spdx(name, board, version, when, digest, packages, linked))
    _licences(licences, linked, folder / "licences.tar.zst")
    return len(packages), len(linked)


def _put(path, tree):
    path.write_text(json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def deb_purl(package, arch):
    return f"pkg:deb/debian/{package.name}@{package.version.replace(':', '%3A').replace('+', '%2B')}?arch={arch}"


def crate_purl(crate):
    return f"pkg:cargo/{crate['name']}@{crate['version'].replace('+', '%2B')}"


def cyclonedx(name, board, version, when, digest, packages, linked):
    components = [{
        "type": "library" if package.name.startswith("lib") else "firmware" if "firmware" in package.name else "application",
        "bom-ref": deb_purl(package, board.arch), "purl": deb_purl(package, board.arch),
        "name": package.name, "version": package.version,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
    } for package in packages]
    for crate in linked:
        component = {"type": "library", "bom-ref": crate_purl(crate), "purl": crate_purl(crate),
                     "name": crate["name"], "version": crate["version"]}
        if crate["licence"]:
            component["licenses"] = [{"expression": expression(crate["licence"])}]
        if crate["sha256"]:
            component["hashes"] = [{"alg": "SHA-256", "content": crate["sha256"]}]
        components.append(component)
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": f"urn:uuid:{name_uuid('sbom', board.id, digest)}",
        "metadata": {"timestamp": when, "component": {
            "type": "operating-system", "bom-ref": name, "name": name, "version": version,
            "hashes": [{"alg": "SHA-256", "content": digest}]}},
        "components": components,
        "dependencies": [{"ref": name, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def spdx(name, board, version, when, digest, packages, linked):
    root = {"SPDXID": "SPDXRef-image", "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION", "primaryPackagePurpose": "OPERATING-SYSTEM",
            "checksums": [{"algorithm": "SHA256", "checksumValue": digest}]}
    entries = []
    for package in packages:
        entries.append(_spdx("deb", package.name, package.version, "NOASSERTION", package.sha256,
                             deb_purl(package, board.arch)))
    for crate in linked:
        entries.append(_spdx("crate", crate["name"], crate["version"], expression(crate["licence"]) or "NOASSERTION",
                             crate["sha256"], crate_purl(crate)))
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"{name}-{version}",
        "documentNamespace": f"urn:uuid:{name_uuid('spdx', board.id, digest)}",
        "creationInfo": {"created": when, "creators": ["Tool: bulle-image"]},
        "packages": [root, *entries],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"},
            *({"spdxElementId": "SPDXRef-image", "relationshipType": "CONTAINS", "relatedSpdxElement": entry["SPDXID"]}
              for entry in entries),
        ],
    }


def _spdx(kind, name, version, licence, sha256, purl):
    entry = {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", f"{kind}-{name}-{version}"),
        "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION", "licenseDeclared": licence, "copyrightText": "NOASSERTION",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }
    if sha256:
        entry["checksums"] = [{"algorithm": "SHA256", "checksumValue": sha256}]
    return entry


def expression(licence):
    """Crates of old write `A/B` for `A OR B`."""
    return re.sub(r"\s*/\s*", " OR ", licence)


def _licences(folder, linked, out):
    for crate in linked:
        for name, text in crate["texts"].items():
            target = Path(folder) / "crates" / f"{crate['name']}-{crate['version']}" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    archive = run("tar", "--sort=name", f"--mtime=@{epoch()}", "--owner=0", "--group=0", "--numeric-owner",
                  "--mode=u=rwX,go=rX", "-C", folder, "-c", ".")
    out.write_bytes(run("zstd", "-19", "-T1", "-q", "-c", stdin=archive))
