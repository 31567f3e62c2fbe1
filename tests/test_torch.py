"""The PyTorch bridge: scores and gradients are JAX's own."""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="no PyTorch here (pip install 'vmaf-jax[torch]')")

SAME = 2e-3  # VMAF points: programs with and without a gradient round differently (2e-4 measured)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :64]
    frames = np.stack([128 + 60 * np.sin((x + 3 * t) / 5) + 30 * np.cos(y / 7) for t in range(3)])
    reference = np.clip(frames + rng.normal(0, 4, frames.shape), 0, 255).astype(np.float32)
    distorted = np.clip(0.9 * reference + rng.normal(6, 6, frames.shape), 0, 255)
    return reference, distorted.astype(np.float32)


@pytest.mark.parametrize(
    "model", ["vmaf_v0.6.1", pytest.param("vmaf_v0.6.1neg", marks=pytest.mark.slow)]
)
def test_scores_and_gradients_are_those_of_jax(pair, model):
    import vmaf_jax.torch
    from vmaf_jax import vmaf

    tensors = [torch.tensor(array, requires_grad=True) for array in pair]
    scores = vmaf_jax.torch.vmaf(*tensors, model=model, clip=False)
    expected, pull = jax.vjp(lambda *arrays: vmaf(*arrays, model=model, clip=False), *pair)
    np.testing.assert_allclose(scores.detach().numpy(), np.asarray(expected), atol=SAME)
    weights = np.array([1.0, -0.5, 2.0], np.float32)
    (scores * torch.tensor(weights)).sum().backward()
    for tensor, gradient in zip(tensors, pull(weights), strict=True):
        largest = float(np.abs(gradient).max())
        assert largest > 1e-3
        np.testing.assert_allclose(tensor.grad.numpy(), gradient, atol=1e-4 * largest)

    # A step along the gradient raises the score by what the gradient says.
    gradient = np.asarray(pull(np.ones(3, np.float32))[1])
    step = 0.05 * gradient / np.abs(gradient).max()
    moved = vmaf_jax.torch.vmaf(
        tensors[0], (tensors[1].detach() + torch.tensor(step)).requires_grad_(), model=model,
        clip=False,
    )  # fmt: skip
    gain = float((moved.detach() - scores.detach()).sum())
    assert gain == pytest.approx(float((gradient * step).sum()), rel=0.2)


def test_other_types_and_layouts(pair):
    import vmaf_jax.torch
    from vmaf_jax import vmaf

    whole = [array.round() for array in pair]
    expected = np.asarray(vmaf(*whole))
    turned = [torch.tensor(a.swapaxes(1, 2).astype(np.float64)).transpose(1, 2) for a in whole]
    scores = vmaf_jax.torch.vmaf(*turned)
    assert not scores.requires_grad
    np.testing.assert_allclose(scores.numpy(), expected, atol=SAME)


def test_what_is_no_tensor_is_named(pair):
    import vmaf_jax.torch
    from vmaf_jax import InputError

    with pytest.raises(InputError, match="reference: expected a tensor, not ndarray"):
        vmaf_jax.torch.vmaf(pair[0], torch.tensor(pair[1]))
