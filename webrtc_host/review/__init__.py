"""Review: lines of live text are decoded once more, with the speech around them, while the engine is idle."""
