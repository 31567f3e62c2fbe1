"""How a hostile case is tried: its exit code and line, and that it leaves nothing behind."""

import hashlib
import re
import resource
from pathlib import Path

from tests.support import run_command

MOST_MEMORY = 1 << 30  # bytes that a refusal may add to the process's peak


def contents(folder):
    """Every path below a folder with a digest of what is there."""
    entries = {}
    for path in sorted(folder.rglob("*")):
        kind = "folder" if path.is_dir() else "link" if path.is_symlink() else "other"
        if path.is_file() and not path.is_symlink():
            size = path.stat().st_size  # some are made larger than memory
            kind = str(size) if size > 8 << 20 else hashlib.sha256(path.read_bytes()).hexdigest()
        entries[path.relative_to(folder).as_posix()] = kind
    return entries


def children():
    """Processes that this one started and that still run."""
    pids = []
    for task in Path("/proc/self/task").iterdir():
        listing = task / "children"
        pids += listing.read_text().split() if listing.is_file() else []
    return pids


def peak():
    """The most memory that this process ever held, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def refused(folder, line, *arguments, code=2):
    """Runs a command that must end with `code` and one line that matches `line`."""
    before, memory = (contents(folder), children()), peak()
    result = run_command(*arguments)
    assert result.code == code, (result.code, result.stdout, result.stderr)
    messages = [text for text in result.stderr.splitlines() if text.startswith("vmaf-jax: ")]
    assert len(messages) == 1, result.stderr
    assert re.search(line, messages[0]), messages[0]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert (contents(folder), children()) == before
    assert peak() - memory < MOST_MEMORY
    return messages[0]
