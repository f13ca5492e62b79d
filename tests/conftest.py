"""What all tests share: examples that are the same everywhere, whatever else the machine does."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No example is too slow on a busy machine, and no run is luckier than another. New examples:
# HYPOTHESIS_PROFILE=default pytest.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")
