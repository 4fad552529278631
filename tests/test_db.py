"""Transactions as both databases keep them."""

import threading
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from service.db import make_engine, reading, writing
from service.store import history
from tests.building import add_job

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
