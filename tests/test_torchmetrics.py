"""VMAF as a metric of torchmetrics: the scores of libvmaf's float extractors, and its ways."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="no PyTorch here (pip install '.[torch]')")
torchmetrics = pytest.importorskip("torchmetrics", reason="pip install '.[torch]'")

from tests.support import bare_libvmaf  # noqa: E402
from tests.test_torch import SAME, make_clip  # noqa: E402
from vmaf_jax import InputError  # noqa: E402
from vmaf_jax.torch import vmaf  # noqa: E402
from vmaf_jax.torchmetrics import VmafMetric  # noqa: E402

RAW = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "64x48")


@pytest.fixture(scope="module")
def clips():
    """References and distorted clips of whole samples, `[2, 3, 1, 48, 64]`."""
    pairs = zip(make_clip(0), make_clip(1), strict=True)
    return tuple(torch.tensor(np.stack(two)[:, :, None].round()) for two in pairs)


def test_scores_are_those_of_libvmaf(clips, tmp_path, ffmpeg):
    metric = VmafMetric(reduction="none")
    metric.update(clips[1], clips[0])
    truth = []
    for pair in zip(*clips, strict=True):
        files = [tmp_path / "reference.yuv", tmp_path / "distorted.yuv"]
        for path, clip in zip(files, pair, strict=True):
            grey = bytes([128]) * (48 * 64 // 2)
            path.write_bytes(b"".join(bytes(f.byte().flatten().tolist()) + grey for f in clip))
        log = bare_libvmaf(ffmpeg, *files, "version=vmaf_float_v0.6.1", raw=RAW)
        truth.append(log["vmaf"])
    np.testing.assert_allclose(metric.compute().numpy(), truth, rtol=0, atol=1e-3)


def test_it_gathers_as_any_metric_does(clips):
    reference, distorted = clips
    scores = vmaf(reference, distorted)
    metrics = torchmetrics.MetricCollection(
        {"mean": VmafMetric(), "frames": VmafMetric(reduction="none")}
    )
    for k in (0, 1):
        metrics.update(preds=distorted[k : k + 1], target=reference[k : k + 1])
    found = metrics.compute()
    assert float(found["mean"]) == pytest.approx(float(scores.mean()), abs=SAME)
    torch.testing.assert_close(found["frames"], scores)

    parts = [VmafMetric(), VmafMetric()]
    for k, part in enumerate(parts):
        part.update(distorted[k : k + 1], reference[k : k + 1])
    parts[0].merge_state(parts[1])  # as processes are brought together
    torch.testing.assert_close(parts[0].compute(), found["mean"])
    parts[0].reset()
    parts[0].update(distorted[1:], reference[1:])
    torch.testing.assert_close(parts[0].compute(), parts[1].compute())


def test_a_collection_keeps_metrics_of_other_settings_apart(clips):
    """A first batch within the limits gives the same scores with and without them."""
    reference, distorted = clips
    metrics = torchmetrics.MetricCollection(
        {"limited": VmafMetric(), "bare": VmafMetric(clip=False), "again": VmafMetric()}
    )
    worse = 0.5 * distorted
    for batch in (distorted, worse):
        metrics.update(batch, reference)
    found = metrics.compute()
    bare = [vmaf(reference, batch, clip=False) for batch in (distorted, worse)]
    torch.testing.assert_close(bare[0], bare[0].clip(0, 100))
    assert not torch.equal(bare[1], bare[1].clip(0, 100))
    mean = torch.cat(bare).mean()
    assert float(found["bare"]) == pytest.approx(float(mean), abs=SAME)
    assert found["again"] == found["limited"] > found["bare"] + 0.1


def test_the_score_of_a_batch_has_a_gradient(clips):
    distorted = clips[1].clone().requires_grad_()
    VmafMetric(clip=False)(distorted, clips[0]).backward()
    assert all(clip.abs().max() > 0 for clip in distorted.grad)


def test_bad_input_is_named(clips):
    with pytest.raises(InputError, match="reduction 'sum': expected mean or none"):
        VmafMetric(reduction="sum")
    metric = VmafMetric(reduction="none")
    metric.update(clips[1], clips[0])
    with pytest.raises(InputError, match="clips of 2 frames after clips of 3"):
        metric.update(*(clip[:, :2] for clip in (clips[1], clips[0])))


def test_its_own_vmaf_takes_luma_in_full_range():
    """As docs/traps.md says: of pictures in RGB it is not VMAF of the file's luma."""
    vmaf_torch = pytest.importorskip("vmaf_torch", reason="pip install vmaf-torch einops yuvio")
    from torchmetrics.functional.video import video_multi_method_assessment_fusion as theirs

    luma = [torch.tensor(video) for video in make_clip(0)]
    # Grey samples of limited range, as players show them: 16 to 235 become 0 to 1.
    shown = [((video - 16) / 219).clip(0, 1) for video in luma]
    reference, distorted = (video.expand(1, 3, -1, -1, -1) for video in shown)
    of_pictures = theirs(distorted, reference)[0].numpy()

    def score(videos):
        return vmaf_torch.VMAF()(*(video[:, None] for video in videos))[:, 0].detach().numpy()

    stretched = score([255 * video for video in shown])
    np.testing.assert_allclose(of_pictures, stretched, rtol=0, atol=1e-3)
    assert np.abs(of_pictures - score(luma)).min() > 0.3
