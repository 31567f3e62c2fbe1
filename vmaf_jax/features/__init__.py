"""Names and order of the features, and VIF, ADM, motion, CAMBI and SpEED as JAX functions.

The functions agree with libvmaf's float extractors, not bit for bit with its integer ones. Names
are imported when they are first used, so that naming a feature does not load JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
