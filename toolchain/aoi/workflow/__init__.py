"""The pipeline as functions, one for each step between events and report. They print nothing.

``load`` and ``open_data`` make the arguments of the others. Long work calls a ``progress`` callback; messages go to the
logger ``aoi``. Functions that need torch or Lava import it when they are called.
"""
