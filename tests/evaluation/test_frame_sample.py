import numpy as np
import pytest

from vmaf_jax.evaluation.frame_sample import BLOCK, LOOKS, Draw, blocks, estimate


def clip(seed, n=1000, *, noise=3.0):
    """Scores with shots, a pattern that repeats every four frames, drift, and a covariate."""
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.choice(np.arange(20, n - 20), n // 35, replace=False))
    shot = np.searchsorted(cuts, np.arange(n), side="right")
    hidden = rng.normal(0, noise, n) + 4 * np.array([1, -1, 0.5, -0.5])[np.arange(n) % 4]
    score = 70 + rng.normal(0, 9, len(cuts) + 1)[shot] + hidden + np.linspace(-1, 1, n)
    covariate = 0.2 * (hidden + rng.normal(0, noise / 2, n)) + rng.normal(0, 3, shot[-1] + 1)[shot]
    return score, covariate[:, None], cuts.tolist()


def measured(score, covariate, cuts, seed, within):
    block = blocks(len(score), cuts)
    draw = Draw(block, seed)
    for look in range(LOOKS + 1):
        taken = draw.taken
        seen = np.full(len(score), np.nan)
        chosen = np.concatenate(taken)
        seen[chosen] = score[chosen]
        result = estimate(taken, block, seen, covariate)  # what was not measured is not read
        if result.half_width <= within:
            return result, draw.n
        draw.grow(result.half_width, within) if look + 1 < LOOKS else draw.take_all()
    raise AssertionError("all frames leave no interval")


def test_the_interval_holds_the_full_mean_from_a_part_of_the_frames():
    errors, halves, shares = [], [], []
    for seed in range(150):
        score, covariate, cuts = clip(seed)
        result, n = measured(score, covariate, cuts, seed, 0.5)
        errors.append(result.mean - score.mean())
        halves.append(result.half_width)
        shares.append(n / len(score))
    assert np.mean(np.abs(errors) <= halves) >= 0.95
    assert np.median(shares) <= 0.35
    assert abs(np.mean(errors)) <= 3 * np.std(errors) / np.sqrt(150)


def test_every_kth_frame_meets_the_pattern_and_the_draw_does_not():
    score, covariate, cuts = clip(0)
    assert abs(score[::8].mean() - score.mean()) > 2
    result, n = measured(score, covariate, cuts, 0, 0.5)
    assert abs(result.mean - score.mean()) <= 0.5
    assert n < len(score) / 2


def test_the_covariate_narrows_the_interval_and_one_that_tells_nothing_does_no_harm():
    score, covariate, cuts = clip(3)
    block = blocks(len(score), cuts)
    taken = Draw(block, 0).taken
    none, random = np.zeros((1000, 0)), np.random.default_rng(0).normal(0, 1, (1000, 1))
    halves = [estimate(taken, block, score, x).half_width for x in (covariate, none, random)]
    assert halves[0] < 0.7 * halves[1]
    assert halves[2] == pytest.approx(halves[1], rel=0.15)


def test_blocks_partition_the_clip_at_its_cuts():
    for n, cuts in ((16, []), (48, [20]), (1000, [3, 100, 101, 500, 998]), (17, [16])):
        block = blocks(n, cuts)
        np.testing.assert_array_equal(np.concatenate(block), np.arange(n))
        assert max(map(len, block)) <= BLOCK
        assert min(map(len, block)) >= 2
    starts = [frames[0] for frames in blocks(1000, [3, 100, 101, 500, 998])]
    assert {100, 500} <= set(starts)
    assert not {3, 101, 998} & set(starts)  # shots too short to stand alone


def test_all_frames_leave_no_doubt_and_growing_keeps_what_is_there():
    score, covariate, cuts = clip(1)
    block = blocks(len(score), cuts)
    draw = Draw(block, 5)
    before = [set(frames.tolist()) for frames in draw.taken]
    draw.grow(1.0, 0.5)
    assert all(old <= set(new.tolist()) for old, new in zip(before, draw.taken, strict=True))
    assert draw.n < draw.n_frames
    draw.take_all()
    result = estimate(draw.taken, block, score, covariate)
    assert (result.mean, result.half_width) == (pytest.approx(score.mean()), 0.0)
    draw = Draw(block, 5)
    draw.grow(50.0, 0.5)
    assert draw.n == draw.n_frames  # as good as all


def test_a_flat_clip_needs_the_first_look_only():
    result, n = measured(np.full(320, 80.0), np.zeros((320, 1)), [], 0, 0.1)
    assert (result.mean, result.half_width, n) == (pytest.approx(80), 0, 40)
