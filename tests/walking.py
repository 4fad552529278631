"""The commands of a page, carried out as a reader would: blocks of bash and Python, in order, in one directory."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.reference import ROOT
from tests.serving import Service

BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
END = "END_OF_PYTHON"
WITHIN_S = 500


def script_of(text: str) -> str:
    """Return what a page gives to bash and to Python as one script of bash."""
    return "".join(
        body if language == "bash" else f"python - <<'{END}'\n{body}{END}\n" for language, body in BLOCK.findall(text)
    )


def walk(
    page: str, service: Service, directory: Path, *, shorter: Mapping[str, str] | None = None, job: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Carry out a page with a service; `shorter` replaces what would take long, `job` is the one it speaks of."""
    script = script_of((ROOT / page).read_text())
    for long, short in (shorter or {}).items():
        assert long in script, long
        script = script.replace(long, short)
    env = {
        **os.environ,
        "API": service.url,
        "GANYMEDE_URL": service.url,
        "JOB": job,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        command, cwd=directory, env=env, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
