"""Files that ffmpeg made for tests, and what bare libvmaf says of them, kept between runs."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.support import programs_folder
from vmaf_jax.video.ffmpeg import find_ffmpeg

SCRATCH = "scratch"  # the folder in it whose files are not kept


@contextlib.contextmanager
def keep_files(folder: Path, *modules: str) -> Iterator[Path]:
    """Fills a folder with the files that earlier runs made in it, and keeps those made now.

    They depend on ffmpeg's version and on the text of the modules that make them.

    Args:
        folder: an empty one, of this process alone. A file in it must be whole once it is there.
        modules: names of files of this folder of tests.
    """
    key = hashlib.sha256(find_ffmpeg().version.encode())
    for module in (Path(__file__).name, *modules):
        key.update(Path(__file__).with_name(module).read_bytes())
    kept = programs_folder().parent / "world" / key.hexdigest()[:12]
    kept.mkdir(parents=True, exist_ok=True)
    old = {path.name for path in kept.iterdir() if path.suffix != ".part"}
    for name in old:
        shutil.copyfile(kept / name, folder / name)
    (folder / SCRATCH).mkdir()
    yield folder
    for path in folder.iterdir():
        if path.is_file() and path.name not in old:
            part = kept / f"{path.name}.{os.getpid()}.part"
            shutil.copyfile(path, part)
            part.replace(kept / path.name)
