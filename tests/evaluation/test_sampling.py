import math

import numpy as np
import pytest
import scipy.stats

from vmaf_jax.evaluation.sampling import (
    CELL,
    LOOKS,
    FrameSample,
    draw_offsets,
    estimate_mean,
    estimate_statistic,
    merge_shots,
    plan_segments,
    split_blocks,
    stratified_mean,
)


def clip(seed, n=1000, *, noise=3.0):
    """Scores with shots, a pattern that repeats every four frames, drift, and a covariate."""
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.choice(np.arange(20, n - 20), n // 35, replace=False))
    shot = np.searchsorted(cuts, np.arange(n), side="right")
    hidden = rng.normal(0, noise, n) + 4 * np.array([1, -1, 0.5, -0.5])[np.arange(n) % 4]
    score = 70 + rng.normal(0, 9, len(cuts) + 1)[shot] + hidden + np.linspace(-1, 1, n)
    covariate = 0.2 * (hidden + rng.normal(0, noise / 2, n)) + rng.normal(0, 3, shot[-1] + 1)[shot]
    return score, covariate[:, None], cuts.tolist()


def drawn(n, seed):
    """Frame 0, and one of each cell after it."""
    count = -(-(n - 1) // CELL)
    frames = 1 + CELL * np.arange(count) + np.resize(draw_offsets(seed), count)
    return [0, *frames[frames < n].tolist()]


def measured(score, covariate, cuts, seed, within):
    first = drawn(len(score), seed)
    block = split_blocks(len(score), cuts, first)
    draw = FrameSample(block, first, seed)
    for look in range(LOOKS + 1):
        sample = draw.sample
        scored = np.full(len(score), np.nan)
        chosen = np.concatenate(sample)
        scored[chosen] = score[chosen]
        result = estimate_mean(
            sample, block, scored, covariate
        )  # what was not measured is not read
        if result.half_width <= within:
            return result, draw.n
        draw.grow(result.half_width, within) if look + 1 < LOOKS else draw.take_all()
    raise AssertionError("all frames leave no interval")


def test_the_interval_holds_the_full_mean_from_a_part_of_the_frames():
    errors, halves, shares = [], [], []
    for seed in range(100):
        score, covariate, cuts = clip(seed)
        result, n = measured(score, covariate, cuts, seed, 0.5)
        errors.append(result.mean - score.mean())
        halves.append(result.half_width)
        shares.append(n / len(score))
    assert np.mean(np.abs(errors) <= halves) >= 0.95
    assert np.median(shares) <= 0.35
    assert abs(np.mean(errors)) <= 3 * np.std(errors) / np.sqrt(100)


def test_every_kth_frame_meets_the_pattern_and_the_draw_does_not():
    score, covariate, cuts = clip(0)
    assert abs(score[::8].mean() - score.mean()) > 2
    result, n = measured(score, covariate, cuts, 0, 0.5)
    assert abs(result.mean - score.mean()) <= 0.5
    assert n < len(score) / 2


def test_the_covariate_narrows_the_interval_and_one_that_tells_nothing_does_no_harm():
    score, covariate, cuts = clip(3)
    first = drawn(len(score), 0)
    block = split_blocks(len(score), cuts, first)
    sample = FrameSample(block, first, 0).sample
    none, random = np.zeros((1000, 0)), np.random.default_rng(0).normal(0, 1, (1000, 1))
    halves = [estimate_mean(sample, block, score, x).half_width for x in (covariate, none, random)]
    assert halves[0] < 0.7 * halves[1]
    assert halves[2] == pytest.approx(halves[1], rel=0.15)


def interval_by_hand(score, covariate, block, sample):
    """Mean and half-width by a plain loop: Cochran 5.4 and 7.11, two looks at 2.5 % each."""
    centred = [
        (score[k] - score[chosen].mean(), covariate[k] - covariate[chosen].mean())
        for chosen in sample
        for k in chosen
    ]
    slope = sum(x * y for y, x in centred) / sum(x * x for _, x in centred)
    freedom = len(centred) - len(sample)
    n = sum(map(len, block))
    mean, variance, squares = 0.0, 0.0, 0.0
    for chosen, frames in zip(sample, block, strict=True):
        rest = [score[k] - slope * covariate[k] for k in chosen]
        level = sum(rest) / len(rest)
        mean += len(frames) / n * (level + slope * covariate[frames].mean())
        if len(chosen) == len(frames):
            continue
        spread = sum((r - level) ** 2 for r in rest) / (len(rest) - 1) * freedom / (freedom - 1)
        part = (len(frames) / n) ** 2 * (1 - len(chosen) / len(frames)) * spread / len(rest)
        variance, squares = variance + part, squares + part**2 / (len(rest) - 1)
    reach = scipy.stats.t.ppf(1 - 0.025 / 2, variance**2 / squares)
    return mean, reach * math.sqrt(variance)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_cochrans_with_half_the_error_for_each_of_two_looks(seed):
    rng = np.random.default_rng(seed)
    block = [np.arange(1), np.arange(1, 21), np.arange(21, 60), np.arange(60, 72)]
    sample = [
        np.sort(rng.choice(b, n, replace=False)) for b, n in zip(block, (1, 6, 4, 9), strict=True)
    ]
    covariate = rng.normal(0, 1, 72)
    score = 60 + 4 * covariate + rng.normal(0, 2, 72)
    result = estimate_mean(sample, block, score, covariate[:, None])
    mean, half_width = interval_by_hand(score, covariate, block, sample)
    assert result.mean == pytest.approx(mean, abs=1e-9)
    assert result.half_width == pytest.approx(half_width, rel=1e-9)


def test_a_block_counts_by_its_frames_not_by_those_measured():
    block = [np.arange(1), np.arange(1, 11), np.arange(11, 100)]
    sample = [np.array([0]), np.array([2, 5, 9, 10]), np.array([12, 70])]
    values = np.random.default_rng(0).uniform(0, 1, (100, 3))
    expected = [
        sum(
            len(b) * sum(values[k, j] for k in s) / len(s)
            for b, s in zip(block, sample, strict=True)
        )
        / 100
        for j in range(3)
    ]
    np.testing.assert_allclose(stratified_mean(sample, block, values), expected, rtol=1e-12)


def test_columns_that_too_few_frames_can_tell_are_left_out():
    """Of 13 frames three are drawn; no slope can be told from one degree of freedom."""
    rng = np.random.default_rng(0)
    score, covariate = rng.normal(80, 3, 13), rng.normal(0, 1, (13, 4))
    first = drawn(13, 0)
    block = split_blocks(13, [], first)
    sample = FrameSample(block, first, 0).sample
    few, none = (estimate_mean(sample, block, score, x) for x in (covariate, covariate[:, :0]))
    assert few == none


def test_blocks_partition_the_clip_at_its_cuts_with_two_frames_drawn_in_each():
    for n, cuts in ((13, []), (48, [20]), (1000, [3, 100, 101, 500, 998]), (17, [16]), (40, [5])):
        for seed in range(20):
            first = drawn(n, seed)
            block = split_blocks(n, cuts, first)
            np.testing.assert_array_equal(np.concatenate(block), np.arange(n))
            assert len(block[0]) == 1
            assert min(len(np.intersect1d(frames, first)) for frames in block[1:]) >= 2
            assert max(map(len, block)) <= 5 * CELL
    starts = [frames[0] for frames in split_blocks(1000, [3, 100, 101, 500, 998], drawn(1000, 0))]
    assert {100, 500} <= set(starts)
    assert not {3, 101, 998} & set(starts)  # shots too short to stand alone


def test_the_first_frame_stands_for_itself():
    """It has no motion: one that is 30 points off moves the mean of 100 by 0.3, and no interval."""
    score, covariate = np.full(100, 80.0), np.zeros((100, 1))
    score[0] = 50
    for seed in range(12):
        result, _ = measured(score, covariate, [], seed, 0.1)
        assert (result.mean, result.half_width) == (pytest.approx(79.7), 0)


def test_all_frames_leave_no_doubt_and_growing_keeps_what_is_there():
    score, covariate, cuts = clip(1)
    first = drawn(len(score), 5)
    block = split_blocks(len(score), cuts, first)
    draw = FrameSample(block, first, 5)
    before = [set(frames.tolist()) for frames in draw.sample]
    draw.grow(1.0, 0.5)
    assert all(old <= set(new.tolist()) for old, new in zip(before, draw.sample, strict=True))
    assert draw.n < draw.n_frames
    draw.take_all()
    result = estimate_mean(draw.sample, block, score, covariate)
    assert (result.mean, result.half_width) == (pytest.approx(score.mean()), 0.0)
    draw = FrameSample(block, first, 5)
    draw.grow(50.0, 0.5)
    assert draw.n == draw.n_frames  # as good as all


def test_a_flat_clip_needs_the_first_look_only():
    result, n = measured(np.full(320, 80.0), np.zeros((320, 1)), [], 0, 0.1)
    assert (result.mean, result.half_width) == (pytest.approx(80), 0)
    assert n == len(drawn(320, 0))


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


def test_the_error_of_a_mean_is_that_of_successive_differences():
    """Of a mean the pseudo-values are the segments' own; a share that was drawn errs no more."""
    values = np.array([70.0, 74.0, 73.0, 79.0, 81.0])
    for share in (0.1, 0.5, 0.9):
        found = estimate_statistic(lambda chosen: float(values[list(chosen)].mean()), 5, share)
        differences = [4.0, -1.0, 6.0, 2.0]
        variance = (1 - share) / 5 * sum(d * d for d in differences) / 2 / 4
        assert found == (pytest.approx(75.4), pytest.approx(np.sqrt(variance)))


def test_a_statistic_of_equal_segments_has_no_error():
    assert estimate_statistic(lambda chosen: 91.5, 8, 0.1) == (91.5, 0.0)


@pytest.mark.parametrize("n_frames", [1, 10, 200, 450])
def test_a_short_clip_has_no_plan(n_frames):
    assert plan_segments(np.ones(n_frames), RATE) is None


def test_short_shots_join_their_neighbours():
    cuts = [3, 100, 110, 300, 995]
    assert merge_shots(1000, cuts, RATE) == [0, 100, 300]
    assert merge_shots(10, [], RATE) == [0]
