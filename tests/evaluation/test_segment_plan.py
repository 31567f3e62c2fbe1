import numpy as np
import pytest

from vmaf_jax.evaluation.segment_plan import estimate_statistic, merge_shots, plan_segments

RATE = 25.0


def shots(seed, n_frames=3000, n_cuts=30):
    """Difficulty and quality of the frames of a clip of shots."""
    rng = np.random.default_rng(seed)
    cuts = sorted(rng.choice(np.arange(20, n_frames - 20), n_cuts, replace=False).tolist())
    shot = np.searchsorted(cuts, np.arange(n_frames), side="right")
    hard = np.exp(rng.normal(size=n_cuts + 1))[shot] * np.exp(rng.normal(size=n_frames) * 0.1)
    quality = 92 - 3 * np.log(hard) + rng.normal(size=n_cuts + 1)[shot]
    return hard, quality


def mean_of(plan, quality):
    joined = np.concatenate([quality[start : start + n] for start, n in plan.segments])
    parts = [joined[rows] for rows in plan.rows()]
    return lambda chosen: float(np.mean(np.concatenate([parts[k] for k in chosen])))


def test_segments_lie_apart():
    hard, _ = shots(0)
    plan = plan_segments(hard, RATE)
    ends = [start + n for start, n in plan.segments]
    assert all(end <= start for end, (start, _) in zip(ends, plan.segments[1:], strict=False))
    assert 0.05 * 3000 < plan.n_frames < 0.25 * 3000
    lengths = [n for _, n in plan.segments]
    assert min(lengths) >= 15
    assert max(lengths) <= 60
    assert sorted(plan.order) == list(range(len(plan.segments)))


def test_segments_are_spread_over_difficulty():
    hard, _ = shots(1)
    plan = plan_segments(hard, RATE)
    level = [np.mean(hard[start : start + n]) for start, n in plan.segments]
    assert (np.diff([level[k] for k in plan.order]) >= 0).all()
    assert np.mean(np.log(level)) == pytest.approx(np.mean(np.log(hard)), abs=0.25)


def test_the_estimate_is_near_and_its_error_is_told():
    """Over many clips, errors are as large as they are said to be, and the bias is small."""
    errors, told = [], []
    for seed in range(60):
        hard, quality = shots(seed)
        plan = plan_segments(hard, RATE, seed=seed)
        score, error = estimate_statistic(mean_of(plan, quality), len(plan.order), plan.share)
        errors.append(score - quality.mean())
        told.append(error)
    assert abs(np.mean(errors)) < 0.15
    assert 0.7 < np.sqrt(np.mean(np.square(told))) / np.std(errors) < 1.6
    assert np.std(errors) < 0.6 * np.std(quality) / np.sqrt(len(plan.order))


def test_a_statistic_of_equal_segments_has_no_error():
    assert estimate_statistic(lambda chosen: 91.5, 8, 0.1) == (91.5, 0.0)


@pytest.mark.parametrize("n_frames", [1, 10, 200, 450])
def test_a_short_clip_has_no_plan(n_frames):
    assert plan_segments(np.ones(n_frames), RATE) is None


def test_short_shots_join_their_neighbours():
    cuts = [3, 100, 110, 300, 995]
    assert merge_shots(1000, cuts, RATE) == [0, 100, 300]
    assert merge_shots(10, [], RATE) == [0]
