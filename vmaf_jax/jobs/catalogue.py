"""What there is to choose from: models that come with the package, and backends that run here."""

import dataclasses
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.features.opinions import LabelScale
from vmaf_jax.features.scale import OUTPUT_RANGE
from vmaf_jax.jobs.model import checkpoints, feature_set_of
from vmaf_jax.teacher import known_teachers


@dataclasses.dataclass(frozen=True)
class ListedModel:
    """A model that goes by its name.

    Attributes:
        name: what `load_model` takes.
        kind: `student` (shipped here) or `vmaf` (VMAF's own).
        feature_set: what it is called with.
        label: the label column it learnt; of VMAF's own, its name.
        n_params: numbers that were learnt; None for VMAF's own.
        rmse: held-out, VMAF points against `label`, from its own record; None for VMAF's own.
        label_scale: the worst and the best vote, of opinion scores.
        card: its description for people; None where it has none.
    """

    name: str
    kind: str
    feature_set: str
    label: str
    n_params: int | None = None
    rmse: float | None = None
    label_scale: LabelScale = OUTPUT_RANGE
    card: Path | None = None

    @property
    def unit(self) -> str:
        """What `rmse_in_unit` is in."""
        if self.label != "mos":
            return "VMAF points"
        low, high = self.label_scale
        return f"votes on {low:g}-{high:g}"

    @property
    def rmse_in_unit(self) -> float | None:
        """`rmse` on the scale that the label was given on."""
        low, high = self.label_scale
        return None if self.rmse is None else self.rmse * (high - low) / 100


@dataclasses.dataclass(frozen=True)
class ListedBackend:
    """Something that measures features.

    Attributes:
        name: as `score` takes it: `libvmaf` (on the processor) or `jax` (on JAX's first device).
        live: whether it runs here, now.
        detail: what it is, or why it does not run.
    """

    name: str
    live: bool
    detail: str


def list_models() -> list[ListedModel]:
    """The shipped students, then VMAF's own models that the features here serve."""
    from vmaf_jax.export.sidecar_file import label_scale, read_sidecar

    models = []
    for path in sorted(checkpoints().glob("*/model.json")):
        sidecar = read_sidecar(path)
        card = path.with_name("card.md")
        models.append(
            ListedModel(
                name=path.parent.name,
                kind="student",
                feature_set=sidecar["feature_set"],
                label=sidecar["label"]["name"],
                n_params=sidecar["n_params"],
                rmse=sidecar["training"]["metrics"]["loso"]["rmse"],
                label_scale=label_scale(sidecar, path),
                card=card if card.is_file() else None,
            )
        )
    for name in sorted(known_teachers()):
        try:
            models.append(ListedModel(name, "vmaf", feature_set_of(name).name, name))
        except InputError:
            continue  # over features that are not measured here
    return models


def list_backends() -> list[ListedBackend]:
    """What measures features on this machine."""
    import jax

    from vmaf_jax.video.ffmpeg import find_ffmpeg

    try:
        ffmpeg = find_ffmpeg()
        libvmaf = ListedBackend("libvmaf", True, f"libvmaf in ffmpeg {ffmpeg.version}")
    except InputError as error:
        libvmaf = ListedBackend("libvmaf", False, str(error))
    device = jax.devices()[0]
    mend = "" if device.platform != "cpu" else "; for a GPU install 'vmaf-jax[cuda]'"
    detail = f"features in JAX {jax.__version__} on {device.platform} ({device.device_kind}){mend}"
    # Both decode with ffmpeg.
    return [libvmaf, ListedBackend("jax", libvmaf.live, detail)]
