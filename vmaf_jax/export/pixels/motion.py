"""Motion as ONNX; the equation is that of `vmaf_jax.features.motion`."""

from vmaf_jax.export.pixels.filters import correlate, mirror
from vmaf_jax.export.pixels.graph import Graph, Value
from vmaf_jax.features.motion import BLUR


def motion(graph: Graph, reference: Value, before: Value, size: tuple[int, int]) -> Value:
    """How far frames `[N, 1, h, w]` are from those before them, `[N]`, 8-bit luma steps."""
    reach = len(BLUR) - 1
    framed = mirror(graph, reference - before, reach // 2)
    blurred, where = correlate(graph, framed, BLUR, (size[0] + reach, size[1] + reach))
    return where.total(graph, graph.op("Abs", blurred)) * (1 / (size[0] * size[1]))
