"""Students: networks, heads, and the form in which they are deployed.

Names are imported when they are first used, so that a constant does not load flax.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
