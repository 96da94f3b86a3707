"""`python -m services.ranking`"""

from functools import partial

from services.ranking.main import main
from services.ranking.settings import RankingSettings
from shared.runtime.life_cycle import run
from shared.runtime.memory import keep_in_one_place
from shared.runtime.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(RankingSettings)
    run("ranking", settings, partial(main, settings), freed=keep_in_one_place)
