"""Servers to talk to, and what they leave behind."""

import contextlib
import dataclasses
import os
import sys
import time
import uuid

import psutil
from mcp import Client, StdioServerParameters

MARK = "VMAF_JAX_TEST_MARK"  # in the environment of a server and of all that it starts


def command(folder, *flags):
    """The command line of a server that may read below `folder`."""
    return [sys.executable, "-m", "vmaf_jax", "mcp", "--allow", str(folder), *map(str, flags)]


def parameters(folder, *flags, **environment):
    """How the SDK's client starts a server that may read below `folder`."""
    names = (
        *("VMAF_JAX_CACHE", "JAX_COMPILATION_CACHE_DIR", "PYTHONPATH"),
        *("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "PYTHONDONTWRITEBYTECODE"),
    )
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    program, *arguments = command(folder, *flags)
    env = {**inherited, **environment}
    return StdioServerParameters(command=program, args=arguments, env=env)


@contextlib.asynccontextmanager
async def stdio(folder, *flags, mode="auto", **environment):
    """The SDK's client, connected over stdio to a server of its own; `legacy` is an older one."""
    async with Client(parameters(folder, *flags, **environment), mode=mode) as client:
        yield client


@dataclasses.dataclass(frozen=True)
class Family:
    """A server and all that it starts, told by a mark in their environments."""

    mark: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def environment(self):
        return {MARK: self.mark}

    def processes(self, name=""):
        """Those alive now whose command line has `name`."""
        alive = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if name in line and process.environ().get(MARK) == self.mark:
                    alive.append(process)
        return alive

    def ffmpegs(self):
        """Those that decode a whole video; what looks at a first frame alone is soon gone."""
        running = self.processes("-filter_complex")
        return [process for process in running if not _looks(process)]

    def folders(self):
        """Where the workers alive now have their temporary files."""
        return [process.cwd() for process in self.processes("vmaf_jax.serving.worker")]


def _looks(process):
    with contextlib.suppress(psutil.Error):
        line = process.cmdline()
        return not line or "-frames:v" in line  # one that is ending has none any more
    return True  # it has ended


def wait_until(condition, seconds=90):
    """Waits for what has to come, however busy the machine is; fails where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
