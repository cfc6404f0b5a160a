"""Property tests look at the same examples every time: what passed once says the same elsewhere.

``pytest -m hypothesis --hypothesis-profile=explore`` looks at others each time.
"""

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile("same")
