"""Faults of made ladders, label columns and votes whose truth is known."""

import numpy as np
import pytest

from vmaf_jax.evaluation import reference_motion, table_faults
from vmaf_jax.evaluation.table_faults import ClipFrames, Fault

FRAMES = 48


def motion(title, frames=FRAMES):
    """motion2 of a title's reference, which rises and falls as no other's does."""
    at = np.arange(frames)
    return 3 + title + np.sin(at / (3 + title)) + 0.3 * np.cos(at)


def ladders(n_titles=4, n_rungs=8, seed=0):
    """Features and motion of each clip of a corpus in step: better with every rung."""
    rng = np.random.default_rng(seed)
    fidelity, motions, titles, recipes = [], [], [], []
    for title in range(n_titles):
        hardness = rng.normal(0, 0.5)
        for rung in range(n_rungs):
            logit = -1 + 0.7 * rung - hardness + np.arange(5) * 0.3 + rng.normal(0, 0.05, 5)
            moments = 0.2 * np.sin(np.arange(FRAMES) / 5)[:, None]
            fidelity.append(1 / (1 + np.exp(-logit - moments)))
            motions.append(motion(title))
            titles.append(title)
            recipes.append(rung)
    return fidelity, motions, titles, recipes


def clip_frames(fidelity, motions, titles, recipes):
    count = np.array([len(rows) for rows in fidelity])
    return ClipFrames(
        fidelity=np.concatenate(fidelity),
        motion=np.concatenate(motions),
        start=np.cumsum(count) - count,
        count=count,
        source=np.array(titles),
        title=np.array(titles),
        recipe=np.array(recipes),
    )


def all_faults(clips):
    reference = reference_motion.number_references(clips)
    return [
        *reference_motion.reference_faults(clips, reference),
        *table_faults.saturation_faults(clips, reference),
        *table_faults.length_faults(clips, reference),
        *table_faults.duplicate_faults(clips),
        *table_faults.ladder_faults(clips, np.zeros(len(clips.start), bool)),
    ]


def test_ladders_in_step_are_not_accused():
    assert all_faults(clip_frames(*ladders())) == []


@pytest.mark.parametrize("lag", [1, 3, 5])
def test_a_late_reference_is_found_with_its_lag(lag):
    fidelity, motions, *rest = ladders()
    motions[10] = motion(1, FRAMES + lag)[lag:]
    (fault,) = all_faults(clip_frames(fidelity, motions, *rest))
    assert (fault.clip, fault.kind) == (10, table_faults.OUT_OF_STEP)
    assert f"begins {lag} frame{'' if lag == 1 else 's'} late" in fault.seen


def test_a_clip_measured_against_another_title_is_found_with_that_title():
    fidelity, motions, *rest = ladders()
    motions[10] = motion(2)
    (fault,) = all_faults(clip_frames(fidelity, motions, *rest))
    assert (fault.clip, fault.kind) == (10, table_faults.WRONG_REFERENCE)
    assert 16 <= fault.other < 24


def test_a_title_measured_against_another_as_a_whole_is_found():
    fidelity, motions, *rest = ladders()
    for k in range(8, 16):
        motions[k], fidelity[k] = motion(2), 0.3 * fidelity[k]
    clips = clip_frames(fidelity, motions, *rest)
    faults = reference_motion.reference_faults(clips, reference_motion.number_references(clips))
    assert {(f.clip, f.kind) for f in faults} == {
        (k, table_faults.WRONG_REFERENCE) for k in range(8, 16)
    }


def test_a_reference_that_loses_a_frame_counts_only_where_features_fall():
    fidelity, motions, *rest = ladders()
    parted = np.concatenate([motion(1)[:20], motion(1, FRAMES + 1)[21:]])
    motions[10] = parted
    assert all_faults(clip_frames(fidelity, motions, *rest)) == []
    fidelity[10] = np.where(np.arange(FRAMES)[:, None] < 20, fidelity[10], 0.3 * fidelity[10])
    faults = [f for f in all_faults(clip_frames(fidelity, motions, *rest)) if "parts" in f.seen]
    assert [(f.clip, f.kind) for f in faults] == [(10, table_faults.OUT_OF_STEP)]
    assert "at frame 20" in faults[0].seen


def test_encodes_that_are_all_alike_and_low_are_out_of_step():
    fidelity, *rest = ladders()
    lost = 0.4 + 0.1 * np.sin(np.arange(FRAMES) / 7)[:, None]
    fidelity[8:16] = [lost + 0.002 * rung * np.ones((1, 5)) for rung in range(8)]
    clips = clip_frames(fidelity, *rest)
    faults = table_faults.saturation_faults(clips, clips.title)
    assert [fault.clip for fault in faults] == list(range(8, 16))
    assert "VIF stays at 0.4" in faults[0].seen


def test_transparent_encodes_may_be_alike():
    fidelity, *rest = ladders()
    fidelity[8:16] = [np.full((FRAMES, 5), 0.985 + 0.001 * rung) for rung in range(8)]
    clips = clip_frames(fidelity, *rest)
    assert table_faults.saturation_faults(clips, clips.title) == []


def test_an_encode_far_below_its_kind_on_other_titles_is_misaligned():
    fidelity, *rest = ladders()
    fidelity[13] = 0.7 * fidelity[13]
    (fault,) = all_faults(clip_frames(fidelity, *rest))
    assert (fault.clip, fault.kind) == (13, table_faults.MISALIGNED)


def test_rungs_that_a_title_lacks_move_no_other_title():
    """A median without the middle title of two hard and two easy ones is another."""
    rng = np.random.default_rng(0)
    titles, recipes = np.divmod(np.arange(50), 10)
    offset = np.array([0, 0.3, 0.6, 2.0, 2.3])[titles] + 0.5 * recipes - 4
    logit = offset[:, None] + 0.3 * np.arange(5) + rng.normal(0, 0.05, (50, 5))
    moments = 0.2 * np.sin(np.arange(FRAMES) / 5)[:, None]
    fidelity = 1 / (1 + np.exp(-logit[:, None] - moments))
    clips = clip_frames(list(fidelity), [motion(title) for title in titles], titles, recipes)
    lacking = (titles == 2) & (recipes >= 3) & (recipes < 6)
    assert table_faults.ladder_faults(clips, lacking) == []


def test_lengths_and_duplicates_are_found():
    fidelity, motions, *rest = ladders()
    fidelity[3], motions[3] = fidelity[3][:-2], motions[3][:-2]
    fidelity[20] = fidelity[21]
    faults = all_faults(clip_frames(fidelity, motions, *rest))
    kinds = {(fault.clip, fault.kind) for fault in faults}
    assert kinds >= {
        (3, table_faults.OTHER_LENGTH),
        (20, table_faults.DUPLICATE),
        (21, table_faults.DUPLICATE),
    }


def test_labels_are_held_to_their_models():
    rng = np.random.default_rng(1)
    right, other = rng.uniform(0, 100, (2, 20, 8))
    label = right + rng.normal(0, 1e-3, right.shape)
    scores = {"a": right, "b": other}
    assert table_faults.teacher_faults(label, "a", scores) == []
    label[[4, 7]] = label[[7, 4]]
    label[11] = other[11]
    label[15] += 3
    faults = {fault.clip: fault for fault in table_faults.teacher_faults(label, "a", scores)}
    assert set(faults) == {4, 7, 11, 15}
    assert (faults[4].kind, faults[4].other) == (table_faults.SWAPPED, 7)
    assert "column of b" in faults[11].seen
    assert faults[15].kind == table_faults.OTHER_MODEL


def voted(n=60, seed=2):
    rng = np.random.default_rng(seed)
    quality = rng.uniform(10, 98, n)
    votes = np.clip(quality + rng.normal(0, 4, n), 0, 100)
    return quality, votes, np.zeros(n, np.int64), np.arange(n) % 5


def vote_faults_of(quality, votes, experiment, title) -> list[Fault]:
    fit = table_faults.fit_votes(quality, votes, experiment, title)
    none = np.zeros(len(votes), bool)
    return [
        *table_faults.shortfall_faults(quality, votes, fit),
        *table_faults.swap_faults(votes, fit, experiment, title, none),
    ]


def test_votes_that_fit_are_not_accused_and_swapped_ones_are_paired():
    quality, votes, *rest = voted()
    assert vote_faults_of(quality, votes, *rest) == []
    low, high = int(np.argmin(quality)), int(np.argmax(quality))
    votes[[low, high]] = votes[[high, low]]
    faults = vote_faults_of(quality, votes, *rest)
    pairs = {(f.clip, f.other) for f in faults if f.kind == table_faults.SWAPPED}
    assert pairs == {(low, high), (high, low)}


def test_a_test_of_few_clips_shows_nothing_usual():
    quality, votes, experiment, title = (column[:10] for column in voted())
    assert vote_faults_of(quality, votes[::-1], experiment, title) == []


def panel(n_clips=24, n_subjects=12, seed=3):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(1, 5, n_clips)
    score = np.clip(np.rint(truth[:, None] + rng.normal(0, 0.6, (n_clips, n_subjects))), 1, 5)
    clip, subject = np.indices(score.shape).reshape(2, -1)
    return clip, subject, score, rng


def test_subjects_who_vote_upside_down_or_at_random_are_found():
    clip, subject, score, rng = panel()
    assert table_faults.subject_faults(clip, subject, score.ravel()) == []
    score[:, 4] = 6 - score[:, 4]
    score[:, 9] = rng.integers(1, 6, len(score))
    faults = table_faults.subject_faults(clip, subject, score.ravel())
    assert [(f.subject, f.seen.split(":")[0]) for f in faults] == [
        (4, "votes upside down"),
        (9, "votes at random"),
    ]


def test_votes_that_repeat_subject_by_subject_are_found_where_they_vary():
    clip, subject, score, _ = panel()
    score[5] = 1  # all subjects at the end of the scale, twice
    score[6] = 1
    score[8] = score[17] = [1, 2, 3, 4] * 3
    faults = table_faults.repeated_votes(clip, subject, score.ravel())
    assert {(f.clip, f.other) for f in faults} == {(8, 17), (17, 8)}
