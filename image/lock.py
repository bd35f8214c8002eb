"""The lock: every package of an image with version, checksum and place, and how to get them.

A line of `lock/ARCH.lock` is: name, version, groups, size, SHA-256, archive, path in the archive.
A group is `root`, `boot` or `test` of packages.toml, or a board's name for what that board adds.
"""

import hashlib
import os
import re
import shutil
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from .common import DEBS, IMAGE, Fault, run, say

HEAD = "# Made by `ci/image --update-lock`. Name, version, groups, bytes, SHA-256, archive, path.\n"
ARCHIVES = {"debian": "BULLE_DEBIAN_MIRROR", "security": "BULLE_DEBIAN_SECURITY_MIRROR"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass
class Package:
    name: str
    version: str
    size: int
    sha256: str
    archive: str
    path: str
    groups: set = field(default_factory=set)

    @property
    def deb(self):
        """Where it is kept: the checksum leads, so that a file of that name is that file."""
        return DEBS / f"{self.sha256[:16]}-{self.path.rsplit('/', 1)[-1]}"

    def line(self):
        groups = ",".join(sorted(self.groups))
        return f"{self.name} {self.version} {groups} {self.size} {self.sha256} {self.archive} {self.path}\n"


def settings():
    with open(IMAGE / "packages.toml", "rb") as file:
        return tomllib.load(file)


def path_of(arch):
    return IMAGE / "lock" / f"{arch}.lock"


def read(arch):
    """The packages of the lock, by name."""
    path, packages = path_of(arch), {}
    if not path.exists():
        raise Fault(f"{path.relative_to(IMAGE.parent)} is missing: make it by `ci/image --update-lock`")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#") or not line:
            continue
        parts = line.split()
        if len(parts) != 7 or parts[5] not in ARCHIVES or not re.fullmatch(r"[0-9a-f]{64}", parts[4]):
            raise Fault(f"{path.name}:{number}: not a line of a lock; make it again by `ci/image --update-lock`")
        name, version, groups, size, sha256, archive, where = parts
        packages[name] = Package(name, version, int(size), sha256, archive, where, set(groups.split(",")))
    return packages


def write(arch, packages):
    text = HEAD + "".join(packages[name].line() for name in sorted(packages))
    path_of(arch).parent.mkdir(exist_ok=True)
    path_of(arch).write_text(text)


def mirror(archive):
    return os.environ[ARCHIVES[archive]]


class Apt:
    """An apt of its own for one architecture, on which nothing is installed."""

    def __init__(self, arch, folder, without):
        self.arch, self.folder = arch, Path(folder)
        wanted = settings()["apt"]
        for name in ("lists/partial", "archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        sources = [("debian", suite) for suite in wanted["suites"]] + [("security", s) for s in wanted["security"]]
        self._put("sources.list", "".join(
            f"deb [signed-by={KEYRING}] {mirror(archive)} {suite} {' '.join(wanted['components'])}\n"
            for archive, suite in sources))
        self._put("preferences",
                  "Package: *\nPin: release a=*-backports\nPin-Priority: -1\n\n"
                  f"Package: {' '.join(wanted['backports'])}\nPin: release a=*-backports\nPin-Priority: 990\n")
        self.without(without)
        self._put("apt.conf", "".join(f"{option};\n" for option in os.environ.get("BULLE_APT_OPTIONS", "").splitlines()))

    def _put(self, name, text):
        (self.folder / name).write_text(text)

    def without(self, names):
        """Lets apt believe that these are installed, and whatever they stand for."""
        stand_for = {"debconf": "debconf-2.0", "initramfs-tools": "linux-initramfs-tool", "mawk": "awk"}
        self._put("status", "".join(
            f"Package: {name}\nStatus: install ok installed\nMaintainer: none\nArchitecture: {self.arch}\n"
            f"Multi-Arch: foreign\nVersion: 99:1\n"
            + (f"Provides: {stand_for[name]}\n" if name in stand_for else "")
            + "Description: not on the box\n\n"
            for name in names))

    def run(self, tool, *arguments):
        d = self.folder
        options = {
            "Dir::Etc::SourceList": d / "sources.list", "Dir::Etc::SourceParts": "/nonexistent",
            "Dir::Etc::Preferences": d / "preferences", "Dir::Etc::PreferencesParts": "/nonexistent",
            "Dir::State::Lists": d / "lists", "Dir::State::status": d / "status", "Dir::Cache": d,
            "APT::Architecture": self.arch, "APT::Architectures": self.arch, "APT::Install-Recommends": "false",
            "Acquire::Languages": "none", "Acquire::Retries": "5", "APT::Sandbox::User": "root",
        }
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return run(tool, *words, *arguments, env={"APT_CONFIG": str(d / "apt.conf")}).decode()

    def update(self):
        """Fetches the lists of packages, whose signatures apt checks."""
        self.run("apt-get", "update")
        self.known = {}
        for path in sorted((self.folder / "lists").glob("*_Packages")):
            for stanza in path.read_text().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in stanza.splitlines() if re.match(r"[A-Z][A-Za-z0-9-]*: ", line))
                if "Filename" in fields and "SHA256" in fields:
                    self.known[fields["Filename"]] = fields

    def closure(self, names):
        """These packages and all that they depend on."""
        said = self.run("apt-get", "install", "--yes", "--print-uris", "--no-install-recommends", *names)
        found = {}
        for url in re.findall(r"^'([^']+\.deb)' ", said, re.M):
            archive = next((a for a in ("security", "debian") if url.startswith(mirror(a) + "/")), None)
            path = unquote(url[len(mirror(archive)) + 1:]) if archive else url
            if path not in self.known:
                raise Fault(f"the mirror offers a package that its lists do not know: {url}")
            fields = self.known[path]
            name = fields["Package"]
            found[name] = Package(name, fields["Version"], int(fields["Size"]), fields["SHA256"], archive, path)
        return found


def update(boards):
    """Makes the locks of all architectures again from what the mirror has now."""
    wanted = settings()
    for arch in sorted({board.arch for board in boards}):
        say(f"asking the mirror what it has for {arch}")
        without, packages = wanted["apt"]["without"], {}
        groups = {name: group["packages"] + group.get(arch, []) for name, group in wanted["groups"].items()}
        groups |= {board.id: board.packages() for board in boards if board.arch == arch}
        with tempfile.TemporaryDirectory() as folder:
            apt = Apt(arch, folder, without)
            apt.update()
            for group, names in groups.items():
                back = set(wanted["groups"].get(group, {}).get("with", []))
                apt.without([name for name in without if name not in back])
                for name, package in apt.closure(names).items():
                    known = packages.setdefault(name, package)
                    if known.sha256 != package.sha256:
                        raise Fault(f"{group} wants another version of {name} than the others: {package.version}")
                    known.groups.add(group)
        write(arch, packages)
        total = sum(package.size for package in packages.values())
        say(f"image/lock/{arch}.lock: {len(packages)} packages, {total >> 20} MiB")


def fetch(packages):
    """Gets those that are not kept yet. What comes is taken only with the locked checksum."""
    missing = [package for package in packages if not package.deb.exists()]
    if not missing:
        return
    say(f"fetching {len(missing)} packages, {sum(p.size for p in missing) >> 20} MiB")
    with tempfile.TemporaryDirectory(dir=DEBS, prefix=".fetch-") as folder:
        conf = Path(folder) / "apt.conf"
        conf.write_text("".join(f"{option};\n" for option in os.environ.get("BULLE_APT_OPTIONS", "").splitlines()))
        words = []
        for package in missing:
            words += [f"{mirror(package.archive)}/{package.path}", f"{folder}/{package.deb.name}",
                      f"SHA256:{package.sha256}"]
        fault = None
        try:
            run("/usr/lib/apt/apt-helper", "-o", "Acquire::Retries=5", "-o", "APT::Sandbox::User=root",
                "download-file", *words, env={"APT_CONFIG": str(conf)})
        except Fault as error:
            fault = error
        lacking = []
        for package in missing:
            came = Path(folder) / package.deb.name
            if came.exists() and sha256_of(came) == package.sha256:
                came.rename(package.deb)
            else:
                lacking.append(f"{package.name} {package.version}")
    if lacking:
        raise Fault(
            f"the mirror does not serve what the lock names: {', '.join(lacking[:8])}"
            + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
            + "\nIt may have newer versions: `ci/image --update-lock`, then build, try and commit the lock. To build this"
            "\nvery commit, name a mirror that keeps old versions: DEBIAN_MIRROR=... DEBIAN_SECURITY_MIRROR=..."
            + (f"\n{str(fault)[-600:]}" if fault else ""))


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def extract(packages, tree, arch):
    """Unpacks packages over each other. Their scripts are not run: nothing foreign runs here."""
    tree = Path(tree)
    # Packages carry these as folders or not at all; here they are what they are on a merged system.
    for name in ("bin", "sbin", "lib") + (("lib64",) if arch == "amd64" else ()):
        (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (tree / name).is_symlink():
            (tree / name).symlink_to(f"usr/{name}")
    for package in sorted(packages, key=lambda package: package.name):
        # tar writes through the links above; dpkg-deb -x would put folders in their place.
        run("sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink --no-same-owner -p',
            "sh", package.deb, tree)


def free_space_for(folder, mib):
    if shutil.disk_usage(folder).free < mib << 20:
        raise Fault(f"too little room in {folder}: {mib} MiB are needed")
