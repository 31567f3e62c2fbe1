"""Other ways from features to votes at a viewing distance, for docs/opinions.md.

    python -m docs.experiments.viewing_distance FOLDER

FOLDER holds `frames.parquet`, `clips.csv` and `distances.csv`, as for `benchmarks.opinions`. Each
way is a logistic over a few terms of a clip, fitted to all nine tests with an offset a test that is
dropped in use, Huber's loss, and each content left out in turn. Errors are those of VD's clips at
four distances, without the title that is out of step; the last columns are the mean over the nine
tests at their own distance.
"""

import csv
import dataclasses
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from scipy.optimize import least_squares
from scipy.special import expit, logit

from benchmarks.opinions_page import DISTANCES, OUT_OF_STEP, OWN_DISTANCE, VOTES
from vmaf_jax.evaluation.metrics import rmse
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.runs.conclude import FOUR_K
from vmaf_jax.teacher import load_teacher

Floats = npt.NDArray[np.float64]
_FRAMES = 48  # of a clip, evenly spaced, that the 4K model scores
_TOP = 1.002  # of VIF and ADM, a little above 1
_ROBUST = 10.0  # points, of Huber's loss
_TEST, _TITLE = 4.0, 2.5  # weights of the offsets of tests and of titles


@dataclasses.dataclass(frozen=True)
class RatedClips:
    """Clips at the distances from which people voted, `[n]`; votes are points."""

    clip: npt.NDArray[np.object_]
    source: npt.NDArray[np.object_]
    test: npt.NDArray[np.object_]
    distance: Floats
    votes: Floats
    features: Floats  # 80th percentiles over frames, [n, 6]
    percentile_80: Floats  # of the 4K model's frames
    percentile_90: Floats

    @property
    def judged(self) -> npt.NDArray[np.bool_]:
        """The clips of VD that are in step."""
        title = self.test + "/" + self.source
        return np.array([t.startswith("vd") for t in self.test]) & ~np.isin(title, OUT_OF_STEP)


def read_clips(folder: Path) -> RatedClips:
    """Reads the tests, at all distances."""
    table = pq.read_table(folder / "frames.parquet")
    coded = table["clip"].combine_chunks().dictionary_encode()
    place = np.asarray(coded.indices)
    order = np.argsort(place, kind="stable")
    features = np.column_stack([table[name].to_numpy() for name in FEATURES])[order]
    ends = np.cumsum(np.bincount(place))[:-1]
    by_clip = dict(zip(coded.dictionary.to_pylist(), np.split(features, ends), strict=True))
    teacher = load_teacher(FOUR_K)
    rows = []
    for name, extra in (("clips.csv", {"distance": OWN_DISTANCE}), ("distances.csv", {})):
        with (folder / name).open() as file:
            rows += [row | extra for row in csv.DictReader(file)]
    rows = [r for k, r in enumerate(rows) if "codec" in r or float(r["distance"]) != OWN_DISTANCE]
    names = list(by_clip)
    chosen = [frames[np.arange(_FRAMES) * len(frames) // _FRAMES] for frames in by_clip.values()]
    scores = np.asarray(teacher(np.concatenate(chosen))).reshape(-1, _FRAMES)
    at = np.array([names.index(row["clip"]) for row in rows])
    return RatedClips(
        clip=np.array([row["clip"] for row in rows], object),
        source=np.array([row["source"] for row in rows], object),
        test=np.array([row["experiment"] for row in rows], object),
        distance=np.array([float(row["distance"]) for row in rows]),
        votes=(np.array([float(row["mos"]) for row in rows]) - 1) / VOTES,
        features=np.array([np.percentile(v, 80, axis=0) for v in by_clip.values()])[at],
        percentile_80=np.percentile(scores, 80, axis=1)[at],
        percentile_90=np.percentile(scores, 90, axis=1)[at],
    )


def terms(clips: RatedClips) -> dict[str, Floats]:
    """Returns what each way looks at, `[n, k]`."""
    far = np.log(clips.distance / OWN_DISTANCE)
    seen = _look_from(clips.features, clips.distance)
    teacher = load_teacher(FOUR_K)
    change = np.asarray(teacher(seen, clip=False)) - teacher(clips.features, clip=False)
    scales = [FEATURES.names.index(f"vif_scale{k}") for k in range(4)]
    vif, vif_seen = _logit(clips.features[:, scales]), _logit(seen[:, scales])
    low, high = ((score - 65) / 20 for score in (clips.percentile_80, clips.percentile_90))
    ways = {
        "4K VMAF, 80th percentile, and ln D": [low, far],
        "the same by the 90th percentile": [high, far],
        "how much each VIF scale changes": [low, far, *(vif_seen - vif).T],
        "a gain that depends on VIF's coarsest scale": [
            low,
            far,
            far * (vif[:, 3] - vif[:, 3].mean()),
        ],
        "4K VMAF of VIF moved by log2(D / 1.6) scales": [low + change / 20, far],
        "that by the 90th percentile, and VIF's coarsest scale moved": [
            high + change / 20,
            far,
            vif_seen[:, 3] / 2,
        ],
    }
    return {name: np.column_stack(columns) for name, columns in ways.items()}


def _look_from(features: Floats, distance: Floats) -> Floats:
    """Moves VIF by the scales that the distance takes away: a picture at twice it is half as large.

    Between the scales, and beyond the last, the logits are on straight lines.
    """
    first = FEATURES.names.index("vif_scale0")
    level = _logit(features[:, first : first + 4])
    step = level[:, 3] - level[:, 2]
    longer = np.column_stack([level, level[:, 3] + step, level[:, 3] + 2 * step])
    moved = features.copy()
    for k in range(4):
        place = k + np.log2(distance / OWN_DISTANCE)
        under = np.floor(place).astype(int)
        rows, share = np.arange(len(place)), place - under
        above = np.minimum(under + 1, 5)
        at = longer[rows, under] * (1 - share) + longer[rows, above] * share
        moved[:, first + k] = _TOP * expit(at)
    return moved


def _logit(share: Floats) -> Floats:
    return np.asarray(logit(np.clip(share, 1e-3, 1.0) / _TOP))


def predict_held_out(clips: RatedClips, columns: Floats, titles: bool = False) -> Floats:
    """Predicts each source by a fit without it; offsets of tests, and of titles, are dropped."""
    predicted = np.empty(len(clips.votes))
    test = np.unique(clips.test, return_inverse=True)[1]
    title = np.unique(clips.test + "/" + clips.source, return_inverse=True)[1]
    groups = [(test, _TEST), (title, _TITLE)] if titles else [(test, _TEST)]
    for source in np.unique(clips.source):
        out = clips.source == source
        weights = _fit(columns[~out], clips.votes[~out], [(g[~out], w) for g, w in groups])
        predicted[out] = 100 * expit(columns[out] @ weights[1:] + weights[0])
    return predicted


def _fit(
    columns: Floats, votes: Floats, groups: list[tuple[npt.NDArray[np.int64], float]]
) -> Floats:
    k = 1 + columns.shape[1]
    sizes = [int(group.max()) + 1 for group, _ in groups]

    def residuals(theta: Floats) -> Floats:
        score, penalties, start = columns @ theta[1:k] + theta[0], [0.3 * theta[2:k]], k
        for (group, weight), size in zip(groups, sizes, strict=True):
            score = score + theta[start : start + size][group]
            penalties.append(weight * theta[start : start + size])
            start += size
        return np.concatenate([(100 * expit(score) - votes) / _ROBUST, *penalties])

    begin = np.zeros(k + sum(sizes))
    begin[1] = 1.0
    return np.asarray(least_squares(residuals, begin, loss="huber").x[:k])


def oracle_line(clips: RatedClips) -> Floats:
    """Predicts by a line of 4K VMAF through the votes themselves, of each test and distance."""
    predicted = np.zeros(len(clips.votes))
    for test in ("vd1", "vd2"):
        for distance in DISTANCES:
            k = clips.judged & (clips.test == test) & (clips.distance == distance)
            line = np.polyfit(clips.percentile_80[k], clips.votes[k], 1)
            predicted[k] = np.polyval(line, clips.percentile_80[k])
    return predicted


def figures(clips: RatedClips, predicted: Floats) -> list[str]:
    """Returns the RMSE at each distance, of the change, and over the nine tests, in votes."""
    at = {}
    for distance in DISTANCES:
        k = np.flatnonzero(clips.judged & (clips.distance == distance))
        at[distance] = k[np.argsort(clips.clip[k])]
    errors = [VOTES * rmse(predicted[k], clips.votes[k]) for k in at.values()]
    near, far = at[DISTANCES[0]], at[DISTANCES[-1]]
    change = VOTES * rmse(predicted[far] - predicted[near], clips.votes[far] - clips.votes[near])
    own = clips.distance == OWN_DISTANCE
    tests = [own & (clips.test == test) for test in np.unique(clips.test)]
    mean = VOTES * float(np.mean([rmse(predicted[k], clips.votes[k]) for k in tests]))
    return [f"{value:.2f}" for value in (*errors, change, mean)]


def main(folder: Path) -> None:
    """Prints the table."""
    clips = read_clips(folder)
    ways = terms(clips)
    rows = [[name, *figures(clips, predict_held_out(clips, t))] for name, t in ways.items()]
    last = list(ways)[-1]
    by_title = predict_held_out(clips, ways[last], titles=True)
    rows.append(
        ["the last, with an offset of each title that is dropped", *figures(clips, by_title)]
    )
    rows.append(
        ["lines through these votes themselves", *figures(clips, oracle_line(clips))[:5], ""]
    )
    header = ["logistic over", *(f"{d:g}H" for d in DISTANCES), "change", "nine tests"]
    print("\n".join(markdown_table(header, rows)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
