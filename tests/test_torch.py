"""The PyTorch bridge: scores and gradients are JAX's own, and the loss is made of them."""

import inspect

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="no PyTorch here (pip install '.[torch]')")

from vmaf_jax import InputError  # noqa: E402
from vmaf_jax.jobs.vmaf import vmaf as vmaf_of_arrays  # noqa: E402
from vmaf_jax.torch import VmafLoss, vmaf  # noqa: E402

SAME = 5e-4  # VMAF points: programs with and without a gradient round differently
NEG = "vmaf_v0.6.1neg"
UNCHECKED = inspect.unwrap(vmaf)  # as users call it, past the type checker of these tests


def make_clip(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :64]
    frames = [128 + 60 * np.sin((x + 3 * t) / 5) + 30 * np.cos(y / (7 + seed)) for t in range(3)]
    reference = np.clip(np.stack(frames) + rng.normal(0, 4, (3, 48, 64)), 0, 255)
    distorted = np.clip(0.9 * reference + rng.normal(6, 6, reference.shape), 0, 255)
    return reference.astype(np.float32), distorted.astype(np.float32)


@pytest.fixture(scope="module")
def pair():
    return make_clip(0)


@pytest.fixture(scope="module")
def clips(pair):
    """References and distorted clips, `[2, 3, 1, 48, 64]`."""
    return tuple(
        torch.tensor(np.stack(two)[:, :, None]) for two in zip(pair, make_clip(1), strict=True)
    )


@pytest.mark.parametrize(
    ("model", "both"), [(NEG, False), pytest.param("vmaf_v0.6.1", True, marks=pytest.mark.slow)]
)
def test_scores_and_gradients_are_those_of_jax(pair, model, both):
    reference = torch.tensor(pair[0], requires_grad=both)
    distorted = torch.tensor(pair[1], requires_grad=True)
    scores = vmaf(reference, distorted, model=model, clip=False)

    def score(reference, distorted):
        return vmaf_of_arrays(reference, distorted, model=model, clip=False)

    expected, pull = jax.vjp(lambda y: score(pair[0], y), pair[1])
    np.testing.assert_allclose(scores.detach().numpy(), np.asarray(expected), atol=SAME)
    weights = np.array([1.0, -0.5, 2.0], np.float32)
    (scores * torch.tensor(weights)).sum().backward()
    truth = jax.vjp(score, *pair)[1](weights) if both else (None, *pull(weights))
    for tensor, gradient in zip((reference, distorted), truth, strict=True):
        if gradient is None:
            assert tensor.grad is None
            continue
        largest = float(np.abs(gradient).max())
        assert largest > 1e-3
        np.testing.assert_allclose(tensor.grad.numpy(), gradient, atol=1e-4 * largest)

    # A step along the gradient raises the score by what the gradient says.
    (gradient,) = pull(np.ones(3, np.float32))
    step = np.asarray(0.05 * gradient / np.abs(gradient).max())
    moved = score(pair[0], pair[1] + step)
    gain = float((moved - score(*pair)).sum())
    assert gain == pytest.approx(float((gradient * step).sum()), rel=0.2)


def test_other_types_and_layouts(pair):
    whole = [array.round() for array in pair]
    expected = np.asarray(vmaf_of_arrays(*whole))
    turned = [torch.tensor(a.swapaxes(1, 2).astype(np.float64)).transpose(1, 2) for a in whole]
    scores = vmaf(*turned)
    assert not scores.requires_grad
    np.testing.assert_allclose(scores.numpy(), expected, atol=SAME)


def test_a_clip_of_a_batch_is_measured_as_alone(clips):
    reference, distorted = clips
    expected = [
        100 - np.asarray(vmaf_of_arrays(x[:, 0].numpy(), y[:, 0].numpy(), model=NEG, clip=False))
        for x, y in zip(reference, distorted, strict=True)
    ]
    whole = distorted.clone().requires_grad_()
    loss = VmafLoss(reduction="none")(whole, reference)
    np.testing.assert_allclose(loss.detach().numpy(), expected, atol=SAME)
    loss.mean().backward()

    alone = distorted[1:].clone().requires_grad_()
    mean = VmafLoss()(alone, reference[1:])
    assert float(mean.detach()) == pytest.approx(float(np.mean(expected[1])), abs=SAME)
    mean.backward()
    torch.testing.assert_close(whole.grad[1], alone.grad[0] / 2)  # a half of the batch


def test_a_crop_is_the_same_part_of_both_clips(clips):
    reference, distorted = (
        torch.nn.functional.pad(c[:, :, 0], (9, 7, 5, 7))[:, :, None] for c in clips
    )
    loss = VmafLoss(crop=(48, 64), reduction="none").eval()
    middle = [c[..., 6:54, 8:72] for c in (distorted, reference)]
    with torch.no_grad():
        torch.testing.assert_close(loss(distorted, reference), VmafLoss(reduction="none")(*middle))

    loss.train()
    seen = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        moving = distorted.clone().requires_grad_()
        loss(moving, reference).sum().backward()
        seen.append(moving.grad)
        for clip in moving.grad:
            rows, columns = (clip.abs().sum(axes) != 0 for axes in ((0, 1, 3), (0, 1, 2)))
            inside = [torch.nonzero(line).flatten() for line in (rows, columns)]
            assert [int(k[-1] - k[0]) < size for k, size in zip(inside, (48, 64), strict=True)]
    torch.testing.assert_close(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x, y: UNCHECKED(x[0, :, 0].numpy(), y[0, :, 0]),
            "reference: expected a tensor, no",
        ),
        (lambda x, y: vmaf(x[0], y[0]), r"\[3, 1, 48, 64\]; expected luma of the same \[batch"),
        (lambda x, y: VmafLoss()(y[:1], x), r"shapes \[2, 3, 1, 48, 64\] and \[1, 3, 1, 48, 64\]"),
        (lambda x, y: VmafLoss()(y[:0], x[:0]), "hold no clip"),
        (lambda x, y: VmafLoss(crop=(48, 65))(y, x), "crop 65x48: expected a part of the pictures"),
        (lambda x, y: VmafLoss(crop=(8, 8))(y, x), "at least 17 pixels"),
        (lambda x, y: VmafLoss(reduction="sum")(y, x), "reduction 'sum': expected mean or none"),
        (lambda x, y: VmafLoss()(y / 255, x / 255), "look like a scale of 0-1"),
    ],
)
def test_bad_input_is_named(clips, call, message):
    with pytest.raises(InputError, match=message):
        call(*clips)
