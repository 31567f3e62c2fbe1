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
        writes: whether it leaves files below the output folder.
    """

    name: str
    title: str
    description: str
    request: type[requests.Request]
    result: type[results.Result]
    long: bool = False
    writes: bool = False


_TOOLS = (
    Tool(
        "vmaf_score",
        "Score a video",
        "Score a distorted video against its reference with VMAF or one of its students: the "
        "clip's score and its statistics; with per_frame, every frame's score and features. "
        "Encoded files and Y4M say their own size; raw .yuv needs width, height, pixfmt and "
        "bitdepth.",
        requests.Score,
        results.Scored,
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
        "What can measure features on this machine, and whether it is live; cpu (libvmaf) is the "
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
