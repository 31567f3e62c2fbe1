"""Metrics, cross-validation summaries, intervals, agreement of backends, behaviour, opinions.

Names are imported when they are first used, so that an interval does not load statistics.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
