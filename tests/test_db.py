"""Transactions as both databases keep them."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from service.db import DATABASE_AWAY, glancing, make_engine, may_take_long, reading, writing, writing_lightly
from service.sqlite import sqlite_journal_mode
from service.store import history
from service.turns import Turns
from tests.building import add_job

ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
OWN_PROCESS = text("SELECT pg_backend_pid()")
LONG_ENOUGH_S = 1.0  # for a commit; SQLite with a rollback journal keeps it waiting for the reader instead


def test_a_reader_sees_one_state_of_the_database_however_many_queries_it_takes(engine: Engine) -> None:
    with writing(engine) as session:
        job_id = add_job(session).id
        rows = np.zeros((20, 1), dtype=np.float32)
        history.append_rows(session, job_id, attempt=1, first_step=1, columns=("d_loss",), rows=rows)

    def cut() -> None:
        with writing(engine) as session:
            history.cut_after(session, job_id, 10)

    resume = threading.Thread(target=cut)
    with reading(engine) as session:
        recorded = history.span(session, job_id)
        resume.start()
        resume.join(LONG_ENOUGH_S)
        block = history.read_rows(session, job_id, columns=("d_loss",), first=11, last=20)
    resume.join()

    assert recorded == (1, 20)
    assert block.last_step == 20


@ON_POSTGRESQL
def test_a_glance_needs_no_transaction_and_leaves_the_next_reader_his(engine: Engine) -> None:
    def status_after_a_query(session: Session) -> TransactionStatus:
        session.execute(OWN_PROCESS)
        connection = session.connection().connection.driver_connection
        assert connection is not None
        return TransactionStatus(connection.info.transaction_status)

    with glancing(engine) as session:
        assert status_after_a_query(session) == TransactionStatus.IDLE
    with reading(engine) as session:
        assert status_after_a_query(session) == TransactionStatus.INTRANS


@ON_POSTGRESQL
def test_a_connection_whose_server_has_gone_is_replaced_before_anybody_needs_it(engine: Engine) -> None:
    with glancing(engine) as session:
        gone = session.scalar(OWN_PROCESS)
    other = make_engine(engine.url.render_as_string(hide_password=False))
    with glancing(other) as session:
        is_gone = session.scalar(text("SELECT pg_terminate_backend(:process, 10000)"), {"process": gone})
    other.dispose()

    with writing(engine) as session:
        new = session.scalar(OWN_PROCESS)

    assert is_gone
    assert new != gone


@ON_POSTGRESQL
def test_a_database_that_takes_no_writes_now_is_away(engine: Engine) -> None:
    def write_anyway() -> None:
        with writing(engine) as session:
            session.execute(text("SET TRANSACTION READ ONLY"))
            add_job(session)

    with pytest.raises(DATABASE_AWAY):
        write_anyway()
    with writing(engine) as session:
        add_job(session)


@ON_POSTGRESQL
def test_what_may_take_long_is_one_transaction_alone(engine: Engine) -> None:
    limit = text("SHOW statement_timeout")
    with writing(engine) as session:
        may_take_long(session)
        without = session.scalar(limit)
    with writing(engine) as session:
        again = session.scalar(limit)

    assert (without, again) == ("0", "10s")


def test_only_what_is_written_lightly_is_not_waited_for(engine: Engine) -> None:
    is_sqlite = engine.dialect.name == "sqlite"
    ask, least = (text("PRAGMA synchronous"), 1) if is_sqlite else (text("SHOW synchronous_commit"), "off")
    levels = []
    for transaction in (writing, writing_lightly, writing):
        with transaction(engine) as session:
            levels.append(session.execute(ask).scalar())

    full, light, full_again = levels
    assert full == full_again
    assert full != least
    assert light == (full if is_sqlite and sqlite_journal_mode() != "WAL" else least)


def test_as_many_connections_as_were_asked_for_stay_open(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'x.db'}", pool_size=8)
    first = [engine.connect() for _ in range(8)]
    opened = {id(connection.connection.dbapi_connection) for connection in first}
    for connection in first:
        connection.close()

    again = [engine.connect() for _ in range(8)]

    assert {id(connection.connection.dbapi_connection) for connection in again} == opened
    for connection in again:
        connection.close()
    engine.dispose()


def test_threads_write_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'x.db'}", pool_size=8)
    wrote: list[int] = []

    def write(number: int) -> None:
        with writing(engine):
            wrote.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    with writing(engine):
        for thread in threads:
            thread.start()
            thread.join(0.1)  # in which SQLite, asked again, would be asked ever more seldom
    for thread in threads:
        thread.join()

    assert wrote == list(range(8))
    engine.dispose()


@pytest.mark.parametrize("in_one_process", [True, False])
def test_who_gets_no_turn_finds_the_database_away_and_holds_up_nobody(tmp_path: Path, in_one_process: bool) -> None:
    turns = Turns(tmp_path / "turn")
    others = turns if in_one_process else Turns(tmp_path / "turn")

    with turns.take(1), pytest.raises(PoolTimeout), others.take(0.01):
        pass

    assert issubclass(PoolTimeout, DATABASE_AWAY)
    with others.take(0), pytest.raises(PoolTimeout), Turns(tmp_path / "gone" / "turn").take(1):
        pass


def test_a_process_that_dies_in_its_turn_leaves_it_to_others(tmp_path: Path) -> None:
    holder = f"""
import time
from pathlib import Path
from service.turns import Turns
with Turns(Path({str(tmp_path / "turn")!r})).take(1):
    print("holds", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    turns = Turns(tmp_path / "turn")
    with pytest.raises(PoolTimeout), turns.take(0.05):
        pass

    process.kill()

    with turns.take(10):
        process.wait()
    process.stdout.close()
