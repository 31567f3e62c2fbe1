"""The page of `score --html`: a clip, or several encodes of one source.

After scoring, each video is decoded once more, for pictures of some frames and the scene cuts of
the reference, and once more for quality maps of the worst ones, where JAX is installed. The number
and size of the pictures is bounded, whatever the length of the clip.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vmaf_jax.errors import InputError, install_extra
from vmaf_jax.evaluation.clip_pooling import WORST_SECOND
from vmaf_jax.evaluation.explanation import Reasons
from vmaf_jax.files import write_text
from vmaf_jax.reporting.clip_page import MAX_DRAWN, BoxedRegion, ClipView, Encode, clip_page
from vmaf_jax.scoring.measured_pair import plan_again
from vmaf_jax.scoring.model import CALIBRATED
from vmaf_jax.scoring.rank import shortest_paths
from vmaf_jax.scoring.scores import ComparedPair, Floats, Scores
from vmaf_jax.scoring.worst_frames import N_MARKED, mark_lowest
from vmaf_jax.video.decode import colour_matrix, picture_size, take_pictures
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.pairing import PairPlan
from vmaf_jax.video.streams import DecodedStream

MAX_WIDTH = 480  # pixels of a picture
MAX_BYTES = 6 << 20  # of all pictures, which stand in the page itself
_N_EVEN = 24  # evenly spaced frames that have pictures, at most
_MAX_PICTURES = 180
_MAX_MAPPED = 40  # frames of all encodes that have maps
Failed = Sequence[tuple[str, str]]  # encode and reason
LossMaps = Mapping[int, Mapping[str, Floats]]  # by frame and feature, 0 to 1


def write_clip_page(path: Path, scores: Sequence[Scores], failed: Failed = ()) -> None:
    """Writes the page of a source and its encodes.

    Args:
        scores: Of each encode, the best first.
        failed: Encodes without a score, each with its reason.

    Raises:
        InputError: The encodes are of several sources, none has a score, or a video cannot be read
            again.
    """
    write_text(path, clip_page(clip_view(scores, failed)))


def clip_view(scores: Sequence[Scores], failed: Failed = ()) -> ClipView:
    """Returns the content of the page; raises as `write_clip_page`."""
    if not scores or any(entry.pair is None for entry in scores):
        reason = f" ({failed[0][1]})" if failed else ""
        raise InputError(f"--html: no video was scored{reason}, so there is no page.")
    planned = [plan_again(entry) for entry in scores]
    pairs, plans = [pair for pair, _, _ in planned], [plan for _, _, plan in planned]
    reference = planned[0][1][0]
    if len({pair.reference.path for pair in pairs}) > 1:
        raise InputError("--html: a page is of one reference; score each with its encodes.")
    if len({plan.skip[0] for plan in plans}) > 1:
        raise InputError(
            "--html: these encodes begin at other frames of the reference; make a page of each."
        )
    lead = scores[0].table.provenance["comparison"]
    worst = [mark_lowest(entry) for entry in scores]
    names = shortest_paths([pair.distorted.path for pair in pairs])
    regions = [_box_region(entry, plans[0].size) for entry in scores]
    frames = _choose_frames(scores[:MAX_DRAWN], worst[:MAX_DRAWN], regions[:MAX_DRAWN])
    size = picture_size(reference, MAX_WIDTH, plans[0].size)
    by_video, cuts = _take_pictures(
        pairs[:MAX_DRAWN], reference, plans, frames, size, lead["frames"]
    )
    fitting = _limit_frames(frames, by_video)
    shown = [{frame: pictures[frame] for frame in fitting} for pictures in by_video]
    marked = {*(frame for numbers in worst for frame in numbers), *(r.frame for r in regions if r)}
    maps, extent, no_maps = _take_maps(scores[:MAX_DRAWN], [f for f in fitting if f in marked])
    return ClipView(
        reference=pairs[0].reference.path.name,
        model=scores[0].model,
        top=scores[0].top,
        pooled=scores[0].how_pooled,
        n_frames=int(lead["frames"]),
        encodes=[
            _encode(
                entry,
                name,
                shown[k + 1] if k + 1 < len(shown) else {},
                maps[k] if k < len(maps) else {},
                worst[k],
                regions[k],
            )
            for k, (entry, name) in enumerate(zip(scores, names, strict=True))
        ],
        failed=failed,
        cuts=cuts,
        rate=plans[0].grid or pairs[0].reference.fps or reference.rate,
        start=plans[0].skip[0],
        pictures=shown[0],
        size=size,
        full=plans[0].size,
        notes=[scores[0].choice] if scores[0].choice else [],
        map_extent=extent,
        no_maps=no_maps,
    )


def _box_region(entry: Scores, size: tuple[int, int]) -> BoxedRegion | None:
    """Returns the worst region that stands out, as shares of the picture of `size` pixels."""
    found = entry.worst_region
    if found is None or not found.stands_out:
        return None
    measured = entry.table.provenance["comparison"].get("region") or (0, 0)
    left, top, width, height = found.box
    place = (
        (left - measured[0]) / size[0],
        (top - measured[1]) / size[1],
        width / size[0],
        height / size[1],
    )
    return BoxedRegion(found.frame, place, found.score_text())


def _choose_frames(
    drawn: Sequence[Scores],
    worst: Sequence[Sequence[int]],
    regions: Sequence[BoxedRegion | None],
) -> list[int]:
    """Returns frames to take pictures of: each encode's worst first, then evenly spaced ones."""
    common = set(drawn[0].table.index.tolist())
    for entry in drawn[1:]:
        common &= set(entry.table.index.tolist())
    measured = sorted(common)
    every = np.linspace(0, len(measured) - 1, min(_N_EVEN, len(measured))).round().astype(int)
    turns = [numbers[k] for k in range(N_MARKED) for numbers in worst if k < len(numbers)]
    boxed = [region.frame for region in regions if region is not None]
    wanted = [frame for frame in (*boxed, *turns) if frame in common]
    wanted += [measured[k] for k in every.tolist()]
    return list(dict.fromkeys(wanted))[: max(1, _MAX_PICTURES // (1 + len(drawn)))]


def _take_pictures(
    pairs: Sequence[ComparedPair],
    stream: DecodedStream,
    plans: Sequence[PairPlan],
    frames: Sequence[int],
    size: tuple[int, int],
    count: int,
) -> tuple[list[Mapping[int, bytes]], list[int]]:
    """Takes pictures of the reference and each encode, by frame; finds the reference's cuts."""
    ffmpeg, rising, matrix = find_ffmpeg(), sorted(frames), colour_matrix(stream)
    reference, cuts = take_pictures(
        ffmpeg,
        pairs[0].reference,
        plans[0].to_reference,
        rising,
        size,
        matrix=matrix,
        shots_of=count,
    )
    by_video: list[Mapping[int, bytes]] = [reference]
    for pair, plan in zip(pairs, plans, strict=False):
        chain = plan.to_distorted
        by_video.append(
            take_pictures(ffmpeg, pair.distorted, chain, rising, size, matrix=matrix)[0]
        )
    return by_video, cuts


def _limit_frames(frames: Sequence[int], by_video: Sequence[Mapping[int, bytes]]) -> list[int]:
    """Returns the first frames whose pictures fit into `MAX_BYTES`, at least one."""
    fitting: list[int] = []
    total = 0
    for frame in frames:
        total += sum(len(pictures[frame]) for pictures in by_video)
        if fitting and total > MAX_BYTES:
            break
        fitting.append(frame)
    return fitting


def _take_maps(
    drawn: Sequence[Scores], frames: Sequence[int]
) -> tuple[list[LossMaps], tuple[float, float], str]:
    """Returns each encode's maps of some frames, how far they reach, and why there are none.

    Args:
        frames: Those to have maps, the worst first.
    """
    if importlib.util.find_spec("jax") is None:
        return [], (1.0, 1.0), f"they need JAX: {install_extra('train')}"
    from vmaf_jax.features.maps import TILE
    from vmaf_jax.scoring.quality_map import maps_of_scores

    taken: list[LossMaps] = []
    extent = (1.0, 1.0)
    try:
        for entry in drawn:
            loss: dict[int, Mapping[str, Floats]] = {}
            for found in maps_of_scores(entry, frames[: max(1, _MAX_MAPPED // len(drawn))]):
                loss[found.frame] = {name: found.loss(name) for name in found.values}
                (rows, columns), (height, width) = loss[found.frame]["vif"].shape, found.luma.shape
                extent = (TILE * columns / width, TILE * rows / height)
            taken.append(loss)
    except InputError as error:  # small pictures, which VMAF v1's maps are not of
        return [], extent, str(error)
    return taken, extent, ""


def _encode(
    entry: Scores,
    name: str,
    pictures: Mapping[int, bytes],
    maps: LossMaps,
    worst: Sequence[int],
    region: BoxedRegion | None,
) -> Encode:
    described = entry.table.provenance["comparison"]
    notes = [str(warning) for warning in described["warnings"]]
    if region is not None and entry.worst_region is not None:
        notes.append(entry.worst_region.sentence())
    if entry.other_title is not None:
        notes.append(entry.other_title.removeprefix("warning: "))
    elif entry.inside_training_region is False:
        notes.append("unlike the clips that the model learnt from")
    if entry.kind == CALIBRATED:
        notes.append("frames are scored by the base model; the clip's score is of the votes")
    if entry.frames is not None:
        notes.append(f"{len(entry.per_frame)} of {entry.frames} frames were measured")
    return Encode(
        name=name,
        score=entry.pooled,
        interval=entry.interval,
        frames=entry.table.index,
        own_frames=[entry.places(int(k))[1].frame for k in entry.table.index],
        per_frame=entry.per_frame,
        worst=worst,
        notes=notes,
        compared=_describe_comparison(entry),
        pictures=pictures,
        worst_second=entry.moments().get(WORST_SECOND),
        why=_explain(entry, worst),
        region=region,
        vote=entry.vote_words,
        maps=maps,
    )


def _explain(entry: Scores, worst: Sequence[int]) -> list[tuple[int | None, Reasons]]:
    """Returns why the clip (None) and its lowest frames are low."""
    if entry.explanation is None:
        return []
    rows = np.searchsorted(entry.table.index, worst).tolist()
    frames = [entry.explanation.mean(row) for row in rows]
    return [(None, entry.explanation.mean()), *zip(worst, frames, strict=True)]


def _describe_comparison(entry: Scores) -> dict[str, str]:
    """Returns how an encode was compared with the reference, in words."""
    described = entry.table.provenance["comparison"]
    rows = {
        "frames compared": f"{described['frames']:,}",
        "frames decoded (reference, distorted)": " and ".join(map(str, described["decoded"])),
        "paired by": str(described["pairing"]),
        "offset": str(described["offset"]),
        "starts at frame": str(described["start"]),
        "deinterlaced": ", ".join(described["deinterlaced"]) or "no",
        "region": entry.region_text or "the whole picture",
    }
    if entry.worst_region is not None:
        rows["worst region"] = entry.worst_region.sentence()
    for role in ("reference", "distorted"):
        stream = described[role]
        rate = "" if stream["rate"] is None else f", {stream['rate']:g} frames/s"
        rows[role] = (
            f"{stream['codec']}, {stream['width']}x{stream['height']}, {stream['pix_fmt']}{rate}"
        )
    provenance = entry.table.provenance
    version = provenance.get("backend_version", "")
    rows["measured by"] = f"{provenance['backend']} {version}".strip()
    return rows
