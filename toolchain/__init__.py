"""From events to a calibrated network file."""
