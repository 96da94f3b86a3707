"""`python -m services.trainer`"""

from functools import partial

from services.trainer.main import main
from services.trainer.settings import TrainerSettings
from shared.runtime.life_cycle import run
from shared.runtime.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(TrainerSettings)
    run("trainer", settings, partial(main, settings))
