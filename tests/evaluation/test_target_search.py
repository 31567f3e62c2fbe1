import numpy as np
import pytest

from vmaf_jax.evaluation.target_search import Observation, forecast, next_encode, next_probe
from vmaf_jax.video.encoders import SettingRange

SETTINGS = SettingRange(best=1.0, worst=51.0, step=0.25, typical=24.0, slope=-0.17, drift=0.3)
Z = 1.645


def logistic(middle, slope=-0.17):
    """A curve of score over setting that is 93 at `middle`."""
    return lambda q: float(101 - 102 / (1 + np.exp(np.log(94 / 8) + slope * (q - middle))))


def find(curve, target, probes=(), tolerance=0.25):
    """Encodes whole files until the search ends."""
    whole: list[Observation] = []
    while (setting := next_encode(SETTINGS, probes, whole, target, Z, tolerance)) is not None:
        assert setting not in [file.setting for file in whole]
        score = curve(setting)
        whole.append(Observation(setting, score, holds=score >= target))
    return whole


@pytest.mark.parametrize("middle", [9, 20, 26, 38])
@pytest.mark.parametrize("slope", [-0.1, -0.17, -0.26])
@pytest.mark.parametrize("target", [70.0, 90.0, 97.0])
def test_whole_files_lead_to_the_weakest_setting_that_holds(middle, slope, target):
    curve = logistic(middle, slope)
    whole = find(curve, target)
    best = max(file.setting for file in whole if file.holds)
    is_close = curve(best) - target <= 0.25
    assert is_close or best == 51 or curve(best + SETTINGS.step) < target
    assert len(whole) <= 8  # as many as bisection of 201 settings takes


def test_a_target_that_no_setting_reaches_ends_at_the_best_setting():
    whole = find(lambda q: 60.0 - q, 70.0)
    assert not any(file.holds for file in whole)
    assert min(file.setting for file in whole) <= 3  # and from there none is expected to hold


def test_probes_are_taken_where_the_decision_is_made():
    curve = logistic(31)
    probes: list[Observation] = []
    while (setting := next_probe(SETTINGS, probes, [], 90.0, Z, 1.0)) is not None:
        probes.append(Observation(setting, curve(setting), error=0.2))
    assert len(probes) <= 4
    chosen = forecast(SETTINGS, probes, []).weakest(90.0, Z, 0.5)
    assert chosen is not None
    assert min(abs(probe.setting - chosen) for probe in probes) <= 1
    assert 90 <= curve(chosen) <= 92


def test_a_whole_file_of_an_earlier_search_spares_a_probe():
    curve = logistic(28)
    # Small pictures tell of 93, give or take what they are carried over.
    probes = [Observation(31.0, curve(31), 0.4), Observation(26.0, curve(26), 0.4, carried=0.8)]
    assert next_probe(SETTINGS, probes, [], 93.0, Z, 1.5) is not None
    earlier = [Observation(29.0, curve(29), holds=True)]
    assert next_probe(SETTINGS, probes, earlier, 93.0, Z, 1.5) is None


@pytest.mark.parametrize("shift", [-1.5, -0.5, 0.5, 1.5])
def test_a_whole_file_corrects_what_segments_said(shift):
    curve = logistic(28)
    probes = [Observation(q, curve(q), error=0.2) for q in (24.0, 28.0, 32.0)]
    whole = find(lambda q: curve(q) + shift, 93.0, probes, tolerance=1.0)
    held = max(file.setting for file in whole if file.holds)
    assert 0 <= curve(held) + shift - 93 <= 1.0
    assert len(whole) <= 2


@pytest.mark.parametrize("target", [90.0, 95.0])
def test_a_whole_file_far_below_its_segments_does_not_end_the_search(target):
    """The segments of one clip scored 95 where its whole file would have 83."""
    scale = SettingRange(best=1.0, worst=63.0, step=1.0, typical=32.0, slope=-0.08, drift=0.5)
    curve = logistic(40, -0.07)
    probes = [Observation(36.0, 98.24, 0.95), Observation(53.0, 95.29, 2.66)]
    whole: list[Observation] = []
    while (setting := next_encode(scale, probes, whole, target, Z, 1.5)) is not None:
        whole.append(Observation(setting, curve(setting), holds=curve(setting) >= target))
    best = max((file.setting for file in whole if file.holds), default=None)
    assert best is not None
    assert curve(best) - target <= 1.5
    assert len(whole) <= 4


def test_a_forecast_is_least_sure_far_from_what_is_known():
    view = forecast(SETTINGS, [Observation(24.0, 93.0)], [])
    assert (np.diff(view.mean) <= 0).all()
    places = np.searchsorted(view.setting, [24.0, 28.0, 34.0])
    assert (np.diff(view.curve_error[places]) > 0).all()
    after = forecast(SETTINGS, [Observation(24.0, 93.0)], [Observation(24.0, 92.0)])
    assert after.mean[places[0]] == pytest.approx(92)
    assert after.error[places[0]] < view.error[places[0]]


def test_scores_that_rise_with_the_setting_are_pooled():
    probes = [Observation(20.0, 90.0), Observation(22.0, 90.4), Observation(30.0, 70.0)]
    view = forecast(SETTINGS, probes, [])
    assert (np.diff(view.mean) <= 1e-9).all()
    assert view.mean[view.setting == 21][0] == pytest.approx(90.2, abs=0.01)


def test_a_file_too_good_is_followed_by_a_setting_that_holds_without_a_margin():
    """A step of AV1 is two points at 80: the next setting is expected to hold just so."""
    scale = SettingRange(best=1.0, worst=63.0, step=1.0, typical=32.0, slope=-0.08, drift=0.5)
    probes = [Observation(40.0, 84.0, 1.0), Observation(44.0, 77.5, 1.0)]
    whole = [Observation(42.0, 82.2, 0.3, holds=True), Observation(44.0, 78.4, 0.3)]
    setting = next_encode(scale, probes, whole, 80.0, Z, 1.5)
    assert setting == 43
    whole.append(Observation(43.0, 79.9, 0.3))
    assert next_encode(scale, probes, whole, 80.0, Z, 1.5) is None
