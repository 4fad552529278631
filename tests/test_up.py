"""The all-in-one supervisor: in order up, in reverse down, and no orphan whatever happens to it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from ganymede.client import Client
from ganymede.part import BACK_OFF_MAX_S, Part
from tests.house import wait_until
from tests.serving import Service, alive, running_service

LONG = {"dataset": "ring", "loop": {"max_steps": 1_000_000}, "resources": {"step": "eager"}}


def start_training(service: Service) -> str:
    """Post a job that takes longer than any test and wait until its trainer runs."""
    with Client(service.url) as client:
        job_id = client.jobs.create(**LONG).id
    wait_until(lambda: service.find(f"ganymede: trainer {job_id} #1"), "the trainer runs")
    return job_id


def test_every_process_carries_its_role(service: Service) -> None:
    job_id = start_training(service)

    for role in ("ganymede: up", "ganymede: web", "ganymede: worker", "ganymede: fork server", "valkey-server"):
        wait_until(lambda role=role: service.find(role), role)

    with Client(service.url) as client:
        client.jobs.get(job_id).cancel()


def test_nothing_survives_when_it_is_killed(tmp_path: Path) -> None:
    with running_service(tmp_path / "home") as service:
        start_training(service)
        family = service.family()

        service.process.kill()

        wait_until(lambda: alive(family) == [], "all are gone", within_s=10)
        assert len(family) >= 6  # up, broker, worker, fork server, trainer, web


def test_an_interrupt_stops_everything_and_the_job_is_saved(tmp_path: Path) -> None:
    with running_service(tmp_path / "home") as service:
        job_id = start_training(service)
        family = service.family()

        service.process.send_signal(signal.SIGINT)

        assert service.process.wait(30) == 0
        wait_until(lambda: alive(family) == [], "all are gone", within_s=2)
    with running_service(tmp_path / "home") as service, Client(service.url) as client:
        job = client.jobs.get(job_id)
        wait_until(lambda: job.refresh().data["attempt"] == 2, "it is continued")
        assert next(job.checkpoints())["step"] > 0


def test_whichever_part_dies_is_started_again(tmp_path: Path) -> None:
    with running_service(tmp_path / "home") as service, Client(service.url, patience_s=180) as client:
        assert client.is_ready()
        for title in ("valkey-server", "ganymede: worker", "ganymede: web"):
            first = set(wait_until(lambda title=title: service.find(title), title))

            min(first, key=lambda process: process.create_time()).kill()

            wait_until(lambda title=title, first=first: set(service.find(title)) - first, f"{title} again")
        job = client.jobs.create(dataset="ring", loop={"max_steps": 20})
        assert job.wait(timeout_s=180).status == "succeeded"


def test_a_busy_port_is_named_and_another_proposed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = run_up(tmp_path / "home", "--port", str(port))

    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert f"--port {port + 1}" in done.stderr


def test_two_never_share_a_data_directory(service: Service) -> None:
    done = run_up(service.home, "--port", "0")

    assert done.returncode == 1
    assert "already runs" in done.stderr


def test_a_mistake_in_the_set_up_ends_it_with_the_reason(tmp_path: Path) -> None:
    done = run_up(tmp_path / "home", "--port", "0", GANYMEDE_DATABASE_URL="postgresql://127.0.0.1:9/db")

    assert done.returncode == 1
    assert "Connection refused" in done.stdout + done.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    done = run_up(tmp_path / "home", GANYMEDE_SLOTS="none")

    assert done.returncode == 1
    assert "GANYMEDE_SLOTS" in done.stderr


def test_the_pause_before_a_restart_doubles_up_to_a_limit() -> None:
    part = Part("short-lived", ["true"], dict(os.environ), grace_s=1)
    pauses_s = []

    for _ in range(9):
        part.run()
        wait_until(lambda: part.notice_death() is not None, "it ended")
        pauses_s.append(part.pause_s)

    assert pauses_s[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses_s[-1] == BACK_OFF_MAX_S


def test_a_part_that_ignores_the_request_to_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    part = Part("deaf", ["sh", "-c", f"trap '' TERM; touch {tmp_path}/deaf; sleep 60"], dict(os.environ), grace_s=0.3)
    process = psutil.Process(part.run())
    wait_until((tmp_path / "deaf").exists, "it ignores the signal")
    family = [process, *process.children()]

    part.stop()

    wait_until(lambda: alive(family) == [], "both are gone", within_s=2)


def run_up(home: Path, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `ganymede up` where it is expected to end by itself."""
    command = [sys.executable, "-m", "ganymede", "up", *options]
    env = {**os.environ, "GANYMEDE_HOME": str(home), **variables}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=180, check=False)
