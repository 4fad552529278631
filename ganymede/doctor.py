"""Looks at an installation: what is configured, what answers, what is missing."""

import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from alembic.script import ScriptDirectory

from service import sqlite
from service.blobs import make_blobs
from service.broker import embedded_broker, ping_broker
from service.db import alembic_config, make_engine, schema_revision
from service.settings import Settings

PROBE = "doctor-probe"

Verdict = Literal["ok", "note", "fault"]


@dataclass(frozen=True)
class Finding:
    """What one look brought to light; only a fault keeps the service from working."""

    subject: str
    verdict: Verdict
    detail: str

    def as_dict(self) -> dict[str, str]:
        """Return the finding as JSON-able values."""
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; a look that fails is a fault, never an exception."""
    return [_look(subject, look, settings) for subject, look in LOOKS.items()]


def _look(subject: str, look: Callable[[Settings], tuple[Verdict, str]], settings: Settings) -> Finding:
    try:
        return Finding(subject, *look(settings))
    except Exception as error:  # noqa: BLE001 - a rim: any failure of a look is what the doctor is there to tell
        return Finding(subject, "fault", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


def _version(_: Settings) -> tuple[Verdict, str]:
    return "ok", f"ganymede {version('ganymede-gan')}, Python {platform.python_version()} on {platform.platform()}"


def _home(settings: Settings) -> tuple[Verdict, str]:
    home = settings.home.absolute()
    if not home.exists():
        return "note", f"{home} does not exist yet; `ganymede up` makes it"
    return "ok", f"{home}, {shutil.disk_usage(home).free / 2**30:.1f} GiB free"


def _access(settings: Settings) -> tuple[Verdict, str]:
    if settings.auth == "off" and not settings.binds_loopback:
        return "fault", f"{settings.bind} can be reached from outside, and GANYMEDE_AUTH=off is refused there"
    return "ok", f"{settings.bind}, keys are {'required' if settings.keys_required else 'not required (loopback only)'}"


def _database(settings: Settings) -> tuple[Verdict, str]:
    engine = make_engine(settings.database)
    where = engine.url.render_as_string(hide_password=True)
    if engine.url.get_backend_name() == "sqlite":
        if not (engine.url.database and (settings.database_url or (settings.home / "ganymede.db").exists())):
            return "note", f"{where} does not exist yet; `ganymede migrate` makes it"
        where += f", SQLite {sqlite.driver.sqlite_version}, journal mode {sqlite.sqlite_journal_mode()}"
    revision = schema_revision(engine)
    if revision is None:
        return "fault", f"{where}: no schema yet; run `ganymede migrate`"
    if revision != (newest := newest_revision(settings.database)):
        return "fault", f"{where}: schema {revision}, this version needs {newest}; run `ganymede migrate`"
    return "ok", f"{where}, schema {revision}"


def newest_revision(database_url: str) -> str | None:
    """Return the schema that this version of the code works with."""
    return ScriptDirectory.from_config(alembic_config(database_url)).get_current_head()


def _broker(settings: Settings) -> tuple[Verdict, str]:
    if not settings.redis_url:
        return "ok", f"embedded, {embedded_broker(settings)[0]}"
    ping_broker(settings)
    return "ok", "answers"


def _blobs(settings: Settings) -> tuple[Verdict, str]:
    if not settings.blobs_url and not settings.home.exists():
        return "note", f"{settings.blobs} does not exist yet; it comes with the first file"
    blobs = make_blobs(settings.blobs)
    blobs.put(PROBE, b"probe")
    blobs.delete(PROBE)
    return "ok", f"{settings.blobs} can be written"


def _training(settings: Settings) -> tuple[Verdict, str]:
    try:
        build = version("torch")
    except PackageNotFoundError:
        return "note", "torch is not installed: this machine can serve, not train (pip install ganymede-gan[worker])"
    import torch

    cuda = (
        f"CUDA {torch.version.cuda}, {torch.cuda.device_count()} devices" if torch.cuda.is_available() else "CPU only"
    )
    if settings.device == "cuda" and not torch.cuda.is_available():
        return "fault", f"torch {build}: GANYMEDE_DEVICE=cuda, but there is no CUDA device"
    return "ok", f"torch {build}, {cuda}, {torch.get_num_threads()} threads"


def _compiler(_: Settings) -> tuple[Verdict, str]:
    from worker.machine import can_compile

    if can_compile():
        return "ok", "there is a C++ compiler, and Python's headers"
    return "note", "no C++ compiler (g++, or what CXX names) or no headers of Python: long trainings run eagerly"


def _platform(_: Settings) -> tuple[Verdict, str]:
    if platform.system() == "Linux":
        return "ok", "parts die with their parent (parent-death signal)"
    return (
        "note",
        f"{platform.system()} has no parent-death signal: after kill -9 of `ganymede up` look for left processes",
    )


LOOKS: dict[str, Callable[[Settings], tuple[Verdict, str]]] = {
    "version": _version,
    "home": _home,
    "access": _access,
    "database": _database,
    "broker": _broker,
    "blobs": _blobs,
    "training": _training,
    "compiler": _compiler,
    "platform": _platform,
}
