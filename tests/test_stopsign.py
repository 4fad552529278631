"""A sign that a signal handler may set, whatever its thread is doing."""

import subprocess
import sys

STORM = """
import os, signal, threading, time
from worker.stopsign import StopSign
sign = StopSign()
signal.signal(signal.SIGUSR1, lambda *_: sign.set())
def shower():
    for _ in range(20_000):
        os.kill(os.getpid(), signal.SIGUSR1)
showering = threading.Thread(target=shower)
showering.start()
while showering.is_alive():
    sign.wait(0.001)
print(sign.is_set())
"""


def test_a_shower_of_signals_ends_no_thread_in_a_wait_for_itself() -> None:
    done = subprocess.run([sys.executable, "-c", STORM], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "True\n"
