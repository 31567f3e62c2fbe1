"""Train, verify and deploy tiny VMAF-class video quality predictors in JAX.

Names are imported when they are first used, so that `import vmaf_jax` costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
