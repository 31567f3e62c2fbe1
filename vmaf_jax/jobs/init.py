"""The job `init`: a folder to start from, with a configuration and a list of clips to fill in."""

from pathlib import Path

from vmaf_jax.errors import InputError, check_choice
from vmaf_jax.files import data_folder, write_together

CONFIG, CLIPS = "train.yaml", "clips.csv"
# What the list of clips of each kind of start holds: columns, and a line as an example.
CLIP_LISTS = {
    "vmaf": "reference,distorted,source\nref/park.y4m,enc/park_300k.mp4,park\n",
    "opinions": "reference,distorted,source,mos\nref/park.y4m,enc/park_300k.mp4,park,2.4\n",
}


def init(folder: Path, labels: str = "vmaf") -> list[Path]:
    """Writes a commented configuration and a list of clips, in which one line is an example.

    Args:
        folder: Created where it is missing.
        labels: What a model is to learn, `vmaf` or `opinions`: a key of `CLIP_LISTS`.

    Returns:
        The files written.

    Raises:
        InputError: Unknown labels, or one of the files is there; none is written then.
    """
    check_choice(f"--for {labels}", labels, CLIP_LISTS)
    template = data_folder("configs") / "start" / f"{labels}.yaml"
    contents = {
        folder / CONFIG: template.read_text(encoding="utf-8"),
        folder / CLIPS: CLIP_LISTS[labels],
    }
    for path in contents:
        if path.exists() or path.is_symlink():
            raise InputError(f"{path}: is there already; name another folder, or remove it.")
    write_together({path: content.encode() for path, content in contents.items()})
    return list(contents)
