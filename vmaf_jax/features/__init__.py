"""The features: names and order, their table, and VIF, ADM and motion as JAX functions of luma.

The functions agree with libvmaf's float extractors, not bit for bit with its integer ones. Names
are imported when they are first used, so that reading a table does not load JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
