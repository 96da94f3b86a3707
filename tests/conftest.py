"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# A busy machine is no defect: examples have no deadline of their own, pytest's timeout ends what hangs.
settings.register_profile("freshet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("freshet")
