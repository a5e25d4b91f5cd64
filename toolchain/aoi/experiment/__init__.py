"""An experiment as plain data: its configuration and its run folder. No torch in here."""
