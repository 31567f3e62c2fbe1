"""The embedded corpus: support vectors of a VMAF model file, which are clips it was trained on.

They are clip means of scaled features. Unscaled, clips of one source share their `motion2`, a
property of the reference alone, by which sources are told apart: 23 of 7 to 10 clips in
`vmaf_v0.6.1`. Labels are the teacher's own unrounded scores; no video is needed.
"""

import hashlib
import json

import numpy as np

from vmaf_jax.tables.table import FeatureTable, constant_text
from vmaf_jax.teacher import Teacher

# Values of one source agree to the eight digits of the file; sources differ by 0.02 or more.
_SAME_REFERENCE = 1e-3


def support_vector_table(teacher: Teacher) -> FeatureTable:
    """Returns the clips in a teacher's support vectors, pooled, labelled by itself (clipped).

    Rows keep the file's order. Sources are named `motion_<value>`, in order of motion.
    """
    model = teacher.model
    svr = teacher.params()
    features = (svr.support_vectors - svr.intercept) / svr.slope
    n = len(features)
    motion = features[:, teacher.feature_set.names.index(teacher.feature_set.reference_only[0])]
    rank = np.argsort(motion, kind="stable")
    new_source = np.diff(motion[rank], prepend=-np.inf) > _SAME_REFERENCE
    group = np.empty(n, dtype=np.int64)
    group[rank] = np.cumsum(new_source) - 1
    names = [f"motion_{motion[rank][start]:07.4f}" for start in np.flatnonzero(new_source)]
    digest = hashlib.sha256(json.dumps(model.document, sort_keys=True).encode()).hexdigest()
    return FeatureTable(
        feature_set=teacher.feature_set,
        corpus=constant_text("support_vectors", n),
        source=np.array([names[g] for g in group], dtype=object),
        clip=np.array([f"sv_{k:03d}" for k in range(n)], dtype=object),
        index=np.ones(n, dtype=np.int32),
        features=features,
        labels={teacher.name: teacher(features)},
        pooled=True,
        provenance={
            "backend": "model file",
            "backend_version": model.name,
            "inputs": {f"{model.name}.json": digest},
        },
    )
