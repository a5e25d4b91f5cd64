"""The pipeline as functions: one for each arrow between events and report. They print nothing.

``load`` and ``open_data`` give what the others take. Long work reports through a ``progress`` callback, remarks go to
the logger ``aoi``. What needs torch or Lava imports it when it is called.
"""
