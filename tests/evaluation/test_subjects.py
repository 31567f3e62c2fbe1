"""The model of subjects, against what made the votes and against a plain maximum likelihood."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from vmaf_jax.evaluation.subjects import recover_quality, separate_groups


def votes(n_clips, n_subjects, seed, share=1.0, step=0.01, noise=(0.5, 1.2)):
    """Clip, subject and score of votes that the model's own equation makes, and its truth."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(1.5, 4.5, n_clips)
    bias = rng.normal(0, 0.4, n_subjects)
    bias -= bias.mean()
    inconsistency = rng.uniform(noise[0], noise[1], n_subjects)
    clip, subject = (x.ravel() for x in np.mgrid[:n_clips, :n_subjects])
    chosen = rng.uniform(size=clip.size) < share
    clip, subject = clip[chosen], subject[chosen]
    random = inconsistency[subject] * rng.normal(size=clip.size)
    score = quality[clip] + bias[subject] + random
    return clip, subject, np.round(score / step) * step, (quality, bias, inconsistency)


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_it_is_the_maximum_of_the_likelihood(share):
    """SciPy climbs the log-likelihood as it is written down, from another start.

    It is bounded away from a subject without noise, where the likelihood grows without end.
    """
    n, m = 40, 24
    clip, subject, score, _ = votes(n, m, seed=3, share=share)

    def loss(x):
        quality, bias, deviation = x[:n], x[n : n + m], np.exp(x[n + m :])
        location = quality[clip] + bias[subject]
        return -scipy.stats.norm.logpdf(score, location, deviation[subject]).sum()

    start = np.concatenate([np.full(n, 3.0), np.zeros(2 * m)])
    bounds = [(None, None)] * (n + m) + [(np.log(0.15), None)] * m
    options = {"ftol": 1e-15, "maxfun": 10**6}
    best = scipy.optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds, options=options)
    model = recover_quality(clip, subject, score)
    assert not model.equal
    assert model.inconsistency.min() > 0.2  # inside the bounds, so it is the same problem
    shift = best.x[n : n + m].mean()
    # 1e-3: where L-BFGS stops on finite differences; the projections rest at 1e-10 of the range.
    np.testing.assert_allclose(model.quality, best.x[:n] + shift, atol=1e-3)
    np.testing.assert_allclose(model.bias, best.x[n : n + m] - shift, atol=1e-3)
    np.testing.assert_allclose(model.inconsistency, np.exp(best.x[n + m :]), atol=1e-3)
    ours = loss(np.concatenate([model.quality, model.bias, np.log(model.inconsistency)]))
    assert ours <= best.fun + 1e-6


def test_it_finds_what_made_the_votes():
    clip, subject, score, (quality, bias, inconsistency) = votes(120, 24, seed=1, noise=(0.5, 2.5))
    model = recover_quality(clip, subject, score)
    assert model.bias.mean() == pytest.approx(0, abs=1e-12)
    # Four standard errors of 120 votes each.
    assert (np.abs(model.bias - bias) <= 4 * inconsistency / np.sqrt(120)).all()
    np.testing.assert_allclose(model.inconsistency, inconsistency, rtol=4 / np.sqrt(240))
    error = model.quality - quality
    plain = np.bincount(clip, score) / 24 - quality
    assert np.sqrt(np.mean(error**2)) < 0.9 * np.sqrt(np.mean(plain**2))
    # The intervals hold the truth about as often as they say: 114 of 120 are expected, and fewer
    # than 105 come with a chance below 1e-4.
    assert np.sum(np.abs(error) <= model.half_width) >= 105


def test_intervals_are_those_of_the_clips_own_votes():
    """Annex E's, with SciPy's standard error (n - 1) and Student's t."""
    clip, subject, score, _ = votes(20, 12, seed=4, share=0.8)
    model = recover_quality(clip, subject, score)
    residual = score - model.quality[clip] - model.bias[subject]
    for j in range(20):
        own = residual[clip == j]
        low, high = scipy.stats.t.interval(0.95, len(own) - 1, scale=scipy.stats.sem(own))
        assert 2 * model.half_width[j] == pytest.approx(high - low, rel=1e-9)


def test_one_vote_has_the_inconsistency_of_its_subject():
    clip, subject, score, _ = votes(20, 12, seed=4)
    alone = (clip != 3) | (subject == 5)
    model = recover_quality(clip[alone], subject[alone], score[alone])
    assert model.half_width[3] == pytest.approx(1.959964 * model.inconsistency[5], rel=1e-6)


@pytest.mark.parametrize("n_subjects", [4, 6, 8, 12, 20, 30])
def test_intervals_hold_the_truth_as_often_as_they_say(n_subjects):
    """Normal votes: intervals from the subjects' inconsistency held 0.94 down to 0.91 of them."""
    held = []
    for seed in range(40):
        clip, subject, score, (quality, *_) = votes(60, n_subjects, seed, noise=(0.4, 1.2))
        model = recover_quality(clip, subject, score)
        held.append(np.abs(model.quality - quality) <= model.half_width)
    # 2,400 clips: a standard error of 0.0045; clips of one test share their subjects' biases.
    assert 0.935 <= np.mean(held) <= 0.98


def test_a_repeated_vote_counts_twice():
    clip, subject, score, _ = votes(20, 12, seed=5)
    twice = recover_quality(*(np.tile(x, 2) for x in (clip, subject, score)))
    once = recover_quality(clip, subject, score)
    np.testing.assert_allclose(twice.quality, once.quality)
    ratio = scipy.stats.t.ppf(0.975, 23) / scipy.stats.t.ppf(0.975, 11) * np.sqrt(11 / 23)
    np.testing.assert_allclose(twice.half_width, ratio * once.half_width)


@pytest.mark.parametrize(("n", "m", "step"), [(7, 3, 1.0), (30, 8, 0.01)])
def test_no_subject_becomes_the_truth(n, m, step):
    """One of few would take all the weight; then it is least squares with biases."""
    clip, subject, score, _ = votes(n, m, seed=3, step=step)
    model = recover_quality(clip, subject, score)
    assert model.equal
    design = np.zeros((len(score), n + m))
    design[np.arange(len(score)), clip] = 1
    design[np.arange(len(score)), n + subject] = 1
    plain, *_ = np.linalg.lstsq(design, score, rcond=None)
    shift = plain[n:].mean()
    np.testing.assert_allclose(model.quality, plain[:n] + shift, atol=1e-7)
    np.testing.assert_allclose(model.bias, plain[n:] - shift, atol=1e-7)
    squares = np.sum((score - design @ plain) ** 2) / (len(score) - n - m + 1)
    np.testing.assert_allclose(model.inconsistency, np.sqrt(squares), rtol=1e-6)


@pytest.mark.parametrize(("n_subjects", "broken"), [(24, 0), (15, 0), (5, 12)])
def test_votes_of_five_points_by_many_and_by_few(n_subjects, broken):
    """Twenty tests of 60 clips, as a laboratory makes them: whole votes from 1 to 5.

    The published estimate holds with 15 subjects; with 5 it breaks down in most.
    """
    equal, ours, plain, covered = 0, [], [], []
    for seed in range(20):
        clip, subject, score, (quality, *_) = votes(60, n_subjects, seed, step=1, noise=(0.4, 1.0))
        score = score.clip(1, 5)
        model = recover_quality(clip, subject, score)
        equal += model.equal
        ours.append(model.quality - quality)
        plain.append(np.bincount(clip, score) / n_subjects - quality)
        covered.append(np.abs(ours[-1]) <= model.half_width)
    assert equal >= broken if broken else equal == 0
    if not broken:
        assert np.sqrt(np.mean(np.square(ours))) < np.sqrt(np.mean(np.square(plain)))
        assert 0.93 < np.mean(covered) < 0.98


def test_what_cannot_be_told_is_refused():
    clip, subject = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])
    assert separate_groups(clip, subject) == 2
    with pytest.raises(ValueError, match="share no clip"):
        recover_quality(clip, subject, np.array([1.0, 2, 3, 4]))
    with pytest.raises(ValueError, match="no more votes than clips and subjects"):
        recover_quality(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([1.0, 2, 3]))
    with pytest.raises(ValueError, match="all votes are the same"):
        recover_quality(clip, subject, np.ones(4))


@pytest.mark.parametrize("n_alike", [2, 3])
def test_subjects_who_voted_alike_do_not_become_the_truth(n_alike):
    """A viewer who is listed twice: the two would share all of the weight, half of it each."""
    rng = np.random.default_rng(0)
    quality = np.linspace(1.3, 4.7, 20)
    panel = np.clip(np.round(quality + 0.6 * rng.normal(size=(10, 20))), 1, 5)
    panel[1:n_alike] = panel[0]
    subject, clip = (axis.ravel() for axis in np.indices(panel.shape))
    model = recover_quality(clip, subject, panel.ravel())
    plain = panel.mean(axis=0)
    assert model.equal
    np.testing.assert_allclose(model.quality, plain, atol=1e-6)  # no vote is missing
