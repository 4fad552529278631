"""The console script, against a running service."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import psutil
import pytest
from click.testing import CliRunner, Result
from onnxruntime import InferenceSession
from PIL import Image

from ganymede.cli import main
from ganymede.commands.service import at_port
from ganymede.exit_codes import ExitCode
from ganymede.up import free_port
from service.settings import Settings
from tests.house import wait_until
from tests.serving import Service

SMALL = ["model.generator.width=16", "model.discriminator.width=16", "loop.batch_size=32", "samples.count=16"]
SHORT = ["dataset=ring", "seed=3", "loop.max_steps=200", *SMALL]
LONG = ["dataset=ring", "loop.max_steps=1000000", "resources.step=eager"]


def run(service: Service, *arguments: str, text: str | None = None) -> Result:
    """Run a command against the service."""
    return CliRunner().invoke(main, ["--url", service.url, *arguments], input=text)


@pytest.fixture(scope="module")
def job_id(service: Service) -> str:
    """A job that has succeeded."""
    done = run(service, "submit", *SHORT, "name=short", "--watch", "--json")
    assert done.exit_code == ExitCode.SUCCESS
    return str(json.loads(done.output)["id"])


def test_watching_prints_plain_lines_where_there_is_no_terminal(service: Service) -> None:
    done = run(service, "submit", *SHORT, "--watch")

    assert done.exit_code == ExitCode.SUCCESS
    assert "\x1b" not in done.output
    assert re.search(r"succeeded step 200/200  d_loss \d\.\d{4}  g_loss \d\.\d{4}$", done.output, re.MULTILINE)
    assert done.output.splitlines()[-1].endswith("succeeded at step 200 of 200 (max_steps)")


def test_watching_draws_a_bar_on_a_terminal(service: Service) -> None:
    command = [sys.executable, "-m", "ganymede", "--url", service.url, "submit", *SHORT, "loop.max_steps=600"]
    main_end, terminal = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
    process = subprocess.Popen([*command, "--watch"], stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)

    shown = read_to_end(main_end)

    assert process.wait(180) == ExitCode.SUCCESS
    assert "━" in shown
    assert re.search(r"running.* step \d+/600  d_loss \d\.\d{4}  g_loss \d\.\d{4}  \d+ steps/s  \d+ s left", shown)


def test_an_interrupt_ends_a_silent_watching_too(service: Service) -> None:
    job_id = run(service, "submit", *LONG).output.strip()
    command = [sys.executable, "-m", "ganymede", "--url", service.url, "watch", job_id, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def watches() -> bool:
        # Before it is a program of its own, a process has the connections of the one that forked it.
        begun = psutil.Process(process.pid)
        return "watch" in begun.cmdline() and bool(begun.net_connections())

    wait_until(watches, "it watches")
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=120)
    run(service, "cancel", job_id)

    assert (process.returncode, printed) == (ExitCode.INTERRUPTED, "")
    assert f"ganymede watch {job_id}" in said


def test_an_interrupt_ends_the_watching_and_not_the_job(service: Service) -> None:
    command = [sys.executable, "-m", "ganymede", "--url", service.url, "submit", *LONG, "--watch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    job_id = process.stdout.readline().split()[0]

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)

    assert process.returncode == ExitCode.INTERRUPTED
    assert f"ganymede watch {job_id}" in said
    assert json.loads(run(service, "show", job_id, "--json").output)["status"] in {"queued", "running"}
    run(service, "cancel", job_id)


def read_to_end(descriptor: int) -> str:
    """Read what a terminal shows until its other side is closed."""
    chunks = []
    while True:
        try:
            chunk = os.read(descriptor, 65_536)
        except OSError:  # Linux says so when the last writer has gone
            chunk = b""
        if not chunk:
            os.close(descriptor)
            return b"".join(chunks).decode()
        chunks.append(chunk)


def test_a_submitted_job_is_listed_and_shown(service: Service, job_id: str) -> None:
    listed = run(service, "list", "-q", "short", "--json")
    table = run(service, "list", "--status", "succeeded")
    shown = run(service, "show", job_id)

    assert [job["id"] for job in json.loads(listed.output)] == [job_id]
    assert job_id in table.output
    assert "succeeded at step 200 of 200" in shown.output
    assert "total_loss" in shown.output


def test_losses_are_summed_up_and_written_in_the_format_of_the_name(
    service: Service, job_id: str, tmp_path: Path
) -> None:
    summary = run(service, "losses", job_id)
    as_json = run(service, "losses", job_id, "--columns", "d_loss", "--json")
    names = [f"losses.{suffix}" for suffix in ("csv", "svg", "npz", "ndjson", "parquet", "arrow", "png")]
    for name in names:
        assert run(service, "losses", job_id, "-o", str(tmp_path / name)).exit_code == ExitCode.SUCCESS

    (row,) = (line.split() for line in summary.output.splitlines() if line.startswith("d_loss "))
    _, last, least, least_at, greatest, greatest_at, mean, count, nonfinite = row
    assert float(least) <= min(float(last), float(mean)) <= max(float(last), float(mean)) <= float(greatest)
    assert {int(least_at), int(greatest_at)} <= set(range(1, 201))
    assert (count, nonfinite) == ("200", "0")
    assert len(json.loads(as_json.output)["columns"]["d_loss"]) == 200
    assert len((tmp_path / "losses.csv").read_text().splitlines()) == 201
    assert len((tmp_path / "losses.ndjson").read_text().splitlines()) == 200
    assert (tmp_path / "losses.svg").read_text().startswith("<svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize(
    "options",
    [
        ["losses", "-o", "losses.svg", "--columns", "d_loss"],
        ["losses", "-o", "losses.png", "--lineage"],
        ["samples", "200"],
        ["checkpoints", "--part", "ema", "--json"],
    ],
)
def test_what_would_be_ignored_is_refused(service: Service, job_id: str, options: list[str]) -> None:
    command, *rest = options

    done = run(service, command, job_id, *rest)

    assert done.exit_code == ExitCode.REFUSED
    assert done.stdout == ""


def test_quality_is_shown_step_by_step_above_what_it_is_compared_with(service: Service, job_id: str) -> None:
    table, as_json = run(service, "quality", job_id), run(service, "quality", job_id, "--json")

    assert [table.exit_code, as_json.exit_code] == [0, 0]
    steps = [str(point["step"]) for point in json.loads(as_json.output)]
    first_cells = [line.split()[0] for line in table.output.splitlines()]
    assert first_cells == ["STEP", *steps, "real", "gaussian"]
    assert len(steps) > 1


def test_new_samples_are_drawn_under_conditions(service: Service, job_id: str, tmp_path: Path) -> None:
    table = tmp_path / "right.csv"

    drawn = run(service, "sample", job_id, "-n", "20", "--seed", "1", "--where", "x=0..", "-o", str(table))
    refused = run(service, "sample", job_id, "--where", "xx=1", "-o", str(tmp_path / "none.csv"))

    assert drawn.exit_code == ExitCode.SUCCESS, drawn.output
    header, *rows = table.read_text().splitlines()
    assert header == "x,y"
    assert len(rows) == 20
    assert all(float(row.split(",")[0]) >= 0 for row in rows)
    assert refused.exit_code == ExitCode.REFUSED
    assert "/where/xx: there is no column 'xx'; did you mean x?" in refused.output
    assert not (tmp_path / "none.csv").exists()


def test_a_path_is_drawn_and_latents_of_another_width_are_refused(
    service: Service, job_id: str, tmp_path: Path
) -> None:
    path, latents = tmp_path / "path.csv", tmp_path / "latents"
    latents.write_text("1, 0\n\n0 2.5\n")

    drawn = run(service, "sample", job_id, "--interpolate", "-n", "9", "--keys", "3", "--open", "-o", str(path))
    refused = run(service, "sample", job_id, "--latents", str(latents), "-o", str(path))

    assert drawn.exit_code == ExitCode.SUCCESS, drawn.output
    assert len(path.read_text().splitlines()) == 1 + 9
    assert refused.exit_code == ExitCode.REFUSED
    assert re.search(r"/latents/1: this generator takes \d+ normal latents", refused.output)


def test_samples_and_checkpoints_are_listed_and_fetched(service: Service, job_id: str, tmp_path: Path) -> None:
    picture, weights = tmp_path / "samples.png", tmp_path / "generator.safetensors"

    samples = run(service, "samples", job_id)
    checkpoints = run(service, "checkpoints", job_id)
    fetched = run(service, "samples", job_id, "-o", str(picture))
    saved = run(service, "checkpoints", job_id, "200", "--part", "generator", "-o", str(weights))

    assert [result.exit_code for result in (samples, checkpoints, fetched, saved)] == [0, 0, 0, 0]
    assert re.search(r"^200 +16 ", samples.output, re.MULTILINE)
    assert re.search(r"^200 +\d+ ", checkpoints.output, re.MULTILINE)
    with Image.open(picture) as image:
        assert image.size[0] > 100
    assert weights.stat().st_size > 1000


def test_a_generator_is_exported_once_a_worker_has_rendered_it(service: Service, job_id: str, tmp_path: Path) -> None:
    target = tmp_path / "generator.onnx"

    done = run(service, "export", job_id, "onnx", "-o", str(target))
    as_json = run(service, "export", job_id, "onnx", "--checkpoint", "200", "-o", str(target), "--json")

    assert done.exit_code == ExitCode.SUCCESS, done.output
    assert done.stdout == f"{target} ({target.stat().st_size:,} bytes)\n"
    assert json.loads(as_json.output) == {"file": str(target), "size_bytes": target.stat().st_size}
    [latents] = InferenceSession(target, providers=["CPUExecutionProvider"]).get_inputs()
    assert (latents.name, latents.shape[0]) == ("latents", "n")


def test_a_job_is_paused_resumed_cancelled_and_deleted(service: Service) -> None:
    job_id = run(service, "submit", *LONG).output.strip()
    wait_until(lambda: "running" in run(service, "show", job_id).output, "it runs")

    assert run(service, "pause", job_id).output.split()[0] == job_id
    wait_until(lambda: " paused at" in run(service, "show", job_id).output, "it is paused")
    assert run(service, "resume", job_id).exit_code == ExitCode.SUCCESS
    assert run(service, "cancel", job_id).exit_code == ExitCode.SUCCESS
    assert run(service, "watch", job_id).exit_code == ExitCode.CANCELLED
    assert run(service, "delete", job_id).exit_code == ExitCode.SUCCESS
    assert run(service, "show", job_id).exit_code == ExitCode.REFUSED


def test_a_job_is_forked_and_its_history_shown_from_the_beginning(
    service: Service, job_id: str, tmp_path: Path
) -> None:
    done = run(service, "fork", job_id, "loop.max_steps=250", "--watch", "--json")
    refused = run(service, "fork", job_id)
    made = json.loads(done.output)
    listed = run(service, "list", "--parent", job_id, "--json")
    history = tmp_path / "losses.csv"
    run(service, "losses", made["id"], "--lineage", "-o", str(history))

    assert (made["status"], made["parent"]) == ("succeeded", {"job": job_id, "step": 200})
    assert f"{job_id} at step 200" in run(service, "show", made["id"]).output
    assert [job["id"] for job in json.loads(listed.output)] == [made["id"]]
    assert len(history.read_text().splitlines()) == 1 + 250
    assert refused.exit_code == ExitCode.REFUSED
    assert "/overrides/loop/max_steps" in refused.output


def test_a_running_job_is_extended_and_saved_and_one_that_ended_is_neither(service: Service, job_id: str) -> None:
    running = run(service, "submit", *LONG).output.strip()
    wait_until(lambda: json.loads(run(service, "show", running, "--json").output)["status"] == "running", "it runs")

    extended = run(service, "extend", running, "2000000")
    saved = run(service, "save", running)
    refusals = [run(service, "extend", job_id, "900"), run(service, "save", job_id)]
    both = run(service, "save", running, job_id, "--json")
    run(service, "cancel", running)

    assert "of 2000000" in extended.output
    assert "Learning rates keep their plan" in extended.output
    assert saved.output == f"{running} running\n"
    assert [refusal.exit_code for refusal in refusals] == [ExitCode.REFUSED] * 2
    assert f"/jobs/{job_id}/fork" in refusals[0].output
    assert (both.exit_code, [job["id"] for job in json.loads(both.stdout)]) == (ExitCode.REFUSED, [running])


def test_the_table_of_losses_is_of_the_columns_that_are_named(service: Service, job_id: str) -> None:
    named = run(service, "losses", job_id, "--columns", "g_loss,d_loss").output
    unknown = run(service, "losses", job_id, "--columns", "d_los")
    thinned = run(service, "losses", job_id, "--max-points", "5")

    assert [line.split()[0] for line in named.splitlines()] == ["COLUMN", "g_loss", "d_loss"]
    assert (unknown.exit_code, thinned.exit_code) == (ExitCode.REFUSED, ExitCode.REFUSED)
    assert "no column 'd_los'" in unknown.stderr


def test_jobs_are_compared_side_by_side(service: Service, job_id: str) -> None:
    fork = json.loads(run(service, "fork", job_id, "loop.max_steps=250", "--watch", "--json").output)["id"]

    shown = run(service, "compare", job_id, fork, "--columns", "step_ms,d_loss").output
    told = json.loads(run(service, "compare", fork, job_id, "--columns", "d_loss", "--json").output)

    header, *rows = [line.split() for line in shown.splitlines()]
    assert header == ["COLUMN", job_id, fork]
    assert [row[0] for row in rows] == ["step_ms", "d_loss"]
    assert all(float(cell) > 0 for row in rows for cell in row[1:])
    assert [losses["job"] for losses in told] == [fork, job_id]
    assert [*told[0]["columns"]] == ["step", "d_loss"]


def test_what_has_happened_to_a_job_is_shown_in_order(service: Service, job_id: str) -> None:
    every = json.loads(run(service, "events", job_id, "--json").output)
    later = json.loads(run(service, "events", job_id, "--after", str(every[0]["seq"]), "--json").output)
    shown = run(service, "events", job_id).output

    assert (every[0]["type"], every[-1]["type"]) == ("created", "succeeded")
    assert later == every[1:]
    assert [line.split()[2] for line in shown.splitlines()[1:]] == [event["type"] for event in every]


def test_everything_of_a_job_is_fetched_as_one_file(service: Service, job_id: str, tmp_path: Path) -> None:
    target = tmp_path / "all.zip"

    done = run(service, "archive", job_id, "-o", str(target), "--json")

    assert json.loads(done.output) == {"file": str(target), "size_bytes": target.stat().st_size}
    with ZipFile(target) as archive:
        assert f"{job_id}/generator.safetensors" in archive.namelist()


def test_a_refused_spec_is_explained_with_every_fault(service: Service) -> None:
    done = run(service, "submit", "dataset=digits", "loop.max_stepz=3", "seed=-1")

    assert done.exit_code == ExitCode.REFUSED
    assert "max_steps" in done.stderr
    assert "/seed" in done.stderr


def test_a_dry_run_shows_the_plan_and_queues_nothing(service: Service) -> None:
    before = listed(service)

    plan = json.loads(run(service, "submit", "-", "--dry-run", text='{"dataset": "digits"}').output)

    assert plan["resolved_spec"]["model"]["architecture"] == "mlp"
    assert "estimate" in plan
    assert listed(service) == before


def listed(service: Service) -> list[str]:
    """Return the ids of the newest jobs."""
    return [job["id"] for job in json.loads(run(service, "list", "--json").output)]


def test_the_catalogue_is_listed(service: Service) -> None:
    output = run(service, "catalog").output

    assert re.search(r"^datasets +digits ", output, re.MULTILINE)
    assert re.search(r"^objectives +non_saturating ", output, re.MULTILINE)


def test_a_service_that_is_not_there_is_said_so_at_once() -> None:
    started_s = time.monotonic()

    done = CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{free_port()}", "list"])

    assert done.exit_code == ExitCode.UNREACHABLE
    assert "ganymede up" in done.stderr
    assert time.monotonic() - started_s < 2


def test_a_file_that_cannot_be_written_is_said_so(service: Service, job_id: str, tmp_path: Path) -> None:
    done = run(service, "losses", job_id, "-o", str(tmp_path / "nowhere" / "losses.csv"))

    assert done.exit_code == ExitCode.FAILED
    assert "nowhere is no directory" in done.stderr


@pytest.mark.parametrize("command", [["keys", "create"], ["keys", "list"], ["keys", "revoke", "key_x"], ["migrate"]])
def test_a_database_that_refuses_is_said_so(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "ganymede.db").write_bytes(b"no database at all" * 100)

    done = CliRunner().invoke(main, command, env={"GANYMEDE_HOME": str(tmp_path)})

    assert done.exit_code == ExitCode.FAILED
    assert done.stderr.startswith("Error: The database refused: file is not a database")


def test_who_gets_no_turn_to_write_is_told_so(tmp_path: Path) -> None:
    env = {"GANYMEDE_HOME": str(tmp_path)}
    CliRunner().invoke(main, ["migrate"], env=env, catch_exceptions=False)
    (tmp_path / "ganymede.db-turn").unlink(missing_ok=True)
    (tmp_path / "ganymede.db-turn").mkdir()

    done = CliRunner().invoke(main, ["keys", "create"], env=env)

    assert done.exit_code == ExitCode.FAILED
    assert done.stderr.startswith("Error: The database refused: no turn to write")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["--url", "nowhere", "list"], "no address of a service"),
        (["--url", "http://localhost:port", "list"], "no address of a service"),
        (["submit", "dataset"], "neither a file nor KEY=VALUE"),
    ],
)
def test_what_is_mistyped_is_told_as_such(command: list[str], words: str) -> None:
    done = CliRunner().invoke(main, command)

    assert done.exit_code == ExitCode.REFUSED
    assert words in done.stderr


def test_a_port_of_its_own_keeps_the_address() -> None:
    assert at_port(Settings(bind="[::1]:8000"), 9).bind == "[::1]:9"
    assert at_port(Settings(bind="127.0.0.1:8000"), 9).bind == "127.0.0.1:9"


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    env = {"GANYMEDE_HOME": str(tmp_path)}
    runner = CliRunner()
    runner.invoke(main, ["migrate"], env=env, catch_exceptions=False)

    created = runner.invoke(main, ["keys", "create", "--owner", "ada", "--days", "90"], env=env)
    (key,) = json.loads(runner.invoke(main, ["keys", "list", "--json"], env=env).stdout)
    revoked = runner.invoke(main, ["keys", "revoke", key["id"]], env=env)
    listed = runner.invoke(main, ["keys", "list"], env=env).stdout

    assert created.stdout.startswith("gnm_")
    assert (key["owner"], key["scope"], key["revoked_at"]) == ("ada", "submit", None)
    assert revoked.exit_code == ExitCode.SUCCESS
    assert created.stdout.strip() not in listed
    assert runner.invoke(main, ["keys", "revoke", "key_unknown"], env=env).exit_code == 1


def test_the_doctor_finds_a_fresh_machine_sound(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", "--json"], env={"GANYMEDE_HOME": str(tmp_path / "home")})

    verdicts = {finding["subject"]: finding["verdict"] for finding in json.loads(done.stdout)}
    assert done.exit_code == ExitCode.SUCCESS
    assert verdicts["database"] == verdicts["home"] == "note"
    assert verdicts["training"] == verdicts["broker"] == "ok"


def test_the_doctor_names_what_does_not_answer(tmp_path: Path) -> None:
    port = free_port()
    env = {
        "GANYMEDE_HOME": str(tmp_path),
        "GANYMEDE_DATABASE_URL": f"postgresql://secret:hunter2@127.0.0.1:{port}/ganymede",
        "GANYMEDE_REDIS_URL": f"redis://127.0.0.1:{port}/0",
    }

    done = CliRunner().invoke(main, ["doctor", "--json"], env=env)

    verdicts = {finding["subject"]: finding["verdict"] for finding in json.loads(done.stdout)}
    assert done.exit_code == ExitCode.FAILED
    assert (verdicts["database"], verdicts["broker"], verdicts["blobs"]) == ("fault", "fault", "ok")
    assert "hunter2" not in done.output


def test_help_loads_nothing_that_is_heavy() -> None:
    script = """
import sys
from ganymede.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = {"torch", "numpy", "flask", "celery", "sqlalchemy", "pydantic", "httpx2", "rich"}
sys.exit(", ".join(sorted(heavy & set(sys.modules))))
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.stderr.strip() == ""
    assert "submit" in done.stdout


def test_the_doctor_asks_for_a_migration_where_one_is_due(tmp_path: Path) -> None:
    env = {"GANYMEDE_HOME": str(tmp_path)}
    (tmp_path / "ganymede.db").touch()

    before = CliRunner().invoke(main, ["doctor"], env=env)
    CliRunner().invoke(main, ["migrate"], env=env)
    after = CliRunner().invoke(main, ["doctor"], env=env)

    assert before.exit_code == ExitCode.FAILED
    assert "run `ganymede migrate`" in before.output
    assert after.exit_code == ExitCode.SUCCESS
