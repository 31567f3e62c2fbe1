"""Corpora of videos, by name."""

import dataclasses
from pathlib import Path

from vmaf_jax.corpora import demo, manifest, netflix
from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.tables.opinions import LabelScale

_NAMES = ("netflix", "manifest", "demo", "demo_1080p", "support_vectors")


@dataclasses.dataclass(frozen=True)
class CorpusSource:
    """A corpus by name, and where its files are.

    Attributes:
        corpus: `support_vectors`, `netflix`, `manifest`, `demo` or `demo_1080p`.
        data_root: folder of the netflix corpus, by default `VMAF_DATA_ROOT`.
        manifest: file of the manifest corpus.
        label_scale: what the manifest's opinion scores are on, by default what it says.
    """

    corpus: str
    data_root: Path | None = None
    manifest: Path | None = None
    label_scale: LabelScale | None = None

    def clips(self) -> list[Clip]:
        """Lists the clips.

        Raises:
            InputError: the corpus has no clips to list, or its files are not as they must be.
        """
        if self.label_scale is not None and self.corpus != "manifest":
            raise InputError(f"corpus {self.corpus!r} has no opinion scores; drop the label scale.")
        match self.corpus:
            case "netflix":
                return netflix.load_clips(self.data_root)
            case "demo":
                return demo.load_clips()
            case "demo_1080p":
                return demo.load_clips_1080p()
            case "manifest":
                if self.manifest is None:
                    raise InputError(
                        "the manifest corpus needs its file: pass --manifest, or set data.manifest."
                    )
                return manifest.load_clips(self.manifest, self.label_scale)
            case "support_vectors":
                raise InputError(
                    "corpus 'support_vectors' holds features, no videos; name another, or write "
                    "its table with `vmaf-jax extract --corpus support_vectors`."
                )
            case name if name.startswith("avt_vqdb_uhd_1"):
                raise InputError(
                    f"corpus {self.corpus!r} is measured: read it with import --corpus."
                )
        raise InputError(
            f"corpus {self.corpus!r} is unknown; expected one of {', '.join(_NAMES)}."
            f"{did_you_mean(self.corpus, _NAMES)}"
        )
