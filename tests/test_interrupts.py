"""Signals end a program at once, or after its state is saved."""

import signal
import subprocess
import sys

import pytest

from vmaf_jax.interrupts import SAVED

PROGRAM = """
import sys, time
from vmaf_jax.interrupts import end_if_requested, end_on_signals, interruptible, save_requested

def clean_up():
    print("cleaned", flush=True)
    return {code}

with end_on_signals(clean_up, "nothing\\x1b was written."):
    {body}
"""
WAIT = "print('ready', flush=True); time.sleep(60)"
TRAIN = """
    with interruptible():
        print("ready", flush=True)
        while not save_requested():
            time.sleep(0.01)
        print("saved", flush=True)
        end_if_requested()
"""


def interrupt(body, number, code=None):
    """Output, error and exit code of a program that gets a signal when it is ready."""
    command = [sys.executable, "-c", PROGRAM.format(body=body, code=code)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        output, error = process.communicate(timeout=60)
    return output, error, process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_program_after_cleaning_up(number):
    output, error, code = interrupt(WAIT, number)
    assert output == "cleaned\n"
    assert error == "vmaf-jax: interrupted; nothing\\x1b was written.\n"
    assert code == 128 + number


def test_a_worker_tells_the_end_and_the_exit_code():
    assert interrupt(WAIT, signal.SIGTERM, code=7) == ("cleaned\n", "", 7)


def test_an_interruptible_training_is_saved_first():
    output, error, code = interrupt(TRAIN, signal.SIGTERM)
    assert output == "saved\ncleaned\n"
    assert error == "vmaf-jax: interrupted; the training is saved, run it again to go on.\n"
    assert code == SAVED


def test_a_training_that_is_over_delays_no_signal():
    body = f"with interruptible():\n        pass\n    {WAIT}"
    output, _, code = interrupt(body, signal.SIGTERM)
    assert (output, code) == ("cleaned\n", 128 + signal.SIGTERM)
