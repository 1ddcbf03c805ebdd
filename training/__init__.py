"""Make the starter model: phrases, synthetic speech, training, export and evaluation.

The server imports nothing from here. `training.grammar` needs only the standard library, so tests and demos
can draw the phrases that the model knows.
"""
