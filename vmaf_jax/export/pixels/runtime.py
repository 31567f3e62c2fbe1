"""A pixels model as it runs in ONNX Runtime, on any of its execution providers.

On a CPU each core computes a frame of its own: the graph's operators are so short that cores which
share each of them mostly wait for one another.
"""

import concurrent.futures
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.environment import available_cores
from vmaf_jax.errors import InputError
from vmaf_jax.export.contract import INPUT_NAME, OUTPUT_NAME
from vmaf_jax.export.onnx_runtime import CPU, Feed, check_scores, open_session, run_session
from vmaf_jax.export.pixels.model_file import HEAD_ROWS, PICTURES, PixelsFile, head_model

Pictures = npt.NDArray[np.number]  # luma `[n, h, w]`, 0-255, integers or floats
_SUFFIX = "ExecutionProvider"


def providers() -> list[str]:
    """Lists the execution providers of the installed ONNX Runtime, by their short names."""
    import onnxruntime

    return [name.removesuffix(_SUFFIX) for name in onnxruntime.get_available_providers()]


def check_provider(name: str) -> str:
    """Returns ONNX Runtime's full name of a provider, given as `CPU` or `CPUExecutionProvider`.

    Raises:
        InputError: the ONNX Runtime that is installed has no such provider.
    """
    short = name.removesuffix(_SUFFIX)
    available = {provider.lower(): provider for provider in providers()}
    if short.lower() not in available:
        raise InputError(
            f"--provider {name}: this ONNX Runtime has {', '.join(available.values())}; choose "
            f"one, or install the package that brings it."
        )
    return available[short.lower()] + _SUFFIX


class PixelsModel:
    """A pixels model, called with pictures; and its head, called with features."""

    def __init__(
        self, file: PixelsFile, path: Path, *, provider: str = "CPU", workers: int | None = None
    ) -> None:
        """Starts ONNX Runtime on a model that was read; `path` is for messages alone.

        Args:
            provider: as `check_provider` takes it.
            workers: frames computed at a time on a CPU, by default one a core.

        Raises:
            InputError: there is no such provider, or it cannot run the model.
        """
        self.file, self.path = file, path
        self.frame, self.feature_set = file.frame, file.feature_set
        self.provider = check_provider(provider)
        self.workers = (workers or available_cores()) if self.provider == CPU else 1
        # One thread a session on a CPU, where frames run side by side; 0 leaves it to the provider.
        self._session = open_session(
            file.model.SerializeToString(),
            path,
            threads=1 if self.provider == CPU else 0,
            providers=(self.provider,) if self.provider == CPU else (self.provider, CPU),
        )
        if self._session.get_providers()[0] != self.provider:
            raise InputError(
                f"--provider {provider}: ONNX Runtime has it and cannot start it here; install its "
                f"drivers, or choose CPU."
            )
        self._head = open_session(head_model(file.model).SerializeToString(), path, threads=1)

    def features(
        self, reference: Pictures, distorted: Pictures, previous: Pictures
    ) -> npt.NDArray[np.float32]:
        """Returns features `[n, 6]`, the last of them motion, of luma `[n, h, w]`, 0-255.

        Raises:
            InputError: pictures of another size, or ONNX Runtime fails.
        """
        frame = self.frame
        pictures = dict(zip(PICTURES, (reference, distorted, previous), strict=True))
        for name, picture in pictures.items():
            if picture.ndim != 3 or picture.shape[1:] != (frame.height, frame.width):
                raise InputError(
                    f"{self.path}: takes {frame.width}x{frame.height}, {name} has shape "
                    f"{picture.shape}; export it with --size for these pictures."
                )
        return self.features_of(
            {name: np.ascontiguousarray(p, frame.samples) for name, p in pictures.items()}
        )

    def features_of(self, feed: Feed) -> npt.NDArray[np.float32]:
        """Returns features `[n, 6]` of the graph's inputs, in its own type of samples.

        Raises:
            InputError: ONNX Runtime fails, or a feature is none that pictures can have.
        """
        n = len(feed[PICTURES[0]])
        if self.workers == 1 or n == 1:
            return self._run_features(feed)

        def run_frame(k: int) -> npt.NDArray[np.float32]:
            single = {name: pictures[k : k + 1] for name, pictures in feed.items()}
            return self._run_features(single)

        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            return np.concatenate(list(pool.map(run_frame, range(n))))

    def score(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Returns the head's scores `[n]` of features `[n, 6]` with motion2, VMAF points.

        Raises:
            InputError: ONNX Runtime fails, or the scores are not one a frame, all in 0-100.
        """
        rows = np.ascontiguousarray(features, np.float32)
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), HEAD_ROWS):
            part = rows[start : start + HEAD_ROWS]
            (received,) = run_session(self._head, [OUTPUT_NAME], {INPUT_NAME: part}, self.path)
            scores[start : start + HEAD_ROWS] = check_scores(received, part, self.path)
        return scores

    def _run_features(self, feed: Feed) -> npt.NDArray[np.float32]:
        """Returns features `[n, d]` of the graph, once each is one that pictures can have."""
        n = len(feed[PICTURES[0]])
        (features,) = run_session(self._session, [INPUT_NAME], feed, self.path)
        possible = self.feature_set.possible
        if features.shape != (n, len(possible)):
            raise InputError(
                f"{self.path}: gives features of shape {features.shape} for {n} frames, expected "
                f"{(n, len(possible))}; export it again with `--format pixels`."
            )
        for column, (name, (low, high)) in zip(features.T, possible.items(), strict=True):
            outside = ~((column >= low) & (column <= high))  # NaN too
            if outside.any():
                raise InputError(
                    f"{self.path}: gives {name} as {column[outside][0]:g}, which is not in "
                    f"[{low:g}, {high:g}]; export it again with `--format pixels`."
                )
        return features
