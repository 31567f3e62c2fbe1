"""Shared fixtures: a cache of this session's own, the demo corpus, a small real encode."""

import contextlib
import fcntl
import gc
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

import hypothesis
import jax
import pytest

import tests.typechecker  # noqa: F401  # before vmaf_jax, which is checked by it
from tests.support import ROOT, programs_folder
from vmaf_jax.environment import available_cores, keep_compiled_programs, use_all_cores

for _signal in (signal.SIGINT, signal.SIGHUP):  # a run in the background ignores them, and so would
    if signal.getsignal(_signal) == signal.SIG_IGN:  # the programs that it starts
        signal.signal(_signal, signal.SIG_DFL)
os.chdir(ROOT)  # tests name files of the repository, from whichever folder they are run
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(programs_folder()))
# Where each operation was written is a fifth of tracing and lowering, and nothing here reads it.
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"  # of programs that are started
jax.config.update("jax_traceback_in_locations_limit", 0)
hypothesis.settings.register_profile("here", deadline=None)  # first calls compile
hypothesis.settings.load_profile("here")
# Looking through JAX's many objects took 8 % of the suite's time.
gc.set_threshold(200_000, 50, 100)
use_all_cores()  # before anything runs JAX: folds are tested spread over devices
keep_compiled_programs()  # between tests, and between runs

# What these claim does not hang on the last bits of a program, and most of the suite's time is LLVM
# optimising programs that run once. The others, and modules marked so, compile as users do:
# tests/extraction and tests/jobs/test_compare_backends.py hold features to libvmaf in that way.
COMPILED_QUICKLY = {
    "benchmarks", "commands", "docs", "export/test_pixels.py", "extraction/test_v1_bits.py",
    "features", "hostile", "jobs", "reporting", "scoring/test_quality_map.py", "serving",
    "teacher/test_gradient_compile.py", "test_torch.py", "test_torchmetrics.py", "web",
}  # fmt: skip


PARITY_IN_FULL = {"end_to_end/test_checkpoints.py", "end_to_end/test_rbf.py"}

# What takes longest starts first, or a core would be left with it at the end. pytest-xdist itself
# orders files by how many tests they hold, so `make test` turns that off.
LONG_FILES = (
    "web/test_page.py", "features/test_v1.py", "serving/test_tools.py", "world/test_pictures.py",
    "extraction/test_ray.py", "serving/test_ending.py", "jobs/test_encode.py",
    "features/test_frames.py", "extraction/test_jax.py", "commands/test_distributed.py",
    "end_to_end/test_commands.py", "runs/test_state.py", "extraction/test_v1_bits.py",
    "jobs/test_compare_backends.py", "world/test_clocks.py", "end_to_end/test_checkpoints.py",
    "export/test_pixels.py", "end_to_end/test_wheel.py", "teacher/test_gradient_compile.py",
)  # fmt: skip


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run tests that take minutes")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One more than cores: tests wait for servers, clusters and browsers meanwhile."""
    return available_cores() + 1


def pytest_collection_finish(session):
    """Exempts what modules hold from every later look for garbage; at the end there are many."""
    gc.freeze()


def pytest_collection_modifyitems(config, items):
    gpu = any(device.platform == "gpu" for device in jax.devices())
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))  # stable within a file
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --slow"))
        if "gpu" in item.keywords and not gpu:
            item.add_marker(pytest.mark.skip(reason="JAX sees no GPU here"))


def compile_quickly(quickly):
    """Whether programs, those of processes that are started included, are optimised little."""
    if jax.config.read("jax_disable_most_optimizations") != quickly:
        jax.clear_caches()
        jax.config.update("jax_disable_most_optimizations", quickly)
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(quickly))


@pytest.fixture(scope="module", autouse=True)
def compiling(request):
    """Programs of this module are compiled as it needs."""
    path = request.path.relative_to(ROOT / "tests")
    quickly = {path.parts[0], path.as_posix()}
    marked = request.node.get_closest_marker("optimised")
    compile_quickly(bool(quickly & COMPILED_QUICKLY) and not marked)


@pytest.fixture(scope="module", autouse=True)
def parity(request):
    """Trainings measure parity with few rows in small batches, but where parity is what is tested.

    Of a short training, 11,430 calls of ONNX Runtime were two thirds.
    """
    from vmaf_jax.export import parity

    path = request.path.relative_to(ROOT / "tests")
    with pytest.MonkeyPatch.context() as patch:
        if path.parts[0] != "export" and path.as_posix() not in PARITY_IN_FULL:
            patch.setattr(parity, "N_SMALL", 500)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder of this run of the suite, the same for all of its processes."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def cache(shared):
    folder = shared / "cache"
    folder.mkdir(exist_ok=True)
    os.environ["VMAF_JAX_CACHE"] = str(folder)
    keep_demo_clips(folder)
    return folder


def keep_demo_clips(folder):
    """Keeps the demo corpora's encodes for later runs; tests/corpora/test_demo.py makes some anew.

    They depend on the module that makes them and on packages; it adds ffmpeg's version itself.
    """
    from vmaf_jax.corpora import demo

    try:
        versions = [metadata.version(name) for name in ("pillow", "scikit-image", "scikit-video")]
    except metadata.PackageNotFoundError:
        return  # without the demo extra there is nothing to keep
    key = hashlib.sha256("\n".join([Path(demo.__file__).read_text(), *versions]).encode())
    kept = programs_folder().parent / "clips" / key.hexdigest()[:12]
    for corpus in ("demo", "demo_1080p"):
        (kept / corpus).mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process of this run was first
            (folder / corpus).symlink_to(kept / corpus, target_is_directory=True)


@pytest.fixture(scope="session")
def ffmpeg():
    from vmaf_jax.video.ffmpeg import find_ffmpeg

    return find_ffmpeg().path


@pytest.fixture(scope="session")
def golden():
    folder = Path(os.environ.get("VMAF_JAX_GOLDEN_DIR") or "../shared/golden")
    if not (folder / "expected.json").is_file():
        pytest.skip(f"no golden pairs at {folder}; point VMAF_JAX_GOLDEN_DIR at them")
    return folder, json.loads((folder / "expected.json").read_text())


@pytest.fixture(scope="session")
def demo_table(cache, shared):
    """Every frame of the demo corpus, encoded and measured once by this code and this ffmpeg."""
    from vmaf_jax.corpora import demo
    from vmaf_jax.extraction.extract import extract_clips

    with (shared / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        clips = demo.load_clips()
        kept = keep_measured(clips)
        (cache / "features").mkdir(exist_ok=True)
        for entry in kept.iterdir():
            shutil.copyfile(entry, cache / "features" / entry.name)
        return extract_clips(clips)


def keep_measured(clips):
    """Measures the clips unless an earlier run did, by the same modules; returns the entries."""
    from vmaf_jax.extraction.extract import extract_clips
    from vmaf_jax.video.ffmpeg import find_ffmpeg

    ffmpeg = find_ffmpeg()  # entries are of a program by its path, which each clone has its own of
    key = hashlib.sha256(f"{ffmpeg.path}\n{ffmpeg.version}".encode())
    for package in ("corpora", "extraction", "features", "tables", "teacher", "video"):
        for module in sorted((ROOT / "vmaf_jax" / package).glob("*.py")):
            key.update(module.read_bytes())
    kept = programs_folder().parent / "measured" / key.hexdigest()[:12]
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=kept.parent) as folder,
            pytest.MonkeyPatch.context() as m,
        ):
            m.setenv("VMAF_JAX_CACHE", folder)
            extract_clips(clips)
            with contextlib.suppress(OSError):  # another run of the suite was first
                (Path(folder) / "features").rename(kept)
    return kept


@pytest.fixture(scope="session")
def encodes(tmp_path_factory, ffmpeg):
    """A source of 12 frames at 352x288 as raw, Y4M and H.264 in several forms."""
    folder = tmp_path_factory.mktemp("encodes")

    def make(*arguments):
        subprocess.run([ffmpeg, "-v", "error", "-y", *map(str, arguments)], check=True, cwd=folder)

    source = "testsrc2=size=352x288:rate=24:duration=0.5,noise=alls=8:all_seed=1"
    make("-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "ref.y4m")
    (folder / "ref2.y4m").write_bytes((folder / "ref.y4m").read_bytes())
    make("-i", "ref.y4m", "-f", "rawvideo", "ref.yuv")
    make("-i", "ref.y4m", "-c:v", "libx264", "-crf", "35", "dis.mp4")
    make("-i", "dis.mp4", "-f", "rawvideo", "dis.yuv")
    make("-i", "ref.y4m", "-vf", "scale=176:144", "-c:v", "libx264", "-crf", "30", "small.mp4")
    make("-i", "ref.y4m", "-c:v", "libx264", "-crf", "35", "-pix_fmt", "yuv420p10le", "deep.mkv")
    make("-i", "ref.y4m", "-frames:v", "9", "-c:v", "libx264", "-crf", "35", "short.mp4")
    make("-f", "lavfi", "-i", "sine=duration=0.2", "audio.wav")
    return folder


@pytest.fixture(scope="session")
def support_vectors():
    from vmaf_jax.extraction.corpus import support_vector_table
    from vmaf_jax.teacher import load_teacher

    before = jax.config.read("jax_disable_most_optimizations")
    compile_quickly(False)  # its labels are held to the teacher's, bit for bit
    table = support_vector_table(load_teacher("vmaf_v0.6.1"))
    compile_quickly(before)
    return table
