"""`python -m services.feature`"""

from functools import partial

from services.feature.main import main
from services.feature.settings import FeatureSettings
from shared.runtime.life_cycle import run
from shared.runtime.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(FeatureSettings)
    run("feature", settings, partial(main, settings))
