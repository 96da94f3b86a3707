"""`python -m services.ingestion`"""

from functools import partial

from services.ingestion.main import main
from services.ingestion.settings import IngestionSettings
from shared.runtime.life_cycle import run
from shared.runtime.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(IngestionSettings)
    run("ingestion", settings, partial(main, settings))
