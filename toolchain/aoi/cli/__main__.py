"""python -m aoi.cli"""

from aoi.cli.main import main

main()
