"""Every setting of the service, read from GANYMEDE_* variables or a .env file. Unset means embedded parts."""

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

GIB = 2**30


class Settings(BaseSettings):
    """Settings of all processes; each is the variable GANYMEDE_ + NAME."""

    model_config = SettingsConfigDict(env_prefix="GANYMEDE_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(Path(".ganymede"), description="Data directory of the embedded parts.")
    bind: str = Field(
        "127.0.0.1:8000",
        pattern=r"^(\[[0-9A-Fa-f:]+\]|[^:\s]+):\d{1,5}$",
        description="Address and port of the web process.",
    )
    database_url: str | None = Field(
        None,
        pattern=r"^(sqlite|postgresql)(\+\w+)?://",
        description="sqlite:// or postgresql:// URL; a SQLite file in the home when unset.",
    )
    redis_url: str | None = Field(
        None, pattern=r"^(rediss?|redis\+socket)://", description="Redis or Valkey URL; an embedded Valkey when unset."
    )
    blobs_url: str | None = Field(
        None,
        pattern=r"^(file|s3|memory)://",
        description="file://, s3:// or memory:// URL; a directory in the home when unset.",
    )
    auth: Literal["auto", "on", "off"] = Field(
        "auto", description="Require API keys. auto: off on a loopback bind, on elsewhere; off elsewhere is refused."
    )
    web_processes: int = Field(2, ge=1, le=64, description="Processes that answer requests, each on one core at most.")
    web_threads: int = Field(8, ge=2, le=1000, description="Threads of each process that answers requests.")
    web_watchers: int = Field(500, ge=1, le=10_000, description="Streams that each of these processes sends at once.")
    slots: int = Field(1, ge=1, le=256, description="Jobs that one worker trains at once.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Device of the worker's jobs.")
    threads: int | None = Field(
        None, ge=1, description="Torch threads of a trainer; by its networks, at most cores / slots, when unset."
    )
    job_memory_bytes: int = Field(4 * GIB, ge=64 * 2**20, description="Estimated memory a job may need to be accepted.")
    max_live_jobs: int = Field(10_000, ge=1, description="Jobs of one owner that may be live at once, paused ones too.")
    prepared_max_bytes: int = Field(16 * GIB, ge=2**20, description="Largest data set once it is prepared.")
    cache_bytes: int = Field(
        32 * GIB,
        ge=0,
        description="Prepared data sets that a worker keeps on its disk where blobs are in an object store.",
    )
    prepare_memory_bytes: int = Field(
        2 * GIB, ge=64 * 2**20, description="Memory that the preparation of an upload may use."
    )
    prepare_s: float = Field(1800.0, ge=1, description="Seconds that the preparation of an upload may take.")
    sample_memory_bytes: int = Field(
        2 * GIB,
        ge=64 * 2**20,
        description="Memory that each of the two processes of samples on demand and exports may use.",
    )
    sample_s: float = Field(120.0, ge=1, description="Seconds that samples on demand or an export may take.")
    sample_quota_bytes: int = Field(
        4 * GIB,
        ge=1024,
        description="Bytes of samples on demand and exports that are kept for one owner; the oldest go.",
    )
    max_live_orders: int = Field(100, ge=1, description="Samples on demand and exports that one owner may wait for.")
    body_bytes: int = Field(256 * 1024, ge=1024, description="Largest JSON body.")
    dataset_max_bytes: int = Field(4 * GIB, ge=1024, description="Largest upload of a data set.")
    dataset_quota_bytes: int = Field(64 * GIB, ge=1024, description="Bytes of data sets that one owner may keep.")
    flush_s: float = Field(1.0, gt=0, description="Seconds between a trainer's writes of history, beat and progress.")
    ttl_s: float = Field(
        20.0,
        gt=0,
        validate_default=True,
        description="Seconds without a beat after which an attempt is lost; at least four times GANYMEDE_FLUSH_S.",
    )
    scan_s: float = Field(2.0, gt=0, description="Seconds between the reconciler's scans.")
    wake_again_s: float = Field(15.0, gt=0, description="Seconds after which waiting jobs are announced again.")
    sweep_s: float = Field(3600.0, gt=0, description="Seconds between searches of the whole store for orphans.")
    back_off_s: float = Field(
        5.0, ge=0, description="Wait before the first retry of a lost attempt; doubles each time."
    )
    back_off_max_s: float = Field(300.0, ge=0, description="Longest wait before a retry.")
    checkpoint_s: float = Field(60.0, gt=0, description="Seconds of training after which a checkpoint is due.")
    drain_s: float = Field(30.0, gt=0, description="Seconds a stopping worker gives its jobs to save.")
    step_deadline_s: float = Field(300.0, gt=0, description="Least time a step may take before its attempt is ended.")
    losses_in_row: int = Field(
        3, ge=1, description="Lost attempts without a new checkpoint between them that fail a job."
    )
    losses_in_all: int = Field(20, ge=1, description="Lost attempts that fail a job.")
    max_webhooks: int = Field(20, ge=1, description="Webhooks that one owner may have.")
    webhook_hosts: str = Field(
        "",
        description="Names or addresses, with commas between, that webhooks may name although they are not on the open "
        "Internet, such as `localhost,hooks.internal`.",
    )
    webhook_back_off_s: float = Field(
        5.0,
        gt=0,
        description="Wait after a message to a webhook was not accepted; then as long again as in all so far, up to an "
        "hour.",
    )
    webhook_give_up_s: float = Field(
        86_400.0, gt=0, description="Waits in all after which a message that nobody accepts is given up."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console on a terminal, else JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )

    @field_validator("bind")
    @classmethod
    def _has_a_port(cls, bind: str) -> str:
        if not 1 <= int(bind.rpartition(":")[2]) <= 65_535:
            raise ValueError("the port must be 1 to 65535")
        return bind

    @field_validator("ttl_s")
    @classmethod
    def _outlasts_flushes(cls, ttl_s: float, info: ValidationInfo) -> float:
        if (flush_s := info.data.get("flush_s")) is not None and ttl_s < 4 * flush_s:  # the beat comes with the flush
            raise ValueError(f"{ttl_s:g} is less than four times GANYMEDE_FLUSH_S, {flush_s:g}")
        return ttl_s

    @cached_property
    def database(self) -> str:
        """The SQLAlchemy URL in use."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'ganymede.db'}"

    @cached_property
    def blobs(self) -> str:
        """The URL of the blob store in use."""
        return self.blobs_url or f"file://{self.home.absolute() / 'blobs'}"

    @property
    def inner_hosts(self) -> frozenset[str]:
        """The hosts inside that webhooks may name, in lower case and without brackets."""
        return frozenset(filter(None, (host.strip(" []").lower() for host in self.webhook_hosts.split(","))))

    @property
    def host(self) -> str:
        """The host part of the bind address, without brackets."""
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port part of the bind address."""
        return int(self.bind.rpartition(":")[2])

    @property
    def binds_loopback(self) -> bool:
        """Tell whether only this machine can reach the bind address."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    @property
    def keys_required(self) -> bool:
        """Tell whether a request needs an API key."""
        return self.auth == "on" or (self.auth == "auto" and not self.binds_loopback)
