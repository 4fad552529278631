"""A ledger of every write, kept by triggers inside the database: evidence that no code of the service can colour."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, text

_FENCED = {"segments": "last_step", "checkpoints": "step", "samples": "step"}  # each with its column that is a step
_IN_KEY = {  # a key is JOB/ATTEMPT/NAME
    "sqlite": "CAST(substr(NEW.files, instr(NEW.files, NEW.job_id || '/') + length(NEW.job_id) + 1) AS INTEGER)",
    "postgresql": "split_part(split_part(NEW.files::text, NEW.job_id || '/', 2), '/', 1)::bigint",
}

_TABLE = {
    "sqlite": "CREATE TABLE ledger (seq INTEGER PRIMARY KEY AUTOINCREMENT, {columns})",
    "postgresql": "CREATE TABLE ledger (seq BIGSERIAL PRIMARY KEY, {columns})",
}
_COLUMNS = (
    "what TEXT NOT NULL, job_id TEXT NOT NULL, attempt BIGINT NOT NULL, job_attempt BIGINT NOT NULL,"
    " before TEXT, after TEXT"
)
_INSERT = "INSERT INTO ledger (what, job_id, attempt, job_attempt, before, after)"
_CREATED = f"{_INSERT} VALUES ('jobs', NEW.id, NEW.attempt, NEW.attempt, NULL, NEW.state)"
_MOVED = f"{_INSERT} VALUES ('jobs', NEW.id, NEW.attempt, OLD.attempt, OLD.state, NEW.state)"
_HAS_MOVED = "OLD.state <> NEW.state OR OLD.attempt <> NEW.attempt"


@dataclass(frozen=True)
class Entry:
    """One write.

    Of a job: `before` and `after` are its states, `job_attempt` and `attempt` its attempts before and after. Of a row
    that an attempt wrote: `attempt` is the writer's, as its trainer knows it from its claim and stamps its losses and
    the keys of its files; `job_attempt` is the one that the job is at in that moment, whatever the writer believes;
    `before` and `after` are the steps the row reaches.
    """

    seq: int
    what: str
    job_id: str
    attempt: int
    job_attempt: int
    before: str | None
    after: str | None

    @property
    def is_cut(self) -> bool:
        """Tell whether it shortened a history, as the claim of the next attempt does to what the one before wrote."""
        return self.what == "segments" and self.before is not None and int(self.after or 0) < int(self.before)


def keep_ledger(engine: Engine) -> None:
    """Create the ledger and its triggers in an installation's database, before anything writes there."""
    dialect = engine.dialect.name
    with engine.begin() as connection:
        connection.exec_driver_sql(_TABLE[dialect].format(columns=_COLUMNS))
        connection.exec_driver_sql("CREATE INDEX ix_ledger_job_id ON ledger (job_id, seq)")
        for statement in _triggers(dialect):
            connection.exec_driver_sql(statement)


def read_entries(engine: Engine, job_ids: Sequence[str]) -> dict[str, list[Entry]]:
    """Return the entries of each job in the order in which its rows were written.

    The order holds: whoever writes for a job has its row locked until the end of the transaction.
    """
    found: dict[str, list[Entry]] = {job_id: [] for job_id in job_ids}
    query = text(
        "SELECT seq, what, job_id, attempt, job_attempt, before, after FROM ledger WHERE job_id = :job_id ORDER BY seq"
    )
    with engine.connect() as connection:
        for job_id in job_ids:
            found[job_id] = [Entry(*row) for row in connection.execute(query, {"job_id": job_id})]
    return found


def newest_entry(engine: Engine, what: str) -> int:
    """Return the number of the newest entry of a kind, 0 before the first."""
    with engine.connect() as connection:
        return connection.execute(text("SELECT MAX(seq) FROM ledger WHERE what = :what"), {"what": what}).scalar() or 0


def newest_writer(engine: Engine, job_id: str) -> int:
    """Return the newest attempt that has recorded steps of a job, 0 before the first."""
    query = text(
        "SELECT MAX(attempt) FROM ledger WHERE what = 'segments' AND job_id = :job_id"
        " AND (before IS NULL OR CAST(before AS BIGINT) < CAST(after AS BIGINT))"
    )
    with engine.connect() as connection:
        return connection.execute(query, {"job_id": job_id}).scalar() or 0


def _triggers(dialect: str) -> list[str]:
    trigger = {"sqlite": _sqlite_trigger, "postgresql": _postgresql_trigger}[dialect]
    statements = [
        *trigger("jobs", "INSERT", _CREATED, "1 = 1"),
        *trigger("jobs", "UPDATE", _MOVED, _HAS_MOVED),
        *trigger("events", "INSERT", _of_attempt("events", "NEW.attempt", "NULL", "NEW.type"), "1 = 1"),
    ]
    for table, step in _FENCED.items():
        writer = "NEW.attempt" if table == "segments" else _IN_KEY[dialect]
        statements += trigger(table, "INSERT", _of_attempt(table, writer, "NULL", f"NEW.{step}"), "1 = 1")
        statements += trigger(table, "UPDATE", _of_attempt(table, writer, f"OLD.{step}", f"NEW.{step}"), "1 = 1")
    return statements


def _of_attempt(table: str, writer: str, before: str, after: str) -> str:
    return (
        f"{_INSERT} SELECT '{table}', NEW.job_id, {writer}, jobs.attempt, {before}, {after}"  # noqa: S608 - our own
        " FROM jobs WHERE jobs.id = NEW.job_id"
    )


def _sqlite_trigger(table: str, moment: str, action: str, condition: str) -> list[str]:
    name = f"ledger_{table}_{moment.lower()}"
    return [f"CREATE TRIGGER {name} AFTER {moment} ON {table} WHEN {condition} BEGIN {action}; END"]


def _postgresql_trigger(table: str, moment: str, action: str, condition: str) -> list[str]:
    name = f"ledger_{table}_{moment.lower()}"
    function = f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {action}; RETURN NULL; END $$"
    rows = f"CREATE TRIGGER {name} AFTER {moment} ON {table} FOR EACH ROW"
    return [function, f"{rows} WHEN ({condition}) EXECUTE FUNCTION {name}()"]
