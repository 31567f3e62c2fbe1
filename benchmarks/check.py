"""`vmaf-jax check` on faults made on the demo corpus: what it finds, and whom it accuses wrongly.

    python -m benchmarks.check [--repeats 30] [--json]

Each table is the demo corpus with six clips replaced: early or late by 1 to 5 frames, cropped by
2 % and scaled back, or measured against the next source; with the labels of two further clips
swapped; and with votes of a panel of which one subject reads the scale upside down. Clips that are
late are short too; so each table is looked at once more with all clips cut to one length.
"""

import collections
import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.command import run
from vmaf_jax.benchmarks.timing import Figure, Figures
from vmaf_jax.corpora import demo
from vmaf_jax.corpora.votes import vote_rows
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.jobs.check import check, find_subjects
from vmaf_jax.tables.table import FeatureTable, concatenate
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.ffmpeg import find_ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Clip, Video

_SHIFTS = tuple(k for k in range(-5, 6) if k)
_FAULTS = 6  # of 72 clips
_CUT = demo.SMALL.frames - max(_SHIFTS)
_SUBJECTS = 20
_LABEL = "vmaf_v0.6.1"
_CROP = "scale=576:324:flags=bicubic,crop=iw*0.98:ih*0.98,scale=576:324:flags=bicubic,setsar=1"


def bench_check(repeats: int = 30) -> Figures:
    """Counts what `check` finds of faults made on the demo corpus, and what it accuses wrongly."""
    rng = np.random.default_rng(0)
    clips = demo.load_clips()
    clean = extract_clips(clips)
    made: collections.Counter[str] = collections.Counter()
    found: collections.Counter[str] = collections.Counter()
    wrong = cut = 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            table, faults = _make_table(clips, clean, rng, Path(folder))
            suspects = check(table).suspects
            for name, kind in faults.items():
                made[kind] += 1
                found[kind] += name in suspects
            wrong += len(suspects - set(faults))
            cut += len(check(table.take(table.index < _CUT)).suspects & set(faults))
            made["subject upside down"] += 1
            found["subject upside down"] += _finds_subject(clean, rng)
    large = extract_clips(demo.load_clips_1080p())
    hits = sum(found.values())
    recall: dict[str, Figure] = {kind: found[kind] / made[kind] for kind in sorted(made)}
    return {
        "tables": repeats,
        "faults": sum(made.values()),
        "recall": hits / sum(made.values()),
        "precision": hits / (hits + wrong),
        "recall of": recall,
        "recall, all clips cut to one length": cut / (sum(made.values()) - repeats),
        "clean clips accused": len(check(clean).suspects) + len(check(large).suspects),
        "clean clips": clean.n_clips + large.n_clips,
    }


def _make_table(
    clips: list[Clip], clean: FeatureTable, rng: np.random.Generator, folder: Path
) -> tuple[FeatureTable, dict[tuple[str | None, str | None], str]]:
    """Returns the corpus with faults, and their kinds by (source, clip)."""
    chosen = [clips[k] for k in rng.choice(len(clips), _FAULTS + 2, replace=False)]
    faults: dict[tuple[str | None, str | None], str] = {}
    parts = []
    for clip in chosen[:_FAULTS]:
        kind = str(rng.choice(["shift", "crop", "reference"], p=[0.6, 0.2, 0.2]))
        shift = int(rng.choice(_SHIFTS)) if kind == "shift" else 0
        if kind == "crop":
            clip = dataclasses.replace(clip, distorted=_crop(clip, folder))
        elif kind == "reference":
            references = list({c.source: c.reference for c in clips}.items())
            at = [source for source, _ in references].index(clip.source)
            clip = dataclasses.replace(clip, reference=references[(at + 1) % len(references)][1])
        parts.append(
            extract_clips([clip], Request(comparison=Comparison(offset=shift, force=True)))
        )
        faults[clip.source, clip.name] = f"{kind} by {abs(shift)}" if shift else kind
    names = list(zip(clean.source, clean.clip, strict=True))
    table = concatenate([clean.take(np.array([name not in faults for name in names])), *parts])
    names = list(zip(table.source, table.clip, strict=True))
    first, second = (
        np.array([name == (clip.source, clip.name) for name in names]) for clip in chosen[_FAULTS:]
    )
    label = table.labels[_LABEL].copy()
    label[first], label[second] = label[second], label[first]
    faults |= {(clip.source, clip.name): "labels swapped" for clip in chosen[_FAULTS:]}
    return dataclasses.replace(table, labels={_LABEL: label}), faults


def _crop(clip: Clip, folder: Path) -> Video:
    path = folder / f"{clip.source}_{clip.name}.y4m"
    if not path.exists():
        source = ["-v", "error", "-i", str(clip.distorted.path)]
        run_ffmpeg(find_ffmpeg(), [*source, "-vf", _CROP, "-pix_fmt", "yuv420p", str(path)])
    return Video(path)


def _finds_subject(clean: FeatureTable, rng: np.random.Generator) -> bool:
    """Tells whether the one subject who votes upside down is found, and nobody else."""
    truth = 1 + clean.mean_pool().labels[_LABEL] / 25
    noise = rng.normal(0, 0.3, _SUBJECTS) + rng.normal(0, 0.7, (len(truth), _SUBJECTS))
    votes = np.clip(np.rint(truth[:, None] + noise), 1, 5)
    wrong = int(rng.integers(_SUBJECTS))
    votes[:, wrong] = 6 - votes[:, wrong]
    rows = vote_rows([{str(k): [vote] for k, vote in enumerate(row)} for row in votes.tolist()])
    return [finding.subject for finding in find_subjects(rows, None)] == [str(wrong)]


if __name__ == "__main__":
    sys.exit(run(bench_check))
