"""The tools as a client sees them: names, descriptions, schemas, run times."""

import dataclasses

from vmaf_jax.serving import requests, results


@dataclasses.dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        name, title, description: for the client and its user.
        request, result: the kinds of its arguments and of its answer.
        long: whether it may run for as long as a training.
        ends_worker: whether its worker is not used again: trainings and benchmarks leave more
            behind than scores do.
        writes: whether it leaves files below the output folder.
    """

    name: str
    title: str
    description: str
    request: type[requests.Request]
    result: type[results.Result]
    long: bool = False
    ends_worker: bool = False
    writes: bool = False


_TOOLS = (
    Tool(
        "vmaf_score",
        "Score a video",
        "Score a distorted video against its reference with VMAF or one of its students: the "
        "clip's score and its statistics; with per_frame, every frame's score and features. "
        "Encoded files and Y4M say their own size; raw .yuv needs width, height and pix_fmt.",
        requests.Score,
        results.Scored,
    ),
    Tool(
        "rank",
        "Rank videos",
        "Score several distorted videos, or folders of them, against their reference, and rank "
        "them: scores, statistics, sizes and bit rates; those that cannot be scored with the "
        "reason. Takes as long as measuring them all.",
        requests.Rank,
        results.Ranked,
        long=True,
        writes=True,
    ),
    Tool(
        "extract",
        "Extract features",
        "Measure a list of videos, or a known corpus, into a feature table below the output "
        "folder, with the scores of VMAF models and opinions as labels. Takes minutes to hours; "
        "what was measured is kept, so a call that ran out of time is repeated.",
        requests.Extract,
        results.Tabled,
        long=True,
        writes=True,
    ),
    Tool(
        "import",
        "Import features",
        "Make a feature table below the output folder of logs of libvmaf or of features that are "
        "measured already, with opinion scores or raw votes.",
        requests.Import,
        results.Tabled,
        long=True,
        writes=True,
    ),
    Tool(
        "ladder",
        "Compare codecs",
        "Compare codecs by rate and quality, from a table of scored encodes: BD-rate with its "
        "intervals, and each content's convex hull.",
        requests.Ladder,
        results.Laddered,
        writes=True,
    ),
    Tool(
        "list_models",
        "List models",
        "The models that go by a name: shipped students with their held-out error, and VMAF's own.",
        requests.Nothing,
        results.Models,
    ),
    Tool(
        "list_backends",
        "List backends",
        "What can measure features on this machine, and whether it is live; libvmaf is the "
        "reference.",
        requests.Nothing,
        results.Backends,
    ),
    Tool(
        "eval_model_on_split",
        "Evaluate a model",
        "PLCC, SROCC and RMSE of one model on a split of a feature table.",
        requests.Evaluate,
        results.Evaluated,
    ),
    Tool(
        "compare_models",
        "Compare models",
        "PLCC, SROCC and RMSE of several models on the same split of a feature table, ranked by "
        "RMSE.",
        requests.Compare,
        results.Compared,
    ),
    Tool(
        "describe_worst_frames",
        "Describe the worst frames",
        "The lowest-scoring frames of a pair: their numbers, scores and features, and a picture "
        "of each (reference, distorted, difference).",
        requests.WorstFrames,
        results.Described,
    ),
    Tool(
        "run_benchmark",
        "Run a benchmark",
        "Time a part of the library side by side with what it replaces. Takes minutes.",
        requests.Benchmark,
        results.Benchmarked,
        long=True,
        ends_worker=True,
    ),
    Tool(
        "train_model",
        "Train a model",
        "Train a student on a feature table or an embedded corpus, cross-validate it over whole "
        "sources, export it and prove the export, in a run folder below the output folder. Takes a "
        "minute or more.",
        requests.Train,
        results.Trained,
        long=True,
        ends_worker=True,
        writes=True,
    ),
    Tool(
        "export_model",
        "Export a model",
        "Write a trained student as ONNX (with 8 bits too) or libvmaf JSON below the output "
        "folder, verified against JAX.",
        requests.Export,
        results.Exported,
        writes=True,
    ),
)
TOOLS = {tool.name: tool for tool in _TOOLS}
