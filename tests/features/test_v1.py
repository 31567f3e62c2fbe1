"""VMAF v1's features in JAX against libvmaf's extractors on real files, and as functions."""

import itertools
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import vmaf_jax
from vmaf_jax.errors import InputError
from vmaf_jax.features import (
    V1_FEATURES,
    V1_SETS,
    AdmSettings,
    CambiSettings,
    MotionSettings,
    frame_adm3,
    frame_cambi,
    motion3,
    soft_cambi,
    v1_features,
)
from vmaf_jax.features.adm import CSF_TABLES
from vmaf_jax.features.cambi import pool_top, to_ten_bits
from vmaf_jax.features.maps import v1_maps
from vmaf_jax.features.speed import SpeedSettings, frame_speed
from vmaf_jax.features.v1 import Planes, settings_of

GRAIN = "testsrc2=size={s}:rate=24,noise=alls=12:all_seed=1:allf=t"
NATURAL = "mandelbrot=size={s}:rate=24"
BANDS = "gradients=size={s}:rate=24:x0=0:y0=0:x1=400:y1=300:c0=0x202020:c1=0x404550:nb_colors=2"
BITS = {"yuv420p": 8, "yuv444p": 8, "yuv420p10le": 10, "yuv420p12le": 12}


def make_pair(folder, ffmpeg, size, pix_fmt, source, harm, frames=1):
    """Raw files, and their planes as arrays."""
    raw = ["-f", "rawvideo", "-pix_fmt", pix_fmt, "-s", size]
    head = [ffmpeg, "-v", "error", "-y"]
    paths = folder / "reference.yuv", folder / "distorted.yuv"
    made = ["-f", "lavfi", "-i", source.format(s=size), "-frames:v", str(frames)]
    subprocess.run([*head, *made, *raw, str(paths[0])], check=True)
    subprocess.run([*head, *raw, "-i", str(paths[0]), "-vf", harm, *raw, str(paths[1])], check=True)
    width, height = map(int, size.split("x"))
    down = across = 1 if "444" in pix_fmt else 2
    chroma = -(-height // down), -(-width // across)
    planes = []
    for path in paths:
        samples = np.fromfile(path, np.uint8 if BITS[pix_fmt] == 8 else "<u2").reshape(frames, -1)
        cuts = [height * width, height * width + chroma[0] * chroma[1]]
        y, u, v = np.split(samples, cuts, axis=1)
        shapes = [(height, width), chroma, chroma]
        parts = zip((y, u, v), shapes, strict=True)
        planes.append(tuple(p.reshape(frames, *shape) for p, shape in parts))
    return (raw, paths), planes


def libvmaf(ffmpeg, folder, files, feature, frame=0):
    """What libvmaf logs of one feature with its options, by name."""
    raw, (reference, distorted) = files
    options = f"feature='name={feature}'" if ":" not in feature else feature
    graph = f"libvmaf=log_fmt=json:log_path=log.json:model='version=vmaf_v0.6.1':{options}"
    inputs = [*raw, "-i", str(distorted), *raw, "-i", str(reference)]
    line = [ffmpeg, "-v", "error", *inputs, "-lavfi", graph, "-f", "null", "-"]
    subprocess.run(line, check=True, cwd=folder)
    return json.loads((folder / "log.json").read_text())["frames"][frame]["metrics"]


def options(name, **values):
    return f"feature='name={name}" + "".join(rf"\:{k}={v}" for k, v in values.items()) + "'"


def eight_bits(plane, pix_fmt):
    return jnp.asarray(plane, jnp.float32) / 2 ** (BITS[pix_fmt] - 8)


@pytest.mark.parametrize(
    ("size", "pix_fmt", "source", "harm", "view"),
    [
        ("177x143", "yuv420p", GRAIN, "gblur=1.2", (3.0, 1080)),
        ("130x90", "yuv420p10le", GRAIN, "eq=contrast=1.3", (3.0, 2160)),
        ("64x19", "yuv420p", GRAIN, "null", (1.5, 2160)),
    ],
    ids=["odd", "10 bits", "low, identical"],
)
def test_adm3_is_float_adm_with_those_factors(tmp_path, ffmpeg, size, pix_fmt, source, harm, view):
    files, (reference, distorted) = make_pair(tmp_path, ffmpeg, size, pix_fmt, source, harm)
    settings = AdmSettings(*view)
    factors = {
        f"adm_f{row + 1}s{level}": value
        for row, weights in enumerate(settings.csf)
        for level, value in enumerate(weights)
    }
    fixed = {"adm_dlm_weight": 0.7, "adm_enhn_gain_limit": 1, "adm_noise_weight": 0.02}
    line = options("float_adm", **fixed, adm_min_val=0.5, **factors)
    log = libvmaf(ffmpeg, tmp_path, files, line)
    (truth,) = (v for k, v in log.items() if k.startswith("adm3"))
    x, y = eight_bits(reference[0][0], pix_fmt), eight_bits(distorted[0][0], pix_fmt)
    (ours,) = jax.jit(frame_adm3, static_argnums=2)(x, y, (settings,))
    assert abs(float(ours) - truth) <= 2e-6  # six decimals account for 5e-7


def test_adm3_has_libvmafs_own_csf_of_each_viewing_condition(tmp_path, ffmpeg):
    """libvmaf is told the distance and the display, and takes the weights from its own table."""
    harm = "gblur=0.7,noise=alls=9:all_seed=2"
    files, (reference, distorted) = make_pair(tmp_path, ffmpeg, "177x143", "yuv420p", GRAIN, harm)
    views = [(3.0, 1080), (5.0, 1080), (3.0, 2160)]  # those that VMAF v1 is made for
    x, y = (eight_bits(planes[0][0], "yuv420p") for planes in (reference, distorted))
    settings = tuple(AdmSettings(*view) for view in views)
    ours = jax.jit(frame_adm3, static_argnums=2)(x, y, settings)
    fixed = {"adm_dlm_weight": 0.7, "adm_enhn_gain_limit": 1, "adm_noise_weight": 0.02}
    fixed |= {"adm_min_val": 0.5, "adm_csf_mode": 2}
    for value, (distance, lines) in zip(ours, views, strict=True):
        seen = {"adm_norm_view_dist": distance, "adm_ref_display_height": lines}
        log = libvmaf(ffmpeg, tmp_path, files, options("adm", **fixed, **seen))
        (truth,) = (v for k, v in log.items() if k.startswith("integer_adm3_csf"))
        assert float(value) == pytest.approx(truth, abs=1.5e-5)  # its integers round by 7e-6


@pytest.mark.parametrize("level", range(4))
def test_every_weight_of_the_csf_is_libvmafs(level, tmp_path, ffmpeg):
    """A pattern of one level, straight and diagonal, loses half of its diagonal contrast.

    Its score hangs on the ratio of those two weights: half a percent of one moves it by 1e-4.
    """
    period = 3 * 2**level
    across = np.sin(2 * np.pi * np.arange(192) / period)[None]
    down = across.T
    planes = [
        np.round(128 + 40 * across + contrast * across * down).astype(np.uint8)
        for contrast in (40, 20)
    ]
    files = []
    for plane, name in zip(planes, ("r", "d"), strict=True):
        files.append(tmp_path / f"{name}.y4m")
        chroma = bytes([128]) * (plane.size // 2)
        head = b"YUV4MPEG2 W192 H192 F25:1 Ip C420jpeg\nFRAME\n"
        files[-1].write_bytes(head + plane.tobytes() + chroma)
    views = [(distance, lines) for distance in (3.0, 5.0) for lines in (1080, 2160)]
    x, y = (eight_bits(plane, "yuv420p") for plane in planes)
    settings = tuple(AdmSettings(*view) for view in views)
    ours = jax.jit(frame_adm3, static_argnums=2)(x, y, settings)
    fixed = {"adm_dlm_weight": 0.7, "adm_enhn_gain_limit": 1, "adm_noise_weight": 0.02}
    fixed |= {"adm_min_val": 0.5, "adm_csf_mode": 2}
    for value, (distance, lines) in zip(ours, views, strict=True):
        seen = {"adm_norm_view_dist": distance, "adm_ref_display_height": lines}
        log = libvmaf(ffmpeg, tmp_path, ([], files), options("adm", **fixed, **seen))
        (truth,) = (v for k, v in log.items() if k.startswith("integer_adm3_csf"))
        # Its integers round few equal coefficients alike: 2.1e-5 measured.
        assert float(value) == pytest.approx(truth, abs=3e-5)


def test_views_share_the_decoupling_and_are_those_of_one_at_a_time():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(0, 255, (60, 70)), jnp.float32)
    y = jnp.clip(x + jnp.asarray(rng.normal(0, 9, x.shape), jnp.float32), 0, 255)
    views = (AdmSettings(3.0, 1080), AdmSettings(5.0, 1080), AdmSettings(1.5, 2160))
    together = np.asarray(jax.jit(frame_adm3, static_argnums=2)(x, y, views))
    alone = np.asarray(jax.jit(frame_adm3, static_argnums=2)(x, y, views[1:2]))
    assert together[0] == together[2]  # as many pixels in a degree
    assert together[1] == pytest.approx(alone[0], abs=1e-6)
    assert together[1] != together[0]


def test_every_csf_table_falls_towards_fine_detail():
    for straight, diagonal in CSF_TABLES.values():
        assert all(d < s for s, d in zip(straight, diagonal, strict=True))
        assert straight[0] < straight[1] < straight[2]
    for distance in (3.0, 5.0):  # a level of 2160 lines has as many pixels in a degree
        pairs = zip(CSF_TABLES[distance, 2160], CSF_TABLES[distance, 1080], strict=True)
        assert all(fine[1:] == coarse[:3] for fine, coarse in pairs)
    with pytest.raises(KeyError):
        _ = AdmSettings(4.0, 1080).csf


@pytest.mark.parametrize(
    ("size", "pix_fmt", "source"),
    [
        ("576x324", "yuv420p", BANDS),
        ("353x217", "yuv420p10le", BANDS),
        ("1920x1080", "yuv420p", BANDS),
    ],
    ids=["bands", "odd, 10 bits", "halved first"],
)
def test_cambi_is_libvmafs(tmp_path, ffmpeg, size, pix_fmt, source):
    files, (_, distorted) = make_pair(tmp_path, ffmpeg, size, pix_fmt, source, "null")
    fixed = {"cambi_high_res_speedup": 1080, "cambi_vis_lum_threshold": 0.06}
    log = libvmaf(ffmpeg, tmp_path, files, options("cambi", **fixed, cambi_max_val=17))
    (truth,) = (v for k, v in log.items() if k.startswith("cambi"))
    assert truth > 0.01
    of_frame = jax.jit(frame_cambi, static_argnums=(1, 2))
    ours = float(of_frame(jnp.asarray(distorted[0][0]), BITS[pix_fmt], CambiSettings()))
    assert ours == pytest.approx(truth, abs=1e-5)


@pytest.mark.parametrize(
    ("size", "pix_fmt", "prescale", "harm"),
    [
        ("640x480", "yuv420p", 1.0, "gblur=3"),
        ("642x482", "yuv420p10le", 1.0, "noise=alls=20:all_seed=2"),
        ("480x360", "yuv444p", 0.6, "gblur=3"),
        ("576x324", "yuv420p", 0.5, "gblur=3"),
        ("640x480", "yuv420p", 1.0, "gblur=3,lutyuv=u=128"),
    ],
    ids=["8 bits", "10 bits", "4:4:4, scaled", "singular", "a flat plane"],
)
def test_speed_is_libvmafs(tmp_path, ffmpeg, size, pix_fmt, prescale, harm):
    files, planes = make_pair(tmp_path, ffmpeg, size, pix_fmt, NATURAL, harm)
    fixed: dict = {"speed_nn_floor": 0.1, "speed_sigma_nn": 0.19, "speed_weight_var_mode": 5}
    if prescale != 1:
        fixed |= {"speed_prescale": prescale, "speed_prescale_method": "bilinear"}
    log = libvmaf(ffmpeg, tmp_path, files, options("speed_chroma", **fixed, speed_max_val=45))
    (truth,) = (v for k, v in log.items() if k.startswith("speed_chroma_uv"))
    x, y = (jnp.stack([eight_bits(p[0], pix_fmt) for p in pair[1:]]) for pair in planes)
    ours = float(jax.jit(frame_speed, static_argnums=2)(x, y, SpeedSettings(prescale=prescale)))
    assert (ours == 0) == (truth == 0)
    assert ours == pytest.approx(truth, rel=1e-4, abs=2e-6)


@pytest.mark.parametrize(
    "encode",
    [None, pytest.param((320, 192, 10), marks=pytest.mark.slow)],
    ids=["own size", "scaled"],
)
def test_maps_are_libvmafs_by_place_and_in_the_mean(tmp_path, ffmpeg, encode):
    files, pair = make_pair(tmp_path, ffmpeg, "640x384", "yuv420p10le", NATURAL, "gblur=3")
    x, y = (Planes(*(jnp.asarray(plane[0]) for plane in planes)) for planes in pair)
    settings = settings_of(V1_SETS[0], encode)
    ours = v1_maps(x, y, 10, settings._replace(speed=SpeedSettings()))
    cambi, speed = (np.asarray(ours[name], np.float64) for name in ("cambi", "speed_chroma_uv"))

    fixed: dict = {"cambi_high_res_speedup": 1080, "cambi_vis_lum_threshold": 0.06}
    if encode is not None:
        fixed |= dict(zip(("enc_width", "enc_height", "enc_bitdepth"), encode, strict=True))
    # With all samples in place of the largest 60 %, libvmaf's value is a mean, as the map's is.
    fixed |= {"topk": 1, "cambi_max_val": 1000, "heatmaps_path": str(tmp_path)}
    log = libvmaf(ffmpeg, tmp_path, files, options("cambi", **fixed))
    (truth,) = (v for k, v in log.items() if k.startswith("cambi"))
    assert truth > 0.001
    assert cambi.mean() == pytest.approx(truth, abs=1e-6)  # it has six decimals
    width, height = (640, 384) if encode is None else encode[:2]
    by_place = np.zeros((height // 32, width // 32))
    for path in tmp_path.glob("cambi_heatmap_scale_*.gray"):
        scale = int(path.name.split("_")[3])
        heat = np.fromfile(path, "<u2").reshape(height >> scale, width >> scale).astype(float)
        tiles = heat.reshape(height // 32, 32 >> scale, width // 32, 32 >> scale).mean((1, 3))
        by_place += 2 ** (4 - scale) * tiles
    by_place = np.kron(by_place, np.ones((384 // height, 640 // width)))
    np.testing.assert_allclose(cambi / cambi.mean(), by_place / by_place.mean(), atol=0.01)

    fixed = {"speed_nn_floor": 0.1, "speed_sigma_nn": 0.19, "speed_weight_var_mode": 5}
    log = libvmaf(ffmpeg, tmp_path, files, options("speed_chroma", **fixed, speed_max_val=1000))
    (truth,) = (v for k, v in log.items() if k.startswith("speed_chroma_uv"))
    assert truth > 1
    assert speed.mean() == pytest.approx(truth, rel=1e-4)
    blocks = speed.reshape(2, 6, 4, 5)  # of 160 pixels of luma; the last ones stand for the rest
    np.testing.assert_array_equal(blocks, np.broadcast_to(blocks[:, :1, :, :1], blocks.shape))


def test_ten_bits_of_every_depth():
    rng = np.random.default_rng(0)
    eight = rng.integers(0, 256, (5, 7)).astype(np.uint8)
    wide = 4 * np.pad(eight.astype(int), ((0, 1), (0, 1)), mode="edge")
    mean = wide[:-1, :-1] + wide[1:, :-1] + wide[:-1, 1:] + wide[1:, 1:] >> 2
    np.testing.assert_array_equal(to_ten_bits(jnp.asarray(eight), 8), mean)
    np.testing.assert_array_equal(to_ten_bits(jnp.asarray(eight, jnp.float32) + 0.2, 8), mean)
    twelve = rng.integers(0, 4094, (5, 7)).astype(np.uint16)
    np.testing.assert_array_equal(to_ten_bits(jnp.asarray(twelve), 12), (twelve + 2) >> 2)


@pytest.mark.parametrize("size", [7, 250, 251])
def test_the_mean_of_the_largest_is_that_of_sorting(size):
    rng = np.random.default_rng(size)
    pictures = [
        np.round(np.maximum(rng.normal(middle, 2, (size, 3)), 0), 1).astype(np.float32)
        for middle in (1, 3, -1)
    ]
    truth = []
    for values in pictures:
        largest = np.sort(values.ravel())[::-1][: max(int(0.6 * values.size), 1)]
        truth.append(largest.mean(dtype=np.float64))
    np.testing.assert_allclose(pool_top(list(map(jnp.asarray, pictures))), truth, rtol=1e-6)


@pytest.mark.parametrize("feature_set", [V1_SETS[0], V1_SETS[4]], ids=["standard", "hfr"])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 9])
def test_motion3_is_the_plain_loop(frames, feature_set):
    rng = np.random.default_rng(frames)
    motion = rng.uniform(0, 25, frames)
    settings = settings_of(feature_set).motion
    ours = motion3(motion, settings)
    np.testing.assert_array_equal(ours, plain_motion3(motion, settings))
    np.testing.assert_allclose(motion3(jnp.asarray(motion), settings), ours, rtol=1e-6)


def plain_motion3(motion, settings):
    apart, values = settings.apart, [min(m, settings.most) for m in motion]
    if len(values) <= apart:
        return [0.0] * len(values)
    last, out = values[apart], []
    for k in range(len(values)):
        if k < apart:
            out.append(values[apart])
            continue
        own = values[k]
        if k + 1 < len(values):
            before = k - apart + 1
            own = min(values[before], values[k + 1]) if before >= apart else values[k + 1]
        out.append((own + last) / 2 if settings.average else own)
        last = own
    return out


def test_vmaf_takes_planes(golden):
    folder, expected = golden
    width, height = expected["width"], expected["height"]
    pair = []
    for key in ("reference", "distorted"):
        samples = np.fromfile(folder / expected["pairs"][0][key], "<u2").reshape(3, -1)
        y, u, v = np.split(samples, [width * height, width * height * 5 // 4], axis=1)
        chroma = (3, height // 2, width // 2)
        pair.append((y.reshape(3, height, width), u.reshape(chroma), v.reshape(chroma)))
    scores = vmaf_jax.vmaf(*pair, model="vmaf_v1.0.16_3d0h", bits=10)
    np.testing.assert_allclose(scores, [92.2073, 88.3391, 86.1944], atol=0.005)


def moving(frames=2, size=(240, 250), seed=0, kind=np.float64):
    """Smooth moving planes of 4:4:4 with grain, and what is left of them."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[: size[0], : size[1]]

    def plane(phase):
        wave = 60 * np.sin(down / 23 + phase) + 40 * np.cos(across / 31 - phase)
        return np.clip(120 + wave + rng.normal(0, 6, size), 0, 255)

    reference = [np.stack([plane(k + t) for t in range(frames)]) for k in range(3)]
    distorted = [np.clip(p + rng.normal(0, 4, p.shape), 0, 255) for p in reference]
    return tuple(tuple(p.astype(kind) for p in planes) for planes in (reference, distorted))


def test_gradients_are_right():
    """Of every feature but CAMBI, in every plane, against central differences in float64."""
    weights = np.array([0.0, 0.3, 7.0, 0.5])
    with jax.enable_x64(True):
        reference, distorted = jax.tree.map(jnp.asarray, moving())

        @jax.jit
        @jax.value_and_grad
        def total(pair):
            return (v1_features(*pair) @ weights).sum()

        pair = (reference, distorted)
        _, gradient = total(pair)
        rng = np.random.default_rng(3)
        step = 1e-5
        for side, plane in itertools.product((0, 1), range(3)):
            # Uphill everywhere, so that the slope is large beside the kinks that a step crosses.
            uphill = jnp.sign(gradient[side][plane])
            moved = uphill * jnp.asarray(rng.uniform(0.5, 1.5, uphill.shape))

            def shifted(by, side=side, plane=plane, moved=moved):
                planes = [list(video) for video in pair]
                planes[side][plane] = planes[side][plane] + by * moved
                return tuple(map(tuple, planes))

            slope = float(total(shifted(step))[0] - total(shifted(-step))[0]) / (2 * step)
            ours = float((gradient[side][plane] * moved).sum())
            assert ours == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("case", ["identical", "singular", "flat"])
def test_gradients_are_finite(case):
    reference, distorted = moving(kind=np.float32)
    if case == "identical":
        distorted = reference
    if case == "singular":
        distorted = (distorted[0], np.full_like(distorted[1], 128), distorted[2])
    if case == "flat":
        reference = distorted = tuple(np.full_like(p, 90) for p in reference)

    def total(planes):
        return vmaf_jax.vmaf(reference, planes, model="vmaf_v1.0.16_3d0h", clip=False).sum()

    value, gradient = jax.value_and_grad(total)(tuple(map(jnp.asarray, distorted)))
    assert np.isfinite(float(value))
    assert all(bool(jnp.isfinite(plane).all()) for plane in gradient)


THREE_AT_ONCE = """
import threading
import numpy as np
from vmaf_jax.features import v1_features

rng = np.random.default_rng(0)
sizes = (240, 320), (120, 160), (120, 160)
pair = [tuple(rng.integers(60, 190, (3, *size)).astype(np.uint8) for size in sizes) for _ in "xy"]
alone = np.asarray(v1_features(*pair))
equal = []

def work():
    for _ in range(3):
        equal.append(np.array_equal(np.asarray(v1_features(*pair)), alone))

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(equal))
"""


def test_threads_that_compute_at_once_do_not_wait_for_each_other():
    # In a process of its own, which can be ended.
    line = [sys.executable, "-c", THREE_AT_ONCE]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=600, check=True)
    assert ended.stdout == "9\n"


@pytest.mark.slow
def test_soft_cambi_gives_cambi_a_slope_and_leaves_its_value():
    rng = np.random.default_rng(0)
    across = np.linspace(60, 68, 250)[None].repeat(240, 0)
    banded = jnp.asarray(np.round(across) + 0 * rng.random(across.shape), jnp.float32)
    settings = CambiSettings()
    value = jax.jit(soft_cambi, static_argnums=(1, 2))
    start = float(frame_cambi(banded, 8, settings))
    assert start > 1
    gradient = jax.jit(jax.grad(soft_cambi), static_argnums=(1, 2))(banded, 8, settings)
    assert bool(jnp.isfinite(gradient).all())
    assert float(jnp.abs(gradient).max()) > 0
    picture = banded
    slope = jax.jit(jax.grad(soft_cambi), static_argnums=(1, 2))
    for _ in range(12):
        step = slope(picture, 8, settings)
        picture = picture - 0.5 * jnp.sign(step)
    assert float(value(picture, 8, settings)) < float(value(banded, 8, settings))
    assert float(frame_cambi(jnp.round(picture), 8, settings)) < start / 10  # the real one


@pytest.mark.slow
def test_soft_cambi_ranks_pictures_as_cambi_does():
    from vmaf_jax.corpora import demo
    from vmaf_jax.video.decode import DecodedPair, frame_at
    from vmaf_jax.video.ffmpeg import find_ffmpeg

    hard = jax.jit(frame_cambi, static_argnums=(1, 2))
    soft = jax.jit(soft_cambi, static_argnums=(1, 2))
    values = []
    for clip in demo.load_clips():
        luma = DecodedPair(find_ffmpeg(), clip.reference, clip.distorted)
        try:
            _, distorted = frame_at(luma, 0)
        finally:
            luma.close()
        picture = jnp.asarray(distorted)
        values.append([float(f(picture, 8, CambiSettings())) for f in (hard, soft)])
    assert len(values) == 72
    assert stats.spearmanr(*np.transpose(values)).statistic >= 0.95


@pytest.mark.parametrize(
    ("planes", "settings", "message"),
    [
        (np.zeros((1, 240, 240), np.uint8), {}, r"expected planes \(Y, U, V\), .* an array"),
        ([(1, 240, 240)] * 2, {}, "received 2 planes"),
        ([(1, 240, 240), (1, 120, 120), (1, 120, 60)], {}, "U and V of one size"),
        ([(1, 240, 240), (2, 120, 120), (2, 120, 120)], {}, "expected the same"),
        ([(1, 200, 200), (1, 100, 100), (1, 100, 100)], {}, "200x200 .* CAMBI needs 216"),
        ([(1, 100, 240), (1, 50, 120), (1, 50, 120)], {}, "SpEED needs 160 pixels each way"),
        ([(1, 240, 240)] * 3, {"cambi_gradient": "hard"}, "'hard': expected stopped or soft"),
        ([(1, 240, 240)] * 3, {"bits": 9}, "bits 9"),
    ],
)  # fmt: skip
def test_bad_planes_are_named(planes, settings, message):
    if isinstance(planes, list):
        planes = tuple(np.zeros(shape, np.uint8) for shape in planes)
    with pytest.raises(InputError, match=message):
        v1_features(planes, planes, **settings)
    if not settings:
        with pytest.raises(InputError, match=message):
            vmaf_jax.vmaf(planes, planes, model=V1_FEATURES.teacher)


def test_nan_gives_nan_where_it_is():
    reference, distorted = moving(kind=np.float32)
    distorted[1][1, 5, 5] = np.nan
    rows = np.asarray(v1_features(reference, distorted))
    assert np.isnan(rows[1]).all()
    assert np.isfinite(rows[0]).all()


def test_motion_settings_default_to_the_standard_models():
    assert settings_of(V1_FEATURES).motion == MotionSettings()
