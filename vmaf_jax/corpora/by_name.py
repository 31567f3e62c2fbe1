"""The corpora of videos, by name."""

from pathlib import Path

from vmaf_jax.corpora import demo, manifest, netflix
from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError


def corpus_clips(
    corpus: str, *, data_root: Path | None = None, manifest_path: Path | None = None
) -> list[Clip]:
    """The clips of a video corpus.

    Raises:
        InputError: the corpus has no clips to list, or its files are not as they must be.
    """
    match corpus:
        case "netflix":
            return netflix.load_clips(data_root)
        case "demo":
            return demo.load_clips()
        case "manifest":
            if manifest_path is None:
                raise InputError("the manifest corpus needs its file: pass --manifest FILE.")
            return manifest.load_clips(manifest_path)
    raise InputError(f"corpus {corpus!r} is unknown; netflix, manifest, demo or support_vectors.")
