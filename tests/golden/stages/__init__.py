"""Energy by stage, as every reader of a journal has to tell it."""
