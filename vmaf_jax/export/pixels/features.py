"""The six features of a frame as ONNX, from luma on the 8-bit scale."""

import numpy as np

from vmaf_jax.export.pixels.adm import adm
from vmaf_jax.export.pixels.graph import Graph, Value
from vmaf_jax.export.pixels.motion import motion
from vmaf_jax.export.pixels.vif import vif

OFFSET = 128.0  # of VIF and ADM; libvmaf's float extractors subtract it


def features(graph: Graph, pictures: list[Value], height: int, width: int, gain: float) -> Value:
    """`[N, 6]`: adm2, vif_scale0 to vif_scale3 and motion (not motion2).

    Args:
        pictures: reference, distorted and the reference's frame before, `[N, h, w]`, 0-255.
        gain: the largest contrast gain that VIF and ADM count.
    """
    size = height, width
    planes = np.array([-1, 1, height, width])
    reference, distorted, before = (graph.op("Reshape", p, planes) for p in pictures)
    both = graph.op("Concat", reference, distorted, axis=1) - OFFSET
    values = [
        adm(graph, both, size, gain),
        *vif(graph, both, size, gain),
        motion(graph, reference, before, size),
    ]
    columns = [graph.op("Reshape", value, np.array([-1, 1])) for value in values]
    return graph.op("Concat", *columns, axis=1)
