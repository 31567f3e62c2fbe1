"""Makes files of every container, layout of streams and clock, and their right scores.

The right score of a pair is what bare libvmaf gives two raw files that hold the luma of the frames
that are to be compared, decoded one by one: no time stamp, tag or container is left in them.
"""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import numpy as np

from tests.world.kept import SCRATCH

WIDTH, HEIGHT, FRAMES = 172, 134, 12
_SOURCE = f"testsrc2=size={WIDTH}x{HEIGHT}:rate=24:duration=0.5,noise=alls=8:all_seed=1"
_MODELS = r"version=vmaf_v0.6.1\\:name=libvmaf|version=vmaf_float_v0.6.1\\:name=jax"


class Clocks:
    """Files in a folder, made when they are first asked for; those that are there are taken."""

    def __init__(self, ffmpeg: str, folder: Path) -> None:
        self._ffmpeg, self.folder = ffmpeg, folder
        (folder / SCRATCH).mkdir(exist_ok=True)
        if (folder / "norate.y4m").exists():
            return
        self.run("-f lavfi -i", _SOURCE, "-pix_fmt yuv420p ref.y4m")
        self.run("-i ref.y4m -c:v libx264 -qp 34 -bf 2 film.mp4")
        self.run("-i ref.y4m -vf negate -c:v libx264 -qp 20 other.mp4")
        self.run("-i ref.y4m -vf negate -frames:v 1 cover.png")
        header, frames = (folder / "ref.y4m").read_bytes().split(b"\n", 1)
        for rate in ("24000/1001", "25", "30", "60", "60000/1001"):
            name = f"ref{rate.replace('/', '_')}.y4m"
            over, _, under = rate.partition("/")
            retimed = header.replace(b"F24:1", f"F{over}:{under or 1}".encode())
            (folder / name).write_bytes(retimed + b"\n" + frames)
        (folder / "norate.y4m").write_bytes(re.sub(rb" F\d+:\d+", b"", header) + b"\n" + frames)

    def run(self, *arguments: str) -> None:
        """Runs ffmpeg; arguments with spaces are several, a lone one is one."""
        words = [word for argument in arguments for word in argument.split()]
        command = [self._ffmpeg, "-v", "error", "-nostdin", "-y", *words]
        subprocess.run(command, check=True, cwd=self.folder, stderr=subprocess.PIPE)

    def make(self, name: str, arguments: str) -> Path:
        """The file of that name, made by ffmpeg's `arguments`, which steps separate by `;`."""
        path = self.folder / name
        if arguments and not path.exists():
            *before, last = arguments.split(";")
            for step in before:
                if step.startswith("pulldown "):
                    self._set_pulldown(*step.split()[1:])
                else:
                    self.run(step)
            self.run(last, f"{SCRATCH}/{name}")
            (self.folder / SCRATCH / name).replace(path)
        return path

    def right(self, reference: bytes, distorted: bytes, size: tuple[int, int]) -> dict:
        """Scores of the frames by backend, of luma in raw bytes."""
        width, height = size
        pair = hashlib.sha256(reference + distorted).hexdigest()
        path = self.folder / f"right_{pair}_{width}x{height}.json"
        if not path.exists():
            chroma = bytes([128]) * (2 * ((height + 1) // 2) * ((width + 1) // 2))
            for name, luma in (("r", reference), ("d", distorted)):
                n = width * height
                frames = (luma[k : k + n] + chroma for k in range(0, len(luma), n))
                (self.folder / SCRATCH / f"bare.{name}").write_bytes(b"".join(frames))
            form = f"-f rawvideo -pixel_format yuv420p -video_size {width}x{height}"
            raw = f"{form} -i {SCRATCH}/bare"
            graph = f"libvmaf=log_fmt=json:log_path={SCRATCH}/o.json:model={_MODELS}"
            self.run(f"{raw}.d {raw}.r -lavfi", graph, "-f null -")
            (self.folder / SCRATCH / "o.json").replace(path)
        log = json.loads(path.read_text())["frames"]
        return {b: np.array([frame["metrics"][b] for frame in log]) for b in ("libvmaf", "jax")}

    def luma(self, path: Path, stream: int = 0) -> bytes:
        """Luma of all frames of a stream, one after the other."""
        options = f"-map 0:v:{stream} -vf format=yuv420p,extractplanes=y -fps_mode passthrough"
        name = f"luma_{stream}_{path.name}"
        return self.make(name, f"-i {path.name} {options} -f rawvideo").read_bytes()

    def _set_pulldown(self, name: str, pattern: str) -> None:
        """Sets top-first and repeat flags of MPEG-2 pictures, as `11,00,01,10` in their order."""
        data = bytearray((self.folder / name).read_bytes())
        flags = pattern.split(",")
        picture = 0
        for match in re.finditer(b"\x00\x00\x01\xb5", bytes(data)):
            at = match.end()
            if data[at] >> 4 == 1:  # a sequence that is not progressive, where flags may be set
                data[at + 1] &= ~0x08
            elif data[at] >> 4 == 8:
                first, repeat = map(int, flags[picture % len(flags)])
                data[at + 3] = (data[at + 3] & ~0x82) | first << 7 | repeat << 1
                data[at + 4] |= 0x80
                picture += 1
        (self.folder / name).write_bytes(data)
