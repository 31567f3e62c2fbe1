"""Corpora of videos, by name."""

from pathlib import Path

from vmaf_jax.corpora import demo, manifest, netflix
from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.tables.opinions import LabelScale

_NAMES = ("netflix", "manifest", "demo", "demo_1080p", "support_vectors")


def corpus_clips(
    corpus: str,
    *,
    data_root: Path | None = None,
    manifest_path: Path | None = None,
    label_scale: LabelScale | None = None,
) -> list[Clip]:
    """Lists the clips of a video corpus.

    Args:
        label_scale: what a manifest's opinion scores are on.

    Raises:
        InputError: the corpus has no clips to list, or its files are not as they must be.
    """
    if label_scale is not None and corpus != "manifest":
        raise InputError(f"corpus {corpus!r} has no opinion scores; drop the label scale.")
    match corpus:
        case "netflix":
            return netflix.load_clips(data_root)
        case "demo":
            return demo.load_clips()
        case "demo_1080p":
            return demo.load_clips_1080p()
        case "manifest":
            if manifest_path is None:
                raise InputError(
                    "the manifest corpus needs its file: pass --manifest, or set data.manifest."
                )
            return manifest.load_clips(manifest_path, label_scale)
        case "avt_vqdb_uhd_1":
            raise InputError(f"corpus {corpus!r} is measured: read it with import --corpus.")
    raise InputError(
        f"corpus {corpus!r} is unknown; expected one of {', '.join(_NAMES)}."
        f"{did_you_mean(corpus, _NAMES)}"
    )
