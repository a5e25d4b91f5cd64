"""python -m toolchain.cli"""

from toolchain.cli.main import main

main()
