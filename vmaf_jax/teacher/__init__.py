"""Teachers: VMAF's own models as JAX functions.

Names are imported when they are first used, so that checking a model file does not load JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
