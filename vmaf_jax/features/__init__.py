"""Names and order of the features, and VIF, ADM, motion, CAMBI and SpEED as JAX functions.

The functions agree with libvmaf's float extractors, not bit for bit with its integer ones. Names
are imported when they are first used, so that naming a feature does not load JAX.
"""

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Imports a public name; InputError names the extra `train` where JAX is missing."""
    from vmaf_jax.errors import name_missing_extra

    with name_missing_extra():
        return _load(name)
