"""`--model auto` and `--model phone`: VMAF's own model for a screen, named with the reason.

VMAF has a model for a 1080p screen seen from three times its height, `vmaf_v0.6.1`, and one for a
4K screen seen from one and a half, `vmaf_4k_v0.6.1`. The reference decides, since the score is of
its resolution: from 3840 pixels on its long side, or 2160 on its short one, it is 4K. A file does
not tell a phone: that model, the first with its file's score transform, is taken if asked for.
Source: libvmaf's `resource/doc/models.md`.
"""

import dataclasses
from pathlib import Path

from vmaf_jax.jobs.model import Model
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.probe import probe
from vmaf_jax.video.video import Video, check_video

AUTO, PHONE = "auto", "phone"
HD, FOUR_K = "vmaf_v0.6.1", "vmaf_4k_v0.6.1"
_LONG, _SHORT = 3840, 2160  # pixels


@dataclasses.dataclass(frozen=True)
class Choice:
    """A model, and in a sentence why it was taken where it was not named."""

    model: str | Path | Model
    reason: str | None = None


def choose(model: str | Path | Model, reference: Video) -> Choice:
    """The model to score with.

    Args:
        model: as users name it; any but `auto` and `phone` comes back as it is.
        reference: the pristine video.

    Raises:
        InputError: the reference cannot be read.
    """
    if model == PHONE:
        from vmaf_jax.teacher import load_teacher

        teacher = load_teacher(HD, phone=True)
        name = f"{HD}_phone"
        loaded = Model(name, "libvmaf", teacher.feature_set, teacher)
        return Choice(loaded, f"{name}: {HD} with its transform for phone screens, as asked for")
    if model != AUTO:
        return Choice(model)
    check_video(reference)
    width, height = reference.width, reference.height
    if width is None or height is None:
        facts = probe(find_ffmpeg(), (reference, reference))[1][0]
        width, height = facts.width, facts.height
    name = model_for(width, height)
    screen = "a 4K screen at 1.5 heights" if name == FOUR_K else "a 1080p screen at 3 heights"
    return Choice(name, f"{name}: chosen for {screen}, the reference is {width}x{height}")


def model_for(width: int, height: int) -> str:
    """VMAF's model for pictures of so many pixels."""
    is_4k = max(width, height) >= _LONG or min(width, height) >= _SHORT
    return FOUR_K if is_4k else HD
