"""Trials of an encoder's setting: a whole file is encoded and measured against its source."""

import dataclasses
from pathlib import Path

from vmaf_jax.progress import Progress
from vmaf_jax.scoring.model import Model
from vmaf_jax.scoring.score import ScoreSettings, score_pair
from vmaf_jax.video.encoders import EncodeRecipe, encode_video, stream_bytes
from vmaf_jax.video.ffmpeg import Ffmpeg
from vmaf_jax.video.survey import Survey


@dataclasses.dataclass(frozen=True)
class WholeEncode:
    """A measured encode of the whole file.

    Attributes:
        setting: The encoder's quality setting.
        score: Points.
        lower_bound: Points; at the confidence asked for the score is not below. The score itself
            where every frame was measured.
        frames_measured: Frames.
        kbps: Rate of its video, kbit/s.
        holds: Whether the lower bound reaches the target.
    """

    setting: float
    score: float
    lower_bound: float
    frames_measured: int
    kbps: float
    holds: bool


@dataclasses.dataclass(frozen=True)
class Trials:
    """Encodes of one source by one recipe, measured by one model.

    Attributes:
        target: Points.
        work: Folder of temporary files.
    """

    ffmpeg: Ffmpeg
    source: Survey
    recipe: EncodeRecipe
    model: Model
    target: float
    work: Path
    progress: Progress

    def encode_whole(self, setting: float, out: Path) -> WholeEncode:
        """Encodes the whole source into `out` at a setting, and measures the file.

        Raises:
            InputError: ffmpeg fails.
        """
        name = f"{self.recipe.encoder.name} at {setting:g}"
        self.progress.say(f"encoding by {name}")
        n = self.source.n_frames
        encode_video(
            self.ffmpeg,
            self.source.video,
            self.recipe,
            setting,
            out,
            with_sound=True,
            on_frames=self.progress.steps(name, lambda: n),
        )
        scores = score_pair(
            self.source.video,
            out,
            self.model,
            ScoreSettings(cache=self.work / "features"),
            progress=self.progress,
        )
        kbps = stream_bytes(self.ffmpeg, out) * 8 * self.source.rate / n / 1000
        self.progress.say(f"{name}: {scores.pooled:.2f} at {kbps:.0f} kbit/s")
        holds = scores.pooled >= self.target
        return WholeEncode(setting, scores.pooled, scores.pooled, n, kbps, holds)
